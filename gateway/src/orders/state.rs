//! What the desk of orders knows for good: one row of the journal's file, written in the commit of the entry that it
//! follows from.
//!
//! ```text
//! row            value
//! state          JSON, this structure
//! text/VERSION   the text of a configuration: in force, on trial, or before
//! out/NUMBER     a statement that the ledger has not answered
//! ```
//! The rows stand in the journal and not in files beside it, so that the entry of an outcome, the statement of it and
//! what follows for the next start are durable together or not at all; and so that a card that is put back puts back
//! all of them, which the journal notices.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::journal::{JournalError, Rows, Snapshot};

/// The layout of the row.
const FORMAT: u32 = 1;
/// So many orders that were answered are remembered by their leaf hashes.
pub const ANSWERED_MAX: usize = 256;
/// The most statements that wait for the ledger's answer; further orders wait at the hub meanwhile.
pub const LETTERS_MAX: usize = 256;
/// The most commands that are being executed at once.
pub const EXECUTING_MAX: usize = 64;
/// After so many starts under a configuration that has not proved itself it is taken back.
pub const TRIAL_STARTS_MAX: u32 = 3;

pub(super) const STATE: &str = "state";
/// How the names of statements' rows begin.
pub const OUT: &str = "out/";
const TEXT: &str = "text/";

/// A configuration of the ledger, as far as is remembered for good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Its version.
    pub version: u64,
    /// Its leaf hash.
    pub leaf: String,
    /// SHA-256 of its text.
    pub hash: String,
    /// Who wrote it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// How urgent.
    pub priority: String,
    /// When it was applied, in Unix milliseconds.
    pub applied_ms: i64,
}

/// A configuration that has yet to prove itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Which.
    pub next: Applied,
    /// When it began, in Unix milliseconds.
    pub began_ms: i64,
    /// Whether the way to the hub changed with it.
    pub hub_changed: bool,
    /// Whether any meter was being read before.
    pub reading_before: bool,
    /// How long it has to prove itself, in seconds.
    pub confirm_s: u32,
    /// How often the daemon was started under it.
    pub starts: u32,
}

/// A command that is being executed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its leaf hash.
    pub leaf: String,
    /// Its number.
    pub counter: u64,
    /// The measuring point.
    pub point: String,
    /// What is to be done.
    pub verb: String,
    /// Who sent it.
    pub author: String,
    /// Where the entry stands that says that it was begun: epoch and sequence number.
    pub begun: Option<(u32, u64)>,
}

/// A command and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// Which.
    pub intent: Intent,
    /// What became of it: effect, rule, words.
    pub outcome: String,
    /// When, in Unix milliseconds.
    pub time_ms: i64,
}

/// A sealing key that was announced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Its number.
    pub serial: u64,
    /// The id of the gateway's key that signed it.
    pub by: String,
    /// The letter that announces it.
    pub letter: u64,
    /// Whether the ledger has it.
    pub logged: bool,
}

/// What is known for good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    format: u32,
    /// The highest version that was tried here.
    pub tried: u64,
    /// The configuration in force; none is the founding file's.
    pub in_force: Option<Applied>,
    /// The one in force before it.
    pub before: Option<Applied>,
    /// The one that has yet to prove itself.
    pub trial: Option<Trial>,
    /// Orders that were answered, by leaf hash, the latest last.
    pub answered: VecDeque<String>,
    /// The highest counter of a command that was seen.
    pub counter: u64,
    /// What is being executed.
    pub executing: Vec<Intent>,
    /// The last command that was answered.
    pub last_command: Option<Executed>,
    /// The journal's epoch up to which it is known whether a card was put back.
    pub epoch: u32,
    /// A card was put back, and the ledger's size then is not known yet.
    pub returning: bool,
    /// Commands below this index of the log are of before a card was put back.
    pub returned_at: u64,
    /// The sealing key.
    pub announced: Option<Announced>,
    /// The number of the next letter.
    pub next_letter: u64,
    /// SHA-256 of the founding file when the first configuration of the ledger came into force.
    pub founding: Option<String>,
    /// Files that were edited by hand, and to what.
    pub edits: BTreeMap<String, String>,
}

