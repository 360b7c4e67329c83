//! What can go wrong with a journal, whose fault it is, and what to do next.

use super::COUNTER_NAME_BYTES_MAX;
use plomb_seal::{BatchError, KeyId, Malformed, Name, ReceiptError};

/// Why the journal did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another process has the file open.
    #[error("the journal is in use by another process; ask the running plombd, or stop it first")]
    InUse,
    /// The file can't be opened or created.
    #[error("the journal can't be opened: {0}; check the path, its owner and the free space")]
    Open(String),
    /// The file was written by a later program.
    #[error("the journal has format {found}; this program knows format {known}; install the newer plombd")]
    UnknownFormat {
        /// The number in the file.
        found: u64,
        /// The number that this program writes.
        known: u64,
    },
    /// The file belongs to another gateway.
    #[error("the journal belongs to gateway \"{found}\", not to \"{expected}\"; check the path and the configured id")]
    OtherGateway {
        /// The gateway that was asked for.
        expected: Name,
        /// The gateway in the file.
        found: Name,
    },
    /// What is in the file is signed by a key that no certificate at hand is for.
    #[error(
        "the journal is signed by key {found}, and neither [gateway] key ({ours}) nor a certificate in [gateway] credential is that key; take the credential that `plomb-hub certify` wrote last: it holds all certificates of this gateway"
    )]
    OtherKey {
        /// The key at hand.
        ours: KeyId,
        /// The key that signed.
        found: KeyId,
    },
    /// The file does not agree with itself.
    #[error("the journal is damaged: {0}; it must be moved aside, and a new epoch begun")]
    Damaged(String),
    /// The file could be read only after a repair, and repair was not allowed.
    #[error("the journal was not closed cleanly and can't be read as it is: {0}; start plombd once")]
    Unclean(String),
    /// An option is outside its bounds.
    #[error("journal option {name}: {problem}")]
    Option {
        /// The option.
        name: &'static str,
        /// What is wrong with it, and what is allowed.
        problem: String,
    },
    /// The quota is spent on entries that have no receipt yet. Nothing is dropped; nothing is taken in.
    #[error(
        "the journal is full: {stored_bytes} of {quota_bytes} bytes hold entries without a receipt; connect the hub, or raise the quota"
    )]
    Full {
        /// The quota, in bytes.
        quota_bytes: u64,
        /// What is stored, in bytes.
        stored_bytes: u64,
    },
    /// The occurrence can't be an entry: no verifier would read it.
    #[error("this can't become an entry: {0}; the driver that made it is at fault")]
    Unfit(Malformed),
    /// The raw frames are not those that the record names, or too large.
    #[error("raw frames: {0}; the driver that gave them is at fault")]
    Frames(&'static str),
    /// One measuring point too many.
    #[error("the journal holds at most {max} measuring points in an epoch")]
    TooManyPoints {
        /// The bound.
        max: usize,
    },
    /// One reader's cursor too many.
    #[error("the journal holds at most {max} cursors")]
    TooManyCursors {
        /// The bound.
        max: usize,
    },
    /// One meter's counter too many, or its name is too long.
    #[error("the journal holds at most {max} message counters, with names of at most {COUNTER_NAME_BYTES_MAX} bytes")]
    TooManyCounters {
        /// The bound.
        max: usize,
    },
    /// A receipt for an anchor that this journal does not have. Ask [`Journal::notice_ledger`](super::Journal::notice_ledger).
    #[error("the receipt is for batch {batch} of epoch {epoch}, and this journal has no such anchor")]
    UnknownAnchor {
        /// Its epoch.
        epoch: u32,
        /// Its number.
        batch: u64,
    },
    /// A receipt that does not hold.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// An anchor or an entry that was not signed by this gateway's key, or can't be read.
    #[error("not a statement of this gateway: {0}")]
    Statement(Malformed),
    /// A batch as stored does not hold together.
    #[error("a stored batch does not hold together: {0}")]
    Batch(BatchError),
    /// There is no such batch.
    #[error("batch {batch} of epoch {epoch} is not in the journal")]
    NoBatch {
        /// Its epoch.
        epoch: u32,
        /// Its number.
        batch: u64,
    },
    /// Four thousand million epochs are spent.
    #[error("no epoch is left after {0}; the gateway needs a new identity")]
    EpochsSpent(u32),
    /// A read failed.
    #[error("the journal can't be read: {0}")]
    Read(String),
    /// A write or a sync failed once: nothing that this process believes of the file holds any more.
    #[error("the journal stopped after a failed write ({0}); stop and start again, what was durable is safe")]
    Latched(String),
}

/// A failure of the store, in words. Whoever gets one in a write latches the journal.
#[derive(Debug)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<Fault> for JournalError {
    fn from(fault: Fault) -> Self {
        Self::Read(fault.0)
    }
}

macro_rules! from_store {
    ($($error:ty),*) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        }

        impl From<$error> for JournalError {
            fn from(error: $error) -> Self {
                Self::Read(error.to_string())
            }
        })*
    };
}

from_store!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError, redb::SetDurabilityError);

impl From<Malformed> for Fault {
    fn from(error: Malformed) -> Self {
        Self(error.to_string())
    }
}

impl From<BatchError> for Fault {
    fn from(error: BatchError) -> Self {
        Self(error.to_string())
    }
}
