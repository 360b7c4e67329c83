//! What `plomb scan` takes.

use std::time::Duration;

use clap::Args as ClapArgs;
use plomb_gateway::config::{Bus, Parity as BusParity, Protocol, Select};
use plomb_gateway::scan::{self, AIR_SECONDS_DEFAULT, How, ScanOptions, Wish};

use super::{DaemonArgs, Parity, secondary, timeout_ms};
use crate::exit::Failure;

/// The speed of a wire unless told otherwise, in bits a second.
const BAUD_DEFAULT: u32 = 2400;

#[derive(Debug, ClapArgs)]
#[command(after_help = "On a wire the meters are asked for by identity, digit by digit where several answer. In
the air whoever sends is heard; meters send every few seconds to every few minutes. If
plombd uses the port, it stops polling there, scans, and goes on; that is for its
administrators, and goes by the line's settings in plombd's configuration.

Meters whose identities are wholly equal answer at once to every question but their
addresses: --primary finds them. A --mask is an identity with parts left open: eight digits
with F for any, and behind dots manufacturer, version and medium, * for any: 21FFFFFF,
12345678.KAM, 12345678.*.1B.04.

Examples:
  plomb scan /dev/ttyUSB0                       a wire at 2400 baud
  plomb scan /dev/ttyUSB0 --speeds              at all speeds
  plomb scan /dev/ttyUSB0 --primary 1-20        by primary address
  plomb scan tcp://192.0.2.7:10001 --mask 21FFFFFF
  plomb scan /dev/ttyUSB1 --wmbus --for 5m      in the air
  rtl_wmbus | plomb scan - --wmbus --for 10m    through a software radio
  plomb scan tcp://192.0.2.8:4059 --dlms        a DLMS meter on the network
  plomb scan /dev/ttyUSB2 --modbus              Modbus units at 9600 baud
  plomb scan /dev/ttyUSB0 --dlms                DLMS meters on a serial line at 9600 baud

Exit codes: 0 found some, 4 found none, 64 wrong usage, 69 the port, the receiver or the
line fails, or plombd stops, 130 ended by ctrl-C (what was found before is told).")]
pub(crate) struct ScanArgs {
    /// A serial port, `tcp://host:port`, `udp://host:port`; in the air also a named pipe, or `-`, which
    /// rtl_wmbus writes to.
    pub(crate) port: String,
    /// Listen to the air through the wireless M-Bus receiver on this port.
    #[arg(long)]
    pub(crate) wmbus: bool,
    /// Search for DLMS meters: over HDLC by physical device, over the network by what the meter says of itself.
    #[arg(long, conflicts_with_all = ["wmbus", "primary", "mask", "speeds"])]
    pub(crate) dlms: bool,
    /// With --dlms over HDLC: which physical devices to try.
    #[arg(long, value_name = "FROM-TO", value_parser = physical_range, default_value = "0-127", requires = "dlms")]
    pub(crate) physical: (u16, u16),
    /// Ask all Modbus units, 1 to 247, which of the known models they are.
    #[arg(long, conflicts_with_all = ["wmbus", "dlms", "speeds", "primary", "mask", "receiver", "modes"])]
    pub(crate) modbus: bool,
    /// Modbus: a folder of register maps beside the shipped ones.
    #[arg(long, value_name = "DIR", requires = "modbus")]
    pub(crate) profiles: Option<std::path::PathBuf>,
    /// How long to listen to the air [default: 2m].
    #[arg(long = "for", value_name = "TIME", value_parser = listening)]
    pub(crate) lasts: Option<Duration>,
    /// The receiver: im871a, amb8465, amb3665, cul, rc1180, rtl_wmbus [default: found out].
    #[arg(long, value_name = "NAME", value_parser = receiver)]
    pub(crate) receiver: Option<String>,
    /// The radio modes to hear, as T+C [default: what the receiver can].
    #[arg(long, value_name = "MODES", value_parser = modes)]
    pub(crate) modes: Option<String>,
    /// Line speed of a wire, in bits a second [default: 2400].
    #[arg(long, value_parser = clap::value_parser!(u32).range(300..=115_200))]
    pub(crate) baud: Option<u32>,
    /// Parity of a wire [default: even].
    #[arg(long, value_name = "PARITY")]
    pub(crate) parity: Option<Parity>,
    /// Try a wire at all speeds; not over a network, where the serial server sets the speed.
    #[arg(long, conflicts_with = "baud")]
    pub(crate) speeds: bool,
    /// Search a wire by primary address, as 1-20, or 0-250 for all.
    #[arg(long, value_name = "RANGE", value_parser = address_range, conflicts_with = "mask")]
    pub(crate) primary: Option<(u8, u8)>,
    /// Search a wire for these identities only, as 21FFFFFF or 12345678.KAM.
    #[arg(long, value_name = "MASK", value_parser = secondary)]
    pub(crate) mask: Option<String>,
    /// How long an answer may take to begin, in milliseconds [default: by the standard and the speed].
    #[arg(long, value_name = "MS", value_parser = timeout_ms)]
    pub(crate) timeout_ms: Option<u32>,
    /// Select with control byte 73 first; without it 53 comes first.
    #[arg(long)]
    pub(crate) select_73: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

impl ScanArgs {
    /// Whether the air is meant: only a receiver writes to standard input.
    pub(crate) fn wireless(&self) -> bool {
        self.wmbus || self.port == "-"
    }

