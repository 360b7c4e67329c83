//! A line on a pseudo-terminal.

use crate::bus::Bus;
use crate::line::{Counters, Line};
use crate::serve::{Port, Shared, lock, serve};
use crate::{LineSpeed, SimError};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The speed that a fresh port has until its user sets one.
const FRESH_PORT_SPEED: LineSpeed = LineSpeed(9600);

/// A bus on a pseudo-terminal, served by a task until this is dropped.
///
/// A client opens [`PtyLine::path`] as it would open a serial port. The speed
/// that it sets there counts: at another one than the bus's it hears, and
/// says, rubbish.
#[derive(Debug)]
pub struct PtyLine {
    line: Shared,
    changed: Arc<Notify>,
    link: Option<PathBuf>,
    device: PathBuf,
    start: Instant,
    task: Option<JoinHandle<()>>,
}

impl PtyLine {
    /// Opens a pseudo-terminal, and links it at `link` if one is given (an old
    /// link there is replaced). To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`SimError::Pty`] or [`SimError::Link`].
    pub fn open(link: Option<&Path>, bus: Bus) -> Result<Self, SimError> {
        let mut opened = Self {
            line: Arc::new(Mutex::new(Line::new(bus))),
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

    /// Looks at the bus, or changes it, between two bytes.
    pub fn with_bus<T>(&self, act: impl FnOnce(&mut Bus) -> T) -> T {
        act(&mut lock(&self.line).bus)
    }

    /// What went over the line.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.line).counters()
    }

    /// The meters' time now, in seconds since 1970.
    #[must_use]
    pub fn meter_time_unix_s(&self) -> u64 {
        lock(&self.line).bus.calendar.unix_s(self.start.elapsed())
    }

    /// Puts noise on the line now, which nobody asked for.
    pub fn disturb(&self, bytes: &[u8]) {
        lock(&self.line).disturb(bytes, self.start.elapsed());
        self.changed.notify_one();
    }

    /// Whether the adapter is plugged in.
    #[must_use]
    pub fn is_plugged(&self) -> bool {
        self.task.as_ref().is_some_and(|task| !task.is_finished())
    }

    /// Pulls the adapter: the device hangs up and its path is gone when this
    /// returns. The meters live on.
    pub async fn unplug(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // The task owns the terminal: it is closed when the task has ended.
            let _aborted = task.await;
        }
        remove_link(self.link.as_deref(), &self.device);
        lock(&self.line).cut();
    }

    /// Plugs the adapter in again: another device behind the same link.
    ///
    /// # Errors
    /// [`SimError::Pty`] or [`SimError::Link`].
    pub fn replug(&mut self) -> Result<(), SimError> {
        if self.is_plugged() {
            return Ok(());
        }
        let (port, device) = PtyPort::open()?;
        if let Some(link) = &self.link {
            place_link(&device, link)?;
        }
        self.device = device;
        let (line, changed, start) = (Arc::clone(&self.line), Arc::clone(&self.changed), self.start);
        self.task = Some(tokio::spawn(async move {
            // An error means that the terminal is broken; the client sees it
            // hang up when the port is dropped here.
            let _ended = serve(&port, &line, &changed, start).await;
        }));
        Ok(())
    }
}

/// Removes the link if it still leads to `device`.
pub(crate) fn remove_link(link: Option<&Path>, device: &Path) {
    if let Some(link) = link
        && std::fs::read_link(link).is_ok_and(|target| target == device)
    {
        let _gone_already = std::fs::remove_file(link);
    }
}

impl Drop for PtyLine {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        remove_link(self.link.as_deref(), &self.device);
    }
}

/// Makes the link in one step, so that nobody sees it half made.
pub(crate) fn place_link(device: &Path, link: &Path) -> Result<(), SimError> {
    let failed = |source| SimError::Link { path: link.to_owned(), source };
    if std::fs::symlink_metadata(link).is_ok_and(|there| !there.file_type().is_symlink()) {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let mut fresh = link.as_os_str().to_owned();
    fresh.push(format!(".new-{}", std::process::id()));
    std::os::unix::fs::symlink(device, &fresh).map_err(failed)?;
    std::fs::rename(&fresh, link).map_err(failed)
}

/// Both ends of a pseudo-terminal.
#[derive(Debug)]
pub(crate) struct PtyPort {
    from_client: pipe::Receiver,
    to_client: pipe::Sender,
    /// Held open, so that the line doesn't hang up when a client leaves.
    client_end: OwnedFd,
}

impl PtyPort {
    pub(crate) fn open() -> Result<(Self, PathBuf), SimError> {
        let failed = |step| move |error: rustix::io::Errno| SimError::Pty { step, source: error.into() };
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).map_err(failed("openpt"))?;
        grantpt(&master).map_err(failed("grantpt"))?;
        unlockpt(&master).map_err(failed("unlockpt"))?;
        let name = ptsname(&master, Vec::new()).map_err(failed("ptsname"))?;
        let device = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
        let open_flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let client_end = rustix::fs::open(&device, open_flags, Mode::empty()).map_err(failed("open"))?;
        let mut settings = tcgetattr(&client_end).map_err(failed("tcgetattr"))?;
        settings.make_raw();
        settings.set_speed(FRESH_PORT_SPEED.0).map_err(failed("set_speed"))?;
        tcsetattr(&client_end, OptionalActions::Now, &settings).map_err(failed("tcsetattr"))?;
        rustix::io::ioctl_fionbio(&master, true).map_err(failed("fionbio"))?;
        let (from_client, to_client) = halves(master).map_err(|source| SimError::Pty { step: "register", source })?;
        let port = Self { from_client, to_client, client_end };
        port.welcome_next_client();
        Ok((port, device))
    }
}

/// Registers the master side with the event queue, once to read and once to
/// write. Tokio's pipes do that for any descriptor; they need no unsafe code.
fn halves(master: OwnedFd) -> io::Result<(pipe::Receiver, pipe::Sender)> {
    let again = master.try_clone()?;
    let from_client = pipe::Receiver::from_owned_fd_unchecked(master)?;
    let to_client = pipe::Sender::from_owned_fd_unchecked(again)?;
    Ok((from_client, to_client))
}

impl PtyPort {
    /// Makes the port such that another client can open and set it up.
    ///
    /// A client that died while it had the port exclusively must not lock out
    /// the next one. And as a pseudo-terminal drops the parity, the C library
    /// refuses settings that ask for parity and change nothing else; so there
    /// is always something to change: ECHONL, which does nothing in raw mode
    /// and which every raw client clears. Failures harm nobody here.
    fn welcome_next_client(&self) {
        let _not_exclusive = rustix::termios::ioctl_tiocnxcl(&self.client_end);
        if let Ok(mut settings) = tcgetattr(&self.client_end) {
            settings.local_modes |= LocalModes::ECHONL;
            let _marked = tcsetattr(&self.client_end, OptionalActions::Now, &settings);
        }
    }
}

impl Port for PtyPort {
    async fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            self.from_client.readable().await?;
            match self.from_client.try_read(bytes) {
                Err(again) if again.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.welcome_next_client();
                    return done;
                }
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.to_client.try_write(bytes)
    }

    fn master_speed(&self) -> Option<LineSpeed> {
        tcgetattr(&self.client_end).ok().map(|settings| LineSpeed(settings.output_speed()))
    }
}
