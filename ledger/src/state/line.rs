//! A transaction's line in the history: what there is to tell of it, once it is admitted.

use plomb_seal::{
    Hash, Malformed, Name,
    cbor::{Decoder, Encoder},
    name::NAME_BYTES_MAX,
    reading::TEXT_BYTES_MAX,
    transaction::{Kind, Priority},
};

/// What there is to tell of an admitted transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its kind.
    pub kind: Kind,
    /// Who signed it: a member, admin, operator or gateway.
    pub author: Name,
    /// What it does, in a word: `found`; `add`, `remove`, `quorum`; `issue`, `revoke`; a configuration's priority; a
    /// command's verb; `approve`; an outcome's effect.
    pub action: String,
    /// The gateway that it is about.
    pub gateway: Option<Name>,
    /// The measuring point that it is about.
    pub point: Option<Name>,
    /// Whom else it is about: the holder of a certificate, the member voted for.
    pub subject: Option<Name>,
    /// The version of the configuration that it is, or answers; the serial number of a sealing key; the number of
    /// changes before a vote.
    pub version: Option<u64>,
    /// The earlier transaction that it is about, by leaf hash: what a configuration or a sealing key replaces, what
    /// is approved, answered or revoked.
    pub of: Option<Hash>,
    /// Reason or detail, in its author's words.
    pub text: String,
}

impl Line {
    /// A line about nothing in particular.
    pub(super) fn new(kind: Kind, author: &Name, action: &str) -> Self {
        Self {
            kind,
            author: author.clone(),
            action: action.into(),
            gateway: None,
            point: None,
            subject: None,
            version: None,
            of: None,
            text: String::new(),
        }
    }

    /// How urgent, if it is a configuration.
    pub fn priority(&self) -> Option<Priority> {
        Priority::from_name(&self.action).filter(|_| self.kind == Kind::Config)
    }

    /// Writes its items into an array of ten, whose head is the caller's.
    pub(crate) fn encode(&self, out: &mut Encoder) {
        let optional = |name: &Option<Name>, out: &mut Encoder| {
            out.optional(name.as_ref(), |out, name| {
                out.text(name.as_str());
            });
        };
        out.text(self.kind.name()).text(self.author.as_str()).text(&self.action);
        optional(&self.gateway, out);
        optional(&self.point, out);
        optional(&self.subject, out);
        out.optional(self.version, |out, version| {
            out.unsigned(version);
        });
        out.optional(self.of, |out, of| {
            out.hash(&of);
        });
        out.text(&self.text);
    }

    /// Reads its items.
    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let start = from.clone();
        let kind = Kind::from_name(from.text("a kind", NAME_BYTES_MAX)?).ok_or_else(|| start.wrong("no such kind"))?;
        Ok(Self {
            kind,
            author: name(from)?,
            action: from.text("an action", NAME_BYTES_MAX)?.into(),
            gateway: from.optional(name)?,
            point: from.optional(name)?,
            subject: from.optional(name)?,
            version: from.optional(Decoder::unsigned)?,
            of: from.optional(Decoder::hash)?,
            text: from.text("a text", TEXT_BYTES_MAX)?.into(),
        })
    }
}

fn name(from: &mut Decoder<'_>) -> Result<Name, Malformed> {
    let start = from.clone();
    from.text("a name", NAME_BYTES_MAX)?.parse().map_err(|_| start.wrong("this is no name"))
}
