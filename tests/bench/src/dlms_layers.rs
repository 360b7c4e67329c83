//! The layers of DLMS and IEC 62056-21, each as a way to make a hostile case and a way to read it as the gateway does.

use std::time::Duration;

use plomb_dlms::{
    annotate,
    apdu::Apdu,
    axdr::{DEPTH_MAX, Value},
    client::{AssociationConfig, Client, Once},
    hdlc::{Address, ClientLink, Deframer, Frame, HdlcConfig},
    object::{
        ActivityCalendar, Association, Limiter, PushSetup, ScriptTable, SortMethod, capture_objects, object_list,
        pushed, rows_in_order,
    },
    push::{PushConfig, PushFraming, PushReceiver},
    security::{
        CounterRange, Form, Key, Keys, Protection, SecurityContext, SecurityError, Suite, SystemTitle,
        decipher_unchecked, open_push,
    },
    wrapper::{self, Transport, Wrapped, WrapperConfig},
};
use plomb_iec62056::{DataSets, Message, ReadConfig, Readout, annotate as annotate_text, p1};
use plomb_session::{Instant, Obis, Session};

use crate::{
    dlms_seeds::{Seeds, once, summed},
    random::Random,
};

/// The longest case, in bytes.
pub const CASE_BYTES_MAX: usize = 512;
/// The most memory that reading a value of [`CASE_BYTES_MAX`] may take, in bytes: packed rows unpack to many times
/// their length.
const VALUE_ALLOCATION_BYTES_MAX: usize = 24 * 1024 * 1024;
/// The most memory that any other case may take, in bytes: arrays in each other, each with room for as many values as
/// there are bytes left.
const CASE_ALLOCATION_BYTES_MAX: usize = DEPTH_MAX * CASE_BYTES_MAX * size_of::<Value>();
/// Time that may pass in a session of a silent line: deadlines that come one after the other.
const DEADLINES_MAX: usize = 500;
const NAME: Obis = Obis([0, 0, 40, 0, 0, 255]);
const OWN: SystemTitle = SystemTitle(*b"PLM\0\0\0\0\x01");
const METER: SystemTitle = SystemTitle(*b"MET\0\0\0\0\x02");

/// A layer.
pub struct Layer {
    /// Its name.
    pub name: &'static str,
    /// The most memory that one case may take, in bytes.
    pub allocation_bytes_max: usize,
    /// Makes a case.
    pub make: Make,
    /// Reads a case; tells whether it was taken.
    pub read: Read,
}

/// All layers.
///
/// # Errors
/// Keys can't be made.
pub fn layers(seeds: &Seeds) -> Result<Vec<Layer>, SecurityError> {
    let plain = |seeds: &Vec<Vec<u8>>| {
        let seeds = seeds.clone();
        move |random: &mut Random| mutated(&seeds, random)
    };
    let layer =
        |name, make: Make, read: Read| Layer { name, allocation_bytes_max: CASE_ALLOCATION_BYTES_MAX, make, read };
    let mut value = layer("a-xdr", Box::new(plain(&seeds.values)), Box::new(read_value));
    value.allocation_bytes_max = VALUE_ALLOCATION_BYTES_MAX;
    let (frames, texts) = (seeds.frames.clone(), seeds.texts.clone());
    let (make_ciphered, read_ciphered) = ciphered(seeds.apdus.clone())?;
    Ok(vec![
        value,
        layer("apdu", Box::new(plain(&seeds.apdus)), Box::new(read_apdu)),
        layer("hdlc", Box::new(move |random| frame(&frames, random)), Box::new(read_line)),
        layer("wrapper", Box::new(plain(&seeds.wrapped)), Box::new(read_wrapped)),
        layer("ciphered", make_ciphered, read_ciphered),
        layer("p1 and iec 62056-21", Box::new(move |random| text(&texts, random)), Box::new(read_text)),
    ])
}

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.of(seeds).cloned().unwrap_or_default();
    random.mutate(&mut bytes, CASE_BYTES_MAX);
    bytes
}

