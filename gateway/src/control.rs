//! The Unix socket on which the command line asks the daemon.
//!
//! One connection, one question: a line of JSON. The answer is a line `{"ok":true}` or
//! `{"ok":false,"error":…}`, followed by what was asked for: a document, a stream of documents, or the
//! bytes of an export. Observing is for the socket's group; reading a meter now is for the administrators.
//!
//! Whoever asks keeps its side open as long as it wants the answer: a tail ends when that side is closed.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use plomb_seal::{Entry, Name, Unverified, export::Scope};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot, watch},
    time::timeout,
};
use tracing::{debug, warn};

use crate::{
    config,
    export::{self, ExportError, Selection},
    groups::Group,
    identity::Held,
    journal::{Journal, JournalError, Position},
    poll::Question,
    scan::{LINES_MAX, ScanOptions, ScanOrder},
    view,
};

/// The most connections at once.
pub const CONNECTIONS_MAX: usize = 16;
/// The most of them that may be tails: these stay for long, and the rest is for short questions.
pub const TAILS_MAX: usize = 12;
/// The longest question, in bytes.
pub const REQUEST_BYTES_MAX: u64 = 4096;
/// How long a question may take to arrive.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reader may leave what it asked for in the socket.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a meter may take that is read on demand.
pub const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// How large the pieces of an export are, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many entries of the past a tail may begin with.
pub const TAIL_PAST_MAX: u64 = 10_000;

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The state of the gateway.
    Status {},
    /// Entries as they become durable, after this many of the past.
    Tail {
        /// How many entries of the past come first.
        past: u64,
        /// One point only.
        point: Option<String>,
    },
    /// Reads a point's meter now. The record is not entered in the journal on its account alone: it is an
    /// ordinary reading out of turn.
    Read {
        /// The point.
        point: String,
    },
    /// Finds the meters on a port of this gateway: polling stops there, and goes on afterwards.
    Scan {
        /// The port, as the configuration names it or by another path.
        port: String,
        /// What to look for.
        options: ScanOptions,
    },
    /// An export.
    Export {
        /// One point only.
        point: Option<String>,
        /// One entry only: epoch and sequence number.
        entry: Option<(u32, u64)>,
        /// See [`Selection::since_ms`].
        since_ms: Option<i64>,
        /// See [`Selection::until_ms`].
        until_ms: Option<i64>,
        /// See [`Selection::receipted_only`].
        receipted_only: bool,
        /// See [`Selection::frames`].
        frames: bool,
    },
}

impl Request {
    /// The selection that an export request means.
    pub fn selection(&self) -> Result<Selection, String> {
        let Self::Export { point, entry, since_ms, until_ms, receipted_only, frames } = self else {
            return Err("this is no export".into());
        };
        let scope = match (point, entry) {
            (None, None) => Scope::All,
            (Some(point), None) => Scope::Point(point.parse().map_err(|error| format!("{error}"))?),
            (None, Some((epoch, seq))) => Scope::Entry { epoch: *epoch, seq: *seq },
            (Some(_), Some(_)) => return Err("give either a point or an entry".into()),
        };
        Ok(Selection {
            scope,
            since_ms: *since_ms,
            until_ms: *until_ms,
            receipted_only: *receipted_only,
            frames: *frames,
        })
    }
}

/// The first line of every answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// Whether what was asked for follows.
    pub ok: bool,
    /// Why not, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whose fault it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Refusal>,
}

/// Why a question is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The question makes no sense here.
    Usage,
    /// Whoever asks may not.
    Permission,
    /// What was asked for is not there.
    Unavailable,
}

