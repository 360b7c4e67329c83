//! What the desk needs of the world; so that tests can script it, and cut its power anywhere.

use std::future::Future;

use plomb_seal::{Event, Hash, Stamp};

use super::post::Ledger;
use crate::{ask::deed::Instruction, config::Config, journal::Rows, lines::Haste, status::Orders};

/// Where an entry came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its epoch.
    pub epoch: u32,
    /// Its sequence number.
    pub seq: u64,
}

/// Makes rows from the place of an entry.
pub type Along = Box<dyn FnOnce(Place) -> Rows + Send>;

/// How the gateway stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether there is a hub to be reached.
    pub has_hub: bool,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// Whether it said something that the policy holds good since the way to it changed last, or the daemon started.
    pub spoke: bool,
    /// Whether a meter is being read.
    pub reading: bool,
}

/// What the desk needs of the world.
pub trait World: Send {
    /// Why nothing goes on: the journal failed, or the power did.
    type Halt: Send;

    /// Now.
    fn now(&self) -> Stamp;

    /// A clock that only runs, in milliseconds.
    fn running_ms(&self) -> u64;

    /// Keeps rows; they are durable when this is done.
    fn keep(&mut self, rows: Rows) -> impl Future<Output = Result<(), Self::Halt>> + Send;

    /// Enters an event, and keeps rows made from its place, both durable when this is done or neither.
    fn conclude(&mut self, event: Event, along: Along) -> impl Future<Output = Result<Place, Self::Halt>> + Send;

    /// The configuration that runs.
    fn running(&self) -> impl Future<Output = Config> + Send;

    /// Checks a configuration against files and models; changes nothing. Gives whether the way to the hub changes.
    fn check(&mut self, config: &Config) -> impl Future<Output = Result<bool, String>> + Send;

    /// Brings a configuration into force. The outer error ends everything; the inner one says why it can't be.
    fn apply(
        &mut self,
        config: Config,
        haste: Haste,
    ) -> impl Future<Output = Result<Result<(), String>, Self::Halt>> + Send;

    /// How the gateway stands.
    fn standing(&self) -> Standing;

    /// The points that are to be read and were not, since their line began or at all.
    fn unread(&self) -> Vec<String> {
        Vec::new()
    }

    /// What is known of the ledger in this run.
    fn ledger(&self) -> Ledger;

    /// The journal's present epoch.
    fn epoch(&self) -> u32;

    /// Has the entries so far anchored at once. A receipt is to come soon, if the hub is reached.
    fn anchor(&self) {}

    /// Whether the ledger has a receipt for an entry of this gateway: from then on a card of before shows itself.
    fn is_receipted(&self, place: Place) -> bool {
        let _ = place;
        true
    }

    /// Begins to do something at a meter; what came of it is told to [`Desk::done`](super::Desk::done).
    ///
    /// # Errors
    /// By rule and in words: it was not begun.
    fn begin(&mut self, order: Hash, point: &str, instruction: Instruction) -> Result<(), (&'static str, String)>;

    /// Sends a statement until it is taken back.
    fn post(&mut self, number: u64, statement: Vec<u8>);

    /// Sends it no more.
    fn unpost(&mut self, number: u64);

    /// Shows how orders stand.
    fn show(&mut self, orders: Orders);

    /// Writes copies for people: the configuration in force, the one before, and the dossier.
    fn copy(&mut self, applied: &str, previous: Option<&str>, dossier: Option<&[u8]>);
}
