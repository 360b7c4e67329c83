//! What the desk of orders asks of the journal: rows that stand or fall with an entry.

use plomb_seal::{Event, entry::Occurrence};

use super::{Durable, Journal, JournalError, Options, Rows, writer::Request};

impl Journal {
    /// Enters an event and commits it at once, together with rows that are made from its place: both or neither.
    pub async fn conclude(
        &self,
        event: Event,
        along: impl FnOnce(Durable) -> Rows + Send + 'static,
    ) -> Result<Durable, JournalError> {
        let (event, along) = (Occurrence::Event(event), Box::new(along));
        self.ask(|reply| Request::Conclude { event, along, reply }).await
    }

    /// Keeps rows for the desk of orders. They are durable when this returns.
    pub async fn keep(&self, rows: Rows) -> Result<(), JournalError> {
        self.ask(|reply| Request::Keep { rows, reply }).await
    }

    /// Window, quota and the keeping of raw frames from now on. What is fixed when a file is opened stays as it is.
    ///
    /// # Errors
    /// An option is out of its bounds; or the journal failed.
    pub async fn change(&self, options: Options) -> Result<(), JournalError> {
        options.check()?;
        self.ask(|reply| Request::Change { options, reply }).await
    }
}
