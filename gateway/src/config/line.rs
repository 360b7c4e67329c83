//! Lines: what meters are reached by.

use serde::Deserialize;

use super::{bounds, default, finding::Told, one_of};

/// A line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Bus {
    /// Its name.
    pub name: String,
    /// The protocol spoken on it.
    pub protocol: Protocol,
    /// A serial port (`/dev/serial/by-id/…`), `tcp://host:port` or `udp://host:port`.
    pub port: String,
    /// Line speed, in bits a second. Default by the protocol: 2400 for M-Bus, 9600 for DLMS and Modbus, 115200 for P1.
    #[serde(default = "default::baud_of_protocol")]
    pub baud: u32,
    /// Parity. Default by the protocol: even for M-Bus, else none.
    #[serde(default = "Parity::of_protocol")]
    pub parity: Parity,
    /// How long an answer may take to begin, in milliseconds; default by the standard and the line speed.
    pub reply_timeout_ms: Option<u32>,
    /// What the way to the line adds to every limit, in milliseconds; default 300 on the network, 50 else.
    pub latency_ms: Option<u32>,
    /// How long an answer may pause, in milliseconds.
    pub gap_timeout_ms: Option<u32>,
    /// How often a question is asked again.
    pub retries: Option<u8>,
    /// The most telegrams of one readout.
    pub telegrams_max: Option<u8>,
    /// The share of line time, in percent, that silent meters may take together.
    #[serde(default = "default::silent_percent")]
    pub silent_percent: u32,
    /// The control byte of a selection: `53` or `73`.
    #[serde(default)]
    pub select: Select,
    /// Wireless: the receiver, as `im871a`; default: found out.
    pub receiver: Option<String>,
    /// Wireless: the modes to hear, as `T+C`; default: what the receiver can of mode T and C.
    pub modes: Option<String>,
    /// Wireless: the frame format of mode C, `a` or `b`, for receivers that hear one at a time.
    pub c_format: Option<CFormat>,
    /// Wireless: the receiver is reset after so many seconds without a telegram; 0 never. Default 600.
    pub silence_s: Option<u32>,
    /// DLMS: `hdlc` or `wrapper`. Default: the wrapper on the network, HDLC on a serial port.
    pub framing: Option<Framing>,
    /// DLMS on an optical head: opened as IEC 62056-21 mode E, at 300 baud.
    #[serde(default)]
    pub mode_e: bool,
}

/// The protocols that this version speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Protocol {
    /// Wired M-Bus, EN 13757-2 and -3.
    Mbus,
    /// Wireless M-Bus, EN 13757-4, with OMS.
    Wmbus,
    /// DLMS/COSEM, IEC 62056: meters are asked.
    Dlms,
    /// DLMS/COSEM: meters push by themselves, to a port of ours or on a serial line.
    DlmsPush,
    /// Modbus, over TCP or RTU.
    Modbus,
    /// The customer port of Dutch and other meters: telegrams by themselves.
    P1,
    /// IEC 62056-21 readout, modes A to D.
    Iec62056,
}

/// What frames DLMS APDUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Framing {
    /// HDLC (IEC 62056-46).
    Hdlc,
    /// The wrapper (IEC 62056-47).
    Wrapper,
}

impl Protocol {
    /// The word for it.
    pub fn name(self) -> &'static str {
        PROTOCOLS.iter().find(|(_, protocol)| *protocol == self).map_or("", |(word, _)| word)
    }

    fn usual_baud(self) -> u32 {
        match self {
            Self::Mbus | Self::Wmbus => default::baud(),
            Self::P1 => 115_200,
            Self::Dlms | Self::DlmsPush | Self::Modbus | Self::Iec62056 => 9600,
        }
    }

    fn usual_parity(self) -> Parity {
        match self {
            Self::Mbus | Self::Wmbus => Parity::Even,
            _ => Parity::None,
        }
    }

    /// Whether meters on such a line speak by themselves.
    pub fn is_listened_to(self) -> bool {
        matches!(self, Self::Wmbus | Self::DlmsPush | Self::P1)
    }
}

/// The frame format of mode C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CFormat {
    /// Format A.
    A,
    /// Format B.
    B,
}

/// Parity of a serial line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Parity {
    /// Even: M-Bus.
    #[default]
    Even,
    /// None.
    None,
    /// Odd.
    Odd,
    /// As the protocol has it; never after a configuration was read.
    OfProtocol,
}

