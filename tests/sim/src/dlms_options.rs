//! The command line of a DLMS meter.

use clap::{Args, ValueEnum};
use plomb_sim::dlms::{
    DEVIATION_UNKNOWN, Faults, Framing, Held, Mechanism, MeterConfig, MeterServer, OpeningForm, PUBLIC_CLIENT,
    ProfileForm, PushRoute, SerialLine, conformance, public_point,
};
use plomb_sim::{Calendar, LineSpeed, SimError};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How a client proves itself, as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Auth {
    /// Not at all
    None,
    /// Password
    Lls,
    /// HLS with MD5
    HlsMd5,
    /// HLS with SHA-1
    HlsSha1,
    /// HLS with GMAC
    HlsGmac,
    /// HLS with SHA-256
    HlsSha256,
    /// HLS with ECDSA
    HlsEcdsa,
}

impl From<Auth> for Mechanism {
    fn from(auth: Auth) -> Self {
        match auth {
            Auth::None => Self::None,
            Auth::Lls => Self::Lls,
            Auth::HlsMd5 => Self::Md5,
            Auth::HlsSha1 => Self::Sha1,
            Auth::HlsGmac => Self::Gmac,
            Auth::HlsSha256 => Self::Sha256,
            Auth::HlsEcdsa => Self::Ecdsa,
        }
    }
}

/// Options of a DLMS meter.
#[derive(Debug, Args)]
#[command(next_help_heading = "DLMS meter")]
pub(crate) struct DlmsOptions {
    /// A DLMS meter at tcp://HOST:PORT, udp://HOST:PORT, hdlc+tcp://HOST:PORT, or on a pseudo-terminal linked at
    /// a path; may be repeated, for one meter on several lines
    #[arg(long, value_name = "PLACE", group = "source")]
    pub(crate) dlms: Vec<String>,
    /// How the management client proves itself
    #[arg(long, value_enum, default_value = "none", requires = "dlms")]
    pub(crate) auth: Auth,
    /// Security suite
    #[arg(long, default_value_t = 0, requires = "dlms", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) suite: u8,
    /// Security policy, bits of version 1 (default: with GMAC and ECDSA 0x6C, else 0)
    #[arg(long, value_name = "BITS", requires = "dlms")]
    pub(crate) policy: Option<u8>,
    /// Answers go out as general-glo-ciphering
    #[arg(long, requires = "dlms")]
    pub(crate) general_ciphering: bool,
    /// The meter pushes to tcp://HOST:PORT, udp://HOST:PORT, or line (its pseudo-terminals); may be repeated
    #[arg(long, value_name = "PLACE", requires = "dlms", value_parser = route)]
    pub(crate) push: Vec<PushRoute>,
    /// Seconds between two notifications (default: only when asked)
    #[arg(long, value_name = "SECONDS", requires = "push", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) push_every: Option<u32>,
    /// Notifications are ciphered
    #[arg(long, requires = "push")]
    pub(crate) push_sealed: bool,
    /// The client to whom the meter pushes
    #[arg(long, default_value_t = 102, requires = "push")]
    pub(crate) push_client: u16,
    /// Clients of a pseudo-terminal have to open it first (IEC 62056-21, modes C and E, from 300 baud)
    #[arg(long, requires = "dlms")]
    pub(crate) mode_e: bool,
    /// The confirmation of mode E comes at 300 baud instead of the new speed
    #[arg(long, requires = "mode_e")]
    pub(crate) confirms_at_300: bool,
    /// How long the meter takes to answer within the opening
    #[arg(long, default_value_t = 200, value_name = "MS", requires = "mode_e")]
    pub(crate) reaction: u16,
    /// Characters of the opening have their parity in the eighth bit
    #[arg(long, requires = "mode_e")]
    pub(crate) parity_bits: bool,
    /// The management client's address
    #[arg(long, default_value_t = 1, requires = "dlms")]
    pub(crate) client: u16,
    /// The logical device (wrapper port, upper HDLC address)
    #[arg(long, default_value_t = 1, requires = "dlms")]
    pub(crate) logical_device: u16,
    /// The lower HDLC address
    #[arg(long, default_value_t = 17, requires = "dlms")]
    pub(crate) physical_device: u16,
    /// The last invocation counter that the meter has accepted
    #[arg(long, default_value_t = 0, requires = "dlms")]
    pub(crate) client_counter: u32,
    /// Bytes of an APDU that the meter takes, at most
    #[arg(long, default_value_t = 1024, value_name = "BYTES", requires = "dlms")]
    pub(crate) pdu: u16,
    /// Bytes in an HDLC information field, at most
    #[arg(long, default_value_t = 512, value_name = "BYTES", requires = "dlms")]
    pub(crate) hdlc_info: u16,
    /// HDLC frames before an acknowledgement, at most
    #[arg(long, default_value_t = 3, value_name = "FRAMES", requires = "dlms")]
    pub(crate) hdlc_window: u8,
    /// Services that the meter does not know; may be repeated
    #[arg(long, value_name = "SERVICE", requires = "dlms")]
    #[arg(value_parser = ["list", "selective", "get-blocks", "set-blocks", "action-blocks", "gbt", "set", "action"])]
    pub(crate) without: Vec<String>,
    /// Minutes to be added to the meter's local time for UTC, or none
    #[arg(long, default_value = "0", value_name = "MINUTES", requires = "dlms", allow_hyphen_values = true)]
    pub(crate) deviation: String,
    /// The meter's time at the begin, in seconds since 1970 (default: now)
    #[arg(long, value_name = "SECONDS", requires = "dlms")]
    pub(crate) start: Option<u64>,
    /// How many of the meter's seconds pass in one; 0 stands still
    #[arg(long, default_value_t = 1, requires = "dlms")]
    pub(crate) factor: u32,
    /// The meter's clock follows Europe's summer time; the deviation is that of winter
    #[arg(long, requires = "dlms")]
    pub(crate) summer_time: bool,
    /// The meter's clock counts deviations the other way
    #[arg(long, requires = "dlms")]
    pub(crate) inverted_deviation: bool,
    /// How far the meter's clock is ahead, in seconds
    #[arg(long, default_value_t = 0, value_name = "SECONDS", requires = "dlms", allow_hyphen_values = true)]
    pub(crate) clock_offset: i64,
    /// How much faster the meter's clock runs, in millionths
    #[arg(long, default_value_t = 0, value_name = "PPM", requires = "dlms", allow_hyphen_values = true)]
    pub(crate) drift: i32,
    /// Rows of the load profile
    #[arg(long, default_value_t = 35_040, requires = "dlms")]
    pub(crate) rows: u32,
    /// Seconds between two rows of the load profile
    #[arg(long, default_value_t = 900, value_name = "SECONDS", requires = "dlms")]
    pub(crate) period: u32,
    /// Which column of the load profile is the clock, from 0
    #[arg(long, default_value_t = 0, requires = "dlms")]
    pub(crate) clock_column: usize,
    /// The load profile has columns 3.8.0 and 32.7.0 too
    #[arg(long, requires = "dlms")]
    pub(crate) wide: bool,
    /// The load profile has gaps
    #[arg(long, requires = "dlms")]
    pub(crate) gaps: bool,
    /// The load profile has null-data for what follows from the row before
    #[arg(long, requires = "dlms")]
    pub(crate) null_compression: bool,
}

