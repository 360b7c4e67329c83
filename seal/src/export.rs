//! The export: one file that proves itself offline. A CBOR sequence (RFC 8742) of items:
//!
//! ```text
//! [0, "plomb-export", 1, gateway, scope, policy]       once, first
//! [1, [genesis, proof], [[certificate, proof], …]]     once, second
//! [2, anchor, proof or null, [entry, …], [frame, …]]              a whole batch
//! [3, anchor, proof or null, [[entry, [hash, …]], …], [frame, …]] parts of a batch, each with its path
//! [4, [entry, …], [frame, …]]                          at most once: entries not yet in a batch
//! [5, number of items before, SHA-256 of all bytes before]        once, last
//! ```

use alloc::{string::String, vec::Vec};

use sha2::{Digest, Sha256};

use crate::{
    Credential, Hash, Logged, Malformed, Name, SIGNED_BYTES_MAX,
    batch::BATCH_ENTRIES_MAX,
    cbor::{Decoder, Encoder},
    credential::CERTIFICATES_MAX,
    policy::POLICY_BYTES_MAX,
    proof::PROOF_BYTES_MAX,
    reading::FRAMES_MAX,
    tree::PATH_HASHES_MAX,
};

/// The largest raw frame in an export, in bytes.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

const MAGIC: &str = "plomb-export";
const HEADER: u64 = 0;
const LEDGER: u64 = 1;
const WHOLE: u64 = 2;
const PARTS: u64 = 3;
const TAIL: u64 = 4;
const END: u64 = 5;

/// What an export claims to hold without a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All entries of the gateway between its first and its last.
    All,
    /// All entries of one measuring point between its first and its last.
    Point(Name),
    /// One entry.
    Entry {
        /// Its epoch.
        epoch: u32,
        /// Its sequence number.
        seq: u64,
    },
}

/// One item of an export, as read; nothing of it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    /// What the file is.
    Header {
        /// The gateway whose entries it holds.
        gateway: Name,
        /// What it claims to hold.
        scope: Scope,
        /// The policy under which it was made. It proves nothing to whoever got the file from a stranger.
        policy: &'a str,
    },
    /// Who signs.
    Ledger {
        /// The ledger's first transaction.
        genesis: Logged,
        /// The gateway's certificates.
        certificates: Vec<Logged>,
    },
    /// A whole batch.
    Whole(Anchored<'a>, Vec<&'a [u8]>),
    /// Some entries of a batch, each with its inclusion path.
    Parts(Anchored<'a>, Vec<(&'a [u8], Vec<Hash>)>),
    /// Entries that no anchor covers yet, with raw frames.
    Tail(Vec<&'a [u8]>, Vec<&'a [u8]>),
    /// The end.
    End {
        /// How many items stand before.
        items: u64,
        /// SHA-256 of all bytes before.
        digest: Hash,
    },
}

/// The common part of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchored<'a> {
    /// The anchor's bytes.
    pub anchor: &'a [u8],
    /// The receipt's proof, if the ledger has answered.
    pub proof: Option<&'a str>,
    /// Raw frames that the entries' records were made from, as far as they were kept.
    pub frames: Vec<&'a [u8]>,
}

impl<'a> Item<'a> {
    /// Reads one item.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        let len = from.array("an item", usize::MAX)?;
        let start = from.clone();
        match (from.unsigned()?, len) {
            (HEADER, _) => decode_header(from, len),
            (LEDGER, 3) => {
                let genesis = Logged::decode(from)?;
                let count = from.array("a list of certificates", CERTIFICATES_MAX)?;
                let certificates = (0..count).map(|_| Logged::decode(from)).collect::<Result<_, _>>()?;
                Ok(Self::Ledger { genesis, certificates })
            }
            (WHOLE, 5) => {
                let (anchor, proof) = decode_anchor(from)?;
                let entries = decode_entries(from)?;
                Ok(Self::Whole(Anchored { anchor, proof, frames: decode_frames(from)? }, entries))
            }
            (PARTS, 5) => {
                let (anchor, proof) = decode_anchor(from)?;
                let count = from.array("a list of entries", BATCH_ENTRIES_MAX)?;
                let parts = (0..count).map(|_| decode_part(from)).collect::<Result<_, _>>()?;
                Ok(Self::Parts(Anchored { anchor, proof, frames: decode_frames(from)? }, parts))
            }
            (TAIL, 3) => Ok(Self::Tail(decode_entries(from)?, decode_frames(from)?)),
            (END, 3) => Ok(Self::End { items: from.unsigned()?, digest: from.hash()? }),
            (HEADER..=END, _) => Err(start.wrong("the item has another number of parts")),
            (code, _) => Err(Malformed::UnknownCode { what: "export item", code }),
        }
    }
}

/// Writes an export piece by piece. Each method gives the bytes to append to the file.
#[derive(Debug)]
pub struct Writer {
    digest: Sha256,
    items: u64,
}

impl Writer {
    /// Begins an export. The first bytes hold header and ledger items.
    pub fn begin(gateway: &Name, scope: &Scope, credential: &Credential) -> (Self, Vec<u8>) {
        let mut this = Self { digest: Sha256::new(), items: 0 };
        let mut out = Encoder::new();
        out.array(6).unsigned(HEADER).text(MAGIC).unsigned(crate::VERSION).text(gateway.as_str());
        match scope {
            Scope::All => out.array(1).unsigned(0),
            Scope::Point(point) => out.array(2).unsigned(1).text(point.as_str()),
            Scope::Entry { epoch, seq } => out.array(3).unsigned(2).unsigned((*epoch).into()).unsigned(*seq),
        };
        out.text(&credential.policy);
        let mut bytes = this.item(out);
        let mut out = Encoder::new();
        out.array(3).unsigned(LEDGER);
        credential.genesis.encode(&mut out);
        out.array(credential.certificates.len());
        credential.certificates.iter().for_each(|logged| logged.encode(&mut out));
        bytes.extend(this.item(out));
        (this, bytes)
    }