/// What the socket needs to answer.
pub struct Desk {
    /// The journal.
    pub journal: Journal,
    /// Makes a snapshot of the state.
    pub snapshot: Box<dyn Fn() -> crate::status::Snapshot + Send + Sync>,
    /// All points that are configured.
    pub points: Vec<Name>,
    /// The lines by their points.
    pub questions: Vec<(Name, mpsc::Sender<Question>)>,
    /// The ports, and who scans them.
    pub scanners: Vec<(config::Bus, mpsc::Sender<ScanOrder>)>,
    /// For exports; without it there are none.
    pub credential: Held,
    /// Who may have meters read, beside root and the daemon's own user.
    pub administrators: Group,
}

/// A socket that vanishes with its listener.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Binds the socket. One left behind by a killed daemon is replaced, a live one is not, and nothing that is
    /// no socket either.
    pub fn bind(path: &Path, group_gid: Option<u32>) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another plombd answers there"));
        }
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
            Ok(_) => {
                let what = "something that is no socket is there: name another path in [control] socket, or move it";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(path).map_err(|error| match (error.kind(), path.parent()) {
            (io::ErrorKind::NotFound, Some(folder)) => io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "the folder {} is missing: make it for plombd's user, or name another `socket` in [control]",
                    folder.display()
                ),
            ),
            _ => error,
        })?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        if let Some(gid) = group_gid {
            // Without the right to give the socket to the group only its owner can observe.
            if let Err(error) = std::os::unix::fs::chown(path, None, Some(gid)) {
                debug!("{}: {error}", path.display());
            }
        }
        Ok(Self { listener, path: path.into() })
    }

    /// Answers until told to stop.
    pub async fn serve(self, desk: Desk, mut stop: watch::Receiver<bool>) {
        let desk = Arc::new(desk);
        let (seats, tails) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(Semaphore::new(TAILS_MAX)));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.changed() => return,
            };
            match (accepted, seats.clone().try_acquire_owned()) {
                (Ok((stream, _)), Ok(seat)) => {
                    let (desk, tails, stop) = (desk.clone(), tails.clone(), stop.clone());
                    tokio::spawn(async move {
                        if let Err(error) = answer(stream, &desk, &tails, stop).await {
                            debug!("control connection: {error}");
                        }
                        drop(seat);
                    });
                }
                (Ok((stream, _)), Err(_)) => {
                    warn!("more than {CONNECTIONS_MAX} control connections; one was closed");
                    // A fresh socket has room for a line; who is refused a seat is not waited for.
                    let why =
                        format!("busy: {CONNECTIONS_MAX} connections are open, the most at once; try again later");
                    let _ = stream.try_write(refusal(Refusal::Unavailable, &why).as_bytes());
                }
                (Err(error), _) => {
                    warn!("control socket: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone already, or something else may stand there.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.file_type().is_socket()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn answer(stream: UnixStream, desk: &Desk, tails: &Semaphore, stop: watch::Receiver<bool>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let administrator = || {
        peer.uid() == 0
            || peer.uid() == rustix::process::geteuid().as_raw()
            || desk.administrators.has(peer.uid(), peer.gid())
    };
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(REQUEST_BYTES_MAX));
    timeout(REQUEST_TIMEOUT, reader.read_line(&mut line)).await??;
    let request: Request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => {
            let why = format!("this daemon does not know the question: {error}");
            return refuse(&mut write, Refusal::Usage, &why).await;
        }
    };
    match request {
        Request::Status {} => {
            accept(&mut write).await?;
            let snapshot = serde_json::to_string(&(desk.snapshot)())?;
            put(&mut write, format!("{snapshot}\n").as_bytes()).await
        }
        Request::Tail { past, point } => {
            let Ok(_seat) = tails.try_acquire() else {
                let why = format!("busy: {TAILS_MAX} tails are open, the most at once; end one, or try again later");
                return refuse(&mut write, Refusal::Unavailable, &why).await;
            };
            tokio::select! {
                told = tail(&mut write, desk, past, point.as_deref(), stop) => told,
                () = hung_up(reader.into_inner().into_inner()) => Ok(()),
            }
        }
        Request::Read { .. } | Request::Scan { .. } if !administrator() => {
            refuse(&mut write, Refusal::Permission, "only administrators of this gateway may have meters read or searched: run it as root, or as a member of the administrators' group").await
        }
        Request::Scan { port, options } => scan(&mut write, desk, &port, options).await,
        Request::Read { point } => read_now(&mut write, desk, &point).await,
        Request::Export { .. } => send_export(&mut write, desk, &request).await,
    }
}

