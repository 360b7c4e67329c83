//! `plomb read`: a meter, now.

use std::path::Path;

use plomb_gateway::{
    ask::{Answer, Knowledge, ask_once},
    config::{Bus, Config, Meter, Parity, Protocol},
    control::Request,
    keys::Keys,
    models, view,
};
use serde_json::Value;

use crate::{
    args::{self, ReadArgs, ReadLine, ReadMbusArgs},
    ask::{self, Place, Unanswered},
    cmd::{interruptible, runtime},
    exit::{Failure, OK},
    show::{Out, Show, one_line, print, record},
};

pub(super) const SCHEMA: &str = "plomb.read/1";
/// What a meter without a measuring point is called.
const NO_POINT: &str = "meter";

pub(super) fn read(args: ReadArgs, show: &Show) -> Result<u8, Failure> {
    let show = *show;
    match (args.line, args.point) {
        (Some(_), Some(_)) => Err(Failure::Usage("give either a --point or a line".into())),
        (Some(ReadLine::Mbus(line)), None) => interruptible(move || {
            let (bus, meter) = of_line(&line);
            tell(&directly(&meter, &bus, &known(line.keys.as_deref(), None)?, None, line.raw)?, &show)
        }),
        (Some(ReadLine::Dlms(line)), None) => interruptible(move || tell(&super::dlms::read(&line)?, &show)),
        (None, Some(point)) => {
            let place = Place::find(&args.daemon)?;
            interruptible(move || tell(&of_point(&place, &point)?, &show))
        }
        (None, None) => Err(Failure::Usage("name a --point, or a line: `plomb read mbus PORT --address N`".into())),
    }
}

fn tell(document: &Value, show: &Show) -> Result<u8, Failure> {
    if show.json {
        print(document)?;
        return Ok(OK);
    }
    let mut out = Out::new();
    record(document).into_iter().try_for_each(|line| out.line(line))?;
    let rows = document.get("load_profile").and_then(Value::as_array).into_iter().flatten();
    rows.map(row).try_for_each(|line| out.line(line))?;
    let frames = document.get("frames").and_then(Value::as_array).into_iter().flatten();
    frames.filter_map(Value::as_str).try_for_each(|frame| out.line(format!("  frame {frame}")))?;
    out.flush()?;
    Ok(OK)
}

/// A reading of a load profile on a line.
fn row(reading: &Value) -> String {
    let text = |key: &str| reading.get(key).and_then(Value::as_str).unwrap_or_default();
    one_line(&format!("  {}  {:<17} {:>14} {}", text("time"), text("obis"), text("value"), text("unit")))
}

fn of_point(place: &Place, point: &str) -> Result<Value, Failure> {
    match place.ask(&Request::Read { point: point.into() }) {
        Ok(mut answer) => {
            let text = ask::line(&mut answer).map_err(|error| Failure::file(&place.socket, error))?;
            serde_json::from_str(&text)
                .map_err(|error| Failure::Unavailable(format!("the daemon's answer can't be read: {error}")))
        }
        Err(Unanswered::Down(error)) => match &place.config {
            Some(config) => configured(config, point),
            None => Err(place.down(&error)),
        },
        Err(other) => Err(place.failure(other)),
    }
}

/// Reads a configured meter over its line, which nobody else uses now.
fn configured(config: &Config, point: &str) -> Result<Value, Failure> {
    let meter = config.meter.iter().find(|meter| meter.point == point);
    let meter = meter.ok_or_else(|| Failure::Usage(format!("no point \"{point}\" is configured")))?;
    let bus = config.bus.iter().find(|bus| bus.name == meter.bus);
    let bus = bus.ok_or_else(|| Failure::Config(format!("point \"{point}\": there is no bus \"{}\"", meter.bus)))?;
    eprintln!("plomb: plombd does not run; reading the meter directly. The reading is not recorded.");
    let known = known(config.gateway.meter_keys.as_deref(), config.gateway.profiles.as_deref())?;
    directly(meter, bus, &known, Some(point), false)
}

/// Keys and models. What nobody records uses up no counters.
fn known(keys: Option<&Path>, profiles: Option<&Path>) -> Result<Knowledge, Failure> {
    let keys = keys.map_or_else(|| Ok(Keys::default()), Keys::load).map_err(Failure::Config)?;
    let library = models::library(profiles).map_err(Failure::Config)?;
    Ok(Knowledge { keys: keys.into(), library: library.into(), ..Knowledge::none() })
}

fn directly(meter: &Meter, bus: &Bus, known: &Knowledge, point: Option<&str>, raw: bool) -> Result<Value, Failure> {
    let asked = runtime()?.block_on(ask_once(meter, bus, known));
    let Answer { record, frames, .. } = asked.map_err(super::dlms::failure)?;
    let mut document = view::record_fields(&record);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("schema".into(), SCHEMA.into());
        fields.insert("point".into(), point.into());
        if raw {
            fields.insert("frames".into(), frames.iter().map(hex::encode).collect());
        }
    }
    Ok(document)
}

fn of_line(line: &ReadMbusArgs) -> (Bus, Meter) {
    let bus = Bus {
        port: line.port.clone(),
        baud: line.baud,
        parity: match line.parity {
            args::Parity::Even => Parity::Even,
            args::Parity::None => Parity::None,
            args::Parity::Odd => Parity::Odd,
        },
        reply_timeout_ms: line.timeout_ms,
        ..Bus::new("line", Protocol::Mbus)
    };
    let meter = Meter { address: line.address, secondary: line.secondary.clone(), ..Meter::new(NO_POINT, &bus.name) };
    (bus, meter)
}