    /// Refuses options that would say nothing: whoever gave them expects something of them.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let air = [
            ("--for", self.lasts.is_some()),
            ("--receiver", self.receiver.is_some()),
            ("--modes", self.modes.is_some()),
        ];
        let wire = [
            ("--baud", self.baud.is_some()),
            ("--parity", self.parity.is_some()),
            ("--speeds", self.speeds),
            ("--primary", self.primary.is_some()),
            ("--mask", self.mask.is_some()),
            ("--timeout-ms", self.timeout_ms.is_some()),
            ("--select-73", self.select_73),
        ];
        let given = |options: &[(&'static str, bool)]| options.iter().find(|(_, given)| *given).map(|(name, _)| *name);
        match (self.wireless(), given(&air), given(&wire)) {
            (false, Some(option), _) => {
                Err(Failure::Usage(format!("{option} is for the air: add --wmbus, or leave it out to search a wire")))
            }
            (true, _, Some(option)) => Err(Failure::Usage(format!("{option} is for a wire, and --wmbus for the air"))),
            (false, ..) if self.speeds && self.port.contains("://") => Err(Failure::Usage(
                "--speeds needs a serial port: on a network the serial server sets the speed; leave it out".into(),
            )),
            _ => Ok(()),
        }
    }

    /// What to look for.
    pub(crate) fn options(&self) -> ScanOptions {
        let how = match self.primary {
            Some((first, last)) => How::Primary { first, last },
            None => How::Secondary { mask: self.mask.clone() },
        };
        let wish = Wish {
            wireless: self.wireless(),
            baud: self.baud,
            parity: self.parity.map(|parity| parity.name().into()),
            timeout_ms: self.timeout_ms,
            select_73: self.select_73,
            receiver: self.receiver.clone(),
            modes: self.modes.clone(),
        };
        ScanOptions {
            how,
            speeds: self.speeds,
            lasts_s: self.lasts.map_or(AIR_SECONDS_DEFAULT, |it| it.as_secs()),
            wish,
        }
    }

    /// The line, for whoever opens it without plombd.
    pub(crate) fn bus(&self) -> Bus {
        Bus {
            port: self.port.clone(),
            baud: self.baud.unwrap_or(BAUD_DEFAULT),
            parity: match self.parity {
                None | Some(Parity::Even) => BusParity::Even,
                Some(Parity::None) => BusParity::None,
                Some(Parity::Odd) => BusParity::Odd,
            },
            reply_timeout_ms: self.timeout_ms,
            select: if self.select_73 { Select::WithFcb } else { Select::Plain },
            receiver: self.receiver.clone(),
            modes: self.modes.clone(),
            ..Bus::new("scan", if self.wireless() { Protocol::Wmbus } else { Protocol::Mbus })
        }
    }
}

/// Checked here, kept as it is written.
fn receiver(text: &str) -> Result<String, String> {
    scan::check_receiver(text).map(|()| text.into())
}

/// Checked here, kept as it is written.
fn modes(text: &str) -> Result<String, String> {
    scan::check_modes(text).map(|()| text.into())
}

fn listening(text: &str) -> Result<Duration, String> {
    match crate::show::duration(text)? {
        Duration::ZERO => Err("nothing is heard in no time: write 90s, 15m or 2h".into()),
        lasts => Ok(lasts),
    }
}

fn physical_range(text: &str) -> Result<(u16, u16), String> {
    let wrong = || "write one address or a range, 0 to 16383, as 16-40".to_string();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number <= 0x3FFF).ok_or_else(wrong);
    let range = (number(first)?, number(last)?);
    if range.0 <= range.1 { Ok(range) } else { Err(wrong()) }
}

fn address_range(text: &str) -> Result<(u8, u8), String> {
    let number = |text: &str| text.trim().parse().ok().filter(|address: &u8| *address <= 250);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err("write FIRST-LAST, like 1-20; primary addresses are 0 to 250".into()),
    }
}
