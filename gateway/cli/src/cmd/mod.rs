//! The verbs, each in its file.

mod approve;
mod command;
mod config;
mod decode;
mod demo;
mod dlms;
mod enrol;
mod export;
mod keys;
mod ledger;
mod modbus;
mod order;
mod read;
mod scan;
mod scan_dlms;
mod scan_modbus;
mod status;
mod tail;
mod verify;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::{
    args::Verb,
    exit::{Failure, INTERRUPTED},
    show::Show,
};

/// Does what was asked; gives the exit code.
pub(crate) fn run(verb: Verb, show: &Show) -> Result<u8, Failure> {
    match verb {
        Verb::Decode(args) => decode::decode(&args, show),
        Verb::Verify(args) => verify::verify(&args, show),
        Verb::Export(args) => export::export(&args, show),
        Verb::Status(args) => status::status(&args, show),
        Verb::Tail(args) => tail::tail(args, show),
        Verb::Read(args) => read::read(args, show),
        Verb::Operate(args) => dlms::operate(&args, show),
        Verb::Keys(args) => keys::keys(&args, show),
        Verb::Scan(args) => scan::scan(&args, show),
        Verb::Enrol(args) => enrol::enrol(args, show),
        Verb::Config(args) => config::config(&args, show),
        Verb::Command(args) => command::command(&args, show),
        Verb::Approve(args) => approve::approve(&args, show),
        Verb::Ledger(args) => ledger::ledger(&args, show),
        Verb::Demo(args) => demo::demo(&args, show),
    }
}

/// Reads a file of bounded size; `-` is standard input.
fn read_bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::file(path, error);
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    source.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= bytes_max => Ok(bytes),
        _ => Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {bytes_max} bytes")))),
    }
}

/// Does work that may wait for ever; ctrl-C ends it with its own code.
fn interruptible(work: impl FnOnce() -> Result<u8, Failure> + Send + 'static) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            done = tokio::task::spawn_blocking(work) => match done {
                Ok(outcome) => outcome,
                Err(error) => Err(Failure::io("a thread", io::Error::other(error))),
            },
            _ = tokio::signal::ctrl_c() => Ok(INTERRUPTED),
        }
    });
    // The work may still wait; it holds nothing that needs an end.
    runtime.shutdown_background();
    outcome
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the runtime", error))
}
