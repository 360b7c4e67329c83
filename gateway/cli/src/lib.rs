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
//! | `party` | who acts on the ledger, and what the hub's answers prove |
//! | `show` | output: JSON lines, tables, times, colours |
//! | `exit` | failures and their exit codes |

mod args;
mod ask;
mod cmd;
mod exit;
mod party;
mod show;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            if !error.use_stderr() {
                // Help and version are no mistakes.
                return ExitCode::from(exit::OK);
            }
            // What follows `--` is no option of ours.
            if std::env::args().take_while(|argument| argument != "--").any(|argument| argument == "--json") {
                let text = error.render().to_string();
                let wrong = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string();
                tell(&exit::Failure::Usage(wrong));
            }
            return ExitCode::from(exit::USAGE);
        }
    };
    let document = args.json && !args.verb.fills_stdout();
    // Read before any thread starts: afterwards the system's zone can't be asked safely.
    let show = show::Show::new(&args);
    match cmd::run(args.verb, &show) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if let Some(message) = failure.message() {
                show::tell(format_args!("plomb: {}", show::escaped(&message)));
                if document {
                    tell(&failure);
                }
            }
            ExitCode::from(failure.code())
        }
    }
}

/// A failure for programs, on standard output.
fn tell(failure: &exit::Failure) {
    // If standard output is the trouble, the exit code still tells.
    let _ = show::print(failure.document());
}