/// Waits until whoever asked closes its side. What it still says is of no interest.
async fn hung_up(mut read: impl AsyncReadExt + Unpin) {
    let mut more = [0; 64];
    while read.read(&mut more).await.is_ok_and(|read| read > 0) {}
}

async fn tail(
    write: &mut (impl AsyncWriteExt + Unpin),
    desk: &Desk,
    past: u64,
    point: Option<&str>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    if let Some(point) = point
        && !desk.knows(point).map_err(io::Error::other)?
    {
        return refuse(write, Refusal::Usage, &unknown_point(point)).await;
    }
    accept(write).await?;
    let mut head = desk.journal.head();
    let now = *head.borrow_and_update();
    let mut from = Position { epoch: now.epoch, seq: now.next_seq.saturating_sub(past.min(TAIL_PAST_MAX)) };
    loop {
        loop {
            let found = desk.journal.reader().snapshot().and_then(|snapshot| snapshot.entries_from(from, 32));
            let found = found.map_err(io::Error::other)?;
            let Some(last) = found.last() else { break };
            from = Position { epoch: last.epoch, seq: last.seq + 1 };
            for stored in &found {
                if let Ok(entry) = Unverified::<Entry>::parse(&stored.bytes) {
                    let of = entry.claims().body.link().map(|link| link.point.as_str());
                    if point.is_some() && point != of {
                        continue;
                    }
                    let document = view::document(&entry.trust_own());
                    put(write, format!("{document}\n").as_bytes()).await?;
                }
            }
        }
        tokio::select! {
            changed = head.changed() => if changed.is_err() { return Ok(()) },
            _ = stop.changed() => return Ok(()),
        }
    }
}

async fn read_now(write: &mut (impl AsyncWriteExt + Unpin), desk: &Desk, point: &str) -> io::Result<()> {
    let Some((name, line)) = desk.questions.iter().find(|(known, _)| known.as_str() == point) else {
        return refuse(write, Refusal::Usage, &unknown_point(point)).await;
    };
    let (answer, asked) = oneshot::channel();
    if line.try_send(Question { point: name.clone(), answer }).is_err() {
        return refuse(write, Refusal::Unavailable, "too many questions wait for this line; try again later").await;
    }
    match timeout(READ_TIMEOUT, asked).await {
        Ok(Ok(Ok(record))) => {
            accept(write).await?;
            let head = json!({ "schema": "plomb.read/1", "point": point });
            let document = view::joined(head, view::record_fields(&record));
            put(write, format!("{document}\n").as_bytes()).await
        }
        Ok(Ok(Err(why))) => refuse(write, Refusal::Unavailable, &why).await,
        Ok(Err(_)) => refuse(write, Refusal::Unavailable, "the daemon is stopping").await,
        Err(_) => refuse(write, Refusal::Unavailable, "the meter was not reached in time; see `plomb status`").await,
    }
}

