//! What the command line takes.

mod dlms;
mod enrol;
mod ledger;
mod modbus;
mod party;
mod scan;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use plomb_dlms::security::SystemTitle;
use plomb_gateway::config::bounds::TIMEOUT_MS_MAX;

pub(crate) use dlms::{Auth, DlmsMeterArgs, Framing, OperateArgs, Operation, ReadDlmsArgs};
pub(crate) use enrol::EnrolArgs;
pub(crate) use ledger::{
    DiffArgs, GatewaysArgs, HistoryArgs, LedgerArgs, LedgerVerb, RecipientArgs, ShowArgs, StoryArgs, SubmitArgs,
};
pub(crate) use modbus::ReadModbusArgs;
pub(crate) use party::{
    ApproveArgs, CheckArgs, CommandArgs, CommandVerb, ConfigArgs, ConfigVerb, PartyArgs, ProposeArgs,
};
pub(crate) use scan::ScanArgs;

/// Where the daemon's configuration is by default.
pub(crate) const CONFIG_DEFAULT: &str = "/etc/plomb/plombd.toml";
/// The environment variable that names another one.
pub(crate) const CONFIG_ENVIRONMENT: &str = "PLOMB_CONFIG";

/// Meter readings that prove themselves: decode, look, export, verify.
#[derive(Debug, Parser)]
#[command(
    name = "plomb",
    version,
    after_help = "Examples:
  plomb demo --for 20s                            a whole street, checked at the end
  plomb decode 680909680801780C13652501002B16     what a meter's telegram says
  plomb status                                    how the gateway is
  plomb export --since 24h --receipted -o day.plomb    a file that proves itself
  plomb verify day.plomb                          checks it, without network or daemon
  plomb config check plombd.toml                  every mistake, with its line
  plomb ledger history --gateway gw-1             who changed what, and what came of it

Exit codes: 0 done, 64 wrong usage, 69 unavailable, 74 reading or writing failed,
77 not allowed, 78 wrong configuration; each command's help names its own. With --json a
failure is a document too (plomb.error/1). NO_COLOR turns colours off."
)]
pub(crate) struct Args {
    /// Print JSON: one document, or one a line for a stream. Each names its schema.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say what telegrams mean.
    Decode(DecodeArgs),
    /// Check an export, and say what it proves.
    Verify(VerifyArgs),
    /// Write entries with their proofs to a file.
    Export(ExportArgs),
    /// Show how the gateway is.
    Status(StatusArgs),
    /// Show entries as they become durable.
    Tail(TailArgs),
    /// Read a meter now.
    Read(ReadArgs),
    /// Have a DLMS meter disconnect, reconnect, or set its clock, now and unrecorded.
    Operate(OperateArgs),
    /// Find the meters on a wire or in the air.
    Scan(ScanArgs),
    /// Check a file of meter keys, or make one from a vendor's list.
    Keys(KeysArgs),
    /// Have this gateway taken on by a hub: its key is made here.
    Enrol(EnrolArgs),
    /// Check a configuration, or send one to a gateway over the ledger.
    Config(ConfigArgs),
    /// Send a command to a meter, over the ledger.
    Command(CommandArgs),
    /// Approve a command that needs two operators.
    Approve(ApproveArgs),
    /// Look up who changed, ordered and answered what, with proofs.
    Ledger(LedgerArgs),
    /// Bring up a whole street, show what arrives, and check what was proved.
    Demo(DemoArgs),
}

impl Verb {
    /// Whether standard output is for something else than documents: an export, as it is.
    pub(crate) fn fills_stdout(&self) -> bool {
        matches!(self, Self::Export(args) if args.output.as_os_str() == "-")
    }
}

/// Where the daemon is.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct DaemonArgs {
    /// The daemon's configuration [default: $PLOMB_CONFIG, or /etc/plomb/plombd.toml].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The daemon's socket, when the configuration is elsewhere.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

