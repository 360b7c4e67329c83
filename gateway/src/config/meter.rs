//! Meters: what is asked or heard at a measuring point.

use std::time::Duration;

use serde::Deserialize;

use super::{Bus, default, one_of};

/// A meter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Meter {
    /// The measuring point's name. It outlives the meter.
    pub point: String,
    /// The line that it is on.
    pub bus: String,
    /// Its primary address, 1 to 250.
    pub address: Option<u8>,
    /// Its secondary address: 8 digits, or `id.manufacturer.version.medium` as `scan` prints it.
    pub secondary: Option<String>,
    /// Wireless: its identity, 8 digits, or `id.manufacturer.version.medium` as `scan` prints it.
    pub id: Option<String>,
    /// Wireless: the least protection that its telegrams must have. Default: `encrypted` if there is a key or
    /// its profile says so, else `plain`.
    pub security: Option<Security>,
    /// How often it is read, in seconds.
    #[serde(default = "default::interval_s")]
    pub interval_s: f64,
    /// How long an answer may take to begin, in milliseconds; default the line's.
    pub reply_timeout_ms: Option<u32>,
    /// How long an answer may pause, in milliseconds.
    pub gap_timeout_ms: Option<u32>,
    /// How often a question is asked again.
    pub retries: Option<u8>,
    /// The most telegrams of one readout.
    pub telegrams_max: Option<u8>,
    /// DLMS: the logical device; default 1.
    pub server: Option<u16>,
    /// DLMS over HDLC: the physical device, the lower part of the address.
    pub physical: Option<u16>,
    /// DLMS: as which client; default 16, the public one, without authentication, else 1.
    pub client: Option<u8>,
    /// DLMS: how both sides prove who they are; default `none`.
    #[serde(default)]
    pub authentication: Authentication,
    /// DLMS: the security suite, 0 to 2; default 0.
    #[serde(default)]
    pub suite: u8,
    /// DLMS: under a key of this association alone.
    #[serde(default)]
    pub dedicated_key: bool,
    /// DLMS: in general ciphering instead of the service's own.
    #[serde(default)]
    pub general_ciphering: bool,
    /// DLMS and Modbus: the registers, by OBIS code. Of a DLMS meter that pushes values without their codes: what its push
    /// setup lists, in that order, `-` for what is no register.
    #[serde(default)]
    pub registers: Vec<String>,
    /// DLMS: the load profile that is kept complete, by OBIS code.
    pub load_profile: Option<String>,
    /// DLMS: how far back a load profile is fetched at most, in days; default 40.
    pub backlog_days: Option<u32>,
    /// DLMS: the object that holds the invocation counter, by OBIS code; default `0-0:43.1.0`.
    pub counter_object: Option<String>,
    /// DLMS: the disconnect control, by OBIS code; default `0-0:96.3.10`.
    pub disconnect_object: Option<String>,
    /// DLMS: the token gateway, by OBIS code; default `0-0:19.40.0`.
    pub token_object: Option<String>,
    /// DLMS: the activity calendar, by OBIS code; default `0-0:13.0.0`.
    pub calendar_object: Option<String>,
    /// DLMS, pushing: the meter's system title, 16 hexadecimal digits.
    pub system_title: Option<String>,
    /// Modbus: the unit, 1 to 247.
    pub unit: Option<u8>,
    /// Modbus: the register map, by the name of its profile. M-Bus: the profile that says how the meter's valve is moved.
    pub model: Option<String>,
}

/// How client and meter prove who they are (IEC 62056-5-3, COSEM mechanisms).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Authentication {
    /// Not at all.
    #[default]
    None,
    /// A password in clear.
    Lls,
    /// Challenges, hashed with MD5.
    Md5,
    /// Challenges, hashed with SHA-1.
    Sha1,
    /// Challenges under GMAC; everything is ciphered.
    Gmac,
    /// Challenges, hashed with SHA-256.
    Sha256,
    /// Challenges, signed; suites 1 and 2.
    Ecdsa,
}

/// The ways of authentication and their words.
pub const AUTHENTICATIONS: &[(&str, Authentication)] = &[
    ("none", Authentication::None),
    ("lls", Authentication::Lls),
    ("hls-md5", Authentication::Md5),
    ("hls-sha1", Authentication::Sha1),
    ("hls-gmac", Authentication::Gmac),
    ("hls-sha256", Authentication::Sha256),
    ("hls-ecdsa", Authentication::Ecdsa),
];

impl TryFrom<String> for Authentication {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_of(&text, "ways of authentication", AUTHENTICATIONS)
    }
}

/// The timing of a meter, as far as it is configured; the rest comes from the standard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// How long an answer may take to begin, in milliseconds.
    pub reply_timeout_ms: Option<u32>,
    /// How long an answer may pause, in milliseconds.
    pub gap_timeout_ms: Option<u32>,
    /// How often a question is asked again.
    pub retries: Option<u8>,
    /// The most telegrams of one readout.
    pub telegrams_max: Option<u8>,
}

/// The least protection of a radio meter's telegrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Security {
    /// None.
    Plain,
    /// Encrypted: mode 5, or by the extended link layer.
    Encrypted,
    /// Encrypted and authenticated under a message counter: modes 7 and 10.
    Authenticated,
}

impl TryFrom<String> for Security {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let words = [("plain", Self::Plain), ("encrypted", Self::Encrypted), ("authenticated", Self::Authenticated)];
        one_of(&text, "protections", &words)
    }
}

impl Meter {
    /// A meter with nothing but defaults; its address is still to be given.
    pub fn new(point: &str, bus: &str) -> Self {
        Self {
            point: point.into(),
            bus: bus.into(),
            address: None,
            secondary: None,
            id: None,
            security: None,
            interval_s: default::interval_s(),
            reply_timeout_ms: None,
            gap_timeout_ms: None,
            retries: None,
            telegrams_max: None,
            server: None,
            physical: None,
            client: None,
            authentication: Authentication::None,
            suite: 0,
            dedicated_key: false,
            general_ciphering: false,
            registers: Vec::new(),
            load_profile: None,
            backlog_days: None,
            counter_object: None,
            disconnect_object: None,
            token_object: None,
            calendar_object: None,
            system_title: None,
            unit: None,
            model: None,
        }
    }

    /// Its timing; what it does not say is the line's.
    pub fn timing(&self, line: &Bus) -> Timing {
        Timing {
            reply_timeout_ms: self.reply_timeout_ms.or(line.reply_timeout_ms),
            gap_timeout_ms: self.gap_timeout_ms.or(line.gap_timeout_ms),
            retries: self.retries.or(line.retries),
            telegrams_max: self.telegrams_max.or(line.telegrams_max),
        }
    }

    /// How often it is read.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval_s)
    }
}