    /// A whole batch.
    pub fn whole(&mut self, part: &Anchored<'_>, entries: &[&[u8]]) -> Vec<u8> {
        let mut out = Encoder::new();
        part.encode(out.array(5).unsigned(WHOLE));
        encode_list(entries, &mut out);
        encode_list(&part.frames, &mut out);
        self.item(out)
    }

    /// Some entries of a batch, each with its inclusion path from the leaf's sibling on.
    pub fn parts(&mut self, part: &Anchored<'_>, entries: &[(&[u8], Vec<Hash>)]) -> Vec<u8> {
        let mut out = Encoder::new();
        part.encode(out.array(5).unsigned(PARTS));
        out.array(entries.len());
        for (entry, path) in entries {
            out.array(2).bytes(entry).array(path.len());
            path.iter().for_each(|hash| {
                out.hash(hash);
            });
        }
        encode_list(&part.frames, &mut out);
        self.item(out)
    }

    /// Entries that no anchor covers yet. At most once, after all batches.
    pub fn tail(&mut self, entries: &[&[u8]], frames: &[&[u8]]) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(3).unsigned(TAIL);
        encode_list(entries, &mut out);
        encode_list(frames, &mut out);
        self.item(out)
    }

    /// Ends the export.
    pub fn end(self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(3).unsigned(END).unsigned(self.items).hash(&Hash(self.digest.finalize().into()));
        out.finish()
    }

    fn item(&mut self, out: Encoder) -> Vec<u8> {
        let bytes = out.finish();
        self.digest.update(&bytes);
        self.items += 1;
        bytes
    }
}

impl Anchored<'_> {
    fn encode(&self, out: &mut Encoder) {
        out.bytes(self.anchor).optional(self.proof, |out, proof| {
            out.text(proof);
        });
    }
}

/// The policy that an export was made under, as text, for whoever wants to compare it.
pub fn policy_of(bytes: &[u8]) -> Option<String> {
    match Item::decode(&mut Decoder::new(bytes)) {
        Ok(Item::Header { policy, .. }) => Some(policy.into()),
        _ => None,
    }
}

/// The entries of an export as they stand in it, in order. Whether they hold is [`verify`](crate::verify::verify)'s to say.
///
/// # Errors
/// The file can't be read to its end.
pub fn entries_of(bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let (mut from, mut found) = (Decoder::new(bytes), Vec::new());
    loop {
        match Item::decode(&mut from)? {
            Item::Whole(_, entries) | Item::Tail(entries, _) => found.extend(entries),
            Item::Parts(_, parts) => found.extend(parts.into_iter().map(|(entry, _)| entry)),
            Item::Header { .. } | Item::Ledger { .. } => {}
            Item::End { .. } => return Ok(found),
        }
    }
}

fn decode_header<'a>(from: &mut Decoder<'a>, len: usize) -> Result<Item<'a>, Malformed> {
    let start = from.clone();
    if from.text("the file's first word", MAGIC.len()).ok() != Some(MAGIC) {
        return Err(start.wrong("this is no plomb export"));
    }
    from.version()?;
    if len != 6 {
        return Err(start.wrong("the item has another number of parts"));
    }
    let gateway = Name::decode(from)?;
    let start = from.clone();
    let len = from.array("a scope", 3)?;
    let scope = match (from.unsigned()?, len) {
        (0, 1) => Scope::All,
        (1, 2) => Scope::Point(Name::decode(from)?),
        (2, 3) => Scope::Entry { epoch: from.unsigned32()?, seq: from.counter()? },
        (0..=2, _) => return Err(start.wrong("the scope has another number of parts")),
        (code, _) => return Err(Malformed::UnknownCode { what: "scope", code }),
    };
    Ok(Item::Header { gateway, scope, policy: from.text("a policy", POLICY_BYTES_MAX)? })
}

fn decode_anchor<'a>(from: &mut Decoder<'a>) -> Result<(&'a [u8], Option<&'a str>), Malformed> {
    let anchor = from.bytes_max("an anchor", SIGNED_BYTES_MAX)?;
    Ok((anchor, from.optional(|from| from.text("a proof", PROOF_BYTES_MAX))?))
}

fn decode_part<'a>(from: &mut Decoder<'a>) -> Result<(&'a [u8], Vec<Hash>), Malformed> {
    from.array_exact(2)?;
    let entry = from.bytes_max("an entry", SIGNED_BYTES_MAX)?;
    let count = from.array("an inclusion path", PATH_HASHES_MAX)?;
    Ok((entry, (0..count).map(|_| from.hash()).collect::<Result<_, _>>()?))
}

fn decode_entries<'a>(from: &mut Decoder<'a>) -> Result<Vec<&'a [u8]>, Malformed> {
    let count = from.array("a list of entries", BATCH_ENTRIES_MAX)?;
    (0..count).map(|_| from.bytes_max("an entry", SIGNED_BYTES_MAX)).collect()
}

fn decode_frames<'a>(from: &mut Decoder<'a>) -> Result<Vec<&'a [u8]>, Malformed> {
    let count = from.array("a list of raw frames", BATCH_ENTRIES_MAX * FRAMES_MAX)?;
    (0..count).map(|_| from.bytes_max("a raw frame", FRAME_BYTES_MAX)).collect()
}

fn encode_list(items: &[&[u8]], out: &mut Encoder) {
    out.array(items.len());
    for item in items {
        out.bytes(item);
    }
}
