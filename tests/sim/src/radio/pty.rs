//! A station on a pseudo-terminal.

use super::station::Station;
use crate::SimError;
use crate::pty::{PtyPort, place_link, remove_link};
use crate::serve::{lock, serve};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A receiver on a pseudo-terminal, served by a task until this is dropped.
///
/// A gateway opens [`PtyReceiver::path`] as it would open the receiver's serial port. At another
/// speed than the receiver's it hears, and says, rubbish.
#[derive(Debug)]
pub struct PtyReceiver {
    station: Arc<Mutex<Station>>,
    changed: Arc<Notify>,
    link: Option<PathBuf>,
    device: PathBuf,
    start: Instant,
    task: Option<JoinHandle<()>>,
}

impl PtyReceiver {
    /// Opens a pseudo-terminal, and links it at `link` if one is given (an old link there is replaced).
    /// The station's time begins now. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`SimError::Pty`] or [`SimError::Link`].
    pub fn open(link: Option<&Path>, station: Station) -> Result<Self, SimError> {
        let mut opened = Self {
            station: Arc::new(Mutex::new(station)),
            changed: Arc::new(Notify::new()),
            link: link.map(Path::to_owned),
            device: PathBuf::new(),
            start: Instant::now(),
            task: None,
        };
        opened.replug()?;
        Ok(opened)
    }

    /// The path for clients: the link if there is one, or the device.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.device)
    }

    /// Looks at the station, or changes it.
    pub fn with_station<T>(&self, act: impl FnOnce(&mut Station) -> T) -> T {
        let outcome = act(&mut lock(&self.station));
        self.changed.notify_one();
        outcome
    }

    /// Pulls the receiver: its device hangs up and its path is gone when this returns; its volatile
    /// settings are gone too. The meters go on.
    pub async fn unplug(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // The task owns the terminal: it is closed when the task has ended.
            let _aborted = task.await;
        }
        remove_link(self.link.as_deref(), &self.device);
        lock(&self.station).twin.power_cycle();
    }

    /// Plugs the receiver in again: another device behind the same link.
    ///
    /// # Errors
    /// [`SimError::Pty`] or [`SimError::Link`].
    pub fn replug(&mut self) -> Result<(), SimError> {
        if self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return Ok(());
        }
        let (port, device) = PtyPort::open()?;
        if let Some(link) = &self.link {
            place_link(&device, link)?;
        }
        self.device = device;
        let (station, changed, start) = (Arc::clone(&self.station), Arc::clone(&self.changed), self.start);
        self.task = Some(tokio::spawn(async move {
            // An error means that the terminal is broken; the client sees it hang up.
            let _ended = serve(&port, &station, &changed, start).await;
        }));
        Ok(())
    }
}

impl Drop for PtyReceiver {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        remove_link(self.link.as_deref(), &self.device);
    }
}
