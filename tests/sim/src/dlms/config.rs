//! What an installer would know of a meter, and what its maker chose.

use super::faults::Faults;
use super::time::{DEVIATION_UNKNOWN, date_time, instant, is_summer};
use crate::Calendar;
use crate::live::Dice;
use serde::Serialize;

/// How a client proves who it is (IEC 62056-5-3, 5.2.2): the last arc of the mechanism's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Mechanism {
    /// Lowest: not at all.
    None = 0,
    /// Low: a password.
    Lls = 1,
    /// High, with MD5.
    Md5 = 3,
    /// High, with SHA-1.
    Sha1 = 4,
    /// High, with GMAC.
    Gmac = 5,
    /// High, with SHA-256.
    Sha256 = 6,
    /// High, with ECDSA.
    Ecdsa = 7,
}

impl Mechanism {
    /// The last arc of the mechanism's name.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Lls => 1,
            Self::Md5 => 3,
            Self::Sha1 => 4,
            Self::Gmac => 5,
            Self::Sha256 => 6,
            Self::Ecdsa => 7,
        }
    }

    /// Whether it takes four passes.
    #[must_use]
    pub fn is_high(self) -> bool {
        !matches!(self, Self::None | Self::Lls)
    }
}

/// The keys of one meter; secrets of nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Global unicast encryption key.
    pub unicast: Vec<u8>,
    /// Global broadcast encryption key.
    pub broadcast: Vec<u8>,
    /// Authentication key.
    pub authentication: Vec<u8>,
    /// Master key (key encryption key).
    pub master: Vec<u8>,
}

/// The load profile's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileForm {
    /// Rows that it keeps.
    pub rows: u32,
    /// Seconds between two rows.
    pub period_s: u32,
    /// Which column is the clock, from 0.
    pub clock_column: usize,
    /// Whether 3.8.0 and 32.7.0 have a column too.
    pub wide: bool,
    /// Whether there are hours without rows, now and then.
    pub gaps: bool,
    /// Whether what equals the row before, and clocks that follow from it, are null-data.
    pub null_compression: bool,
    /// Whether the newest row is the first.
    pub newest_first: bool,
    /// Whether a selection by range is refused.
    pub no_range: bool,
}

impl Default for ProfileForm {
    /// A year of quarters of an hour, in four columns: clock, status, 1.8.0, 2.8.0.
    fn default() -> Self {
        Self {
            rows: 35_040,
            period_s: 900,
            clock_column: 0,
            wide: false,
            gaps: false,
            null_compression: false,
            newest_first: false,
            no_range: false,
        }
    }
}

/// Services, in the bits of the conformance block (IEC 62056-5-3, 7.3.1): the first is the highest of 24.
pub mod conformance {
    /// general-protection
    pub const GENERAL_PROTECTION: u32 = 1 << 22;
    /// general-block-transfer
    pub const GENERAL_BLOCK_TRANSFER: u32 = 1 << 21;
    /// attribute0-supported-with-get
    pub const ATTRIBUTE_0_GET: u32 = 1 << 13;
    /// block-transfer-with-get-or-read
    pub const GET_BLOCKS: u32 = 1 << 12;
    /// block-transfer-with-set-or-write
    pub const SET_BLOCKS: u32 = 1 << 11;
    /// block-transfer-with-action
    pub const ACTION_BLOCKS: u32 = 1 << 10;
    /// multiple-references
    pub const MULTIPLE_REFERENCES: u32 = 1 << 9;
    /// data-notification
    pub const DATA_NOTIFICATION: u32 = 1 << 7;
    /// get
    pub const GET: u32 = 1 << 4;
    /// set
    pub const SET: u32 = 1 << 3;
    /// selective-access
    pub const SELECTIVE_ACCESS: u32 = 1 << 2;
    /// event-notification
    pub const EVENT_NOTIFICATION: u32 = 1 << 1;
    /// action
    pub const ACTION: u32 = 1;
    /// All that the simulated meter can.
    pub const ALL: u32 = GENERAL_PROTECTION
        | GENERAL_BLOCK_TRANSFER
        | GET_BLOCKS
        | SET_BLOCKS
        | ACTION_BLOCKS
        | MULTIPLE_REFERENCES
        | DATA_NOTIFICATION
        | GET
        | SET
        | SELECTIVE_ACCESS
        | ACTION;
}

/// The HDLC sizes that a meter offers (IEC 62056-46, 6.4.4.4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HdlcLimits {
    /// Bytes in an information field, at most, in either direction.
    pub info_bytes_max: u16,
    /// Frames before an acknowledgement, at most.
    pub window_frames_max: u8,
    /// Silence after which a connection is forgotten.
    pub inactivity_s: u32,
}