impl DlmsOptions {
    /// The meter that is asked for.
    ///
    /// # Errors
    /// What is wrong with an option.
    pub(crate) fn config(&self, seed: u64, now_unix_s: u64, faults: &[String]) -> Result<MeterConfig, String> {
        let calendar = Calendar { start_unix_s: self.start.unwrap_or(now_unix_s), factor: self.factor };
        let mut config = MeterConfig::new(seed, calendar, self.auth.into(), self.suite);
        config.policy = self.policy.unwrap_or(config.policy);
        config.general_ciphering = self.general_ciphering;
        config.push_sealed = self.push_sealed;
        config.push_client = self.push_client;
        config.client = self.client;
        config.logical_device = self.logical_device;
        config.physical_device = self.physical_device;
        config.client_counter = self.client_counter;
        config.pdu_bytes_max = self.pdu;
        config.hdlc.info_bytes_max = self.hdlc_info.clamp(1, 2000);
        config.hdlc.window_frames_max = self.hdlc_window;
        for service in &self.without {
            config.conformance &= !match service.as_str() {
                "list" => conformance::MULTIPLE_REFERENCES,
                "selective" => conformance::SELECTIVE_ACCESS,
                "get-blocks" => conformance::GET_BLOCKS,
                "set-blocks" => conformance::SET_BLOCKS,
                "action-blocks" => conformance::ACTION_BLOCKS,
                "gbt" => conformance::GENERAL_BLOCK_TRANSFER,
                "set" => conformance::SET,
                _ => conformance::ACTION,
            };
        }
        config.deviation_min = match self.deviation.as_str() {
            "none" => DEVIATION_UNKNOWN,
            told => told.parse().map_err(|_| format!("--deviation {told}: neither minutes nor none"))?,
        };
        config.summer_time = self.summer_time;
        config.inverted_deviation = self.inverted_deviation;
        config.clock_offset_s = self.clock_offset;
        config.drift_ppm = self.drift;
        config.profile = ProfileForm {
            rows: self.rows,
            period_s: self.period.max(1),
            clock_column: self.clock_column,
            wide: self.wide,
            gaps: self.gaps,
            null_compression: self.null_compression,
            ..ProfileForm::default()
        };
        for fault in faults {
            set_fault(&mut config.faults, fault)?;
        }
        Ok(config)
    }

