//! `plombd`: the gateway's daemon.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Reads meters, signs what they say, and keeps it until the ledger has it.
#[derive(Parser)]
#[command(
    name = "plombd",
    version,
    after_help = "Examples:\n  plombd --config /etc/plomb/plombd.toml\n  RUST_LOG=debug plombd --config plombd.toml\n\n\
        Any setting but those in lists can be overridden from the environment:\n  \
        PLOMB__JOURNAL__WINDOW_S=1 plombd --config plombd.toml\n\n\
        Exit codes: 0 stopped by a signal, 64 usage, 74 something can't be opened,\n\
        75 the journal failed (start again), 78 wrong configuration, or a journal of another\n\
        gateway, key or format."
)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no mistakes.
            let code = if error.use_stderr() { 64 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
    match plomb_gateway::daemon::run(&arguments.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            tracing::error!("{fatal}");
            ExitCode::from(fatal.code())
        }
    }
}
