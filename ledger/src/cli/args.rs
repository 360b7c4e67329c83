//! What the command line takes.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

mod enrol;
mod register;

pub(crate) use enrol::*;
pub(crate) use register::*;

/// The hub: guarded MQTT broker, ledger node, archive of batches.
#[derive(Debug, Parser)]
#[command(
    name = "plomb-hub",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  plomb-hub init hub --origin ledger.example/street --host hub.example
  plomb-hub --config hub/hub.toml
  plomb-hub certify --config hub/hub.toml --role gateway --id gw-1 --out gw-1
  plomb-hub status --config hub/hub.toml

Exit codes:
  0 done, 64 wrong usage, 65 refused by a rule of the ledger, 69 unavailable,
  74 input or output failed, 77 not allowed, 78 wrong configuration

Environment:
  RUST_LOG sets what is logged (default: info); NO_COLOR turns colours off."
)]
pub(crate) struct Args {
    /// Run the hub in the foreground with this configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Start although the clock is more than a month ahead of the ledger: the hub did stand still so long.
    #[arg(long, requires = "config")]
    pub(crate) accept_clock: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new ledger: keys, certificates, genesis, configuration, policy.
    Init(InitArgs),
    /// Certify a gateway or another party.
    Certify(CertifyArgs),
    /// Revoke a certificate; its connections are closed at once.
    Revoke(RevokeArgs),
    /// Take on gateways that made their keys themselves.
    Enrol(EnrolArgs),
    /// Show height, checkpoint, gateways, certificates, counters.
    Status(StatusArgs),
    /// Look into the archive of batches.
    Archive(ArchiveArgs),
    /// Look things up: who changed what, when, and what came of it.
    Ledger(LedgerArgs),
    /// Submit a signed transaction from a file.
    Submit(SubmitArgs),
    /// Add and remove members by votes.
    Member(MemberArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub init hub --origin ledger.example/street
  plomb-hub init hub --origin ledger.example/street --member utility-a \\
    --host hub.example --listen 0.0.0.0:8883

The member's key and authority (member.key, ca.key) issue certificates.
Keep copies of them offline: without them nobody can be certified or
revoked any more.")]
pub(crate) struct InitArgs {
    /// Where to make it; the directory must be absent or empty.
    pub(crate) dir: PathBuf,
    /// The ledger's name, like ledger.example/street: it is what the log signs.
    #[arg(long)]
    pub(crate) origin: String,
    /// The founding member's name.
    #[arg(long, default_value = "operator")]
    pub(crate) member: String,
    /// A host name or address at which gateways reach the hub; may be given several times.
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
    /// Where the broker listens.
    #[arg(long, default_value = "127.0.0.1:8883")]
    pub(crate) listen: SocketAddr,
    /// Where HTTPS is served: the log, lookups, enrolment. If not given: port 8443 at the broker's address if that
    /// listens on 8883, else not at all.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<SocketAddr>,
    /// Print what was made as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleArg {
    /// Reads meters and anchors.
    Gateway,
    /// Proposes configurations.
    Admin,
    /// Sends commands.
    Operator,
    /// Receives readings.
    Subscriber,
    /// Looks things up.
    Auditor,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub certify --config hub.toml --role gateway --id gw-1 --out gw-1
  plomb-hub certify --config hub.toml --role gateway --id gw-1 --renew --out new
  plomb-hub certify --config hub.toml --role gateway --id gw-2 --csr gw-2.csr \\
    --out gw-2
  plomb-hub certify --config hub.toml --role subscriber --id billing \\
    --scope gw-1,gw-2 --out billing

A request for --csr, made where the key stays:
  openssl genpkey -algorithm ed25519 -out client.key
  openssl req -new -key client.key -subj /CN=gw-2 -out gw-2.csr

Each epoch of a gateway's journal is signed by one key. Before its certificate
ends, renew it with --renew: the key that the ledger knows gets a new
certificate, and need not leave the gateway.")]
pub(crate) struct CertifyArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// What it is for.
    #[arg(long)]
    pub(crate) role: RoleArg,
    /// Who it is for: 1 to 64 characters from a-z, 0-9 and '-'.
    #[arg(long, value_name = "NAME")]
    pub(crate) id: String,
    /// Which gateways, or points of gateways (gw-1/water), it reaches; all if not given. Not for gateways.
    #[arg(long, value_delimiter = ',', value_name = "GATEWAYS")]
    pub(crate) scope: Vec<String>,
    /// For how many days.
    #[arg(long, default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=7300))]
    pub(crate) days: u32,
    /// Certify the key in this certificate request (PEM); without it a key is made here.
    #[arg(long, value_name = "FILE", group = "whose-key")]
    pub(crate) csr: Option<PathBuf>,
    /// Certify this private key (Ed25519, PKCS#8 PEM); it is read and not copied.
    #[arg(long, value_name = "FILE", group = "whose-key")]
    pub(crate) key: Option<PathBuf>,
    /// Certify the key that the ledger knows already under this name.
    #[arg(long, group = "whose-key")]
    pub(crate) renew: bool,
    /// Make a new key for a gateway that has one, after a theft or a loss: its journal goes on in a new epoch.
    #[arg(long, group = "whose-key")]
    pub(crate) new_key: bool,
    /// Certify as the member whose keys are in this folder; as the hub's own if not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) member: Option<PathBuf>,
    /// Where the files go; they must not be there yet.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print what was issued as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub revoke --config hub.toml --id gw-1 --reason \"box stolen\"
  plomb-hub revoke --config hub.toml --fingerprint 5f0c… --reason \"key renewed\"")]
pub(crate) struct RevokeArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Revoke all certificates of this name.
    #[arg(long, value_name = "NAME", required_unless_present = "fingerprint", conflicts_with = "fingerprint")]
    pub(crate) id: Option<String>,
    /// Revoke the certificate with this SHA-256, in hexadecimal.
    #[arg(long, value_name = "HEX")]
    pub(crate) fingerprint: Option<String>,
    /// Why; it stands on the ledger for ever.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Revoke as the member whose keys are in this folder; as the hub's own if not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) member: Option<PathBuf>,
    /// Print what was revoked as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub status --config hub.toml
  plomb-hub status --config hub.toml --json | jq .gateways
  plomb-hub status --config hub.toml --certificates")]
pub(crate) struct StatusArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// List all certificates instead.
    #[arg(long)]
    pub(crate) certificates: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ArchiveArgs {
    #[command(subcommand)]
    pub(crate) what: ArchiveCommand,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  plomb-hub archive list --config hub.toml
  plomb-hub archive entries --config hub.toml --gateway gw-1 | jq .schema
  plomb-hub archive export --config hub.toml --gateway gw-1 -o gw-1.plomb")]
pub(crate) enum ArchiveCommand {
    /// List the archived batches.
    List(ArchiveSelect),
    /// Print each entry as one JSON line, in order.
    Entries(ArchiveSelect),
    /// Write a gateway's whole archive as a file that proves itself.
    Export(ArchiveOf),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub archive list --config hub.toml --json
  plomb-hub archive entries --config hub.toml --gateway gw-1 -o entries.ndjson")]
pub(crate) struct ArchiveSelect {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Only this gateway; all if not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) gateway: Option<String>,
    /// Print JSON; entries are always JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  plomb-hub archive export --config hub.toml --gateway gw-1 -o gw-1.plomb")]
pub(crate) struct ArchiveOf {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Whose archive.
    #[arg(long, value_name = "NAME")]
    pub(crate) gateway: String,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print what was written as JSON; needs --output.
    #[arg(long, requires = "output")]
    pub(crate) json: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    fn each(command: &mut Command, look: &mut impl FnMut(&Command)) {
        look(command);
        command.get_subcommands_mut().for_each(|sub| each(sub, look));
    }

    /// clap wraps what is longer than a terminal once more, and leaves single words alone on lines.
    #[test]
    fn what_stands_behind_the_options_fits_a_terminal() {
        let (mut command, mut seen) = (Args::command(), 0);
        each(&mut command, &mut |command| {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in after.lines() {
                seen += 1;
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        });
        assert!(seen > 20, "the texts were not found");
    }

    #[test]
    fn only_an_export_must_name_its_gateway() {
        let parse = |what: &str| Args::try_parse_from(["plomb-hub", "archive", what, "--config", "hub.toml"]);
        assert!(parse("list").is_ok() && parse("entries").is_ok());
        assert!(parse("export").unwrap_err().to_string().contains("--gateway"));
        let export = ["plomb-hub", "archive", "export", "--config", "hub.toml", "--gateway", "gw-1", "--json"];
        assert!(Args::try_parse_from(export).unwrap_err().to_string().contains("--output"), "one output, one meaning");
    }
}
