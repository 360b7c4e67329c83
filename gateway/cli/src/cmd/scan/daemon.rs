//! A scan through a running daemon, which has the port.

use std::{
    io::{self, BufReader},
    os::unix::net::UnixStream,
    thread,
};

use plomb_gateway::control::Request;
use tokio::sync::mpsc;

use super::Teller;
use crate::{
    args::ScanArgs,
    ask::{self, Place, Unanswered},
    cmd::runtime,
    exit::Failure,
};

/// Lines that wait between the socket and who tells them.
const LINES_MAX: usize = 16;

/// The daemon stops polling the port, scans, and goes on. `None`: it has nothing to do with this port.
pub(super) fn scan(args: &ScanArgs, teller: &mut Teller) -> Result<Option<u8>, Failure> {
    // On a laptop there is no configuration, and no daemon.
    let Ok(place) = Place::find(&args.daemon) else { return Ok(None) };
    let request = Request::Scan { port: args.port.clone(), options: args.options() };
    let answer = match place.ask(&request) {
        Ok(answer) => answer,
        Err(Unanswered::Down(_)) => return Ok(None),
        Err(Unanswered::Refused(_, why)) if why.starts_with("not a port") => return Ok(None),
        Err(other) => return Err(place.failure(other)),
    };
    teller.paste.through_the_daemon();
    let runtime = runtime()?;
    let told = runtime.block_on(tell_all(answer, &place, teller));
    // A thread may still wait for the socket; it holds nothing that needs an end.
    runtime.shutdown_background();
    told?;
    teller.end().map(Some)
}

async fn tell_all(answer: BufReader<UnixStream>, place: &Place, teller: &mut Teller) -> Result<(), Failure> {
    let fail = |error| Failure::file(&place.socket, error);
    let (lines, mut heard) = mpsc::channel(LINES_MAX);
    thread::spawn(move || read(answer, &lines));
    loop {
        tokio::select! {
            line = heard.recv() => {
                let Some(text) = line else { break };
                let line = serde_json::from_str(&text.map_err(fail)?)
                    .map_err(|error| Failure::Unavailable(format!("the daemon's answer can't be read: {error}")))?;
                teller.tell(&line)?;
            }
            // The daemon notices that nobody listens any more, and polls on.
            Ok(()) = tokio::signal::ctrl_c() => {
                return teller.break_off("cancelled", "cancelled before the end: there may be more meters");
            }
        }
    }
    if teller.done.is_none() {
        teller.break_off("failed", "plombd stopped before the end: there may be more meters")?;
    }
    Ok(())
}

/// Until the end of the answer, or until nobody takes the lines.
fn read(mut answer: BufReader<UnixStream>, lines: &mpsc::Sender<io::Result<String>>) {
    loop {
        let line = ask::line(&mut answer);
        let last = line.as_ref().map_or(true, String::is_empty);
        if matches!(&line, Ok(text) if text.is_empty()) || lines.blocking_send(line).is_err() || last {
            return;
        }
    }
}
