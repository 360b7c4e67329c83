//! Modbus meters without any configuration: `plomb read modbus`.

use std::path::Path;

use plomb_gateway::{
    ask::Knowledge,
    config::{Bus, Meter, Parity, Protocol},
    models,
};
use plomb_modbus::Maps;
use serde_json::{Value, json};

use crate::{
    args::{self, ReadModbusArgs},
    exit::{Failure, OK},
    show::{Out, Show, one_line, print},
};

/// The schema of a list of register maps.
const LIST_SCHEMA: &str = "plomb.modbus-models/1";

/// The register maps: those that are shipped, and those of a folder.
pub(super) fn maps(folder: Option<&Path>) -> Result<Maps, Failure> {
    models::register_maps(folder).map_err(Failure::Config)
}

/// Says which register maps there are.
pub(super) fn list(folder: Option<&Path>, show: &Show) -> Result<u8, Failure> {
    let maps = maps(folder)?;
    if show.json {
        let models: Vec<Value> = maps
            .iter()
            .map(|map| {
                let codes = map.registers.iter().filter_map(|register| register.obis).map(|obis| obis.to_string());
                json!({ "name": map.name, "version": map.version, "model": map.model, "obis": codes.collect::<Vec<_>>() })
            })
            .collect();
        print(json!({ "schema": LIST_SCHEMA, "models": models }))?;
        return Ok(OK);
    }
    let mut out = Out::new();
    maps.iter().try_for_each(|map| out.line(one_line(&format!("{:<22} {}", map.name, map.model))))?;
    out.flush()?;
    Ok(OK)
}

/// What the arguments say of a meter.
pub(super) fn known(args: &ReadModbusArgs) -> Result<(Bus, Meter, Knowledge), Failure> {
    let bus = Bus {
        port: args.port.clone().unwrap_or_default(),
        baud: args.baud,
        parity: match args.parity {
            args::Parity::Even => Parity::Even,
            args::Parity::None => Parity::None,
            args::Parity::Odd => Parity::Odd,
        },
        reply_timeout_ms: args.timeout_ms,
        ..Bus::new("line", Protocol::Modbus)
    };
    let meter = Meter {
        unit: args.unit,
        model: args.model.clone(),
        registers: args.obis.clone(),
        ..Meter::new("meter", &bus.name)
    };
    Ok((bus, meter, Knowledge { maps: maps(args.profiles.as_deref())?.into(), ..Knowledge::none() }))
}
