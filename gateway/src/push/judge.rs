//! Whose push it is, whether it may be believed, and whether its point is due. Pure: pushes and times come in,
//! outcomes go out.

use std::time::Duration;

use plomb_dlms::{
    apdu::{Apdu, Ciphered},
    security::{Keys, Protection, Suite, SystemTitle, open_push},
};
use plomb_iec62056::p1::Telegram;
use plomb_seal::{Reason, Record};
use plomb_session::Obis;

use super::receive::Pushed;
use crate::{
    ask::dlms::reason_of_security,
    normalise::pushed::{p1_record, record},
};

/// A time, counted from the start.
pub type Elapsed = Duration;

/// `general-glo-ciphering`, which names its sender.
const GENERAL_GLOBAL: u8 = 0xDB;

/// A meter whose pushes are expected.
#[derive(Debug)]
pub struct Expected {
    /// Its system title; the only meter of a port needs none.
    pub title: Option<SystemTitle>,
    /// Its keys. With them a push in clear is refused.
    pub keys: Option<Keys>,
    /// Its security suite.
    pub suite: Suite,
    /// How often it is recorded.
    pub interval: Duration,
    /// The last invocation counter that was taken.
    pub counter: Option<u32>,
    /// What its push setup lists, in its order, for pushes that do not name their values.
    pub names: Vec<Option<Obis>>,
}

/// What became of a push.
#[derive(Debug)]
pub enum Outcome {
    /// It is good.
    Good {
        /// The meter's index.
        meter: usize,
        /// When its reading was due, if it is.
        due: Option<Elapsed>,
        /// What it says.
        record: Box<Record>,
        /// The invocation counter that it used up.
        counter: Option<u32>,
    },
    /// It failed a check.
    Refused {
        /// The meter's index.
        meter: usize,
        /// A short word for the kind of failure, stable for programs.
        kind: &'static str,
        /// The failure in words.
        detail: String,
    },
    /// Nobody that is configured.
    Stranger,
    /// No push at all.
    Noise(String),
}

/// A reading that did not come in its interval.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// The meter's index.
    pub meter: usize,
    /// When it was due.
    pub due: Elapsed,
    /// Why, as far as is known.
    pub reason: Reason,
    /// The same in words.
    pub detail: String,
}

/// The meters of a port.
#[derive(Debug)]
pub struct Judge {
    meters: Vec<Meter>,
}

#[derive(Debug)]
struct Meter {
    expected: Expected,
    due: Elapsed,
    /// The last failure since the last good push.
    trouble: Option<(Reason, String)>,
}

impl Judge {
    /// Expects these meters.
    pub fn new(expected: Vec<Expected>) -> Self {
        let meter = |expected: Expected| {
            let expected = Expected { interval: expected.interval.max(Duration::from_millis(1)), ..expected };
            Meter { expected, due: Duration::ZERO, trouble: None }
        };
        Self { meters: expected.into_iter().map(meter).collect() }
    }

    /// Takes a push.
    pub fn take(&mut self, pushed: &Pushed, now: Elapsed) -> Outcome {
        match pushed {
            Pushed::P1(bytes) => self.take_p1(bytes, now),
            Pushed::Apdu(apdu) => self.take_apdu(apdu, now),
            Pushed::Lost(what) => Outcome::Noise(what.clone()),
            Pushed::Open | Pushed::Port(_) | Pushed::GaveWay(_) => Outcome::Noise(String::new()),
        }
    }

    fn take_p1(&mut self, bytes: &[u8], now: Elapsed) -> Outcome {
        let telegram = match Telegram::parse(bytes) {
            Ok(Some((telegram, _))) => telegram,
            Ok(None) => return Outcome::Noise("a telegram without an end".into()),
            Err(error) => return Outcome::Noise(error.to_string()),
        };
        let Some(meter) = self.meters.first_mut() else { return Outcome::Stranger };
        if meter.expected.keys.is_some() {
            return meter.refuse(
                0,
                Reason::Refused,
                "weaker",
                "the telegram is in clear, and there is a key: not taken".into(),
            );
        }
        meter.good(0, p1_record(&telegram, bytes), None, now)
    }

