//! Questions to a running `plombd` over its Unix socket.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use plomb_gateway::{
    config::Config,
    control::{Answer, READ_TIMEOUT, Refusal, Request, WRITE_TIMEOUT},
};

use crate::{
    args::{CONFIG_DEFAULT, CONFIG_ENVIRONMENT, DaemonArgs},
    exit::Failure,
};

/// The longest document of an answer, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much longer than the daemon's own limits the command line waits.
const GRACE: Duration = Duration::from_secs(5);

/// What an answer without a word means.
pub(crate) const STOPPED: &str = "plombd stopped before it answered; ask again when it runs";

/// Where a daemon is, or would be.
pub(crate) struct Place {
    /// Its socket.
    pub(crate) socket: PathBuf,
    /// Its configuration; absent when only the socket was named.
    pub(crate) config: Option<Config>,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// No daemon listens there.
    Down(io::Error),
    /// The daemon says no, whose fault it is, and why.
    Refused(Refusal, String),
    /// Anything else.
    Failed(Failure),
}

impl Place {
    /// From the command line: a socket, or a configuration that names it.
    pub(crate) fn find(args: &DaemonArgs) -> Result<Self, Failure> {
        if let (Some(socket), None) = (&args.socket, &args.config) {
            return Ok(Self { socket: socket.clone(), config: None });
        }
        let path = args.config.clone().or_else(|| std::env::var_os(CONFIG_ENVIRONMENT).map(PathBuf::from));
        let path = path.unwrap_or_else(|| CONFIG_DEFAULT.into());
        let config = load(&path)?;
        let socket = args.socket.clone().unwrap_or_else(|| config.socket_path());
        Ok(Self { socket, config: Some(config) })
    }

    /// Asks. Gives what follows the daemon's yes.
    pub(crate) fn ask(&self, request: &Request) -> Result<BufReader<UnixStream>, Unanswered> {
        let failed = |error: io::Error| Unanswered::Failed(Failure::file(&self.socket, error));
        let mut stream = UnixStream::connect(&self.socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Unanswered::Down(error),
            io::ErrorKind::PermissionDenied => Unanswered::Failed(Failure::Permission(format!(
                "{}: {error}; observing is for the daemon's group (default: plomb)",
                self.socket.display()
            ))),
            _ => failed(error),
        })?;
        let patience = match request {
            Request::Read { .. } => READ_TIMEOUT + GRACE,
            _ => WRITE_TIMEOUT,
        };
        stream.set_read_timeout(Some(patience)).map_err(failed)?;
        let question = serde_json::to_string(request).map_err(|error| failed(error.into()))?;
        // A daemon without a free seat says so, and does not wait for the question.
        match stream.write_all(format!("{question}\n").as_bytes()) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                return Err(failed(error));
            }
            _ => {}
        }
        let mut reader = BufReader::new(stream);
        let first = line(&mut reader).map_err(failed)?;
        if first.is_empty() {
            return Err(Unanswered::Refused(Refusal::Unavailable, STOPPED.into()));
        }
        let answer: Answer = serde_json::from_str(&first).map_err(|_| {
            let why = "the daemon's answer can't be read; are plomb and plombd of one version?";
            Unanswered::Refused(Refusal::Unavailable, why.into())
        })?;
        if !answer.ok {
            return Err(Unanswered::Refused(
                answer.kind.unwrap_or(Refusal::Unavailable),
                answer.error.unwrap_or_else(|| "the daemon refuses, without a reason".into()),
            ));
        }
        if matches!(request, Request::Tail { .. }) {
            reader.get_ref().set_read_timeout(None).map_err(failed)?;
        }
        Ok(reader)
    }

    /// A failure for when there is no daemon and nothing in its place.
    pub(crate) fn down(&self, error: &io::Error) -> Failure {
        Failure::Unavailable(format!(
            "plombd does not answer at {} ({error}); start it with `systemctl start plombd`, or name another --config or --socket",
            self.socket.display()
        ))
    }

    /// The failure that an unanswered question is.
    pub(crate) fn failure(&self, unanswered: Unanswered) -> Failure {
        match unanswered {
            Unanswered::Down(error) => self.down(&error),
            Unanswered::Refused(kind, why) => refused(kind, why),
            Unanswered::Failed(failure) => failure,
        }
    }
}

/// The failure that a refusal of the daemon is.
pub(crate) fn refused(kind: Refusal, why: String) -> Failure {
    match kind {
        Refusal::Usage => Failure::Usage(why),
        Refusal::Permission => Failure::Permission(why),
        Refusal::Unavailable => Failure::Unavailable(why),
    }
}

/// One document of an answer; empty at the end, also where a daemon stops with a question unread.
pub(crate) fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    match reader.take(DOCUMENT_BYTES_MAX).read_line(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn load(path: &Path) -> Result<Config, Failure> {
    // Opened first, so that a missing file and a wrong one can be told apart.
    match std::fs::File::open(path) {
        Ok(_) => Config::load(path).map_err(|error| Failure::Config(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::Config(format!(
            "{}: {error}; name the daemon's configuration with --config or ${CONFIG_ENVIRONMENT}, or its --socket",
            path.display()
        ))),
        Err(error) => Err(Failure::file(path, error)),
    }
}
