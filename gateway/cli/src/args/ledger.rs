//! What `plomb ledger` takes.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use plomb_seal::Name;

use super::PartyArgs;

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples, with PLOMB_AS and PLOMB_HUB set, or --as and --hub:
  plomb ledger gateways
  plomb ledger history --gateway gw-1 --prove
  plomb ledger show 17
  plomb ledger diff 3 4 --gateway gw-1
  plomb ledger export 1f2a… -o order.story")]
pub(crate) struct LedgerArgs {
    #[command(subcommand)]
    pub(crate) verb: LedgerVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerVerb {
    /// List what was changed, ordered and answered: who, when, why, and what became of it.
    History(HistoryArgs),
    /// Show one transaction, and check its proof and its signature.
    Show(ShowArgs),
    /// Show what changed between two configurations, for who sealed them.
    Diff(DiffArgs),
    /// List the gateways: version, what waits, sealing key.
    Gateways(GatewaysArgs),
    /// Write an order and what became of it to a file that proves itself.
    Export(StoryArgs),
    /// Write a gateway's sealing key with its proofs to a file, to seal without a network.
    Recipient(RecipientArgs),
    /// Bring a transaction to the ledger that was signed elsewhere.
    Submit(SubmitArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Lines are as the hub tells them. With --prove each transaction is fetched with its proof,
and checked under your folder's policy.txt: that it is on the ledger, who signed it, and
that the line says what it says. A hub can still leave lines out; an auditor who wants all
replays the log (docs/ledger.md).

Examples:
  plomb ledger history --gateway gw-1 --as alice --hub https://hub.example:8443
  plomb ledger history --point flat-3-power --kind command --prove
  plomb ledger history --gateway gw-1 --version 4 --json | jq -c '[.kind, .action, .status]'

Exit codes: 0 done, 1 a line is not proved, 4 there is no line, 64 wrong usage, 69 the hub
can't be asked, 77 your certificate is not taken, 78 your folder is wrong.")]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// About this gateway.
    #[arg(long, value_name = "ID")]
    pub(crate) gateway: Option<Name>,
    /// About this measuring point.
    #[arg(long, value_name = "NAME")]
    pub(crate) point: Option<Name>,
    /// Signed by this party.
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<Name>,
    /// About this holder of a certificate, or this member.
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Option<Name>,
    /// The configuration of this version, and what became of it.
    #[arg(long, value_name = "N", requires = "gateway")]
    pub(crate) version: Option<u64>,
    /// Of this kind: config, command, approval, outcome, certificate, member, sealing-key.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub(crate) kind: Option<String>,
    /// From this index in the log on.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub(crate) from: u64,
    /// Check every line.
    #[arg(long)]
    pub(crate) prove: bool,
}

fn kind(text: &str) -> Result<String, String> {
    match plomb_seal::transaction::Kind::from_name(text) {
        Some(kind) => Ok(kind.name().into()),
        None => Err("kinds: config, command, approval, outcome, certificate, member, sealing-key, genesis".into()),
    }
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Checks that the transaction is on the ledger, under your folder's policy.txt, and who
signed it, by certificates that are on the ledger themselves. --bytes and --proof write
both pieces for others: `plomb verify BYTES --proof PROOF --policy POLICY`. A certificate
itself is in the bytes of the transaction that issued it: find that one with `plomb ledger
history --kind certificate`, and show it with --bytes.

Examples:
  plomb ledger show 17 --as alice --hub https://hub.example:8443
  plomb ledger show 1f2a… --bytes order.cose --proof order.tlog-proof

Exit codes: 0 proved, 1 not proved, 64 wrong usage, 69 there is none, or the hub can't be
asked, 74 reading or writing failed, 77 your certificate is not taken, 78 your folder is
wrong.")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Write its bytes there.
    #[arg(long, value_name = "FILE")]
    pub(crate) bytes: Option<PathBuf>,
    /// Write its proof of logging there (C2SP tlog-proof).
    #[arg(long, value_name = "FILE")]
    pub(crate) proof: Option<PathBuf>,
    /// The transaction: its leaf hash, or its index in the log.
    pub(crate) transaction: String,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Contents come from FOLDER/sealed/, where `plomb config propose` keeps them; each is
checked against what the ledger says of it. Version 0 is an empty file. Passwords and keys
are masked.

Examples:
  plomb ledger diff 3 4 --gateway gw-1 --as alice --hub https://hub.example:8443

Exit codes: 0 done, 1 what is kept is not what was sealed, or the hub lies, 64 wrong
usage, 69 a content is not here, or the hub can't be asked, 74 reading failed, 77 your
certificate is not taken, 78 your folder is wrong.")]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// The gateway.
    #[arg(long, value_name = "ID")]
    pub(crate) gateway: Name,
    /// How many lines around a change are shown.
    #[arg(long, value_name = "LINES", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) context: u16,
    /// The earlier version.
    pub(crate) old: u64,
    /// The later one.
    pub(crate) new: u64,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb ledger gateways --as alice --hub https://hub.example:8443
  plomb ledger gateways --json | jq -c 'select(.pending != [])'

Exit codes: 0 done, 4 there is none, 64 wrong usage, 69 the hub can't be asked, 77 your
certificate is not taken, 78 your folder is wrong.")]
pub(crate) struct GatewaysArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Only these.
    #[arg(value_name = "ID")]
    pub(crate) gateways: Vec<Name>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "The file holds the order, its author's certificate, the approval if there is one, every
answer of the gateway, and the ledger's founding, each with its proof: `plomb verify FILE
--policy POLICY` checks it without network or hub. --content adds what was sealed, if you
sealed it.

Examples:
  plomb ledger export 1f2a… -o order.story --as alice --hub https://hub.example:8443
  plomb verify order.story --policy policy.txt

Exit codes: 0 done, 1 something of it is not proved, 64 wrong usage, 69 there is none, or
the hub can't be asked, 74 reading or writing failed, 77 your certificate is not taken, 78
your folder is wrong.")]
pub(crate) struct StoryArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Where to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// With what was sealed, from FOLDER/sealed/.
    #[arg(long)]
    pub(crate) content: bool,
    /// The configuration or command: its leaf hash, or its index in the log.
    pub(crate) order: String,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb ledger recipient gw-1 -o gw-1.recipient --as alice --hub https://hub.example:8443

Exit codes: 0 done, 1 it is not proved, 64 wrong usage, 69 there is none, or the hub can't
be asked, 74 writing failed, 77 your certificate is not taken, 78 your folder is wrong.")]
pub(crate) struct RecipientArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Where to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The gateway.
    pub(crate) gateway: Name,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb ledger submit order.cose --as alice --hub https://hub.example:8443

Exit codes: 0 admitted, 64 wrong usage, 65 refused by the ledger, 69 the hub can't be
asked, 74 reading failed, 77 your certificate is not taken, 78 your folder is wrong.")]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// The signed transaction.
    pub(crate) file: PathBuf,
}