impl State {
    /// The state in the journal; none if there never was one.
    ///
    /// # Errors
    /// The journal can't be read, or the row is of another version of `plombd`.
    pub fn load(snapshot: &Snapshot) -> Result<Option<Self>, JournalError> {
        let rows = snapshot.orders(STATE)?;
        let Some(bytes) = rows.get(STATE) else { return Ok(None) };
        Self::parse(bytes).map(Some).map_err(JournalError::Read)
    }

    /// Reads the row.
    ///
    /// # Errors
    /// It is none, or of another version of `plombd`.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let state: Self = serde_json::from_slice(bytes).map_err(|error| format!("the state of orders: {error}"))?;
        match state.format {
            FORMAT => Ok(state),
            other => Err(format!("the state of orders is of format {other}; this program knows format {FORMAT}")),
        }
    }

    /// The row, with its name.
    pub(super) fn row(&self) -> (String, Option<Vec<u8>>) {
        let state = Self { format: FORMAT, ..self.clone() };
        // A structure of strings and numbers always has a form.
        (STATE.into(), Some(serde_json::to_vec(&state).unwrap_or_default()))
    }

    /// Whether an order has its answer, or is being seen to.
    pub fn knows(&self, leaf: &str) -> bool {
        self.answered.iter().any(|known| known == leaf)
            || self.executing.iter().any(|intent| intent.leaf == leaf)
            || self.trial.as_ref().is_some_and(|trial| trial.next.leaf == leaf)
    }

    pub(super) fn answer(&mut self, leaf: &str) {
        if !self.answered.iter().any(|known| known == leaf) {
            self.answered.push_back(leaf.into());
        }
        while self.answered.len() > ANSWERED_MAX {
            self.answered.pop_front();
        }
    }

    /// The row alone.
    pub fn rows(&self) -> Rows {
        Rows::from_iter([self.row()])
    }

    /// The versions whose texts are kept.
    pub fn versions(&self) -> Vec<u64> {
        self.kept().into_iter().flatten().collect()
    }

    /// The numbers whose texts are still needed.
    pub(super) fn kept(&self) -> [Option<u64>; 3] {
        [&self.in_force, &self.before, &self.trial.as_ref().map(|trial| trial.next.clone())]
            .map(|applied| applied.as_ref().map(|applied| applied.version))
    }

    /// The texts that go when this state is followed by `next`.
    pub(super) fn texts_gone(&self, next: &Self) -> Rows {
        let kept = next.kept();
        let gone = self.kept().into_iter().flatten().filter(|version| !kept.contains(&Some(*version)));
        gone.map(|version| (text_name(version), None)).collect()
    }
}

/// The name of a text's row.
pub fn text_name(version: u64) -> String {
    format!("{TEXT}{version:020}")
}

/// The name of a letter's row.
pub(super) fn letter_name(number: u64) -> String {
    format!("{OUT}{number:020}")
}

/// The number in the name of a letter's row.
pub(super) fn letter_number(name: &str) -> Option<u64> {
    name.strip_prefix(OUT)?.parse().ok()
}

/// The text of a configuration that the journal keeps.
///
/// # Errors
/// The journal can't be read, or it is not there.
pub fn text(snapshot: &Snapshot, version: u64) -> Result<String, JournalError> {
    let name = text_name(version);
    let rows = snapshot.orders(&name)?;
    let bytes = rows.get(&name).ok_or_else(|| JournalError::Read(format!("configuration {version} is gone")))?;
    String::from_utf8(bytes.clone()).map_err(|_| JournalError::Read(format!("configuration {version} is no text")))
}