    fn take_apdu(&mut self, bytes: &[u8], now: Elapsed) -> Outcome {
        let title = match bytes {
            [GENERAL_GLOBAL, 8, title @ ..] => title.first_chunk::<8>().map(|title| SystemTitle(*title)),
            _ => None,
        };
        let found = self.meters.iter().position(|meter| title.is_some() && meter.expected.title == title);
        // The only meter of a port is meant, unless it is configured to be another.
        let only = || match self.meters.as_slice() {
            [only] if only.expected.title.is_none() || title.is_none() => Some(0),
            _ => None,
        };
        let Some(index) = found.or_else(only) else { return Outcome::Stranger };
        let Some(meter) = self.meters.get_mut(index) else { return Outcome::Stranger };
        if !bytes.first().is_some_and(|tag| Ciphered::is_ciphered(*tag)) {
            if meter.expected.keys.is_some() {
                let what = "the push is in clear, and there is a key: not taken";
                return meter.refuse(index, Reason::Refused, "weaker", what.into());
            }
            return meter.take_plain(index, bytes, bytes, title, None, now);
        }
        let Some(keys) = &meter.expected.keys else {
            let what = "the push is ciphered: add the meter's keys to the file of `meter_secrets`";
            return meter.refuse(index, Reason::Key, "key missing", what.into());
        };
        let least = Protection { authenticated: keys.authentication.is_some(), encrypted: true };
        let Expected { suite, counter, .. } = meter.expected;
        match open_push(bytes, suite, meter.expected.title, keys, least, counter) {
            Ok(opened) => {
                let (title, counter) = (Some(opened.title), Some(opened.counter));
                meter.take_plain(index, &opened.apdu, bytes, title, counter, now)
            }
            Err(error) => meter.refuse(index, reason_of_security(&error), error.kind(), error.to_string()),
        }
    }

    /// The readings whose interval has passed without a good push. Each is told once.
    pub fn missing(&mut self, now: Elapsed) -> Vec<Missing> {
        let mut missing = Vec::new();
        for (index, meter) in self.meters.iter_mut().enumerate() {
            while meter.due.saturating_add(meter.expected.interval) <= now {
                let (reason, detail) = meter.trouble.take().unwrap_or_else(|| {
                    (Reason::Timeout, "nothing came from it: check its push setup, and the way to this port".into())
                });
                missing.push(Missing { meter: index, due: meter.due, reason, detail });
                meter.due = meter.due.saturating_add(meter.expected.interval);
            }
        }
        missing
    }
}

impl Meter {
    fn take_plain(
        &mut self,
        index: usize,
        plain: &[u8],
        frame: &[u8],
        title: Option<SystemTitle>,
        counter: Option<u32>,
        now: Elapsed,
    ) -> Outcome {
        let text = |bytes| Telegram::parse(bytes).ok().flatten();
        let record = match Apdu::parse(plain) {
            Ok(apdu) => record(&apdu, title.or(self.expected.title), &self.expected.names, frame),
            // Some countries cipher the text of a P1 telegram.
            Err(_) => text(plain).map(|(telegram, _)| p1_record(&telegram, frame)),
        };
        match record {
            Some(record) => self.good(index, record, counter, now),
            None => self.refuse(index, Reason::Malformed, "malformed", "what came tells nothing of a meter".into()),
        }
    }

    fn good(&mut self, index: usize, record: Record, counter: Option<u32>, now: Elapsed) -> Outcome {
        self.trouble = None;
        self.expected.counter = counter.or(self.expected.counter);
        let due = (self.due <= now).then_some(self.due);
        if due.is_some() {
            self.due = self.due.saturating_add(self.expected.interval);
        }
        Outcome::Good { meter: index, due, record: Box::new(record), counter }
    }

