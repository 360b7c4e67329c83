//! What a verification is asked, and what it found.

use alloc::{string::String, vec::Vec};

use crate::{Name, Policy, export::Scope};

/// Whose policy decides.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// The verifier's own: the verdict holds against whoever made the file.
    Own(&'a Policy),
    /// The one in the file: the verdict says that the file agrees with itself and with the keys that it
    /// names. Compare those with keys got elsewhere.
    File,
}

/// What the verifier knows from outside about how long the chain must be. Truncation is invisible from
/// within.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expect {
    /// This entry (epoch, sequence number) exists: the export must hold its place in its own epoch. A later epoch
    /// does not show how far an earlier one went.
    pub reaches: Option<(u32, u64)>,
}

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry is signed, in its place, and anchored on the ledger.
    Proved,
    /// Something was changed, left out or made up.
    Tampered,
    /// Nothing is wrong, but something is not proved: entries without a receipt, or missing ones.
    Incomplete,
}

/// What an export proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The outcome.
    pub verdict: Verdict,
    /// The gateway.
    pub gateway: Option<Name>,
    /// The ledger.
    pub origin: Option<String>,
    /// What the export claims to hold.
    pub scope: Option<Scope>,
    /// How many entries were checked.
    pub entries: u64,
    /// How many of them are records.
    pub records: u64,
    /// How many of them say that a reading is missing.
    pub absent: u64,
    /// How many of them are events.
    pub events: u64,
    /// How many readings the records hold.
    pub readings: u64,
    /// Holes: places where the ledger or the chain says that entries exist which the file does not hold.
    pub gaps: u64,
    /// How many batches.
    pub batches: u64,
    /// How many entries have a receipt.
    pub anchored: u64,
    /// How many raw frames were checked against their records.
    pub frames: u64,
    /// The first and last entry: epoch and sequence number.
    pub span: Option<((u32, u64), (u32, u64))>,
    /// What the file holds of each epoch, in its order. Within a run nothing is missing; what came after it in the
    /// same epoch and was never anchored can't be seen.
    pub runs: Vec<Run>,
    /// Where the gateway noticed, and entered, that its journal was older than the ledger: a card was put back
    /// or a file lost. What is here is proved all the same; who did it is another question.
    pub rollbacks: Vec<Rollback>,
    /// Not before: when the checkpoint was witnessed that the first batch names (Unix seconds).
    pub not_before_s: Option<u64>,
    /// Not after: when the last receipt's checkpoint was witnessed (Unix seconds).
    pub not_after_s: Option<u64>,
    /// The first thing that is wrong.
    pub first_bad: Option<Fault>,
    /// What is not proved, in words.
    pub shortfalls: Vec<String>,
}

/// The entries that a file holds of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The epoch.
    pub epoch: u32,
    /// The first entry's sequence number.
    pub first: u64,
    /// The last entry's.
    pub last: u64,
}

/// A rollback that the gateway noticed: an event `rollback-noticed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollback {
    /// The epoch that it began.
    pub epoch: u32,
    /// The event's sequence number.
    pub seq: u64,
    /// When, by the gateway's clock, in Unix milliseconds.
    pub unix_ms: i64,
}

/// Something wrong in an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which check failed; the names are those of `docs/evidence.md`.
    pub check: &'static str,
    /// The item of the file, from 0.
    pub item: u64,
    /// Where the item begins, in bytes.
    pub offset: usize,
    /// The entry concerned: epoch and sequence number.
    pub entry: Option<(u32, u64)>,
    /// What was seen.
    pub detail: String,
}

impl Report {
    /// How many epochs come before the first of a whole export, and are not in it. What was in them is in the
    /// hub's archive, as far as the ledger had it.
    pub fn epochs_before(&self) -> u32 {
        match (&self.scope, self.span) {
            (Some(Scope::All), Some(((epoch, _), _))) => epoch,
            _ => 0,
        }
    }
}

impl Verdict {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Tampered => "tampered",
            Self::Incomplete => "incomplete",
        }
    }
}
