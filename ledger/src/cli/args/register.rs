//! What the commands of the register take: members, votes, lookups, submission.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, ClapArgs)]
pub(crate) struct MemberArgs {
    #[command(subcommand)]
    pub(crate) what: MemberCommand,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  plomb-hub member new retailer --name retailer
  plomb-hub member vote --config hub.toml add retailer/member.json
  plomb-hub member vote --config hub.toml --member retailer quorum 2
  plomb-hub ledger members --config hub.toml")]
pub(crate) enum MemberCommand {
    /// Make key and authority of a member that is to be.
    New(NewMemberArgs),
    /// Vote for a change of members or quorum.
    Vote(VoteArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  plomb-hub member new retailer --name retailer

The keys stay with the new member. The others need member.json to vote for it.")]
pub(crate) struct NewMemberArgs {
    /// Where the files go; they must not be there yet.
    pub(crate) dir: PathBuf,
    /// Its name: 1 to 64 characters from a-z, 0-9 and '-'; nobody's before.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// Print what was made as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub member vote --config hub.toml add retailer/member.json
  plomb-hub member vote --config hub.toml --member retailer remove operator

A change takes effect when a quorum of members voted for the very same.
Certificates of a member that leaves hold no longer: let another member certify
their keys before.")]
pub(crate) struct VoteArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Vote as the member whose keys are in this folder; as the hub's own if not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) member: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) what: VoteFor,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VoteFor {
    /// A member joins.
    #[command(after_help = "Example:
  plomb-hub member vote --config hub.toml add retailer/member.json")]
    Add {
        /// Its card, as `plomb-hub member new` made it.
        card: PathBuf,
    },
    /// A member leaves.
    #[command(after_help = "Example:
  plomb-hub member vote --config hub.toml --member retailer remove operator")]
    Remove {
        /// Its name.
        name: String,
    },
    /// So many members must agree from now on.
    #[command(after_help = "Example:
  plomb-hub member vote --config hub.toml quorum 2")]
    Quorum {
        /// How many.
        number: u32,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LedgerArgs {
    #[command(subcommand)]
    pub(crate) what: LedgerCommand,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  plomb-hub ledger history --config hub.toml --gateway gw-1
  plomb-hub ledger show --config hub.toml 17 --proof 17.tlog-proof
  plomb-hub ledger due --config hub.toml --gateway gw-1
  plomb-hub ledger members --config hub.toml")]
pub(crate) enum LedgerCommand {
    /// List transactions, the oldest first: certificates, votes, configurations, commands, outcomes.
    History(HistoryArgs),
    /// Show one transaction in full, with its proof.
    Show(ShowArgs),
    /// Show what a gateway has to do, and what is in force there.
    Due(DueArgs),
    /// Show members, quorum and undecided votes.
    Members(MembersArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub ledger history --config hub.toml --gateway gw-1 --version 3
  plomb-hub ledger history --config hub.toml --author boss --kind config --json
  plomb-hub ledger history --config hub.toml --point cellar-water

All that is given must fit. Anchors are in `plomb-hub archive list`.")]
pub(crate) struct HistoryArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// About this gateway.
    #[arg(long, value_name = "NAME")]
    pub(crate) gateway: Option<String>,
    /// About this measuring point.
    #[arg(long, value_name = "NAME")]
    pub(crate) point: Option<String>,
    /// Signed by this member, admin, operator or gateway.
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<String>,
    /// About this holder of a certificate, or this member.
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Option<String>,
    /// The configuration of this version, and what became of it; needs --gateway.
    #[arg(long, value_name = "NUMBER", requires = "gateway")]
    pub(crate) version: Option<u64>,
    /// Of this kind: genesis, member, certificate, sealing-key, config, command, approval, outcome.
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// From this index in the log on.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub(crate) from: u64,
    /// Print each line as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb-hub ledger show --config hub.toml 17
  plomb-hub ledger show --config hub.toml 17 --proof 17.tlog-proof \\
    --bytes 17.cose")]
pub(crate) struct ShowArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Its index in the log, or its leaf hash in hexadecimal.
    pub(crate) transaction: String,
    /// Write its proof (C2SP tlog-proof) to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) proof: Option<PathBuf>,
    /// Write its bytes (COSE_Sign1) to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) bytes: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  plomb-hub ledger due --config hub.toml --gateway gw-1")]
pub(crate) struct DueArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Which gateway.
    #[arg(long, value_name = "NAME")]
    pub(crate) gateway: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  plomb-hub ledger members --config hub.toml")]
pub(crate) struct MembersArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  plomb-hub submit --config hub.toml config-4.cose

The file holds one transaction as its author signed it (COSE_Sign1). The same
file again gives the same answer.")]
pub(crate) struct SubmitArgs {
    /// The hub's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The transaction.
    pub(crate) file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
