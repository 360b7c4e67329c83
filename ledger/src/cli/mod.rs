//! The command line of `plomb-hub`.

mod archive;
mod args;
mod certify;
mod door;
mod enrol;
mod init;
mod member;
mod register;
mod run;
mod status;

use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;

use crate::{
    config::{ConfigError, HubConfig},
    desk::Problem,
    enrol::IssueError,
    files::FileError,
    hub::HubError,
};

use args::{Args, Command};

/// Exit codes, after sysexits.h.
pub(crate) mod exit {
    /// The command line is wrong.
    pub(crate) const USAGE: u8 = 64;
    /// The ledger refused a transaction.
    pub(crate) const REFUSED: u8 = 65;
    /// Something that is needed isn't there, or not now.
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// Reading or writing failed.
    pub(crate) const IO: u8 = 74;
    /// Not allowed.
    pub(crate) const PERMISSION: u8 = 77;
    /// The configuration is wrong.
    pub(crate) const CONFIG: u8 = 78;
    /// Whoever read the output had enough, like `head`: no failure.
    pub(crate) const CLOSED: u8 = 0;
}

/// A failure with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn io(what: impl std::fmt::Display, error: &std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::PermissionDenied => exit::PERMISSION,
            _ => exit::IO,
        };
        Self::new(code, format!("{what}: {error}"))
    }

    /// Writing the output failed. Whoever read it may have had enough, like `head`.
    fn output(what: impl std::fmt::Display, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(exit::CLOSED, ""),
            _ => Self::io(what, error),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        match &error {
            FileError::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
                let what = format!("{} is missing; is this the directory that `plomb-hub init` made?", path.display());
                Self::new(exit::IO, what)
            }
            FileError::Io { path, source } => Self::io(path.display(), source),
            FileError::Content { .. } => Self::new(exit::CONFIG, error.to_string()),
            FileError::Random(_) => Self::new(exit::UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::File(FileError::Io { path, source }) if source.kind() != std::io::ErrorKind::NotFound => {
                Self::io(path.display(), &source)
            }
            other => Self::new(exit::CONFIG, format!("{other}")),
        }
    }
}

impl From<IssueError> for Failure {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::File(error) => error.into(),
            IssueError::Pki(error) => Self::new(exit::USAGE, error.to_string()),
        }
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        let code = match error {
            HubError::File(error) => return error.into(),
            HubError::NotFounded | HubError::NoLedger { .. } | HubError::Clock(_) => exit::CONFIG,
            HubError::Ledger(crate::LedgerError::OtherLedger { .. }) => exit::CONFIG,
            HubError::Ledger(_) => exit::IO,
            _ => exit::UNAVAILABLE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let code = match problem.kind.as_str() {
            "usage" => exit::USAGE,
            "permission" => exit::PERMISSION,
            "refused" => exit::REFUSED,
            "io" => exit::IO,
            _ => exit::UNAVAILABLE,
        };
        Self::new(code, problem.message)
    }
}

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.code == exit::CLOSED => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("plomb-hub: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(args: Args) -> Result<(), Failure> {
    match args.command {
        None => {
            let file = args.config.ok_or_else(|| {
                Failure::new(exit::USAGE, "which configuration? Try `plomb-hub --config hub.toml`, or `--help`")
            })?;
            run::run(HubConfig { accept_clock: args.accept_clock, ..HubConfig::load(&file)? })
        }
        Some(Command::Init(args)) => init::init(&args),
        Some(Command::Certify(args)) => certify::certify(&args),
        Some(Command::Revoke(args)) => certify::revoke(&args),
        Some(Command::Enrol(args)) => enrol::enrol(&args.what),
        Some(Command::Status(args)) => status::status(&args),
        Some(Command::Archive(args)) => archive::archive(&args.what),
        Some(Command::Ledger(args)) => register::ledger(&args.what),
        Some(Command::Submit(args)) => register::submit(&args),
        Some(Command::Member(args)) => member::member(&args.what),
    }
}

/// Prints a JSON document.
fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value}\n"))
}

/// Prints text.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output("standard output", &error))
}