/// A stream; half of them with right sums, so that what is in the frames is hostile.
fn frame(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    if random.below(2) == 0 {
        return mutated(seeds, random);
    }
    let seed = random.of(seeds).cloned().unwrap_or_default();
    let (mut rest, mut out) = (seed.as_slice(), Vec::new());
    while let Ok(Some((frame, consumed))) = Frame::parse(rest) {
        let mut information = frame.information.unwrap_or_default().to_vec();
        if random.below(3) == 0 {
            random.mutate(&mut information, CASE_BYTES_MAX);
        }
        let changed = Frame { information: frame.information.map(|_| information.as_slice()), ..frame };
        out.extend(changed.emit().unwrap_or_default());
        rest = rest.get(consumed..).unwrap_or_default();
    }
    out
}

/// A telegram or a message; half of the telegrams with a right sum.
fn text(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let bytes = mutated(seeds, random);
    let end = bytes.iter().rposition(|byte| *byte == b'!').filter(|_| random.below(2) == 0);
    match end {
        Some(end) => summed(bytes.get(..=end).unwrap_or_default()),
        None => bytes,
    }
}

fn read_value(bytes: &[u8]) -> bool {
    let Ok(value) = Value::parse_whole(bytes) else { return false };
    assert_eq!(Value::parse_whole(&value.to_bytes()).as_ref(), Ok(&value));
    let _ = (value.as_decimal(), value.as_unsigned(), value.as_text(), value.as_date_time());
    let columns = capture_objects(&value).unwrap_or_default();
    let _ = (object_list(&value), pushed(&value), rows_in_order(&value, &columns, 900, SortMethod::LIFO));
    let _ = Association(NAME).object_list().read(&value).map_err(|error| error.to_string());
    let _ = ActivityCalendar(NAME).day_profile_table_active().read(&value);
    let _ = ScriptTable(NAME).scripts().read(&value);
    let _ = PushSetup(NAME).push_object_list().read(&value);
    let _ = Limiter(NAME).actions().read(&value);
    true
}

fn read_apdu(bytes: &[u8]) -> bool {
    let annotated: usize = annotate::apdu(bytes).iter().map(|one| one.length).sum();
    assert_eq!(annotated, bytes.len());
    match Apdu::parse(bytes) {
        Ok(apdu) => {
            assert_eq!(Apdu::parse(&apdu.emit()), Ok(apdu));
            true
        }
        Err(error) => {
            assert!(error.offset() <= bytes.len());
            false
        }
    }
}

/// A client that reads one attribute over a link: through association, answer, blocks and release.
fn client(link: plomb_dlms::link::DataLink) -> Client<Once> {
    Client::new(link, AssociationConfig::public(), once())
}

fn read_line(line: &[u8]) -> bool {
    let pieces = || line.chunks(usize::from(line.first().copied().unwrap_or(1)).max(24));
    let mut deframer = Deframer::default();
    pieces().for_each(|piece| deframer.push(piece, |_| {}));
    deframer.give_up(|_| {});
    let annotated: usize = annotate::hdlc(line).iter().map(|one| one.length).sum();
    assert_eq!(annotated, line.len());
    let mut receiver = PushReceiver::new(PushConfig::new(PushFraming::Serial));
    pieces().for_each(|piece| receiver.handle_input(piece, Instant::ORIGIN));
    while let Some(at) = receiver.poll_timeout() {
        receiver.handle_timeout(at);
    }
    let (Ok(server), Ok(one)) = (Address::server(1, 17), Address::short(1)) else { return false };
    let link = ClientLink::new(HdlcConfig::new(one, server, 9600));
    let mut client = client(link.into());
    // A frame at a time, as a meter answers.
    converse(&mut client, line.split_inclusive(|byte| *byte == 0x7E));
    client.conversation().clone().into_answer().is_some()
}

fn read_wrapped(stream: &[u8]) -> bool {
    let pieces = || stream.chunks(usize::from(stream.first().copied().unwrap_or(1)).max(24));
    let annotated: usize = annotate::wrapper(stream).iter().map(|one| one.length).sum();
    assert_eq!(annotated, stream.len());
    let mut receiver = PushReceiver::new(PushConfig::new(PushFraming::Wrapper));
    let mut taken = false;
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut client = client(wrapper::ClientLink::new(WrapperConfig::new(1, 1, transport)).into());
        converse(&mut client, Answers(stream));
        taken |= client.conversation().clone().into_answer().is_some();
    }
    pieces().for_each(|piece| receiver.handle_input(piece, Instant::ORIGIN));
    taken
}

/// A stream of wrapped APDUs, one at a time; what is no such is the last.
struct Answers<'a>(&'a [u8]);

