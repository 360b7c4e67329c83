//! What the verbs take that act on the ledger.

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use plomb_seal::{Name, transaction::Priority};

/// Who acts, and at which hub.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct PartyArgs {
    /// Who acts: the folder that `plomb-hub certify` made [default: $PLOMB_AS].
    #[arg(long = "as", value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// The hub's HTTPS: https://HOST[:PORT] [default: $PLOMB_HUB].
    #[arg(long, value_name = "URL")]
    pub(crate) hub: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb config check plombd.toml
  plomb config propose plombd.toml --gateway gw-1 --priority urgent --wait 5m \\
      --reason \"new\" --as alice --hub https://hub.example:8443")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Find every mistake in a plombd.toml.
    Check(CheckArgs),
    /// Send a configuration to a gateway, over the ledger.
    Propose(ProposeArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Every mistake is told, not only the first, each with file, line, column and what would be
right; numbers in quotes too, which plombd would take. Nothing is changed, nothing is asked
over the network. What a gateway's own files hold (keys, secrets, certificates, models) can
be seen on the gateway only: there, give --on-gateway.

Examples:
  plomb config check plombd.toml
  plomb config check --on-gateway /etc/plomb/plombd.toml
  plomb config check --json plombd.toml | jq -r '.findings[] | [.line, .what] | @tsv'

Exit codes: 0 nothing is wrong, 78 something is, 64 wrong usage, 74 the file can't be
read.")]
pub(crate) struct CheckArgs {
    /// Look at the files that it names, too: on the gateway, as its user.
    #[arg(long)]
    pub(crate) on_gateway: bool,
    /// The configuration.
    pub(crate) file: PathBuf,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "The file is checked first, and goes nowhere if something is wrong. It is sealed to the
gateway's own key, which is verified under your folder's policy.txt: the hub can't read
it, and can't pass off another key. You sign it; the ledger admits or refuses it by its
rules; the gateway checks it all again, tries it, applies it, and rolls it back by itself
if it can't go on with it.

--base is the version that you started from: if somebody changed the gateway meanwhile,
the ledger refuses, and nothing is lost. Without it, the hub's word for the last version
is taken.

What you sealed is kept in FOLDER/sealed/, for your eyes alone: only with it can you show
later what it was (`plomb ledger diff`, `plomb ledger export --content`).

A site without a network: take `plomb ledger recipient` there, write the signed transaction
with --out, and carry it to `plomb ledger submit`.

Examples:
  plomb config propose plombd.toml --gateway gw-1 --priority routine --base 3 \\
      --reason \"two new heat meters\" --as alice --hub https://hub.example:8443
  plomb config propose plombd.toml --gateway gw-1 --priority urgent --reason \"new\" --wait 5m
  plomb config propose plombd.toml --gateway gw-1 --priority routine --reason \"tariffs\" \\
      --at 2026-12-01T01:00:00Z/2026-12-01T03:00:00Z
  plomb config propose plombd.toml --gateway gw-1 --priority routine --reason \"carried\" \\
      --recipient gw-1.recipient --base 3 --out order.cose --as alice

Exit codes: 0 admitted (with --wait: applied), 1 with --wait: refused by the gateway,
rolled back or failed, or the hub lies; 3 with --wait: no answer in time, 64 wrong usage,
65 refused by the ledger, 69 the hub can't be asked, 74 reading or writing failed, 77 your
certificate is not taken, 78 the configuration or your folder is wrong.")]
pub(crate) struct ProposeArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// The gateway.
    #[arg(long, value_name = "ID")]
    pub(crate) gateway: Name,
    /// How urgent: in the maintenance window, at the end of the running poll, or at once.
    #[arg(long, value_enum)]
    pub(crate) priority: PriorityArg,
    /// The version that it was made from, 0 for the first [default: the last that the hub knows of].
    #[arg(long, value_name = "VERSION")]
    pub(crate) base: Option<u64>,
    /// When to apply it: FROM/UNTIL, both RFC 3339.
    #[arg(long, value_name = "FROM/UNTIL", value_parser = window)]
    pub(crate) at: Option<(i64, i64)>,
    /// Why. Everybody with the ledger can read it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Wait so long for what becomes of it: 90s, 5m.
    #[arg(long, value_name = "TIME", value_parser = crate::show::duration)]
    pub(crate) wait: Option<Duration>,
    /// Do not ask back. Needed where standard input is no terminal: nobody could answer there.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Write the signed transaction to a file instead of submitting it.
    #[arg(long, value_name = "FILE", requires = "recipient", requires = "base", conflicts_with = "wait")]
    pub(crate) out: Option<PathBuf>,
    /// The gateway's sealing key with its proofs, from `plomb ledger recipient`.
    #[arg(long, value_name = "FILE")]
    pub(crate) recipient: Option<PathBuf>,
    /// The configuration: a plombd.toml.
    pub(crate) file: PathBuf,
}

/// How urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PriorityArg {
    /// In the maintenance window.
    Routine,
    /// At the end of the running poll.
    Urgent,
    /// At once.
    Immediate,
}

