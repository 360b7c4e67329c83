//! The command line of Modbus meters.

use super::{Faults, ModbusServer, Unit};
use crate::SimError;
use clap::Args;
use serde_json::{Value, json};
use std::path::Path;

/// Options of Modbus meters.
#[derive(Debug, Args)]
#[command(next_help_heading = "Modbus meters")]
pub struct ModbusOptions {
    /// Modbus meters at tcp://HOST:PORT, or on a pseudo-terminal linked at a path; may be repeated
    #[arg(long, value_name = "PLACE", group = "source")]
    pub modbus: Vec<String>,
    /// Their units
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "1", requires = "modbus")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=247))]
    pub units: Vec<u8>,
}

impl ModbusOptions {
    /// The units, with their faults: `UNIT:FAULT[=VALUE]`, or `*` for all.
    ///
    /// # Errors
    /// What is wrong with a fault.
    pub fn build(&self, faults: &[String]) -> Result<Vec<Unit>, String> {
        let mut units: Vec<Unit> = self.units.iter().map(|number| Unit::new(*number)).collect();
        for fault in faults {
            let wrong = |error: String| format!("--fault {fault}: {error}");
            let (unit, setting) = fault.split_once(':').ok_or_else(|| wrong("no colon in it".into()))?;
            let setting = if setting.contains('=') { setting.to_owned() } else { format!("{setting}=true") };
            let change: toml::Table = setting.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
            let mut found = false;
            for own in units.iter_mut().filter(|own| unit == "*" || unit == own.number.to_string()) {
                let mut table = toml::Table::try_from(own.faults).map_err(|error| wrong(error.to_string()))?;
                table.extend(change.clone());
                own.faults = table.try_into::<Faults>().map_err(|error| wrong(error.to_string()))?;
                found = true;
            }
            if !found {
                return Err(wrong(format!("no unit {unit}")));
            }
        }
        Ok(units)
    }

    /// Opens the lines; says where they are.
    ///
    /// # Errors
    /// [`SimError`].
    pub async fn serve(&self, server: &mut ModbusServer) -> Result<Value, SimError> {
        let mut lines = Vec::new();
        for place in &self.modbus {
            lines.push(match place.strip_prefix("tcp://") {
                Some(address) => json!({ "tcp": server.serve_tcp(address).await?.to_string() }),
                None => json!({ "path": server.serve_pty(Some(Path::new(place)))? }),
            });
        }
        let serial = |unit: &Unit| json!({ "unit": unit.number, "model": "eastron-sdm630", "id": unit.meter.serial });
        let meters: Vec<Value> = server.with_units(|units| units.iter().map(serial).collect());
        Ok(json!({ "schema": "plomb-sim/1", "lines": lines, "meters": meters }))
    }
}
