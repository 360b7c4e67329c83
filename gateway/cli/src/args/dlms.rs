//! The arguments about DLMS meters.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::Parity;

/// A DLMS meter, and as whom it is asked.
#[derive(Debug, ClapArgs)]
pub(crate) struct DlmsMeterArgs {
    /// A serial port, tcp://host:port or udp://host:port.
    pub(crate) port: String,
    /// What frames APDUs [default: the wrapper on the network, HDLC on a serial port].
    #[arg(long, value_enum)]
    pub(crate) framing: Option<Framing>,
    /// The line is an optical head's, and opened as IEC 62056-21 mode E first.
    #[arg(long)]
    pub(crate) mode_e: bool,
    /// Line speed, in bits a second.
    #[arg(long, default_value_t = 9600, value_parser = clap::value_parser!(u32).range(300..=115_200))]
    pub(crate) baud: u32,
    /// Parity.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) parity: Parity,
    /// As which client [default: 16, the public one, without authentication, else 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=127))]
    pub(crate) client: Option<u8>,
    /// Which logical device.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=16_383))]
    pub(crate) server: u16,
    /// Which physical device, over HDLC.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=16_383))]
    pub(crate) physical: Option<u16>,
    /// How both sides prove who they are.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) auth: Auth,
    /// The security suite.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) suite: u8,
    /// Passwords and keys: a line each, `NAME WHAT VALUE`, readable by nobody else.
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<PathBuf>,
    /// The meter's name in that file.
    #[arg(long, value_name = "NAME", default_value = "meter")]
    pub(crate) name: String,
    /// The client's system title, 16 hexadecimal digits [default: one of this program].
    #[arg(long, value_name = "HEX", value_parser = system_title)]
    pub(crate) title: Option<String>,
    /// The object that holds the invocation counter.
    #[arg(long, value_name = "OBIS", value_parser = obis)]
    pub(crate) counter_object: Option<String>,
    /// How long an answer may take, in milliseconds.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) timeout_ms: Option<u32>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "The secrets' file has a line for each secret:

  meter password        12345678
  meter encryption      000102030405060708090A0B0C0D0E0F
  meter authentication  D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF

Invocation counters go on from the meter's own count, which is read as the public client.

Examples:
  plomb read dlms tcp://192.0.2.8:4059 --obis 1-0:1.8.0,1-0:2.8.0
  plomb read dlms tcp://192.0.2.8:4059 --auth lls --secrets secrets --obis 1-0:1.8.0 --json
  plomb read dlms /dev/ttyUSB0 --auth hls-gmac --secrets secrets --obis 1-0:1.8.0 \\
      --load-profile 1-0:99.1.0 --since 2d

Exit codes: 0 read, 64 wrong usage, 66 a key or a password is wrong, 69 the meter did not
answer rightly, 78 wrong secrets, or some are missing.")]
pub(crate) struct ReadDlmsArgs {
    #[command(flatten)]
    pub(crate) meter: DlmsMeterArgs,
    /// The registers, by OBIS code; several with commas.
    #[arg(long, value_name = "OBIS", value_delimiter = ',', value_parser = obis, required_unless_present = "load_profile")]
    pub(crate) obis: Vec<String>,
    /// A load profile, by OBIS code.
    #[arg(long, value_name = "OBIS", value_parser = obis)]
    pub(crate) load_profile: Option<String>,
    /// How far back the load profile is read, as 12h or 7d.
    #[arg(long, value_name = "SPAN", default_value = "1d", value_parser = crate::show::duration)]
    pub(crate) since: std::time::Duration,
    /// Show the answers' APDUs too.
    #[arg(long)]
    pub(crate) raw: bool,
}

/// What frames DLMS APDUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framing {
    /// HDLC.
    Hdlc,
    /// The wrapper.
    Wrapper,
}

/// How client and meter prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Auth {
    /// Not at all.
    None,
    /// A password.
    Lls,
    /// Challenges and MD5.
    HlsMd5,
    /// Challenges and SHA-1.
    HlsSha1,
    /// Challenges and GMAC; everything is ciphered.
    HlsGmac,
    /// Challenges and SHA-256.
    HlsSha256,
    /// Challenges and signatures.
    HlsEcdsa,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "What is done here is not entered anywhere: it is for a field engineer in front of the meter.

Examples:
  plomb operate disconnect tcp://192.0.2.8:4059 --auth hls-gmac --secrets secrets
  plomb operate set-clock /dev/ttyUSB0 --auth lls --secrets secrets
  plomb operate set-tariff tcp://192.0.2.8:4059 --auth lls --secrets s --file winter.toml

Each change is asked for once. Where the answer to it is lost, the meter is looked at; what
it does not show stays unknown, and is told so.

Exit codes: 0 done, 64 wrong usage, 66 a key or a password is wrong, 69 the meter did not do
it, 78 wrong secrets, or some are missing.")]
pub(crate) struct OperateArgs {
    /// What the meter is to do.
    #[arg(value_enum)]
    pub(crate) what: Operation,
    #[command(flatten)]
    pub(crate) meter: DlmsMeterArgs,
    /// The object that is acted on [default: 0-0:96.3.10 to switch, 0-0:19.40.0 for a token, 0-0:13.0.0 for tariffs].
    #[arg(long, value_name = "OBIS", value_parser = obis)]
    pub(crate) object: Option<String>,
    /// The file with the token, or with the tariff calendar (docs/operations.md).
    #[arg(long, value_name = "FILE", required_if_eq_any = [("what", "credit"), ("what", "set-tariff")])]
    pub(crate) file: Option<PathBuf>,
}

/// What a meter can be had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Disconnect the premises.
    Disconnect,
    /// Reconnect the premises, or let the customer do so.
    Reconnect,
    /// Set the meter's clock to this computer's.
    SetClock,
    /// Give the meter a token.
    Credit,
    /// Put another tariff calendar in force.
    SetTariff,
}

fn obis(text: &str) -> Result<String, String> {
    text.parse::<plomb_session::Obis>().map(|_| text.to_string()).map_err(|error| error.to_string())
}

fn system_title(text: &str) -> Result<String, String> {
    plomb_gateway::config::title(text).map(|_| text.to_string())
}
