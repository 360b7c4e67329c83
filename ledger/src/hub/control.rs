//! The Unix socket on which subcommands reach a running hub: one JSON request a line, one JSON answer a line.
//!
//! Whoever runs as the hub's own user, or as root, may ask everything; nobody else anything.

use std::{
    io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::desk::{Desk, Problem, REQUEST_BYTES_MAX};

/// Connections at once.
const CONNECTIONS_MAX: usize = 16;
/// Silence after which a connection is closed.
const IDLE: Duration = Duration::from_secs(60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the socket. Only one hub holds the ledger's file, so a socket that stands there is left from before.
/// What is no socket is somebody's file, and stays.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {
            let what = "there is something that is no socket; name another `control`, or move it away";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until told to stop; then removes the socket.
pub(crate) async fn serve(listener: UnixListener, path: PathBuf, desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        while open.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("control socket: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(seat) = seats.clone().try_acquire_owned() else { continue };
        let desk = desk.clone();
        open.spawn(async move {
            if let Err(error) = converse(stream, &desk).await {
                debug!("control socket: {error}");
            }
            drop(seat);
        });
    }
    open.shutdown().await;
    let _ = std::fs::remove_file(path);
}

async fn converse(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    let own = rustix::process::geteuid().as_raw();
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let asked = timeout(IDLE, (&mut read).take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line)).await;
        match asked {
            Ok(Ok(0)) | Err(_) => return Ok(()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
        }
        let answer = if peer != own && peer != 0 {
            Err(Problem::permission("only the hub's own user and root may ask; use sudo"))
        } else {
            match serde_json::from_slice(&line) {
                Ok(request) => desk.answer(request).await,
                Err(error) => Err(Problem::usage(format!("the request can't be read: {error}"))),
            }
        };
        let mut out = serde_json::to_vec(&answer).map_err(io::Error::other)?;
        out.push(b'\n');
        write.write_all(&out).await?;
    }
}
