//! Asking a DLMS/COSEM meter: one association a round, its registers, and what its load profile has that the journal
//! has not.
//!
//! Invocation counters are reserved in blocks; the end of a block is durable in the journal before the first of it is
//! used. A count that was never seen, or that the meter does not take, is read from the meter as the public client:
//! once, and it never goes back.

mod place;
mod reason;

use std::{sync::Arc, time::Duration};

use plomb_dlms::{
    apdu::{AttributeDescriptor, Mechanism},
    axdr::Value,
    client::{
        Answer as Told, AssociationConfig, Client, ClientEvent, ClientFailure, Conversation, MeterModel, Once,
        ProfileWish, Proof, Request, Round, RoundWish,
    },
    object::class,
    security::{
        CounterRange, Form, InvocationCounter, Key, Keys, Resync, SecurityContext, Suite, SystemTitle,
        signing::{SigningKey, VerifyingKey},
    },
};
use plomb_iec62056::{Opening, OpeningEvent, ReadConfig};
use plomb_seal::{Reason, reading::FRAMES_MAX};
use plomb_session::Obis;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use place::Place;
pub(crate) use reason::reason_of_security;
use reason::{Shows, is_hung_up, told};

use super::{
    Answer, Knowledge, Outcome,
    iec62056::{read_config, reason_of as reason_of_opening},
    port::Port,
};
use crate::{
    clock::{SystemClock, unix_ms},
    config::{self, Authentication, Framing},
    journal::{FRAME_BYTES_MAX, Journal},
    link::{Link, drive},
    normalise::{
        add,
        dlms::{profile_records, record},
    },
    secrets::{Purpose, Secrets},
};

/// The public client.
const PUBLIC_CLIENT: u8 = 16;
/// The client of most meters that may read all.
const MANAGEMENT_CLIENT: u8 = 1;
/// The logical device that most meters have.
const MANAGEMENT_DEVICE: u16 = 1;
/// The object that most meters count the management client's invocations in.
const COUNTER_OBJECT: Obis = Obis([0, 0, 43, 1, 0, 255]);
/// The switch of most meters.
const DISCONNECT_OBJECT: Obis = Obis([0, 0, 96, 3, 10, 255]);
/// Where most meters take tokens.
const TOKEN_OBJECT: Obis = Obis([0, 0, 19, 40, 0, 255]);
/// The tariff calendar of most meters.
const CALENDAR_OBJECT: Obis = Obis([0, 0, 13, 0, 0, 255]);
/// Counters that one association may need: questions, blocks, proofs.
const COUNTERS_PER_ROUND: u32 = 200;
/// How far back a load profile is fetched at most, in days.
const BACKLOG_DAYS_DEFAULT: u32 = 40;
/// The most bytes of answers that are kept with a record.
const FRAMES_BYTES_MAX: usize = 64 * 1024;
/// How often a conversation is taken up again in another association, without anything new.
const RETRIES_DEFAULT: u8 = 2;
/// Between two associations: the meter must have let go of the last one.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// A count that is not taken. Nothing proves what a meter says of it, and each lie would use up counters of its key.
const TOO_FAR: &str = "the meter claims an invocation counter far beyond ours, or has moved it often since the start: not \
                       taken; if it is true, start plombd anew, or give the meter a new key";
/// How long a meter may hold its line in one round: on a network, and on a serial line.
const ROUND_NETWORK_MAX: Duration = Duration::from_secs(300);
const ROUND_SERIAL_MAX: Duration = Duration::from_secs(1800);
/// Bytes of a challenge.
const CHALLENGE_BYTES: usize = 16;

