//! `plomb`: the command line for gateways and auditors, and the demo.
//!
//! One verb, one file in `cmd`. Data goes to standard output, everything else to standard error. What a
//! meter or a file says is escaped before it reaches a terminal.
//!
//! | module | what it does |
//! |---|---|
//! | `args` | what the command line takes |
//! | `cmd` | the verbs |
//! | `ask` | questions to a running `plombd` over its socket |
//! | `show` | output: JSON lines, tables, times, colours |
//! | `exit` | failures and their exit codes |

mod args;
mod ask;
mod cmd;
mod exit;
mod show;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no mistakes.
            let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    // Read before any thread starts: afterwards the system's zone can't be asked safely.
    let show = show::Show::new(&args);
    match cmd::run(args.verb, &show) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if let Some(message) = failure.message() {
                eprintln!("plomb: {}", show::escaped(&message));
            }
            ExitCode::from(failure.code())
        }
    }
}
