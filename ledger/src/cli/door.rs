//! To the desk: of a running hub through its socket, else of the ledger's file.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    config::HubConfig,
    desk::{ANSWER_BYTES_MAX, Desk, Problem, Request},
    hub,
    ledger::Ledger,
};

use super::{Failure, exit};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A way to ask.
pub(super) enum Door {
    Socket(BufReader<UnixStream>),
    File(Box<Desk>, tokio::runtime::Runtime),
}

impl Door {
    /// Asks the hub if one runs, else opens the file. While a hub starts or stops there is neither: waits.
    pub(super) fn open(config: &HubConfig) -> Result<Self, Failure> {
        let gives_up = Instant::now() + hub::LOCK_WAIT;
        loop {
            if let Some(stream) = connect(config)? {
                return Ok(Self::Socket(BufReader::new(stream)));
            }
            match hub::open_ledger(config) {
                Ok(ledger) => return Self::at_rest(ledger),
                Err(error) if !error.is_locked() => return Err(error.into()),
                Err(_) if Instant::now() < gives_up => std::thread::sleep(hub::LOCK_RETRY),
                Err(_) => {
                    let (file, control) = (config.file(hub::LEDGER), &config.control);
                    let what = format!(
                        "a process holds {} open, but nobody answers on {}; find it with `fuser {0}`",
                        file.display(),
                        control.display()
                    );
                    return Err(Failure::new(exit::UNAVAILABLE, what));
                }
            }
        }
    }

    fn at_rest(ledger: Ledger) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| Failure::io("runtime", &error))?;
        Ok(Self::File(Box::new(Desk::at_rest(ledger)), runtime))
    }

    pub(super) fn ask(&mut self, request: Request) -> Result<Value, Failure> {
        match self {
            Self::File(desk, runtime) => Ok(runtime.block_on(desk.answer(request))?),
            Self::Socket(stream) => {
                let answered = over_socket(stream, &request).map_err(|error| Failure::io("control socket", &error))?;
                Ok(answered?)
            }
        }
    }
}

fn connect(config: &HubConfig) -> Result<Option<UnixStream>, Failure> {
    let path = &config.control;
    match UnixStream::connect(path) {
        Ok(stream) => {
            let set = stream.set_read_timeout(Some(ANSWER_TIMEOUT));
            set.map_err(|error| Failure::io(path.display(), &error))?;
            Ok(Some(stream))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => {
            let hint = format!("control socket {} (run this as the hub's user, or as root)", path.display());
            Err(Failure::io(hint, &error))
        }
    }
}

fn over_socket(stream: &mut BufReader<UnixStream>, request: &Request) -> std::io::Result<Result<Value, Problem>> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.get_mut().write_all(&line)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "the hub closed the connection; try again"));
    }
    Ok(serde_json::from_slice(&answer)?)
}