impl<'a> Iterator for Answers<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let consumed = Wrapped::parse(self.0).ok().flatten().map_or(self.0.len(), |(_, consumed)| consumed);
        let (one, rest) = self.0.split_at_checked(consumed)?;
        self.0 = rest;
        (!one.is_empty()).then_some(one)
    }
}

fn read_text(text: &[u8]) -> bool {
    let annotated: usize = annotate_text(text).iter().map(|one| one.length).sum();
    assert_eq!(annotated, text.len());
    let message = matches!(Message::parse(text), Ok(Some(_)));
    for set in DataSets::new(text).flatten() {
        set.groups().for_each(|group| drop((group.decimal(), group.octets(), group.timestamp())));
    }
    let look = |telegram: &p1::Telegram<'_>| {
        telegram.readings().for_each(|reading| drop(reading.value.to_string()));
        assert!(telegram.logs().all(|log| log.rows().flatten().count() <= CASE_BYTES_MAX));
        let _ = (telegram.devices(), telegram.equipment(), telegram.time(), telegram.identification());
    };
    let mut telegrams = 0;
    let mut deframer = p1::Deframer::default();
    deframer.push(text, |found| {
        if let p1::Found::Telegram(telegram, _) = found {
            telegrams += 1;
            look(&telegram);
        }
    });
    let mut session = Readout::new(ReadConfig::new());
    converse(&mut session, text.chunks(64));
    message || telegrams > 0
}

/// Lets a session hear a line until it is silent, and ends it.
fn converse<'a, S: Session>(session: &mut S, mut pieces: impl Iterator<Item = &'a [u8]>) {
    let mut now = Instant::ORIGIN;
    session.start(now);
    for _ in 0..DEADLINES_MAX {
        while session.poll_event().is_some() {}
        if session.is_finished() {
            return;
        }
        let _ = session.poll_speed();
        if session.poll_transmit().is_some() {
            session.handle_transmitted(now);
            continue;
        }
        match pieces.next() {
            Some(piece) => {
                now += Duration::from_millis(10);
                session.handle_input(piece, now);
            }
            None => {
                now = session.poll_timeout().unwrap_or(now).max(now);
                session.handle_timeout(now);
            }
        }
    }
    assert!(session.is_finished(), "the conversation does not end");
}

/// Makes cases.
pub type Make = Box<dyn FnMut(&mut Random) -> Vec<u8>>;
/// Reads cases.
pub type Read = Box<dyn FnMut(&[u8]) -> bool>;

/// Half of the cases are changed before they are protected, so that their tag is right; of the others none may open
/// that is not as it was.
fn ciphered(apdus: Vec<Vec<u8>>) -> Result<(Make, Read), SecurityError> {
    let key = |filling: u8| Key::new(&[filling; 16]).map_err(|_| SecurityError::KeyMissing("test"));
    let keys = Keys { encryption: key(1)?, authentication: Some(key(2)?), broadcast: Some(key(3)?) };
    let context = |title| {
        let range = CounterRange { next: 1, end: u32::MAX };
        SecurityContext::new(Suite::Zero, title, keys.clone(), range)
    };
    let (mut meter, mut client) = (context(METER)?, context(OWN)?);
    client.set_meter(METER);
    let make = move |random: &mut Random| {
        let inside = random.below(2) == 0;
        let mut plain = random.of(&apdus).cloned().unwrap_or_default();
        if inside {
            random.mutate(&mut plain, CASE_BYTES_MAX);
        }
        meter.set_form(if random.below(2) == 0 { Form::Service } else { Form::General });
        let mut sealed = meter.protect(&plain).unwrap_or_default();
        if !inside {
            random.mutate(&mut sealed, CASE_BYTES_MAX);
        }
        sealed
    };
    let read = move |bytes: &[u8]| {
        let Ok(apdu) = Apdu::parse(bytes) else { return false };
        let _ = decipher_unchecked(bytes, Some(METER), &keys.encryption);
        let _ = open_push(bytes, Suite::Zero, Some(METER), &keys, Protection::FULL, None);
        assert_eq!(Apdu::parse(&apdu.emit()), Ok(apdu));
        let Ok(opened) = client.open(bytes) else { return false };
        assert!(client.open(bytes).is_err(), "nothing is taken twice");
        let _ = Apdu::parse(&opened.apdu);
        true
    };
    Ok((Box::new(make), Box::new(read)))
}