/// A DLMS meter.
pub struct DlmsMeter {
    point: String,
    place: Place,
    opening: ReadConfig,
    authentication: Authentication,
    suite: Suite,
    general: bool,
    dedicated: bool,
    title: SystemTitle,
    secrets: Arc<Secrets>,
    registers: Vec<Obis>,
    load_profile: Option<Obis>,
    backlog_s: i64,
    counter_object: Obis,
    /// What commands act on.
    pub(super) operated: Operated,
    /// The gateway's clock; `None` where somebody at the keyboard answers for the time.
    pub(super) clock: Option<Arc<SystemClock>>,
    counter: InvocationCounter,
    /// The meter's last counter that was taken.
    received: Option<u32>,
    /// The last row that the journal has, Unix seconds.
    rows_until_s: Option<i64>,
    model: MeterModel,
    journal: Option<Journal>,
    is_networked: bool,
}

/// The objects that commands act on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operated {
    pub(super) disconnect: Obis,
    pub(super) token: Obis,
    pub(super) calendar: Obis,
}

/// What came of having a conversation, in as many associations as it took.
pub(super) struct Held<C> {
    /// The conversation, as far as it went.
    pub(super) conversation: C,
    /// The answers, in clear.
    pub(super) frames: Vec<Vec<u8>>,
    /// When the first of them came, Unix milliseconds.
    pub(super) asked_ms: i64,
    /// Why it did not come to its end.
    pub(super) outcome: Result<(), (Reason, String)>,
}

/// What came of having a conversation in one association.
struct Had<C> {
    conversation: C,
    frames: Vec<Vec<u8>>,
    /// When the first answer came, Unix milliseconds.
    asked_ms: Option<i64>,
    associated: bool,
    outcome: Result<(), Trouble>,
}

/// Why a conversation came to nothing.
enum Trouble {
    /// Told by the client.
    Client(ClientFailure),
    /// Anything else.
    Other(Reason, String),
}

impl std::fmt::Debug for DlmsMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DlmsMeter").field("point", &self.point).field("place", &self.place).finish_non_exhaustive()
    }
}

