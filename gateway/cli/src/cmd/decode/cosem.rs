//! DLMS: APDUs by themselves, in HDLC or M-Bus frames, or under a wrapper.

use plomb_dlms::{
    apdu::{Apdu, ApduError, DataNotification, GetResponse},
    axdr::{Value, parse_length},
    hdlc::Frame,
    object::PUSHED_COUNT_MAX,
    push::Transported,
    security::SystemTitle,
    wrapper::Wrapped,
};
use plomb_gateway::normalise::pushed;
use plomb_seal::Record;
use plomb_session::Reader;

use crate::args::Protocol;

use super::{
    carried::{Carried, Carrier, Way},
    notes, p1,
    said::{self, Said},
    seals::{Seals, UNCHECKED, is_sealed},
    told::{Security, Told, Wrong},
};

/// APDUs in each other: signed, ciphered, in blocks, and ciphered again.
const LAYERS_MAX: usize = 6;

/// What is kept between lines.
pub(super) struct Cosem {
    carrier: Carrier,
    seals: Seals,
    annotate: bool,
}

/// An APDU in clear, and how it came.
struct Clear {
    apdu: Vec<u8>,
    /// It differs from what the link carried.
    opened: bool,
    security: Option<Security>,
    title: Option<SystemTitle>,
    status: Vec<String>,
}

