//! The listener in virtual time: what is recorded, what is refused, and that nothing silences a meter.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use plomb_mbus::{Configuration, Identification, Manufacturer, Medium, MeterId, SecondaryAddress, ShortHeader, Status};
use plomb_profiles::Library;
use plomb_seal::Reason;
use plomb_wmbus::{Authentication, Draft, Format, Key, Link, LinkControl, Protection, TransportHeader};

use tokio::sync::{mpsc, watch};

use super::{
    RadioTask,
    listener::{DUPLICATE_WINDOW, Listener, Outcome, Wanted},
};
use crate::{
    config::{Bus, Meter, Protocol},
    journal::{Journal, Options, StoredEntry},
    keys::Keys,
    poll::Asked,
    status::Board,
};

const MINUTE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(900);
/// 8 digits of litres.
const RECORDS: [u8; 6] = [0x0C, 0x13, 0x21, 0x43, 0x05, 0x00];
const METER: MeterId = MeterId {
    id: Identification(0x1234_5678),
    manufacturer: Manufacturer(0x2C2D),
    version: 0x1B,
    medium: Medium(0x16),
};

fn key(byte: u8) -> Key {
    Key::new([byte; 16])
}

fn telegram(meter: MeterId, mode: u16, access: u8, counter: u32, key: Option<&Key>) -> Vec<u8> {
    let configuration = if mode == 10 { 0x2AFF } else { mode << 8 };
    let draft = Draft {
        link: Link { control: LinkControl(0x44), sender: meter },
        ell: None,
        ci: 0x7A,
        header: TransportHeader::Short(ShortHeader {
            access,
            status: Status(0),
            configuration: Configuration(configuration),
        }),
        payload: &RECORDS,
        counter,
        authentication: Authentication::Cmac(8),
    };
    draft.emit(Format::Stripped, key).unwrap()
}

/// A listener for one meter, known by its digits, with a key of this byte repeated.
fn listener(key: Option<u8>, minimum: Protection, stored: BTreeMap<String, u64>) -> Listener {
    let wanted = Wanted { address: SecondaryAddress::from_id(METER.id), minimum: Some(minimum), interval: INTERVAL };
    let keys = key.map(|byte| format!("12345678 {}", hex::encode([byte; 16]))).unwrap_or_default();
    listener_for(vec![wanted], &keys, stored)
}

fn listener_for(wanted: Vec<Wanted>, keys: &str, stored: BTreeMap<String, u64>) -> Listener {
    let keys = Keys::parse("keys", keys).unwrap();
    Listener::new(wanted, Arc::new(keys), Arc::new(Library::shipped().unwrap()), stored)
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Due(_) => "due",
        Outcome::Heard(_) => "heard",
        Outcome::Duplicate(_) => "duplicate",
        Outcome::Fragment(_) => "fragment",
        Outcome::Refused { kind, .. } => kind,
        Outcome::Stranger => "stranger",
        Outcome::Noise(_) => "noise",
    }
}

#[test]
fn a_meter_that_sends_every_minute_is_recorded_once_in_its_interval() {
    let mut listener = listener(Some(7), Protection::Encrypted, BTreeMap::new());
    let (mut due, mut heard) = (0, 0);
    for minute in 0..60u8 {
        let now = MINUTE * minute.into() + Duration::from_secs(5);
        let bytes = telegram(METER, 5, minute, 0, Some(&key(7)));
        match listener.hear(&bytes, Some(-71), now) {
            Outcome::Due(told) => {
                let record = told.record.unwrap();
                assert_eq!(record.meter.id, "12345678");
                assert_eq!(record.readings[0].value.to_string(), "54.321");
                assert_eq!(record.readings[1].value.to_string(), "-71", "the signal strength is in the record");
                assert_eq!(record.frames, [plomb_seal::Hash::of(&bytes)]);
                due += 1;
            }
            Outcome::Heard(_) => heard += 1,
            other => panic!("{other:?}"),
        }
        assert_eq!(listener.missing(now), []);
    }
    assert_eq!((due, heard), (4, 56));
    let reception = listener.reception(0).unwrap();
    assert_eq!(reception.expected_interval, Some(MINUTE));
    assert_eq!(reception.share_percent(MINUTE * 60), Some(100));
}

