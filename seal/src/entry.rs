//! Entries: what happened, with its place in the gateway's chain and in its measuring point's.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use crate::{
    Hash, Malformed, Name, Record, Signed, SigningKey, Stamp, Statement,
    cbor::{Decoder, Encoder},
    cose::encoded,
    reading::text,
};

/// The most pairs of details that an event may carry.
pub const EVENT_DETAILS_MAX: usize = 32;

/// One link of a gateway's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The gateway that wrote it.
    pub gateway: Name,
    /// Counts the lives of the journal: a restored or lost journal begins a new epoch.
    pub epoch: u32,
    /// Counts the entries of the epoch from 0, without a gap.
    pub seq: u64,
    /// The hash of the entry before; [`Hash::ZERO`] at the very first.
    pub previous: Hash,
    /// When it was written.
    pub stamp: Stamp,
    /// What happened.
    pub body: Body,
}

/// The place of an entry in the chain of its measuring point. One point's chain can be shown, and be
/// provably complete, without its neighbours'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The measuring point.
    pub point: Name,
    /// Counts the point's entries of this epoch from 0.
    pub seq: u64,
    /// The hash of the point's entry before; [`Hash::ZERO`] at its first in the epoch.
    pub previous: Hash,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A meter answered.
    Record(Link, Record),
    /// A reading was due and is missing.
    Absent(Link, Absent),
    /// Something else happened at the gateway.
    Event(Event),
}

/// Why a due reading is missing. Silence is evidence too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// When it was due, in Unix milliseconds.
    pub due_ms: i64,
    /// The kind of failure.
    pub reason: Reason,
    /// What was seen on the wire, in words.
    pub detail: String,
}

/// Kinds of failure of a due reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No answer in time.
    Timeout,
    /// An answer with a wrong check sum.
    Checksum,
    /// The key is missing or wrong.
    Key,
    /// Two meters spoke at once.
    Collision,
    /// The meter or the line was busy, or the line's time budget was spent.
    Busy,
    /// A message counter came again.
    Replayed,
    /// Another meter answered.
    OtherMeter,
    /// An answer that makes no sense.
    Malformed,
    /// The port is gone or can't be opened.
    Port,
    /// The meter never came to an end.
    Endless,
    /// The meter reported an error instead of values.
    Refused,
    /// It was due and nobody asked: the meter failed so often before that it is asked less often.
    NotAsked,
    /// A code of a later version.
    Other(u16),
}

/// Something that happened at the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What, in kebab case: `start`, `stop`, `rollback-noticed`, …
    pub name: String,
    /// More about it, pairs of name and value.
    pub details: Vec<(String, String)>,
}

/// What happened, before it has a place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occurrence {
    /// The meter at this point answered.
    Record(Name, Record),
    /// The reading of this point is missing.
    Absent(Name, Absent),
    /// Something happened at the gateway.
    Event(Event),
}

/// An occurrence at its place in the chain: encoded, and not yet signed.
#[derive(Debug, Clone)]
pub struct Draft {
    entry: Entry,
    payload: Vec<u8>,
}

impl Draft {
    /// What would be signed.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The length of its encoding, in bytes; [`Signed`] adds header and signature.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// Reads the encoding back as every verifier will. What fails here must not get a number: it would end the
    /// chain.
    pub fn check(&self) -> Result<(), Malformed> {
        let mut from = Decoder::new(&self.payload);
        Entry::decode(&mut from).and_then(|_| from.finish())
    }
}

/// The growing end of a gateway's chain.
#[derive(Debug, Clone)]
pub struct Chain {
    gateway: Name,
    epoch: u32,
    next_seq: u64,
    head: Hash,
    points: BTreeMap<Name, (u64, Hash)>,
}

impl Chain {
    /// The chain at the begin of an epoch. `head` is the last entry before, or [`Hash::ZERO`].
    pub fn begin(gateway: Name, epoch: u32, head: Hash) -> Self {
        Self { gateway, epoch, next_seq: 0, head, points: BTreeMap::new() }
    }

    /// The chain as it was left: after `next_seq` entries, the last of them `head`.
    pub fn resume(gateway: Name, epoch: u32, next_seq: u64, head: Hash, points: BTreeMap<Name, (u64, Hash)>) -> Self {
        Self { gateway, epoch, next_seq, head, points }
    }

    /// Gives an occurrence its place, and signs it. The chain moves on by one.
    pub fn seal(&mut self, occurrence: Occurrence, stamp: Stamp, key: &SigningKey) -> Signed<Entry> {
        self.seal_draft(self.draft(occurrence, stamp), key)
    }

    /// Gives an occurrence the next place, without signing it. The chain does not move.
    pub fn draft(&self, occurrence: Occurrence, stamp: Stamp) -> Draft {
        let body = match occurrence {
            Occurrence::Record(point, record) => Body::Record(self.link(point), record),
            Occurrence::Absent(point, absent) => Body::Absent(self.link(point), absent),
            Occurrence::Event(event) => Body::Event(event),
        };
        let entry = Entry {
            gateway: self.gateway.clone(),
            epoch: self.epoch,
            seq: self.next_seq,
            previous: self.head,
            stamp,
            body,
        };
        Draft { payload: encoded(&entry), entry }
    }