/// How telegrams are framed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Wired M-Bus.
    #[default]
    Mbus,
    /// Wireless M-Bus.
    Wmbus,
    /// DLMS/COSEM: APDUs, also in HDLC or M-Bus frames or under a wrapper.
    Dlms,
    /// P1 telegrams: text, or its bytes in hexadecimal.
    P1,
}

impl Protocol {
    /// As answers name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mbus => "mbus",
            Self::Wmbus => "wmbus",
            Self::Dlms => "dlms",
            Self::P1 => "p1",
        }
    }
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "One line in, one answer out: each line is a telegram in hexadecimal; spaces, colons, a
leading 0x and # comments are allowed, and lines as rtl_wmbus prints them. A line that can't
be decoded gives an answer with \"ok\": false, its kind, a message and the offset of the
first wrong byte (for kind \"hex\": the column in the line), and the next line follows. Where
a telegram breaks off inside a record, or its checksum is wrong, the answer also has what
could be read. Empty lines are answered too (kind \"empty\"). \"more\": true says that more
records follow in the meter's next telegram.

What a line is, is found out: a wired or a wireless M-Bus telegram; DLMS in HDLC frames, in
M-Bus frames, under a wrapper, or an APDU or a value by itself; a P1 telegram. --protocol
forces one. Segments and blocks of an APDU are joined over lines, and frames may lie one
behind the other in a line. P1 telegrams are text, from the line with / to the line with !,
and have one answer each; or the bytes of that text in hexadecimal.

A secrets file has a line a secret, and nobody else may read it (chmod 600):

  # NAME           what            value
  flat-3           encryption      32 hexadecimal digits
  flat-3           authentication  32 hexadecimal digits

Without the authentication key the APDU is deciphered, and called not authenticated. Keys,
passwords and challenges are never shown.

Examples:
  plomb decode 68 09 09 68 08 01 78 0C 13 65 25 01 00 2B 16
  plomb decode C4 01 C1 00 06 00 01 E2 40                 what a meter answers to a GET
  plomb decode \"$(cat p1.txt)\"
  plomb decode --json - < telegrams.hex
  plomb decode --keys keys.txt --annotate - < heard.hex
  plomb decode --secrets secrets.txt --annotate - < pushed.hex
  plomb decode --secrets secrets.txt --title 4D4D4D0000BC614E - < asked.hex
  tail -f bus.hex | plomb decode --json | jq -c '.records[] | [.obis, .value, .unit]'

Exit codes: 0 at least one line was decoded, 65 none was, 66 none was for want of a key,
64 wrong usage, 74 reading or writing failed, 78 a file of keys is wrong.")]
pub(crate) struct DecodeArgs {
    /// The protocol [default: each line's is found out].
    #[arg(long, value_enum)]
    pub(crate) protocol: Option<Protocol>,
    /// Keys of M-Bus meters: a line each, `ID KEY`, readable by nobody else. See `plomb keys --help`.
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// Keys of DLMS meters: a line each, `NAME encryption KEY` and `NAME authentication KEY`, readable by nobody else.
    /// All are tried, first those whose NAME is the sender's system title.
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<PathBuf>,
    /// The system title of the sender, for DLMS APDUs that do not name it: 16 digits.
    #[arg(long, value_name = "HEX", value_parser = system_title)]
    pub(crate) title: Option<SystemTitle>,
    /// A folder of meter models beside the shipped ones, a `.toml` file each.
    #[arg(long, value_name = "DIR")]
    pub(crate) profiles: Option<PathBuf>,
    /// Show what each byte is; of what a key opens, the decrypted bytes.
    #[arg(long)]
    pub(crate) annotate: bool,
    /// Take a payload in clear under an encrypting header, as published samples have it. Anyone can make
    /// such a telegram: for tests only.
    #[arg(long)]
    pub(crate) accept_decrypted_samples: bool,
    /// Telegrams in hexadecimal, or P1 telegrams as text; `-`, or none, reads lines from standard input. Arguments of
    /// two digits each are the bytes of one telegram.
    #[arg(value_name = "HEX")]
    pub(crate) telegrams: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Without --policy the export is checked against the policy in the file itself: that shows
that it agrees with itself and with the keys that it names, and no more. Give the ledger's
policy.txt, got from somebody you trust, to prove it against whoever made the file: it lies
in the hub's folder, and beside each certificate that `plomb-hub certify` issues.

Examples:
  plomb verify gw-0001.plomb
  plomb verify --policy policy.txt --json gw-0001.plomb | jq .verdict
  plomb verify --reaches 0:1999 gw-0001.plomb    entry 1999 exists: is the file long enough?
  plomb verify --policy policy.txt --entries --json gw-0001.plomb | jq .records
  plomb verify --policy policy.txt order.story    an order and what became of it
  plomb verify --policy policy.txt --proof order.tlog-proof order.cose    one transaction

Besides exports it takes the stories of `plomb ledger export`, and with --proof one
transaction, as `plomb ledger show --bytes --proof` writes them. A transaction's signature
is checked by the certificate that --certificate names: the bytes of the transaction that
issued it.

Exit codes: 0 proved, 1 tampered, 3 incomplete, 64 wrong usage, 74 the file can't be read,
78 wrong policy.")]
pub(crate) struct VerifyArgs {
    /// Your own trust: which logs and witnesses to believe (C2SP tlog-policy).
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// An entry that is known to exist: the export must reach it.
    #[arg(long, value_name = "EPOCH:SEQ", value_parser = place)]
    pub(crate) reaches: Option<(u32, u64)>,
    /// The file is a transaction, and this is its proof of logging (C2SP tlog-proof).
    #[arg(long, value_name = "FILE", requires = "policy", conflicts_with = "reaches")]
    pub(crate) proof: Option<PathBuf>,
    /// The transaction that issued its author's certificate.
    #[arg(long, value_name = "FILE", requires = "proof")]
    pub(crate) certificate: Option<PathBuf>,
    /// Print the entries that are proved, if all are: text, or with --json a document a line, as `plomb tail` does. The
    /// verdict goes to standard error then.
    #[arg(long, conflicts_with = "proof")]
    pub(crate) entries: bool,
    /// The export, story or transaction; `-` for standard input.
    pub(crate) file: PathBuf,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Asks the running daemon; when none runs, reads the journal's file, changing nothing. A
range of time is widened to whole batches. The file appears whole or not at all. A running
gateway always has entries that wait for their receipt: --receipted leaves them out.

Examples:
  plomb export -o all.plomb
  plomb export --since 2026-01-01 --until 2026-02-01 --receipted -o january.plomb
  plomb export --point flat-3-heat --no-frames -o - | plomb verify -
  plomb export --entry 0:1234 -o one.plomb

Exit codes: 0 done, 64 wrong usage or an unknown point, 69 neither daemon nor journal, or
nothing that fits, 74 reading or writing failed, 77 not allowed, 78 wrong configuration.")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// Only batches closed since: 2h, 7d, 2026-01-01, or RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only batches opened before.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// One measuring point only.
    #[arg(long, value_name = "NAME", conflicts_with = "entry")]
    pub(crate) point: Option<String>,
    /// One entry only: its number, or epoch and number; without an epoch the present one.
    #[arg(long, value_name = "[EPOCH:]SEQ", value_parser = open_place)]
    pub(crate) entry: Option<(Option<u32>, u64)>,
    /// Only what has a receipt of the ledger.
    #[arg(long)]
    pub(crate) receipted: bool,
    /// Leave the raw frames out.
    #[arg(long)]
    pub(crate) no_frames: bool,
    /// Where to write; `-` for standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb status
  plomb status --watch
  plomb status --json | jq '.points[] | select(.failures_in_a_row > 0)'

Exit codes: 0 all is well, 1 degraded, 2 the daemon is down, 64 wrong usage,
77 not allowed, 78 wrong configuration; 130 a watch ended by ctrl-C.")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// Show it again every two seconds.
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb tail
  plomb tail --past 100 --point flat-3-heat
  plomb tail --json | jq -c '[.point, .records[0].value]'

Exit codes: 130 ended by ctrl-C, 69 the daemon is down or stopped, 64 wrong usage or an
unknown point, 77 not allowed, 78 wrong configuration.")]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// Begin with this many entries of the past.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) past: u64,
    /// Only this measuring point.
    #[arg(long, value_name = "NAME")]
    pub(crate) point: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "With --point the running daemon reads the meter out of its turn, and enters the reading;
when no daemon runs, the meter is read directly as configured. `read mbus` needs no
configuration.

Examples:
  plomb read --point flat-3-heat
  plomb read mbus /dev/ttyUSB0 --address 5
  plomb read mbus /dev/ttyUSB0 --secondary 12345678.ACW.0E.07 --baud 300 --json
  plomb read mbus tcp://10.0.0.7:10001 --address 1 --raw

Exit codes: 0 read, 64 wrong usage, 69 the meter did not answer rightly, 77 not allowed,
78 wrong configuration.")]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// The measuring point.
    #[arg(long, value_name = "NAME")]
    pub(crate) point: Option<String>,
    #[command(subcommand)]
    pub(crate) line: Option<ReadLine>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReadLine {
    /// A wired M-Bus meter, without any configuration.
    Mbus(ReadMbusArgs),
    /// A DLMS/COSEM meter, without any configuration.
    Dlms(ReadDlmsArgs),
    /// A Modbus meter, without any configuration.
    Modbus(ReadModbusArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  plomb read mbus /dev/ttyUSB0 --address 5
  plomb read mbus /dev/ttyUSB0 --secondary 12345678 --timeout-ms 1000

Exit codes: 0 read, 64 wrong usage, 69 the meter did not answer rightly.")]
#[command(group = clap::ArgGroup::new("which").required(true).args(["address", "secondary"]))]
pub(crate) struct ReadMbusArgs {
    /// A serial port, tcp://host:port or udp://host:port.
    pub(crate) port: String,
    /// The primary address, 0 to 250; 254 reads whichever meter is alone on the line.
    #[arg(long, value_name = "N", value_parser = primary)]
    pub(crate) address: Option<u8>,
    /// The secondary address: 12345678, or 12345678.ACW.0E.07 with * for any part.
    #[arg(long, value_name = "ID", value_parser = secondary)]
    pub(crate) secondary: Option<String>,
    /// Line speed, in bits a second.
    #[arg(long, default_value_t = 2400, value_parser = clap::value_parser!(u32).range(300..=115_200))]
    pub(crate) baud: u32,
    /// Parity.
    #[arg(long, value_enum, default_value = "even")]
    pub(crate) parity: Parity,
    /// How long an answer may take to begin, in milliseconds [default: by the standard and the line speed].
    #[arg(long, value_name = "MS", value_parser = timeout_ms)]
    pub(crate) timeout_ms: Option<u32>,
    /// Meters' keys, for one that encrypts. See `plomb keys --help`.
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// Show the raw frames too.
    #[arg(long)]
    pub(crate) raw: bool,
}

/// Parity of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Parity {
    /// As the standard has it.
    Even,
    /// None.
    None,
    /// Odd.
    Odd,
}

impl Parity {
    /// The word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::None => "none",
            Self::Odd => "odd",
        }
    }
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "A key file has a line a meter, and nobody else may read it (chmod 600):

  # ID [MANUFACTURER [VERSION [MEDIUM]]] KEY
  12345678 00112233445566778899AABBCCDDEEFF
  12345678 KAM 1B 16 FFEEDDCCBBAA99887766554433221100

Eight digits as on the meter; manufacturer, version and medium only where digits collide; 32
hexadecimal digits of key. Keys are never shown. `plomb decode --keys FILE` tries them on a
captured telegram; plombd takes the file from `meter_keys` in [gateway].

Examples:
  plomb keys check /etc/plomb/keys
  plomb keys import delivery.csv -o keys
  plomb keys import delivery.kem --password-file password.txt -o keys

Exit codes: 0 done, 65 the list holds no key, 64 wrong usage, 74 reading or writing failed,
78 the file is wrong, or others can read it.")]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    pub(crate) verb: KeysVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysVerb {
    /// Check a key file, and say which meters it has keys for.
    Check {
        /// The key file.
        file: PathBuf,
    },
    /// Add the keys of a vendor's list (CSV, or Kamstrup KEM) to a key file.
    Import(KeysImportArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeysImportArgs {
    /// The vendor's list.
    pub(crate) file: PathBuf,
    /// The key file to add to; made if it is not there.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// A file that holds the password of a KEM file.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Simulated M-Bus meters on a pseudo-terminal at 2400 baud and true timing, a dozen radio
meters around a simulated receiver on another, a real plombd, a real plomb-hub with its
broker and ledger, and a subscriber. On ctrl-C, or after --for, everything is stopped,
exported, verified with the hub's policy, compared with what arrived and with the hub's
archive, and explained.

Some meters misbehave on purpose. A wired one is silent: its absences are entries too. Of
one radio meter the telegrams are forged, of one an old telegram is replayed, one comes
under a wrong key: all are refused, and that is shown.

plombd and plomb-hub must lie beside plomb (cargo build --release --bins), or in
$PLOMB_BIN_DIR.

Examples:
  plomb demo --for 20s
  plomb demo --meters 12 --dir ./street
  plomb demo --for 20s --json | tail -1 | jq .checks

Exit codes: 0 everything checked, 1 something did not, 69 a program is missing or did not
start.")]
pub(crate) struct DemoArgs {
    /// For how long, and until each meter was asked or heard once and each forgery was noticed, which takes about
    /// 15 s; without it until ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = crate::show::duration)]
    pub(crate) lasts: Option<std::time::Duration>,
    /// How many wired meters, the silent one included.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(2..=50))]
    pub(crate) meters: u8,
    /// Where the files go, and stay; must be absent or empty [default: a temporary directory, removed at the end].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Leave the files of a temporary directory too.
    #[arg(long)]
    pub(crate) keep: bool,
}

fn system_title(text: &str) -> Result<SystemTitle, String> {
    let bytes = hex::decode(text).ok();
    bytes.and_then(|bytes| SystemTitle::from_slice(&bytes)).ok_or_else(|| "write 16 hexadecimal digits".into())
}

fn primary(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(address @ (0..=250 | 254)) => Ok(address),
        _ => Err("a primary address is 0 to 250, or 254 for the only meter on a line".into()),
    }
}

/// How long an answer may take to begin, as the configuration bounds it.
fn timeout_ms(text: &str) -> Result<u32, String> {
    let known = text.parse().ok().filter(|ms| (1..=TIMEOUT_MS_MAX).contains(ms));
    known.ok_or_else(|| format!("1 to {TIMEOUT_MS_MAX} milliseconds"))
}

/// Checked here, kept as it is written.
fn secondary(text: &str) -> Result<String, String> {
    plomb_gateway::ask::mbus::secondary(text).map(|_| text.into())
}

fn place(text: &str) -> Result<(u32, u64), String> {
    match open_place(text)? {
        (Some(epoch), seq) => Ok((epoch, seq)),
        (None, _) => Err("write EPOCH:SEQ, like 0:1999".into()),
    }
}

fn open_place(text: &str) -> Result<(Option<u32>, u64), String> {
    let number = |_| "write SEQ or EPOCH:SEQ, like 1999 or 0:1999".to_string();
    match text.split_once(':') {
        Some((epoch, seq)) => Ok((Some(epoch.parse().map_err(number)?), seq.parse().map_err(number)?)),
        None => Ok((None, text.parse().map_err(number)?)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// What clap would wrap again, leaving single words on lines of their own.
    const LINE_CHARS_MAX: usize = 92;

    fn check(command: &clap::Command) {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in text.lines() {
            assert!(line.chars().count() <= LINE_CHARS_MAX, "{}: {line}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }

    #[test]
    fn help_texts_fit_their_lines() {
        check(&Args::command());
    }
}