#[test]
fn each_wrong_telegram_is_refused_by_its_kind_and_the_next_good_one_is_taken() {
    let good = |counter| telegram(METER, 7, 1, counter, Some(&key(7)));
    let mut bent_mac = good(9);
    // CI 90, lengths, FCL, MCL, MCR: the MAC begins 9 bytes behind the link's head of 10.
    bent_mac[19] ^= 1;
    let wrong: [(&str, Vec<u8>); 5] = [
        ("counter repeated", good(8)),
        ("mac failed", bent_mac),
        ("key wrong", telegram(METER, 7, 1, 10, Some(&key(9)))),
        ("weaker than expected", telegram(METER, 5, 2, 0, Some(&key(7)))),
        ("weaker than expected", telegram(METER, 0, 3, 0, None)),
    ];
    let mut listener = listener(Some(7), Protection::Authenticated, BTreeMap::new());
    assert_eq!(kind(&listener.hear(&good(8), None, Duration::ZERO)), "due");
    for (number, (expected, bytes)) in (1..).zip(&wrong) {
        let now = DUPLICATE_WINDOW * number;
        assert_eq!(kind(&listener.hear(bytes, None, now)), *expected);
    }
    assert_eq!(kind(&listener.hear(&good(9), None, INTERVAL)), "due", "nothing of it silenced the meter");
    let refused: Vec<_> = listener.reception(0).unwrap().refused.clone().into_iter().collect();
    assert_eq!(refused, [("counter repeated", 1), ("key wrong", 1), ("mac failed", 1), ("weaker than expected", 2)]);
}

/// Some meters send a part in clear behind the encrypted one; so can whoever hears any meter of mode 5.
#[test]
fn what_stands_in_clear_behind_an_encrypted_part_is_flagged() {
    let mut bytes = telegram(METER, 5, 1, 0, Some(&key(7)));
    // A volume, and the date of the encrypted one.
    bytes.extend([0x0C, 0x13, 0x99, 0x99, 0x99, 0x99, 0x04, 0x6D, 0x1E, 0x0B, 0x59, 0x2B]);
    bytes[0] += 12;
    let mut listener = listener(Some(7), Protection::Encrypted, BTreeMap::new());
    let Outcome::Due(told) = listener.hear(&bytes, None, Duration::ZERO) else { panic!("it is opened") };
    let record = told.record.unwrap();
    assert_eq!(record.status, ["partly in clear"]);
    let said: Vec<_> = record.readings.iter().map(|one| (one.value.to_string(), one.flags.concat())).collect();
    assert_eq!(said[0], ("54.321".into(), "time in clear".into()));
    assert_eq!(said[1], ("99999.999".into(), "in clear".into()));
    assert_eq!(said[2].1, "in clear");
}

/// What the journal kept holds after a restart: an old telegram is not taken again.
#[test]
fn a_message_counter_holds_over_a_restart() {
    let mut before = listener(Some(7), Protection::Authenticated, BTreeMap::new());
    let bytes = telegram(METER, 7, 1, 500, Some(&key(7)));
    let Outcome::Due(told) = before.hear(&bytes, None, Duration::ZERO) else { panic!("it is good") };
    let stored = BTreeMap::from([told.counter.unwrap()]);
    let mut after = listener(Some(7), Protection::Authenticated, stored.clone());
    assert_eq!(kind(&after.hear(&bytes, None, Duration::ZERO)), "counter repeated");
    assert_eq!(kind(&after.hear(&telegram(METER, 7, 2, 501, Some(&key(7))), None, MINUTE)), "due");
    // A new key counts anew.
    let mut rekeyed = listener(Some(8), Protection::Authenticated, stored);
    assert_eq!(kind(&rekeyed.hear(&telegram(METER, 7, 3, 1, Some(&key(8))), None, MINUTE)), "due");
}

