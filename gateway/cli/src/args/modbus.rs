//! The arguments about Modbus meters.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Parity;

#[derive(Debug, ClapArgs)]
#[command(after_help = "Register maps that are shipped: aquametro-calec-st, eastron-sdm630, gavazzi-em340,
schneider-iem3155, sunspec-203. `--list` says more of each, and of those in --profiles.

Examples:
  plomb read modbus --list
  plomb read modbus /dev/ttyUSB0 --unit 1 --model eastron-sdm630
  plomb read modbus tcp://192.0.2.9:502 --unit 3 --model sunspec-203 --obis 1-0:1.8.0 --json

Exit codes: 0 read, 64 wrong usage, 69 the meter did not answer rightly, 78 wrong register
map or no such.")]
pub(crate) struct ReadModbusArgs {
    /// A serial port (RTU), or tcp://host:port.
    #[arg(required_unless_present = "list")]
    pub(crate) port: Option<String>,
    /// The unit.
    #[arg(long, value_name = "N", required_unless_present = "list", value_parser = unit)]
    pub(crate) unit: Option<u8>,
    /// The register map, by its name.
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    pub(crate) model: Option<String>,
    /// Only these registers, by OBIS code; several with commas.
    #[arg(long, value_name = "OBIS", value_delimiter = ',')]
    pub(crate) obis: Vec<String>,
    /// A folder of register maps beside the shipped ones, a `.toml` file each.
    #[arg(long, value_name = "DIR")]
    pub(crate) profiles: Option<PathBuf>,
    /// Say which register maps there are, and read nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// Line speed, in bits a second.
    #[arg(long, default_value_t = 9600, value_parser = clap::value_parser!(u32).range(300..=115_200))]
    pub(crate) baud: u32,
    /// Parity.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) parity: Parity,
    /// How long an answer may take to begin, in milliseconds [default: 1000].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) timeout_ms: Option<u32>,
    /// Show the raw questions and answers too.
    #[arg(long)]
    pub(crate) raw: bool,
}

fn unit(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(unit @ (1..=247 | 255)) => Ok(unit),
        _ => Err("a unit is 1 to 247, or 255 for a gateway itself".into()),
    }
}
