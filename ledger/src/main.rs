//! `plomb-hub`: guarded MQTT broker, ledger node and archive in one process.

use std::process::ExitCode;

fn main() -> ExitCode {
    plomb_ledger::cli::main()
}