impl From<PriorityArg> for Priority {
    fn from(priority: PriorityArg) -> Self {
        match priority {
            PriorityArg::Routine => Self::Routine,
            PriorityArg::Urgent => Self::Urgent,
            PriorityArg::Immediate => Self::Immediate,
        }
    }
}

fn window(text: &str) -> Result<(i64, i64), String> {
    let wrong = || format!("\"{text}\" is no window: write 2026-12-01T01:00:00Z/2026-12-01T03:00:00Z");
    let (from, until) = text.split_once('/').ok_or_else(wrong)?;
    let [from, until] = [from, until].map(crate::show::instant);
    match (from, until) {
        (Some(from), Some(until)) if from < until => Ok((from, until)),
        (Some(_), Some(_)) => Err("a window ends after it begins".into()),
        _ => Err(wrong()),
    }
}

/// What to do at a measuring point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CommandVerb {
    /// Open the breaker or the contactor.
    Disconnect,
    /// Close it again.
    Reconnect,
    /// Read the meter now.
    Read,
    /// Set the meter's clock.
    SyncClock,
    /// Hand the meter a prepayment token.
    Credit,
    /// Give the meter an activity calendar.
    SetTariff,
    /// Open or close the valve.
    Valve,
}

impl CommandVerb {
    /// As the ledger names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Reconnect => "reconnect",
            Self::Read => "read",
            Self::SyncClock => "sync-clock",
            Self::Credit => "credit",
            Self::SetTariff => "set-tariff",
            Self::Valve => "valve",
        }
    }
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "The command is sealed to the gateway, signed by you, and admitted once: under the next
counter of the gateway, until it expires. The gateway never executes it twice, nor too
late. With --needs 2 another operator must approve it first: `plomb approve LEAF`; with
--wait too that is waited for. What `read` read is shown by `plomb ledger show LEAF`.

A token of `credit` is read from standard input with -, so that it stands in no history of
commands; nobody can be asked there then, so give --yes. Token and tariff are checked before
anything is sealed. What was sealed is kept in FOLDER/sealed/, for your eyes alone.

Examples:
  plomb command gw-1 flat-3-power disconnect --reason \"moved out\" \\
      --as otto --hub https://hub.example:8443
  plomb command gw-1 flat-3-power read --wait 60s
  plomb command gw-1 flat-3-power credit - --yes --wait 60s < token.txt
  plomb command gw-1 flat-3-power set-tariff winter.toml --reason \"winter\"
  plomb command gw-1 cellar-water valve close --needs 2 --expires 1h --reason \"burst pipe\"

Exit codes: 0 admitted (with --wait: done), 1 with --wait: refused by the gateway or
failed, or the hub lies; 3 with --wait: no answer in time, 64 wrong usage, 65 refused by
the ledger, 69 the hub can't be asked, 74 reading or writing failed, 77 your certificate
is not taken, 78 your folder is wrong.")]
pub(crate) struct CommandArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Not to be executed after so long: 15m, 2h.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = crate::show::duration)]
    pub(crate) expires: Duration,
    /// How many operators must sign: 1 or 2.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) needs: u8,
    /// Why. Everybody with the ledger can read it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    /// Wait so long for what becomes of it: 90s, 5m.
    #[arg(long, value_name = "TIME", value_parser = crate::show::duration)]
    pub(crate) wait: Option<Duration>,
    /// Do not ask back. Needed where standard input is no terminal: nobody could answer there.
    #[arg(long)]
    pub(crate) yes: bool,
    /// The gateway.
    pub(crate) gateway: Name,
    /// The measuring point.
    pub(crate) point: Name,
    /// What to do.
    #[arg(value_enum)]
    pub(crate) verb: CommandVerb,
    /// The token, or - to read it; the tariff's file; open or close.
    pub(crate) value: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Shows what is approved, as its signed bytes have it, and asks. The one who sent a command
can't approve it.

Examples:
  plomb approve 1f2a… --as olga --hub https://hub.example:8443
  plomb approve 1f2a… --as olga --yes --wait 60s

Exit codes: as of `plomb command`.")]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Wait so long for what becomes of the command.
    #[arg(long, value_name = "TIME", value_parser = crate::show::duration)]
    pub(crate) wait: Option<Duration>,
    /// Do not ask. Needed where standard input is no terminal.
    #[arg(long)]
    pub(crate) yes: bool,
    /// The command: its leaf hash, or its index in the log.
    pub(crate) command: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_two_moments_in_their_order() {
        assert_eq!(window("1970-01-01T00:00:01Z/1970-01-01T02:00:00+01:00"), Ok((1000, 3_600_000)));
        for wrong in ["", "1970-01-01/1970-01-02", "1970-01-01T00:00:01Z", "1970-01-01T00:00:01Z/1970-01-01T00:00:01Z"]
        {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }
}
