//! The verbs, each in its file.

mod decode;
mod demo;
mod dlms;
mod enrol;
mod export;
mod keys;
mod modbus;
mod read;
mod scan;
mod scan_dlms;
mod scan_modbus;
mod status;
mod tail;
mod verify;

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
        Verb::Demo(args) => demo::demo(&args, show),
    }
}

/// Does work that may wait for ever; ctrl-C ends it with its own code.
fn interruptible(work: impl FnOnce() -> Result<u8, Failure> + Send + 'static) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            done = tokio::task::spawn_blocking(work) => match done {
                Ok(outcome) => outcome,
                Err(error) => Err(Failure::io("a thread", std::io::Error::other(error))),
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