    /// Puts the meter on all its lines; gives what the program prints.
    ///
    /// # Errors
    /// [`SimError`] of the first line that cannot be had.
    pub(crate) async fn serve(&self, server: &mut MeterServer, baud: Option<u32>) -> Result<Value, SimError> {
        let mut lines = Vec::new();
        for place in &self.dlms {
            lines.push(match place.split_once("://") {
                Some(("tcp", address)) => {
                    json!({"tcp": server.serve_tcp(address, Framing::Wrapper).await?, "framing": "wrapper"})
                }
                Some(("udp", address)) => json!({"udp": server.serve_udp(address).await?, "framing": "wrapper"}),
                Some(("hdlc+tcp", address)) => {
                    json!({"tcp": server.serve_tcp(address, Framing::Hdlc).await?, "framing": "hdlc"})
                }
                _ => {
                    let speed = LineSpeed(baud.unwrap_or(9600));
                    let form = OpeningForm {
                        reaction: Duration::from_millis(self.reaction.into()),
                        confirms_at_300: self.confirms_at_300,
                        parity_bits: self.parity_bits,
                    };
                    let opening = self.mode_e.then_some(form);
                    let line = SerialLine { speed, opening, ..SerialLine::default() };
                    let path = server.serve_pty(Some(Path::new(place)), line)?;
                    json!({"path": path, "baud": speed, "framing": "hdlc", "mode_e": self.mode_e})
                }
            });
        }
        if !self.push.is_empty() {
            let every = self.push_every.map(|seconds| Duration::from_secs(seconds.into()));
            server.push_to(self.push.clone(), every);
        }
        Ok(server.with_meter(|meter, at| described(&meter.config, &lines, &meter.held(at))))
    }
}

fn route(place: &str) -> Result<PushRoute, String> {
    match place.split_once("://") {
        Some(("tcp", address)) => Ok(PushRoute::Tcp(address.to_owned())),
        Some(("udp", address)) => Ok(PushRoute::Udp(address.to_owned())),
        None if place == "line" => Ok(PushRoute::Serial),
        _ => Err("neither tcp://HOST:PORT nor udp://HOST:PORT nor line".to_owned()),
    }
}

/// What an installer would know; keys are secrets of nobody here.
fn described(config: &MeterConfig, lines: &[Value], held: &[Held]) -> Value {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    json!({
        "schema": "plomb-sim/1",
        "lines": lines,
        "meter": {
            "logical_device_name": config.logical_device_name(),
            "serial": config.serial(),
            "system_title": hex(&config.system_title),
            "server": {"logical": config.logical_device, "physical": config.physical_device},
            "public_client": PUBLIC_CLIENT,
            "client": config.client,
            "auth": config.mechanism,
            "suite": config.suite,
            "policy": config.policy,
            "counter_object": "0.0.43.1.0.255",
            "client_counter": config.client_counter,
            "unix_s": config.calendar.start_unix_s,
            "registers": held,
            "client_title": hex(&config.client_title),
            "password": text(&config.password),
            "hls_secret": text(&config.hls_secret),
            "keys": {
                "unicast": hex(&config.keys.unicast),
                "broadcast": hex(&config.keys.broadcast),
                "authentication": hex(&config.keys.authentication),
                "master": hex(&config.keys.master),
                "signing_public": hex(&public_point(&config.signing_key)),
                "client_signing": hex(&config.client_signing_key),
                "client_signing_public": hex(&public_point(&config.client_signing_key)),
            },
        },
    })
}

/// Sets one `FAULT[=VALUE]`, with or without the address `*:` before it.
///
/// # Errors
/// What is wrong with it.
fn set_fault(faults: &mut Faults, fault: &str) -> Result<(), String> {
    let setting = fault.strip_prefix("*:").unwrap_or(fault);
    let setting = if setting.contains('=') { setting.to_owned() } else { format!("{setting}=true") };
    let wrong = |error: &dyn std::fmt::Display| format!("--fault {fault}: {error}");
    let change: toml::Table = setting.parse().map_err(|error| wrong(&error))?;
    let mut table = toml::Table::try_from(&*faults).map_err(|error| wrong(&error))?;
    table.extend(change);
    *faults = table.try_into().map_err(|error: toml::de::Error| wrong(&error))?;
    Ok(())
}