#[test]
fn what_was_not_heard_is_missing_with_the_most_telling_reason() {
    let mut listener = listener(Some(7), Protection::Encrypted, BTreeMap::new());
    assert_eq!(listener.missing(INTERVAL - MINUTE), []);
    listener.hear(&telegram(METER, 5, 1, 0, Some(&key(9))), None, MINUTE);
    let missing = listener.missing(INTERVAL);
    assert_eq!(
        missing.iter().map(|missing| (missing.due, missing.reason)).collect::<Vec<_>>(),
        [(Duration::ZERO, Reason::Key)]
    );
    let missing = listener.missing(INTERVAL * 3);
    assert_eq!(missing.iter().map(|missing| missing.reason).collect::<Vec<_>>(), [Reason::Timeout; 2]);
    assert!(missing[0].detail.contains("nothing was heard"));
    // It is back: recorded at once, and once only.
    assert_eq!(kind(&listener.hear(&telegram(METER, 5, 2, 0, Some(&key(7))), None, INTERVAL * 3)), "due");
    assert_eq!(kind(&listener.hear(&telegram(METER, 5, 3, 0, Some(&key(7))), None, INTERVAL * 3 + MINUTE)), "heard");
}

#[test]
fn repeats_strangers_and_noise_are_told_apart() {
    let mut listener = listener(None, Protection::Plain, BTreeMap::new());
    let bytes = telegram(METER, 0, 1, 0, None);
    assert_eq!(kind(&listener.hear(&bytes, None, Duration::ZERO)), "due");
    assert_eq!(kind(&listener.hear(&bytes, None, DUPLICATE_WINDOW / 2)), "duplicate");
    assert_eq!(kind(&listener.hear(&bytes, None, DUPLICATE_WINDOW * 2)), "heard", "the window is over");
    let other = MeterId { id: Identification(0x8765_4321), ..METER };
    assert_eq!(kind(&listener.hear(&telegram(other, 5, 1, 0, Some(&key(1))), Some(-90), MINUTE)), "stranger");
    assert_eq!(kind(&listener.hear(&bytes[..bytes.len() - 1], None, MINUTE * 2)), "noise");
    let strangers = listener.strangers();
    assert_eq!((strangers[0].meter, strangers[0].telegrams, strangers[0].rssi_dbm), (other, 1, Some(-90)));
    assert!(strangers[0].protection.contains("mode 5"), "{}", strangers[0].protection);
}

/// Two meters with the same eight digits are two meters.
#[test]
fn identities_that_collide_are_told_apart_by_the_rest() {
    let twin = MeterId { manufacturer: Manufacturer(0x4024), ..METER };
    let wanted = [METER, twin].map(|meter| Wanted { address: meter.into(), minimum: None, interval: INTERVAL });
    let line = |meter: MeterId, byte| {
        let MeterId { id, manufacturer, version, medium } = meter;
        format!("{id} {manufacturer} {version:02X} {:02X} {}\n", medium.0, hex::encode([byte; 16]))
    };
    let keys = line(METER, 1) + &line(twin, 2);
    let mut listener = listener_for(wanted.into(), &keys, BTreeMap::new());
    for (index, (meter, byte)) in [(METER, 1), (twin, 2)].into_iter().enumerate() {
        match listener.hear(&telegram(meter, 5, 1, 0, Some(&key(byte))), None, Duration::ZERO) {
            Outcome::Due(told) => assert_eq!(told.meter, index),
            other => panic!("{other:?}"),
        }
    }
    let third = MeterId { version: 2, ..METER };
    assert_eq!(kind(&listener.hear(&telegram(third, 5, 1, 0, Some(&key(1))), None, Duration::ZERO)), "stranger");
}

