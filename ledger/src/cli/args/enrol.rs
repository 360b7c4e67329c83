//! What `plomb-hub enrol` takes.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, ClapArgs)]
pub(crate) struct EnrolArgs {
    #[command(subcommand)]
    pub(crate) what: EnrolCommand,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  plomb-hub enrol pin --config hub.toml
  plomb-hub enrol list --config hub.toml
  plomb-hub enrol approve --config hub.toml gw-7 --claim 7K2M-9QXA
  plomb-hub enrol approve --config hub.toml gw-8 --file request.cbor \\
    --claim 7K2M-9QXA-11CD-0ZP4 --out grant.cbor
  plomb-hub enrol refuse --config hub.toml gw-7 --reason \"not ours\"")]
pub(crate) enum EnrolCommand {
    /// Print the pin of this hub's TLS key: `plomb enrol --hub-pin` takes it.
    Pin(EnrolPinArgs),
    /// List the gateways that ask to be taken on.
    List(EnrolListArgs),
    /// Approve one, by the claim code that it shows on site.
    Approve(EnrolApproveArgs),
    /// Refuse one.
    Refuse(EnrolRefuseArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  plomb-hub enrol pin --config hub.toml

The pin is the SHA-256 of the server key's SubjectPublicKeyInfo. With OpenSSL:
  openssl x509 -in server.crt -noout -pubkey \\
      | openssl pkey -pubin -outform der | sha256sum")]
pub(crate) struct EnrolPinArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  plomb-hub enrol list --config hub.toml --json | jq .enrolments")]
pub(crate) struct EnrolListArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub enrol approve --config hub.toml gw-7 --claim 7K2M-9QXA
  plomb-hub enrol approve --config hub.toml gw-7 \\
    --claim PLOMB1:GW-7:5F0C…:7K2M9QXA
  plomb-hub enrol approve --config hub.toml gw-8 --file request.cbor \\
    --claim 7K2M-9QXA-11CD-0ZP4 --out grant.cbor

The claim code is shown by `plomb enrol` on the gateway: let the installer
read it out, or scan the QR code and give its whole line. Read the words that
are printed here to the installer: the certificate is issued when he confirms
on site that the gateway shows the same. With --file it is issued at once:
have him compare before the gateway is used, and revoke it if the words
differ.")]
pub(crate) struct EnrolApproveArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The gateway.
    pub(crate) gateway: String,
    /// The claim code, or the whole line of the QR code.
    #[arg(long, value_name = "CODE")]
    pub(crate) claim: String,
    /// For how many days.
    #[arg(long, default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=7300))]
    pub(crate) days: u32,
    /// Certify as the member whose keys are in this folder; as the hub's own if not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) member: Option<PathBuf>,
    /// The request came as a file, from a site without a network.
    #[arg(long, value_name = "FILE", requires = "out")]
    pub(crate) file: Option<PathBuf>,
    /// Where the grant for the gateway goes; it must not be there yet.
    #[arg(long, value_name = "FILE", requires = "file")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub enrol refuse --config hub.toml gw-7 --reason \"not ours\"
  plomb-hub enrol refuse --config hub.toml --all-open --reason \"a flood\"")]
pub(crate) struct EnrolRefuseArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The gateway.
    #[arg(required_unless_present = "all_open")]
    pub(crate) gateway: Option<String>,
    /// All that wait and are not approved. Honest ones among them ask again.
    #[arg(long, conflicts_with = "gateway")]
    pub(crate) all_open: bool,
    /// Why; the gateway shows it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