    /// Signs a draft, exactly as it was encoded. The chain moves on by one. A draft whose place was taken since
    /// gets the next one, and is encoded again.
    pub fn seal_draft(&mut self, draft: Draft, key: &SigningKey) -> Signed<Entry> {
        let Entry { epoch, seq, previous, .. } = draft.entry;
        let Draft { entry, payload } = if (epoch, seq, previous) == (self.epoch, self.next_seq, self.head) {
            draft
        } else {
            self.draft(Occurrence::from(draft.entry.body), draft.entry.stamp)
        };
        let signed = Signed::sign_encoded(entry, &payload, key);
        if let Some(link) = signed.statement().body.link() {
            self.points.insert(link.point.clone(), (link.seq + 1, signed.hash()));
        }
        self.next_seq += 1;
        self.head = signed.hash();
        signed
    }

    /// The gateway.
    pub fn gateway(&self) -> &Name {
        &self.gateway
    }

    /// The epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The sequence number that the next entry gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The hash of the last entry.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// The next sequence number and the last hash of each measuring point.
    pub fn points(&self) -> &BTreeMap<Name, (u64, Hash)> {
        &self.points
    }

    fn link(&self, point: Name) -> Link {
        let (seq, previous) = self.points.get(&point).copied().unwrap_or((0, Hash::ZERO));
        Link { point, seq, previous }
    }
}

/// What happened, its place left out.
impl From<Body> for Occurrence {
    fn from(body: Body) -> Self {
        match body {
            Body::Record(link, record) => Self::Record(link.point, record),
            Body::Absent(link, absent) => Self::Absent(link.point, absent),
            Body::Event(event) => Self::Event(event),
        }
    }
}

impl Body {
    /// The place in the measuring point's chain, if the entry belongs to a point.
    pub fn link(&self) -> Option<&Link> {
        match self {
            Self::Record(link, _) | Self::Absent(link, _) => Some(link),
            Self::Event(_) => None,
        }
    }
}

impl Statement for Entry {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.entry+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(7).unsigned(crate::VERSION).text(self.gateway.as_str());
        out.unsigned(self.epoch.into()).unsigned(self.seq).hash(&self.previous);
        self.stamp.encode(out);
        self.body.encode(out);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(7)?;
        Ok(Self {
            gateway: Name::decode(from)?,
            epoch: from.unsigned32()?,
            seq: from.counter()?,
            previous: from.hash()?,
            stamp: Stamp::decode(from)?,
            body: Body::decode(from)?,
        })
    }
}

impl Body {
    fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Record(link, record) => {
                link.encode(out.array(3).unsigned(1));
                record.encode(out);
            }
            Self::Absent(link, absent) => {
                link.encode(out.array(3).unsigned(2));
                out.array(3).signed(absent.due_ms).unsigned(absent.reason.code()).text(&absent.detail);
            }
            Self::Event(event) => {
                out.array(3).unsigned(3).text(&event.name).array(event.details.len());
                for (name, value) in &event.details {
                    out.array(2).text(name).text(value);
                }
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(3)?;
        match from.unsigned()? {
            1 => Ok(Self::Record(Link::decode(from)?, Record::decode(from)?)),
            2 => {
                let link = Link::decode(from)?;
                from.array_exact(3)?;
                let due_ms = from.signed()?;
                let start = from.clone();
                let code =
                    u16::try_from(from.unsigned()?).map_err(|_| start.wrong("the reason does not fit 16 bits"))?;
                Ok(Self::Absent(link, Absent { due_ms, reason: Reason::from_code(code), detail: text(from)? }))
            }
            3 => {
                let name = text(from)?;
                let count = from.array("an event's list of details", EVENT_DETAILS_MAX)?;
                let details = (0..count)
                    .map(|_| {
                        from.array_exact(2)?;
                        Ok((text(from)?, text(from)?))
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Self::Event(Event { name, details }))
            }
            code => Err(Malformed::UnknownCode { what: "entry body", code }),
        }
    }
}

impl Link {
    fn encode(&self, out: &mut Encoder) {
        out.array(3).text(self.point.as_str()).unsigned(self.seq).hash(&self.previous);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(3)?;
        Ok(Self { point: Name::decode(from)?, seq: from.counter()?, previous: from.hash()? })
    }
}

impl Reason {
    const NAMED: [(Self, u16, &'static str); 12] = [
        (Self::Timeout, 1, "timeout"),
        (Self::Checksum, 2, "checksum"),
        (Self::Key, 3, "key"),
        (Self::Collision, 4, "collision"),
        (Self::Busy, 5, "busy"),
        (Self::Replayed, 6, "replayed"),
        (Self::OtherMeter, 7, "other-meter"),
        (Self::Malformed, 8, "malformed"),
        (Self::Port, 9, "port"),
        (Self::Endless, 10, "endless"),
        (Self::Refused, 11, "refused"),
        (Self::NotAsked, 12, "not-asked"),
    ];

    /// In one word.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(reason, ..)| *reason == self).map_or("other", |(_, _, name)| name)
    }

    fn code(self) -> u64 {
        match self {
            Self::Other(code) => code.into(),
            named => Self::NAMED.iter().find(|(reason, ..)| *reason == named).map_or(0, |(_, code, _)| (*code).into()),
        }
    }

    fn from_code(code: u16) -> Self {
        Self::NAMED.iter().find(|(_, known, _)| *known == code).map_or(Self::Other(code), |(reason, ..)| *reason)
    }
}