impl Parity {
    fn of_protocol() -> Self {
        Self::OfProtocol
    }
}

/// The control byte of a selection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Select {
    /// 53.
    #[default]
    Plain,
    /// 73: some meters insist on it.
    WithFcb,
}

/// The protocols and their words.
const PROTOCOLS: &[(&str, Protocol)] = &[
    ("mbus", Protocol::Mbus),
    ("wmbus", Protocol::Wmbus),
    ("dlms", Protocol::Dlms),
    ("dlms-push", Protocol::DlmsPush),
    ("modbus", Protocol::Modbus),
    ("p1", Protocol::P1),
    ("iec62056-21", Protocol::Iec62056),
];

impl TryFrom<String> for Protocol {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_of(&text, "protocols of this version", PROTOCOLS)
    }
}

impl TryFrom<String> for Framing {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_of(&text, "framings", &[("hdlc", Self::Hdlc), ("wrapper", Self::Wrapper)])
    }
}

impl TryFrom<String> for Parity {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_of(&text, "parities", &[("even", Self::Even), ("none", Self::None), ("odd", Self::Odd)])
    }
}

impl TryFrom<String> for Select {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_of(&text, "control bytes of a selection", &[("53", Self::Plain), ("73", Self::WithFcb)])
    }
}

impl Bus {
    /// A line with nothing but defaults; its port is still to be named.
    pub fn new(name: &str, protocol: Protocol) -> Self {
        Self {
            name: name.into(),
            protocol,
            port: String::new(),
            baud: protocol.usual_baud(),
            parity: protocol.usual_parity(),
            reply_timeout_ms: None,
            gap_timeout_ms: None,
            latency_ms: None,
            retries: None,
            telegrams_max: None,
            silent_percent: default::silent_percent(),
            select: Select::default(),
            receiver: None,
            modes: None,
            c_format: None,
            silence_s: None,
            framing: None,
            mode_e: false,
        }
    }

    /// The configured receiver, if one is named.
    pub fn receiver_kind(&self) -> Result<Option<plomb_receivers::Kind>, String> {
        let Some(name) = &self.receiver else { return Ok(None) };
        name.parse().map(Some).map_err(|error| format!("bus \"{}\": receiver: {error}", self.name))
    }

    /// What the file left open, as the protocol has it.
    pub(super) fn settle(&mut self) {
        if self.baud == default::baud_of_protocol() {
            self.baud = self.protocol.usual_baud();
        }
        if self.parity == Parity::OfProtocol {
            self.parity = self.protocol.usual_parity();
        }
    }

    /// What frames DLMS APDUs on this line.
    pub fn framing(&self) -> Framing {
        let network = self.port.starts_with("tcp://") || self.port.starts_with("udp://");
        self.framing.unwrap_or(if network { Framing::Wrapper } else { Framing::Hdlc })
    }

    pub(super) fn check(&self, told: &mut Told<'_>) {
        if let Some(wrong) = unreachable(&self.port) {
            told.key("port", wrong);
        }
        told.within("baud", Some(self.baud), 300..=115_200);
        if self.protocol == Protocol::Wmbus {
            if let Err(error) = self.receiver_kind() {
                told.key("receiver", bare(&error, &self.name));
            }
            if let Err(error) = crate::radio::listen_config(self, None) {
                told.key("modes", bare(&error, &self.name));
            }
        }
        told.within("silent_percent", Some(self.silent_percent), 1..=100);
        bounds::check_bus(self, told);
    }
}

/// What is wrong with a network address that can never be reached.
fn unreachable(port: &str) -> Option<String> {
    let bare = port.strip_prefix("hdlc+").unwrap_or(port);
    let address = bare.strip_prefix("tcp://").or_else(|| bare.strip_prefix("udp://"))?;
    let fits = |(host, number): (&str, &str)| {
        !host.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u16>().is_ok()
    };
    let whole = address.rsplit_once(':').is_some_and(fits);
    (!whole).then(|| format!("port \"{port}\" has no number of a port, 1 to 65535, at its end: write tcp://host:10001"))
}

/// What others say of a line, without its name in front.
fn bare<'a>(error: &'a str, name: &str) -> &'a str {
    error.strip_prefix(&format!("bus \"{name}\": ")).unwrap_or(error)
}