/// A meter as it is ordered.
#[derive(Debug, Clone)]
pub struct MeterConfig {
    /// From what its numbers are drawn.
    pub seed: u64,
    /// Its time.
    pub calendar: Calendar,
    /// How the management client proves itself.
    pub mechanism: Mechanism,
    /// The security suite: 0, 1, 2.
    pub suite: u8,
    /// The management client's address. The public client is always 16.
    pub client: u16,
    /// Its logical device (wrapper port, upper HDLC address).
    pub logical_device: u16,
    /// Its lower HDLC address.
    pub physical_device: u16,
    /// Its system title.
    pub system_title: [u8; 8],
    /// The system title that a client without ciphering would have; used in the printed description.
    pub client_title: [u8; 8],
    /// Its keys.
    pub keys: Keys,
    /// The password (LLS).
    pub password: Vec<u8>,
    /// The secret of the HLS digests.
    pub hls_secret: Vec<u8>,
    /// The meter's private signing key (suite 1: P-256, suite 2: P-384).
    pub signing_key: Vec<u8>,
    /// The client's private signing key; the meter knows its public point.
    pub client_signing_key: Vec<u8>,
    /// Which protection each request and answer must have: the bits of security policy
    /// (IEC 62056-6-2, 4.4.7, version 1).
    pub policy: u8,
    /// Answers go out as general-glo-ciphering, even when the request did not come so.
    pub general_ciphering: bool,
    /// Its notifications go out as general-glo-ciphering.
    pub push_sealed: bool,
    /// The client to whom it pushes.
    pub push_client: u16,
    /// Bytes of an APDU that it takes, at most.
    pub pdu_bytes_max: u16,
    /// Services that it knows, of [`conformance`].
    pub conformance: u32,
    /// Its HDLC sizes.
    pub hdlc: HdlcLimits,
    /// What its clock says of its zone, in winter ([`DEVIATION_UNKNOWN`]: nothing).
    pub deviation_min: i16,
    /// Its clock follows Europe's summer time, and says so in the clock status.
    pub summer_time: bool,
    /// Its clock counts deviations the other way: what has to be added to UTC, as some companion standards have
    /// it.
    pub inverted_deviation: bool,
    /// How much faster its clock runs, in millionths.
    pub drift_ppm: i32,
    /// How far ahead its clock is.
    pub clock_offset_s: i64,
    /// The mode of its disconnect control: in 2 and 4 a remote reconnection closes the switch, in 1, 3, 5 and 6 a
    /// hand does, in 0 it is always closed.
    pub control_mode: u8,
    /// The load profile.
    pub profile: ProfileForm,
    /// The last invocation counter that it has accepted, of any client.
    pub client_counter: u32,
    /// What is wrong with it.
    pub faults: Faults,
}

/// The public client's address.
pub const PUBLIC_CLIENT: u16 = 16;