    fn refuse(&mut self, index: usize, reason: Reason, kind: &'static str, detail: String) -> Outcome {
        self.trouble = Some((reason, detail.clone()));
        Outcome::Refused { meter: index, kind, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plomb_dlms::{
        apdu::DataNotification,
        axdr::Value,
        security::{CounterRange, Form, Key, SecurityContext},
    };

    const TITLE: SystemTitle = SystemTitle(*b"PLM\x00\x00\x00\x00\x01");
    const SECOND: Duration = Duration::from_secs(1);

    fn keys(first: u8) -> Keys {
        let key = |byte| Key::new(&[byte; 16]).unwrap();
        Keys { encryption: key(first), authentication: Some(key(9)), broadcast: None }
    }

    fn judge(keys: Option<Keys>) -> Judge {
        let interval = 10 * SECOND;
        Judge::new(vec![Expected {
            title: Some(TITLE),
            keys,
            suite: Suite::Zero,
            interval,
            counter: None,
            names: vec![],
        }])
    }

    fn plain(energy: u32) -> Vec<u8> {
        let code = Value::OctetString(vec![1, 0, 1, 8, 0, 255]);
        let scaler = Value::Structure(vec![Value::Integer(0), Value::Enum(30)]);
        let one = Value::Structure(vec![code, Value::DoubleLongUnsigned(energy), scaler]);
        let body = Value::Structure(vec![one]);
        Apdu::DataNotification(DataNotification { id: 1, time: Vec::new(), body }).emit()
    }

    fn sealed(key: u8, counter: u32, energy: u32) -> Pushed {
        let range = CounterRange { next: counter, end: counter + 1 };
        let mut meter = SecurityContext::new(Suite::Zero, TITLE, keys(key), range).unwrap();
        meter.set_form(Form::General);
        Pushed::Apdu(meter.protect(&plain(energy)).unwrap())
    }

    #[test]
    fn a_good_push_is_recorded_once_in_its_interval() {
        let mut judge = judge(Some(keys(1)));
        let Outcome::Good { due: Some(_), record, counter: Some(5), .. } = judge.take(&sealed(1, 5, 4711), SECOND)
        else {
            panic!("not taken")
        };
        let reading = record.readings.first().unwrap();
        assert_eq!((reading.value.to_string().as_str(), reading.unit.as_str()), ("4711", "Wh"));
        let second = judge.take(&sealed(1, 6, 4712), 2 * SECOND);
        assert!(matches!(second, Outcome::Good { due: None, .. }), "{second:?}");
        assert!(judge.missing(11 * SECOND).is_empty());
        assert_eq!(judge.missing(20 * SECOND).len(), 1);
    }

    #[test]
    fn what_must_not_be_believed_is_refused_and_silences_nobody() {
        let mut judge = judge(Some(keys(1)));
        assert!(matches!(judge.take(&sealed(1, 5, 1), SECOND), Outcome::Good { .. }));
        for (pushed, expected) in
            [(sealed(1, 5, 1), "counter repeated"), (sealed(2, 6, 1), "key wrong"), (Pushed::Apdu(plain(1)), "weaker")]
        {
            let outcome = judge.take(&pushed, SECOND);
            assert!(matches!(outcome, Outcome::Refused { kind, .. } if kind == expected), "{expected}: {outcome:?}");
        }
        assert!(matches!(judge.take(&sealed(1, 7, 1), SECOND), Outcome::Good { .. }));
        let missing = judge.missing(30 * SECOND);
        assert_eq!(missing.first().map(|one| one.reason), Some(Reason::Timeout), "a good one ended the trouble");
    }

    #[test]
    fn strangers_and_noise_are_told_apart() {
        let other = SystemTitle(*b"XXX\x00\x00\x00\x00\x02");
        let two = || {
            [TITLE, other].map(|title| Expected {
                title: Some(title),
                keys: None,
                suite: Suite::Zero,
                interval: SECOND,
                counter: None,
                names: vec![],
            })
        };
        let mut judge = Judge::new(two().into());
        assert!(matches!(judge.take(&Pushed::Apdu(plain(1)), SECOND), Outcome::Stranger));
        assert!(matches!(judge.take(&sealed(1, 1, 1), SECOND), Outcome::Refused { kind: "key missing", .. }));
        assert!(matches!(judge.take(&Pushed::P1(b"/XXX5\r\n".to_vec()), SECOND), Outcome::Noise(_)));
    }
}
