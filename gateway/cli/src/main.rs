//! `plomb`: the command line for gateways and auditors, and the demo.

fn main() -> std::process::ExitCode {
    plomb_cli::main()
}