/// The configuration names digits, the key's line a manufacturer too: who sends the digits under another
/// manufacturer is not taken as a plain meter.
#[test]
fn digits_alone_under_another_manufacturer_are_not_taken_in_clear() {
    let wanted = Wanted { address: SecondaryAddress::from_id(METER.id), minimum: None, interval: INTERVAL };
    let line = format!("12345678 {} {}", METER.manufacturer, hex::encode([7; 16]));
    let mut listener = listener_for(vec![wanted], &line, BTreeMap::new());
    let forged = MeterId { manufacturer: Manufacturer(0x4024), ..METER };
    let outcome = listener.hear(&telegram(forged, 0, 1, 0, None), None, Duration::ZERO);
    assert_eq!(kind(&outcome), "weaker than expected");
    let honest = telegram(METER, 5, 1, 0, Some(&key(7)));
    assert_eq!(kind(&listener.hear(&honest, None, MINUTE)), "due");
    // Where the configuration says all of it, another meter's key says nothing of this one.
    let wanted = Wanted { address: forged.into(), minimum: None, interval: INTERVAL };
    let mut listener = listener_for(vec![wanted], &line, BTreeMap::new());
    assert_eq!(kind(&listener.hear(&telegram(forged, 0, 1, 0, None), None, Duration::ZERO)), "due");
}

#[test]
fn identities_that_give_way_leave_their_message_counters() {
    let wanted =
        Wanted { address: SecondaryAddress::from_id(METER.id), minimum: Some(Protection::Plain), interval: INTERVAL };
    let keys = format!("12345678 {}", hex::encode([7; 16]));
    let mut listener = listener_for(vec![wanted], &keys, BTreeMap::new());
    let accepted = telegram(METER, 7, 1, 1000, Some(&key(7)));
    assert_eq!(kind(&listener.hear(&accepted, None, Duration::ZERO)), "due");
    // Plain ones first, then those that hold the key: none of them makes it forget.
    for number in 1..=12u8 {
        let other = MeterId { version: METER.version + number, ..METER };
        let (mode, secret) = if number > 6 { (7, Some(key(7))) } else { (0, None) };
        let bytes = telegram(other, mode, 1, 5, secret.as_ref());
        assert_eq!(kind(&listener.hear(&bytes, None, MINUTE * number.into())), "heard");
    }
    assert_eq!(kind(&listener.hear(&accepted, None, INTERVAL)), "counter repeated");
}

/// As on a wire: a bill needs to know that it is another meter's register now.
#[tokio::test]
async fn another_meter_at_a_point_is_an_event() {
    use plomb_receivers::{Form, Heard};
    use plomb_seal::{Clock, SigningKey, Stamp};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let options = Options { window: Duration::from_secs(1), ..Options::default() };
    let stamp = || Stamp { unix_ms: 1, clock: Clock::Unset };
    let seed = SigningKey::from_seed(&[1; 32]);
    let journal = Journal::open(&path, "gw-1".parse().unwrap(), seed, options, stamp).unwrap().0;
    let bus = Bus::new("air", Protocol::Wmbus);
    // Every telegram comes when the next one is due.
    let meter = Meter { id: Some("12345678".into()), interval_s: 0.001, ..Meter::new("flat", "air") };
    let knowledge = (Arc::new(Keys::default()), Arc::new(Library::shipped().unwrap()));
    let ((_ask, questions), (_order, scans), (_command, deeds)) =
        (mpsc::channel(1), mpsc::channel(1), mpsc::channel(1));
    let asked = Asked { questions, scans, deeds };
    let (_end, stop) = watch::channel(false);
    let board = Arc::new(Board::default());
    let task = RadioTask::new(&bus, &[meter], knowledge, journal.clone(), board, asked, stop);
    let mut task = task.unwrap();
    let other = MeterId { manufacturer: Manufacturer(0x4024), ..METER };
    for (access, meter) in (1..).zip([METER, METER, other, other]) {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let bytes = telegram(meter, 0, access, 0, None);
        let at = plomb_session::Instant::ORIGIN;
        let heard = Heard { bytes, form: Form::Stripped, mode: None, rssi_dbm: None, at };
        task.hear(&heard).await.unwrap();
    }
    journal.flush().await.unwrap();
    let snapshot = journal.reader().snapshot().unwrap();
    let (epoch, first, _) = snapshot.epochs().unwrap()[0];
    let entries = snapshot.entries(epoch, first, 100).unwrap();
    let says = |entry: &StoredEntry| entry.bytes.windows(15).any(|text| text == b"meter-exchanged");
    let exchanged: Vec<bool> = entries.iter().map(says).filter(|says| *says).collect();
    assert_eq!(exchanged.len(), 1, "{} entries", entries.len());
}
