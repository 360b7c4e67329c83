//! What both ends agree on, and nothing else: reading, entry, batch, anchor, checkpoint, receipt, export.
//!
//! An auditor needs this crate alone. It has no I/O, no clock and no runtime: bytes and times come in as
//! arguments. `docs/evidence.md` says the same in words and bytes, so that nobody needs this crate either.
//!
//! The path of a reading is carried by types, so that no step can be left out:
//!
//! | step | type | who alone makes it |
//! |---|---|---|
//! | a meter's answer, normalised | [`Record`] | anyone |
//! | signed and chained | [`Signed<Entry>`](Signed) | [`Chain::seal`] with the gateway's key, or [`Unverified::verify`] |
//! | a run of entries | [`Batch`] | [`Batch::close`], or [`Batch::verify`] |
//! | the statement about them | [`Signed<Anchor>`](Signed) | [`Batch::close`] |
//! | the ledger's answer | [`Receipt`] | [`Receipt::verify`] under a [`Policy`] |
//!
//! Whatever is parsed is [`Unverified`] until a key has checked it. Parsers refuse every encoding but the
//! deterministic one (RFC 8949 §4.2), so that equal meaning is equal bytes.
#![no_std]

extern crate alloc;

pub mod anchor;
mod answer;
pub mod attest;
pub mod batch;
pub mod cbor;
pub mod cose;
pub mod credential;
mod decimal;
pub mod dossier;
pub mod enrol;
pub mod entry;
pub mod export;
mod hash;
pub mod name;
pub mod note;
mod parties;
pub mod policy;
pub mod proof;
pub mod reading;
pub mod receipt;
pub mod recipient;
mod report;
pub mod sealed;
mod stamp;
pub mod topic;
pub mod transaction;
pub mod tree;
pub mod verify;

pub use anchor::Anchor;
pub use answer::{Answer, Unanswered};
pub use batch::{Batch, BatchError};
pub use cose::{KeyId, PublicKey, SIGNED_BYTES_MAX, Signed, SigningKey, Statement, Unverified};
pub use credential::{Credential, CredentialError, Logged};
pub use decimal::Decimal;
pub use dossier::{Dossier, Ordered, Unwarranted, Warrant};
pub use entry::{Absent, Body, Chain, Entry, Event, Link, Occurrence, Reason};
pub use hash::Hash;
pub use name::{Name, NameError};
pub use policy::{Policy, PolicyError, Quorum};
pub use proof::{LogProof, ProofError};
pub use reading::{Function, Meter, Obis, Reading, Record, Value};
pub use receipt::{Receipt, ReceiptError, Refusal};
pub use recipient::{NotRecipient, Recipient, RecipientKey};
pub use sealed::{SealError, Sealing, SealingSecret};
pub use stamp::{Clock, Stamp};

/// The version of every structure in this crate. A reader refuses any other by its number.
pub const VERSION: u64 = 1;

/// Bytes or a signature that can't be taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The CBOR itself is wrong, or not in its one deterministic form.
    #[error("byte {offset}: {what}")]
    Encoding {
        /// Where in the item, counted from its first byte.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The structure is of a version that this program does not know.
    #[error("version {found} is not known here (this program knows version {VERSION}); a newer verifier is needed")]
    UnknownVersion {
        /// The number found.
        found: u64,
    },
    /// A code that has no meaning in this version.
    #[error("{what} {code} is not known in version {VERSION}")]
    UnknownCode {
        /// What kind of code.
        what: &'static str,
        /// The number found.
        code: u64,
    },
    /// The statement is of another kind than the place asks for.
    #[error("content type is \"{found}\", not \"{expected}\"")]
    ContentType {
        /// The content type that belongs here.
        expected: &'static str,
        /// What stands there, cut to 64 characters.
        found: alloc::string::String,
    },
    /// The key named in the header is not the key at hand.
    #[error("signed by key {found}, not by {expected}")]
    OtherKey {
        /// The key that should have signed.
        expected: KeyId,
        /// The key that the header names.
        found: KeyId,
    },
    /// The signature does not fit the bytes.
    #[error("signature does not match")]
    Signature,
    /// A named bound is exceeded.
    #[error("{what} has {found}, more than {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The bound.
        max: usize,
        /// The size found.
        found: usize,
    },
}
