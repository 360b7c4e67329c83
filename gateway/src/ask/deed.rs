//! Deeds: what a command asks to be done at a meter, and what became of it.

use plomb_seal::{Name, Record};
use tokio::sync::oneshot;

/// The most deeds that wait for one line.
pub const DEEDS_MAX: usize = 16;

/// Something to be done at a measuring point, once.
pub struct Deed {
    /// The measuring point.
    pub point: Name,
    /// What is to be done.
    pub instruction: Instruction,
    /// Where the word of it goes.
    pub answer: oneshot::Sender<Result<Done, Undone>>,
}

/// What a command says, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// Read the meter now.
    Read,
}

/// It was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// In words.
    pub detail: String,
    /// What the meter said afterwards, if it was read.
    pub record: Option<Record>,
}

/// It was not done, or not known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// By which rule.
    pub rule: &'static str,
    /// In words.
    pub detail: String,
    /// Whether the meter may have done it.
    pub executed: Maybe,
}

/// Whether a meter did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maybe {
    /// It did not.
    No,
    /// Nobody knows.
    Unknown,
}

impl Instruction {
    /// Reads a verb and its content.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(verb: &str, content: &[u8]) -> Result<Self, String> {
        match (verb, content) {
            ("read", []) => Ok(Self::Read),
            ("read", _) => Err("`read` has no content".into()),
            _ => Err(format!("the verb `{verb}` is not known here")),
        }
    }
}
