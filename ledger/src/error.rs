//! What can go wrong with the ledger's own file and keys. Transactions that break rules are no errors.

/// Why the ledger can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The store failed. Nothing of the present block was promised to anybody.
    #[error("the ledger's file: {0}; stop, check the disk, and start again")]
    Store(redb::Error),
    /// The file is not what this program left behind.
    #[error(
        "the ledger's file is damaged: {0}; keep it, check the disk, and see \"The ledger's file\" in operations.md \
         before you put a copy in its place"
    )]
    Damaged(String),
    /// The file belongs to another ledger.
    #[error("the ledger's file is of \"{found}\", the configuration says \"{configured}\"")]
    OtherLedger {
        /// The origin in the file.
        found: String,
        /// The configured one.
        configured: String,
    },
    /// An engine skipped a block.
    #[error("block {found} was delivered where {expected} belongs: the engine skipped one")]
    Skipped {
        /// The height that was due.
        expected: u64,
        /// The height that came.
        found: u64,
    },
    /// An earlier write failed; what memory holds can't be trusted any more.
    #[error("an earlier write to the ledger failed: the process must be started anew")]
    Stopped,
}

impl From<redb::Error> for LedgerError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(what) => Self::Damaged(what),
            redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Self::Damaged(error.to_string())
            }
            other => Self::Store(other),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for LedgerError {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

from_redb!(CommitError, DatabaseError, SetDurabilityError, StorageError, TableError, TransactionError);

impl From<plomb_seal::Malformed> for LedgerError {
    fn from(error: plomb_seal::Malformed) -> Self {
        Self::Damaged(error.to_string())
    }
}