async fn scan(
    write: &mut (impl AsyncWriteExt + Unpin),
    desk: &Desk,
    port: &str,
    options: ScanOptions,
) -> io::Result<()> {
    let real = |port: &str| fs::canonicalize(port).unwrap_or_else(|_| port.into());
    let wanted = real(port);
    let known = desk.scanners.iter().find(|(bus, _)| bus.port == port || real(&bus.port) == wanted);
    let Some((bus, scanner)) = known else {
        return refuse(write, Refusal::Usage, "not a port of this gateway").await;
    };
    if let Err(differs) = options.wish.check(bus) {
        return refuse(write, Refusal::Usage, &differs).await;
    }
    let (lines, mut scanned) = mpsc::channel(LINES_MAX);
    if scanner.try_send(ScanOrder { options, lines }).is_err() {
        return refuse(write, Refusal::Unavailable, "another scan of this port is under way; try again later").await;
    }
    accept(write).await?;
    // When whoever asked is gone, the write fails, the receiver goes, and the scan ends.
    while let Some(line) = scanned.recv().await {
        put(write, format!("{}\n", serde_json::to_string(&line)?).as_bytes()).await?;
    }
    Ok(())
}

async fn send_export(write: &mut (impl AsyncWriteExt + Unpin), desk: &Desk, request: &Request) -> io::Result<()> {
    let selection = match request.selection() {
        Ok(selection) => selection,
        Err(error) => return refuse(write, Refusal::Usage, &error).await,
    };
    let Some(credential) = desk.credential.get() else {
        return refuse(
            write,
            Refusal::Unavailable,
            "this gateway has no credential yet: without it an export proves nothing",
        )
        .await;
    };
    let (chunks, mut ready) = mpsc::channel(2);
    let reader = desk.journal.reader();
    let scope = selection.scope.clone();
    let made = tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(CHUNK_BYTES, ChunkWriter(chunks));
        let written = export::write(&reader, &credential, &selection, &mut out);
        if written.is_err() {
            // What is still buffered must not pass for an export.
            drop(out.into_parts());
        }
        written
    });
    // The first piece comes only when the journal could be read and the entry exists.
    let first: Option<Vec<u8>> = ready.recv().await;
    if let Some(first) = first {
        accept(write).await?;
        put(write, &first).await?;
        while let Some(chunk) = ready.recv().await {
            put(write, &chunk).await?;
        }
    }
    match made.await.map_err(io::Error::other)? {
        Ok(_) => Ok(()),
        Err(ExportError::Nothing) => match scope {
            Scope::Point(point) if !desk.knows(point.as_str()).map_err(io::Error::other)? => {
                refuse(write, Refusal::Usage, &unknown_point(point.as_str())).await
            }
            _ => refuse(write, Refusal::Unavailable, &ExportError::Nothing.to_string()).await,
        },
        Err(error) => {
            warn!("export: {error}");
            refuse(write, Refusal::Unavailable, &error.to_string()).await
        }
    }
}

impl Desk {
    /// Whether a point is configured, or has entries in this epoch.
    fn knows(&self, point: &str) -> Result<bool, JournalError> {
        if self.points.iter().any(|known| known.as_str() == point) {
            return Ok(true);
        }
        let points = self.journal.reader().snapshot()?.points()?;
        Ok(points.iter().any(|(known, ..)| known.as_str() == point))
    }
}

/// What whoever names a point is told that nobody knows.
pub fn unknown_point(point: &str) -> String {
    format!("no point \"{point}\" is configured, and there are no entries of it; `plomb status` lists the points")
}

/// Hands pieces to the connection; waits when it is slow.
struct ChunkWriter(mpsc::Sender<Vec<u8>>);

impl io::Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader is gone");
        self.0.blocking_send(bytes.to_vec()).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn accept(write: &mut (impl AsyncWriteExt + Unpin)) -> io::Result<()> {
    put(write, b"{\"ok\":true}\n").await
}

async fn refuse(write: &mut (impl AsyncWriteExt + Unpin), kind: Refusal, error: &str) -> io::Result<()> {
    put(write, refusal(kind, error).as_bytes()).await
}

fn refusal(kind: Refusal, error: &str) -> String {
    format!("{}\n", json!({ "ok": false, "error": error, "kind": kind }))
}

async fn put(write: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    timeout(WRITE_TIMEOUT, write.write_all(bytes)).await??;
    Ok(())
}

#[cfg(test)]
mod tests;