impl DlmsMeter {
    /// A configured meter.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(meter: &config::Meter, bus: &config::Bus, knowledge: &Knowledge) -> Result<Self, String> {
        let wrong = |what: &str| format!("meter \"{}\": {what}", meter.point);
        let obis = |text: &String| text.parse::<Obis>().map_err(|error| wrong(&format!("\"{text}\": {error}")));
        let public = meter.authentication == Authentication::None;
        let timing = meter.timing(bus);
        let place = Place {
            framing: bus.framing(),
            udp: bus.port.starts_with("udp://"),
            client: meter.client.unwrap_or(if public { PUBLIC_CLIENT } else { MANAGEMENT_CLIENT }),
            server: meter.server.unwrap_or(MANAGEMENT_DEVICE),
            physical: meter.physical,
            baud: bus.baud,
            reply_timeout: timing.reply_timeout_ms.map(|ms| Duration::from_millis(ms.into())),
            retries: timing.retries,
            mode_e: bus.mode_e,
        };
        let load_profile = meter.load_profile.as_ref().map(obis).transpose()?;
        let mut dlms = Self {
            point: meter.point.clone(),
            place,
            opening: read_config(meter, bus)?,
            authentication: meter.authentication,
            suite: Suite::from_number(meter.suite).ok_or_else(|| wrong("suite is 0, 1 or 2"))?,
            general: meter.general_ciphering,
            dedicated: meter.dedicated_key,
            title: knowledge.title,
            secrets: knowledge.secrets.clone(),
            registers: meter.registers.iter().map(obis).collect::<Result<_, _>>()?,
            load_profile,
            backlog_s: i64::from(meter.backlog_days.unwrap_or(BACKLOG_DAYS_DEFAULT)) * 86_400,
            counter_object: meter.counter_object.as_ref().map(obis).transpose()?.unwrap_or(COUNTER_OBJECT),
            operated: Operated {
                disconnect: meter.disconnect_object.as_ref().map(obis).transpose()?.unwrap_or(DISCONNECT_OBJECT),
                token: meter.token_object.as_ref().map(obis).transpose()?.unwrap_or(TOKEN_OBJECT),
                calendar: meter.calendar_object.as_ref().map(obis).transpose()?.unwrap_or(CALENDAR_OBJECT),
            },
            clock: knowledge.clock.clone(),
            counter: InvocationCounter::stored(None),
            received: None,
            rows_until_s: None,
            model: MeterModel::default(),
            journal: knowledge.journal.clone(),
            is_networked: bus.port.contains("://"),
        };
        let stored = |name: &str| knowledge.counters.get(name).copied();
        let count = |name: &str| stored(name).and_then(|value| u32::try_from(value).ok());
        dlms.counter = InvocationCounter::stored(count(&dlms.counter_name()));
        dlms.received = count(&dlms.received_name());
        dlms.rows_until_s = dlms.mark_name().and_then(|name| stored(&name)).and_then(|value| i64::try_from(value).ok());
        // A missing or a wrong secret is told at the start, not at the first round.
        dlms.association(CounterRange::default(), Vec::new()).map_err(|what| wrong(&what))?;
        Ok(dlms)
    }

    /// Asks it. `silent`: it failed the last times, and must not cost much.
    pub async fn ask(&mut self, port: &mut Port, silent: bool) -> Outcome {
        let now_s = unix_ms().div_euclid(1000);
        let after_unix_s = self.rows_until_s.unwrap_or(now_s - self.backlog_s);
        let profile = self.load_profile.map(|instance| ProfileWish { instance, after_unix_s, until_unix_s: now_s });
        let wish = RoundWish { registers: self.registers.clone(), profile };
        let round = Round::new(wish, self.model.clone());
        let moved = self.counter.moved();
        let limit = if self.is_networked { ROUND_NETWORK_MAX } else { ROUND_SERIAL_MAX };
        let Ok(held) = timeout(limit, self.have(port, silent, round)).await else {
            port.hang_up();
            let minutes = limit.as_secs() / 60;
            return Err((Reason::Endless, format!("the meter did not come to an end within {minutes} minutes")));
        };
        let Held { conversation, frames, asked_ms, outcome } = held;
        outcome?;
        let (report, model) = conversation.into_parts();
        if report.is_mixed {
            let what = "the connection broke, and another meter than before, or one that does not tell which it is, \
                        answered then: nothing of both is taken";
            return Err((Reason::OtherMeter, what.into()));
        }
        self.model = model;
        let mut record = record(&report, &frames, asked_ms).map_err(|what| (Reason::Refused, what))?;
        if self.counter.moved() > moved {
            let by = self.counter.moved() - moved;
            add(&mut record.status, format!("invocation counter moved by {by} at the meter's word"));
        }
        // The record names each; kept are those that fit.
        let frames = frames.into_iter().take(FRAMES_MAX).filter(|frame| frame.len() <= FRAME_BYTES_MAX).collect();
        let mut answer = Answer::new(record, frames);
        if let Some(instance) = self.load_profile {
            answer.earlier = profile_records(&report, instance);
            // The mark is the last row, not the end of the question: a row may come late.
            let times = report.rows.iter().filter_map(|row| row.time);
            let last = times.filter_map(|time| time.unix_ms().or_else(|| time.local_ms())).max();
            let last = last.map(|ms| ms.div_euclid(1000));
            self.rows_until_s = self.rows_until_s.max(last);
            if let (Some(name), Some(last)) = (self.mark_name(), self.rows_until_s) {
                answer.marks.extend(u64::try_from(last).ok().map(|last| (name, last)));
            }
        }
        if let Some(received) = self.received {
            answer.counters.push((self.received_name(), received.into()));
        }
        Ok(answer)
    }

    /// Has a conversation as the configured client. Where the meter does not take the invocation counter, its count is
    /// read, and the conversation tried once more.
    pub(super) async fn have<C: Conversation>(&mut self, port: &mut Port, silent: bool, conversation: C) -> Held<C> {
        let mut held = Held { conversation, frames: Vec::new(), asked_ms: unix_ms(), outcome: Ok(()) };
        let mut tried_counter = false;
        if self.is_ciphered() && !self.counter.is_known() {
            tried_counter = true;
            held.outcome = match self.read_counter(port, silent).await {
                Ok(Some(count)) => match self.counter.resync(count) {
                    Resync::TooFar => Err((Reason::Refused, TOO_FAR.into())),
                    _ => Ok(()),
                },
                // A meter without such an object counts from where we begin.
                Ok(None) => Ok(()),
                Err(Trouble::Client(failure @ (ClientFailure::Link(_) | ClientFailure::NoAnswer))) => {
                    Err(told(&failure, self.shows()))
                }
                Err(Trouble::Other(reason, detail)) => Err((reason, detail)),
                Err(Trouble::Client(_)) => Ok(()),
            };
            if held.outcome.is_err() {
                return held;
            }
        }
        let tries = if silent { 0 } else { self.place.retries.unwrap_or(RETRIES_DEFAULT) };
        let (mut left, mut answered) = (tries, 0);
        let mut first_ms = None;
        loop {
            let Had { conversation, frames, asked_ms, associated, outcome } =
                self.have_once(port, silent, held.conversation).await;
            held.conversation = conversation;
            held.frames.extend(frames);
            first_ms = first_ms.or(asked_ms);
            held.asked_ms = first_ms.unwrap_or_else(unix_ms);
            let failure = match outcome {
                Ok(()) => return held,
                Err(Trouble::Other(reason, detail)) => {
                    held.outcome = Err((reason, detail));
                    return held;
                }
                Err(Trouble::Client(failure)) => failure,
            };
            // What was answered stays answered; as long as it goes on, it is tried again.
            if held.conversation.answered() > answered {
                (left, answered) = (tries, held.conversation.answered());
            }
            if failure.may_be_passing(associated) && left > 0 {
                left -= 1;
                sleep(BETWEEN_TRIES).await;
                continue;
            }
            let told = told(&failure, self.shows());
            if !self.is_ciphered() || tried_counter || associated || !failure.may_be_counter() {
                held.outcome = Err(told);
                return held;
            }
            tried_counter = true;
            let count = match failure {
                ClientFailure::CounterOutOfStep { expected: Some(expected) } => Some(expected.saturating_sub(1)),
                _ => self.read_counter(port, silent).await.ok().flatten(),
            };
            held.outcome = self.take_count(count, told);
            if held.outcome.is_err() {
                return held;
            }
        }
    }

    /// Takes the meter's word for its count; `told` is why it was asked.
    fn take_count(&mut self, count: Option<u32>, told: (Reason, String)) -> Result<(), (Reason, String)> {
        let what = match count.map(|count| self.counter.resync(count)) {
            Some(Resync::Moved) => return Ok(()),
            Some(Resync::Exhausted) => "the meter's invocation counter is at its end: its keys must be changed",
            Some(Resync::TooFar) => TOO_FAR,
            _ => return Err(told),
        };
        Err((Reason::Refused, what.into()))
    }

    async fn have_once<C: Conversation>(&mut self, port: &mut Port, silent: bool, conversation: C) -> Had<C> {
        match self.prepare().await {
            Ok(config) => {
                let client = Client::new(self.place.link(self.place.client, silent), config, conversation);
                self.converse(port, client).await
            }
            Err((reason, detail)) => {
                let outcome = Err(Trouble::Other(reason, detail));
                Had { conversation, frames: Vec::new(), asked_ms: None, associated: false, outcome }
            }
        }
    }

    /// As whom, with counters and a challenge for one association.
    async fn prepare(&mut self) -> Result<AssociationConfig, (Reason, String)> {
        let range = self.reserve().await?;
        let mut challenge = vec![0; CHALLENGE_BYTES];
        getrandom::fill(&mut challenge).map_err(|error| (Reason::NotAsked, error.to_string()))?;
        self.association(range, challenge).map_err(|what| (Reason::Key, what))
    }

    /// Has a conversation over the port; takes counters back whatever comes of it.
    async fn converse<C: Conversation>(&mut self, port: &mut Port, mut client: Client<C>) -> Had<C> {
        let (mut frames, mut bytes, mut failure, mut asked_ms) = (Vec::new(), 0usize, None, None);
        let mut associated = false;
        let driven = match self.open(port).await {
            Ok(link) => {
                let driven = drive(&mut client, link, |event| match event {
                    ClientEvent::Answered(apdu) => {
                        // The clock is in the first answers.
                        asked_ms.get_or_insert_with(unix_ms);
                        bytes = bytes.saturating_add(apdu.len());
                        if bytes <= FRAMES_BYTES_MAX {
                            frames.push(apdu);
                        }
                    }
                    ClientEvent::Failed(why) => failure = Some(why),
                    ClientEvent::Associated(_) => associated = true,
                    ClientEvent::Notified(_) | ClientEvent::Done => {}
                });
                driven.await
            }
            Err((reason, detail)) => {
                let outcome = Err(Trouble::Other(reason, detail));
                return Had { conversation: client.into_conversation(), frames, asked_ms, associated, outcome };
            }
        };
        // Only with keys of its own has a conversation used counters.
        if let Some(security) = client.security().filter(|_| self.is_ciphered()) {
            self.counter.give_back(security.counters(), failure.is_none() && driven.is_ok());
            self.received = security.received().or(self.received);
        }
        // An answer that comes late must not meet another question.
        if self.place.framing == Framing::Wrapper || failure.is_some() {
            port.hang_up();
        }
        let outcome = match (driven, failure) {
            (Err(error), _) if is_hung_up(&error) => {
                port.hang_up();
                Err(Trouble::Client(ClientFailure::Dropped))
            }
            (Err(error), _) => Err(Trouble::Other(Reason::Port, port.fail(&error))),
            (Ok(()), Some(failure)) => Err(Trouble::Client(failure)),
            (Ok(()), None) => Ok(()),
        };
        Had { conversation: client.into_conversation(), frames, asked_ms, associated, outcome }
    }

    /// The open port; through an optical head the meter is opened first.
    async fn open<'p>(&self, port: &'p mut Port) -> Result<&'p mut Link, (Reason, String)> {
        if !self.place.mode_e {
            return port.open().await;
        }
        let mut opening = Opening::new(self.opening.clone());
        let mut refused = None;
        let opened = drive(&mut opening, port.open().await?, |event| {
            if let OpeningEvent::Failed(why) = event {
                refused = Some((reason_of_opening(&why), why.to_string()));
            }
        });
        match (opened.await, refused) {
            (Err(error), _) => Err((Reason::Port, port.fail(&error))),
            (Ok(()), Some(refused)) => Err(refused),
            (Ok(()), None) => port.open().await,
        }
    }

    /// The meter's count of our invocations, read as the public client. `None` where the meter does not tell it.
    async fn read_counter(&mut self, port: &mut Port, silent: bool) -> Result<Option<u32>, Trouble> {
        let attribute = AttributeDescriptor::new(class::DATA, self.counter_object, 2);
        let once = Once::new(Request::Get(attribute, None));
        let client = Client::new(self.place.link(PUBLIC_CLIENT, silent), AssociationConfig::public(), once);
        let Had { conversation, outcome, .. } = self.converse(port, client).await;
        outcome?;
        let Some(Told::Values(values)) = conversation.into_answer() else { return Ok(None) };
        let count = values.into_iter().next().and_then(Result::ok).as_ref().and_then(Value::as_unsigned);
        Ok(count.and_then(|count| u32::try_from(count).ok()))
    }

    /// Counters for one association; their end is durable before any of them is used.
    async fn reserve(&mut self) -> Result<CounterRange, (Reason, String)> {
        if !self.is_ciphered() {
            return Ok(CounterRange::default());
        }
        if let (Some(end), Some(journal)) = (self.counter.reserve(COUNTERS_PER_ROUND), &self.journal) {
            let kept = match journal.advance_counter(&self.counter_name(), end.into()) {
                Ok(()) => journal.flush().await.map(drop),
                Err(error) => Err(error),
            };
            kept.map_err(|error| (Reason::NotAsked, format!("no invocation counter can be kept: {error}")))?;
        }
        Ok(self.counter.range())
    }

    fn is_ciphered(&self) -> bool {
        self.authentication == Authentication::Gmac || self.secrets.get(&self.point, Purpose::Encryption).is_some()
    }

    fn shows(&self) -> Shows {
        Shows { proof: self.authentication != Authentication::None, cipher: self.is_ciphered() }
    }

    /// As whom, with which proof.
    fn association(&self, range: CounterRange, challenge: Vec<u8>) -> Result<AssociationConfig, String> {
        let secret = |purpose| self.secrets.get(&self.point, purpose);
        let missing = |what: &str| format!("no {what} in the file of `meter_secrets` for {}", self.point);
        let password =
            || secret(Purpose::Password).map(|bytes| Zeroizing::new(bytes.to_vec())).ok_or(missing("password"));
        let proof = match self.authentication {
            Authentication::None => Proof::None,
            Authentication::Lls => Proof::Password(password()?),
            Authentication::Md5 => Proof::Hash(Mechanism::MD5, password()?),
            Authentication::Sha1 => Proof::Hash(Mechanism::SHA1, password()?),
            Authentication::Sha256 => Proof::Hash(Mechanism::SHA256, password()?),
            Authentication::Gmac => Proof::Gmac,
            Authentication::Ecdsa => {
                let own = SigningKey::new(secret(Purpose::Signing).ok_or(missing("signing key"))?);
                let theirs = VerifyingKey::new(secret(Purpose::Verifying).ok_or(missing("verifying key"))?);
                Proof::Ecdsa(Box::new((
                    own.map_err(|error| error.to_string())?,
                    theirs.map_err(|error| error.to_string())?,
                )))
            }
        };
        let mut config = AssociationConfig { proof, challenge, tells_answers: true, ..AssociationConfig::public() };
        config.ciphered = self.is_ciphered();
        let key = |purpose| secret(purpose).map(|bytes| Key::new(bytes).map_err(|error| error.to_string())).transpose();
        if config.ciphered {
            let encryption = key(Purpose::Encryption)?.ok_or(missing("encryption key"))?;
            let authentication = key(Purpose::Authentication)?.ok_or(missing("authentication key"))?;
            let keys = Keys { encryption, authentication: Some(authentication), broadcast: key(Purpose::Broadcast)? };
            let security = SecurityContext::new(self.suite, self.title, keys, range);
            let mut security = security.map_err(|error| error.to_string())?;
            security.set_received(self.received);
            security.set_form(if self.general { Form::General } else { Form::Service });
            config.security = Some(security);
            if self.dedicated {
                let mut bytes = Zeroizing::new(vec![0; self.suite.key_bytes()]);
                getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
                config.dedicated = Some(Key::new(&bytes).map_err(|error| error.to_string())?);
            }
        } else if matches!(self.authentication, Authentication::Sha256 | Authentication::Ecdsa) {
            // Titles go into the proof; the key stays unused.
            let key = Key::new(&vec![0; self.suite.key_bytes()]).map_err(|error| error.to_string())?;
            let keys = Keys { encryption: key, authentication: None, broadcast: None };
            let security = SecurityContext::new(self.suite, self.title, keys, CounterRange::default());
            config.security = Some(security.map_err(|error| error.to_string())?);
        }
        Ok(config)
    }

    /// Names by which the journal keeps numbers: short, as they are bounded.
    fn counter_name(&self) -> String {
        number_name("dlms-out", &format!("{} {}", self.point, self.title))
    }

    fn received_name(&self) -> String {
        number_name("dlms-in", &self.point)
    }

    fn mark_name(&self) -> Option<String> {
        self.load_profile.map(|instance| number_name("dlms-rows", &format!("{} {instance}", self.point)))
    }
}

/// A name of bounded length for a number that the journal keeps.
pub(crate) fn number_name(kind: &str, of: &str) -> String {
    let hash = plomb_seal::Hash::of(of.as_bytes()).to_string();
    format!("{kind} {}", hash.get(..32).unwrap_or(&hash))
}
