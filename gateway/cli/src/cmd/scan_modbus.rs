//! `plomb scan --modbus`: Modbus units on a line.

use std::io::{IsTerminal, Write, stderr};

use plomb_gateway::{
    config::{Bus, Parity, Protocol},
    scan::{Found, SCHEMA, ScanLine, modbus},
};
use serde_json::{Value, json};

use super::runtime;
use crate::{
    args::{self, ScanArgs},
    exit::{Failure, INTERRUPTED, NONE_FOUND, OK},
    show::{Out, Show, one_line, tell},
};

pub(super) fn scan(args: &ScanArgs, show: &Show) -> Result<u8, Failure> {
    let maps = super::modbus::maps(args.profiles.as_deref())?;
    let bus = Bus {
        port: args.port.clone(),
        baud: args.baud.unwrap_or(Bus::new("", Protocol::Modbus).baud),
        parity: match args.parity {
            Some(args::Parity::Even) => Parity::Even,
            None | Some(args::Parity::None) => Parity::None,
            Some(args::Parity::Odd) => Parity::Odd,
        },
        reply_timeout_ms: args.timeout_ms,
        ..Bus::new("line", Protocol::Modbus)
    };
    let (mut found, mut wrong, mut end): (Vec<Found>, _, _) = (Vec::new(), None, String::new());
    let mut out = Out::new();
    let stop = async {
        // Without signals the scan runs to its end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let scanned = runtime()?.block_on(modbus(&bus, &maps, stop, |line| {
        let told = match (&line, show.json) {
            (ScanLine::Progress { .. }, _) => {
                progress(&line);
                Ok(())
            }
            (_, true) => serde_json::to_value(&line).map_or(Ok(()), |mut document| {
                if let Some(fields) = document.as_object_mut() {
                    fields.insert("schema".into(), SCHEMA.into());
                }
                out.document(&document)
            }),
            (ScanLine::Found(meter), false) => out.line(text(meter)),
            (ScanLine::Trouble { place, what }, false) => out.line(one_line(&format!("{place}: {what}"))),
            _ => Ok(()),
        };
        if let Err(error) = told.and_then(|()| out.flush()) {
            wrong.get_or_insert(error);
        }
        match line {
            ScanLine::Found(meter) => found.push(meter),
            ScanLine::Done { end: how, detail, .. } => end = format!("{how}: {detail}"),
            _ => {}
        }
    }));
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    if let Some(error) = wrong {
        return Err(error);
    }
    scanned.map_err(Failure::Unavailable)?;
    tell(format_args!("plomb: {}", one_line(&end)));
    if found.is_empty() {
        return Ok(if end.starts_with("cancelled") { INTERRUPTED } else { NONE_FOUND });
    }
    if !show.json {
        out.line("")?;
        block(&bus, &found).into_iter().try_for_each(|line| out.line(line))?;
        out.flush()?;
    }
    Ok(if end.starts_with("cancelled") { INTERRUPTED } else { OK })
}

fn progress(line: &ScanLine) {
    let ScanLine::Progress { done_per_mille, remaining_s, .. } = line else { return };
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{} % of the units, {:.0} s left", done_per_mille / 10, remaining_s.unwrap_or_default());
        // A terminal that is gone is no reason to stop.
        let _ = stderr().flush();
    }
}

fn text(meter: &Found) -> String {
    let mut words = vec![format!("unit {}", meter.address.unwrap_or_default())];
    words.extend(meter.identity.clone());
    words.extend(meter.id.as_ref().map(|id| format!("serial {id}")));
    words.extend(meter.value.clone());
    one_line(&words.join(", "))
}

/// What to paste.
fn block(bus: &Bus, found: &[Found]) -> Vec<String> {
    let quoted = |text: &str| Value::from(text).to_string();
    let mut lines = vec![
        "# For plombd.toml; give the points names of the building:".into(),
        "[[bus]]".into(),
        "name = \"modbus\"".into(),
        "protocol = \"modbus\"".into(),
        format!("port = {}", quoted(&bus.port)),
    ];
    if !bus.port.contains("://") {
        let parity = match bus.parity {
            Parity::Even => "even",
            Parity::Odd => "odd",
            Parity::None | Parity::OfProtocol => "none",
        };
        lines.extend([format!("baud = {}", bus.baud), format!("parity = \"{parity}\"")]);
    }
    for meter in found {
        let unit = meter.address.unwrap_or_default();
        lines.extend([
            String::new(),
            "[[meter]]".into(),
            format!("point = \"unit-{unit}\""),
            "bus = \"modbus\"".into(),
        ]);
        lines.push(format!("unit = {unit}"));
        match &meter.identity {
            Some(model) => lines.push(format!("model = {}", json!(model))),
            None => lines
                .push("# model = …                   # none of the known ones: see plomb read modbus --list".into()),
        }
        lines.push("interval_s = 900".into());
    }
    lines
}