impl MeterConfig {
    /// A meter for a mechanism and a suite, its keys and numbers drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64, calendar: Calendar, mechanism: Mechanism, suite: u8) -> Self {
        let mut dice = Dice(seed ^ 0x444C_4D53);
        let key_bytes = if suite == 2 { 32 } else { 16 };
        let curve_bytes = if suite == 2 { 48 } else { 32 };
        let serial = dice.between(1_000_000, 9_999_999);
        let [_, _, _, number @ ..] = serial.to_be_bytes();
        let title = |letters: &[u8; 3], number: [u8; 5]| {
            let mut title = [0; 8];
            title.iter_mut().zip(letters.iter().chain(&number)).for_each(|(place, byte)| *place = *byte);
            title
        };
        Self {
            seed,
            calendar,
            mechanism,
            suite,
            client: 1,
            logical_device: 1,
            physical_device: 17,
            system_title: title(b"PLM", number),
            client_title: title(b"PLC", [0, 0, 0, 0, 1]),
            keys: Keys {
                unicast: drawn(&mut dice, key_bytes),
                broadcast: drawn(&mut dice, key_bytes),
                authentication: drawn(&mut dice, key_bytes),
                master: drawn(&mut dice, key_bytes),
            },
            password: format!("{:08}", dice.between(0, 100_000_000)).into_bytes(),
            hls_secret: format!("{:016X}", dice.roll()).into_bytes(),
            signing_key: below_order(drawn(&mut dice, curve_bytes)),
            client_signing_key: below_order(drawn(&mut dice, curve_bytes)),
            // Ciphered contexts have all requests and answers authenticated and encrypted.
            policy: if matches!(mechanism, Mechanism::Gmac | Mechanism::Ecdsa) { 0x6C } else { 0 },
            general_ciphering: false,
            push_sealed: false,
            push_client: 102,
            pdu_bytes_max: 1024,
            conformance: conformance::ALL,
            hdlc: HdlcLimits { info_bytes_max: 512, window_frames_max: 3, inactivity_s: 120 },
            deviation_min: 0,
            summer_time: false,
            inverted_deviation: false,
            drift_ppm: 0,
            clock_offset_s: 0,
            control_mode: 4,
            profile: ProfileForm::default(),
            client_counter: 0,
            faults: Faults::default(),
        }
    }

    /// Its serial number, as its objects 0.0.96.1.0.255 and 0.0.42.0.0.255 say it.
    #[must_use]
    pub fn serial(&self) -> String {
        let [_, _, _, number @ ..] = self.system_title;
        let serial = number.iter().fold(0u64, |serial, byte| serial << 8 | u64::from(*byte));
        format!("{serial:08}")
    }

    /// An instant as its clock says it.
    #[must_use]
    pub fn stamp(&self, unix_s: u64) -> [u8; 12] {
        let summer = self.summer_time && is_summer(unix_s) && self.deviation_min != DEVIATION_UNKNOWN;
        let deviation = if summer { self.deviation_min - 60 } else { self.deviation_min };
        let stamp = date_time(unix_s, deviation, if summer { STATUS_SUMMER } else { 0 });
        if self.inverted_deviation { inverted(stamp) } else { stamp }
    }

    /// The instant of a date-time, as its clock understands it; a date-time without a deviation is in its zone.
    /// `None` when it has wildcards or cannot be.
    #[must_use]
    pub fn instant(&self, stamp: &[u8]) -> Option<u64> {
        let stamp: [u8; 12] = stamp.try_into().ok()?;
        let zoneless = i16::from_be_bytes([stamp[9], stamp[10]]) == DEVIATION_UNKNOWN;
        let stamp = if self.inverted_deviation && !zoneless { inverted(stamp) } else { stamp };
        let told = instant(&stamp, self.deviation_min)?;
        let summer = zoneless && self.summer_time && is_summer(told);
        Some(if summer { told - 3600 } else { told })
    }

    /// Its logical device name: three letters, and the rest of the sixteen.
    #[must_use]
    pub fn logical_device_name(&self) -> String {
        format!("PLM{:0>13}", self.serial())
    }
}

/// Clock status: summer time is in force.
const STATUS_SUMMER: u8 = 0x80;

/// A date-time whose deviation has the other sign.
fn inverted(mut stamp: [u8; 12]) -> [u8; 12] {
    let deviation = i16::from_be_bytes([stamp[9], stamp[10]]);
    if deviation != DEVIATION_UNKNOWN {
        [stamp[9], stamp[10]] = deviation.saturating_neg().to_be_bytes();
    }
    stamp
}

fn drawn(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    (0..bytes.div_ceil(8)).flat_map(|_| dice.roll().to_be_bytes()).take(bytes).collect()
}

/// Both curves' orders begin with FF: anything below is a key.
fn below_order(mut key: Vec<u8>) -> Vec<u8> {
    if let Some(first) = key.first_mut() {
        *first &= 0x7F;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_summer_and_one_that_counts_the_other_way() {
        let calendar = Calendar { start_unix_s: 0, factor: 0 };
        let mut config = MeterConfig::new(1, calendar, Mechanism::None, 0);
        config.deviation_min = -60;
        config.summer_time = true;
        // 2026-07-01 12:00 UTC is 14:00 in Central Europe.
        let summer = config.stamp(1_782_907_200);
        assert_eq!(summer, [0x07, 0xEA, 7, 1, 3, 14, 0, 0, 0, 0xFF, 0x88, 0x80]);
        assert_eq!(config.instant(&summer), Some(1_782_907_200));
        let zoneless = [0x07, 0xEA, 7, 1, 0xFF, 14, 0, 0, 0, 0x80, 0, 0];
        assert_eq!(config.instant(&zoneless), Some(1_782_907_200));
        config.inverted_deviation = true;
        let inverted = config.stamp(1_782_907_200);
        assert_eq!(inverted[5..], [14, 0, 0, 0, 0, 120, 0x80]);
        assert_eq!(config.instant(&inverted), Some(1_782_907_200));
        assert_eq!(config.instant(&zoneless), Some(1_782_907_200));
    }
}