/// Why there is no APDU in clear.
enum Closed {
    /// The rest of it is awaited.
    Awaited(Option<String>),
    Wrong(Wrong<'static>),
}

/// As many bytes have the sum of an HDLC frame's header among them.
const HDLC_HEAD_BYTES: usize = 14;

/// Whether bytes look like frames that carry DLMS: a wireless telegram never does.
pub(super) fn is_carried(bytes: &[u8]) -> bool {
    match bytes {
        [0x7E, 0xA0..=0xAF, .., 0x7E] => true,
        [0x7E, 0xA0..=0xAF, ..] => bytes.len() >= HDLC_HEAD_BYTES && Frame::parse_leniently(bytes).is_ok(),
        [0, 1, ..] => wrapped_whole(bytes),
        [0x68, ..] => matches!(Transported::parse(bytes), Ok(Some(_))),
        _ => false,
    }
}

fn wrapped_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match Wrapped::parse(rest) {
            Ok(Some((_, consumed))) => rest = rest.get(consumed..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

/// Whether bytes are a value by themselves. One byte may be anything, and a number may be a wireless telegram that was cut
/// off: length, and C field of one that a meter sends.
fn is_value(bytes: &[u8]) -> bool {
    let telegram_like = matches!(bytes, [_] | [0x0D..=0x21, 0x44 | 0x46, ..]);
    !telegram_like && Value::parse_whole(bytes).is_ok()
}

/// Whether bytes begin like an APDU in clear, with a choice that its service has, or the length of an association.
fn begins_apdu(bytes: &[u8]) -> bool {
    match bytes {
        [0xC0 | 0xC1 | 0xC3 | 0xC4 | 0xC5 | 0xC7, 1..=6, ..] => true,
        [0x60..=0x63, length, rest @ ..] => usize::from(*length) == rest.len(),
        _ => false,
    }
}

impl Cosem {
    pub(super) fn new(seals: Seals, annotate: bool) -> Self {
        Self { carrier: Carrier::default(), seals, annotate }
    }

    /// What a line says that is taken for DLMS.
    pub(super) fn tell(&mut self, bytes: &[u8]) -> Told {
        let frames = match bytes {
            [0x7E, ..] => self.carrier.hdlc(bytes),
            [0x68, _, _, 0x68, ..] => self.carrier.mbus(bytes),
            [0, 1, ..] => self.carrier.wrapper(bytes),
            _ => vec![Carried { apdu: Some(bytes.to_vec()), at: Some(0), ..Carried::default() }],
        };
        let all = frames.into_iter().map(|frame| self.tell_frame(frame)).collect();
        let mut told = together(all)
            .unwrap_or_else(|| Told::wrong(Protocol::Dlms, Wrong::new("frame", "no frame is complete", bytes.len())));
        if self.annotate {
            notes::of_line(bytes, &mut told);
        }
        told
    }

    /// What bytes say that may be an APDU or a value, and may be something else: `None`. When they are `nothing_else`,
    /// it is enough that they begin like an APDU.
    pub(super) fn tell_bare(&mut self, bytes: &[u8], nothing_else: bool) -> Option<Told> {
        let is_apdu = match Apdu::parse(bytes) {
            Ok(Apdu::Ciphered(_)) => is_sealed(bytes),
            Ok(_) => true,
            Err(_) if is_value(bytes) => true,
            Err(_) => nothing_else && begins_apdu(bytes),
        };
        is_apdu.then(|| self.tell(bytes))
    }

    fn tell_frame(&mut self, carried: Carried) -> Told {
        let Carried { link, way, apdu, said, wrong, .. } = carried;
        let told = Told { protocol: Protocol::Dlms, frame: link, ..Told::default() };
        let Some(bytes) = apdu else { return Told { said, wrong, ..told } };
        let clear = match self.clear(&way, bytes) {
            Ok(clear) => clear,
            Err(Closed::Awaited(said)) => return Told { said, wrong, ..told },
            Err(Closed::Wrong(closed)) => return Told { wrong: wrong.or(Some(closed)), ..told },
        };
        let mut told = self.tell_clear(&way, &clear, told);
        if let (Some(wrong), Some(at), false) = (&mut told.wrong, carried.at, clear.opened) {
            wrong.offset = wrong.offset.saturating_add(at);
        }
        // What is wrong with the frame goes before what is wrong with its contents.
        told.wrong = wrong.or(told.wrong);
        if self.annotate && (clear.opened || carried.at.is_none()) {
            told.clear = Some(notes::of_apdu(&clear.apdu));
        }
        told
    }

    /// Joins blocks and opens what is ciphered, until an APDU is in clear.
    fn clear(&mut self, way: &Way, bytes: Vec<u8>) -> Result<Clear, Closed> {
        let mut clear = Clear { apdu: bytes, opened: false, security: None, title: None, status: Vec::new() };
        for _ in 0..LAYERS_MAX {
            match Apdu::parse(&clear.apdu) {
                Ok(Apdu::GeneralBlock(block)) => {
                    clear.apdu = match self.carrier.block(way, &block) {
                        Carried { apdu: Some(apdu), .. } => apdu,
                        Carried { wrong: Some(wrong), .. } => return Err(Closed::Wrong(wrong)),
                        awaited => return Err(Closed::Awaited(awaited.said)),
                    };
                }
                Ok(Apdu::GeneralSigning(signed)) => {
                    clear.title = SystemTitle::from_slice(&signed.originator);
                    clear.status.push("signed: the signature is not checked".into());
                    clear.apdu = signed.content;
                }
                Ok(Apdu::Ciphered(ciphered)) => {
                    let unsealed = self.seals.open(&ciphered.bytes, clear.title).map_err(Closed::Wrong)?;
                    clear.title = Some(unsealed.title);
                    if unsealed.unchecked {
                        clear.status.push(unchecked(&unsealed.security));
                    }
                    clear.security = Some(unsealed.security);
                    clear.apdu = unsealed.apdu;
                }
                _ => return Ok(clear),
            }
            clear.opened = true;
        }
        Err(Closed::Wrong(Wrong::new("unsupported", format!("more than {LAYERS_MAX} APDUs in each other"), 0)))
    }

    fn tell_clear(&mut self, way: &Way, clear: &Clear, told: Told) -> Told {
        let told = Told { security: clear.security.clone(), ..told };
        // Luxembourg wraps the text of its port so.
        if clear.apdu.first() == Some(&b'/') {
            let text = p1::tell(&clear.apdu);
            return Told { protocol: Protocol::P1, frame: told.frame, security: told.security, ..text };
        }
        let apdu = match Apdu::parse(&clear.apdu) {
            Ok(apdu) => apdu,
            Err(error) => {
                return match Value::parse_whole(&clear.apdu) {
                    Ok(value) => spoken(told, said::value(&value), None, clear),
                    Err(_) => Told { wrong: Some(apdu_wrong(&error)), ..begun(told, clear) },
                };
            }
        };
        let initiate = self.initiate(&apdu);
        let record = pushed::record(&apdu, clear.title, &[], &clear.apdu);
        let mut said = said::apdu(&apdu, initiate);
        if let (Some(value), Said::Fields(fields)) = (self.answer_in_blocks(way, &apdu), &mut said) {
            fields.push(("value", value.to_string().into()));
            fields.push(("type", value.type_name().into()));
        }
        spoken(told, said, record, clear)
    }

    /// Takes a block of a GET's answer; gives the value when it was the last of all.
    fn answer_in_blocks(&mut self, way: &Way, apdu: &Apdu) -> Option<Value> {
        let Apdu::GetResponse(GetResponse::Block(_, block, None)) = apdu else { return None };
        Value::parse_whole(&self.carrier.answer_block(way, block)?).ok()
    }

    /// What the initiation inside an association's APDU says.
    fn initiate(&mut self, apdu: &Apdu) -> Option<Said> {
        let (bytes, sender) = match apdu {
            Apdu::Aarq(aarq) => {
                self.seals.note_client(aarq.title.as_deref());
                (aarq.initiate.clone(), aarq.title.as_deref())
            }
            Apdu::Aare(aare) => {
                self.seals.note_meter(aare.title.as_deref());
                (aare.initiate.clone(), aare.title.as_deref())
            }
            Apdu::Release(release) => (release.initiate.clone()?, None),
            _ => return None,
        };
        if bytes.is_empty() {
            return None;
        }
        let sender = sender.and_then(SystemTitle::from_slice);
        let closed = |wrong: &str| Said::Fields(vec![("not_read", wrong.into())]);
        Some(match Apdu::parse(&bytes) {
            Ok(Apdu::Ciphered(ciphered)) => match self.seals.open(&ciphered.bytes, sender) {
                Ok(unsealed) => match Apdu::parse(&unsealed.apdu) {
                    Ok(inner) => said::apdu(&inner, None),
                    Err(error) => closed(&error.to_string()),
                },
                Err(wrong) => closed(&format!("{}: {}", ciphered.name(), wrong.message)),
            },
            Ok(inner) => said::apdu(&inner, None),
            Err(error) => closed(&error.to_string()),
        })
    }
}

/// What is said of an APDU that no key vouches for.
fn unchecked(security: &Security) -> String {
    if security.protection == UNCHECKED { UNCHECKED.into() } else { "not authenticated".into() }
}

fn spoken(told: Told, said: Said, record: Option<Record>, clear: &Clear) -> Told {
    let mut summary = said.summary();
    for word in &clear.status {
        summary.push_str(&format!("; {word}"));
    }
    let record = record.map(|mut record| {
        record.status.extend(clear.status.iter().cloned());
        record
    });
    Told { said: record.is_none().then_some(summary), record, apdu: Some(said), ..told }
}

/// What there is of a push that breaks off: the elements of its body before the error.
fn begun(told: Told, clear: &Clear) -> Told {
    let Some(push) = beginning(&clear.apdu) else { return told };
    let apdu = Apdu::DataNotification(push);
    let record = pushed::record(&apdu, clear.title, &[], &clear.apdu);
    spoken(told, said::apdu(&apdu, None), record, clear)
}

fn beginning(bytes: &[u8]) -> Option<DataNotification> {
    let mut reader = Reader::new(bytes);
    let head = reader.array::<5>().ok()?;
    let [0x0F, a, b, c, d] = head else { return None };
    let length = parse_length(&mut reader).ok()?;
    let time = reader.take(length).ok()?.to_vec();
    let (1 | 2) = reader.u8().ok()? else { return None };
    let count = parse_length(&mut reader).ok()?.min(PUSHED_COUNT_MAX);
    let elements: Vec<Value> = (0..count).map_while(|_| Value::parse(&mut reader).ok()).collect();
    let id = u32::from_be_bytes([a, b, c, d]);
    (!elements.is_empty()).then_some(DataNotification { id, time, body: Value::Structure(elements) })
}

fn apdu_wrong(error: &ApduError) -> Wrong<'static> {
    Wrong::new("apdu", error.to_string(), error.offset())
}

/// Several frames as one answer: the line is as good as all that it holds, and of segments that were joined nothing need
/// be told.
fn together(mut all: Vec<Told>) -> Option<Told> {
    let wrong = all.iter_mut().find_map(|one| one.wrong.take());
    let last = all.pop()?;
    all.retain(|one| !one.is_awaiting() && (one.wrong.is_some() || one.frame.is_some()));
    // A segment that is the last is told if there is nothing else.
    if all.is_empty() || !last.is_awaiting() {
        all.push(last);
    }
    let mut all = all.into_iter();
    let mut told = all.next()?;
    told.wrong = wrong;
    told.others = all.collect();
    Some(told)
}
