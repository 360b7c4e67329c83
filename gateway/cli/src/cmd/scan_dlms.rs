//! `plomb scan --dlms`: DLMS meters on a line.

use std::io::{IsTerminal, Write, stderr};

use plomb_gateway::{
    ask::port::explain,
    config::{Bus, Parity, Protocol},
    scan::dlms::{DlmsProgress, FoundDlms, dlms},
};
use serde_json::json;

use super::runtime;
use crate::{
    args::{self, ScanArgs},
    exit::{Failure, NONE_FOUND, OK},
    show::{Out, Show, one_line},
};

/// The schema of a found meter.
const SCHEMA: &str = "plomb.scan-dlms/1";
/// The speed of most DLMS lines; that of M-Bus is meant for others.
const BAUD: u32 = 9600;
const MBUS_BAUD: u32 = 2400;

pub(super) fn scan(args: &ScanArgs, show: &Show) -> Result<u8, Failure> {
    let bus = Bus {
        port: args.port.clone(),
        baud: if args.baud == MBUS_BAUD { BAUD } else { args.baud },
        parity: match args.parity {
            args::Parity::Even if args.baud == MBUS_BAUD => Parity::None,
            args::Parity::Even => Parity::Even,
            args::Parity::None => Parity::None,
            args::Parity::Odd => Parity::Odd,
        },
        reply_timeout_ms: args.timeout_ms,
        ..Bus::new("line", Protocol::Dlms)
    };
    let (first, last) = args.physical;
    let mut found: Vec<FoundDlms> = Vec::new();
    let mut out = Out::new();
    let mut wrong = None;
    let scanned = runtime()?.block_on(dlms(
        &bus,
        first..=last,
        async {
            // Without signals the scan runs to its end.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        },
        |meter| {
            let told = if show.json { out.document(&line(&meter)) } else { out.line(text(&meter)) };
            if let Err(error) = told.and_then(|()| out.flush()) {
                wrong.get_or_insert(error);
            }
            found.push(meter);
        },
        progress,
    ));
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    if let Some(error) = wrong {
        return Err(error);
    }
    scanned.map_err(|error| Failure::Unavailable(explain(&bus.port, &error)))?;
    if found.is_empty() {
        eprintln!(
            "plomb: nobody answers as a DLMS meter: check wiring, --baud and --parity; an optical head may need mode E"
        );
        return Ok(NONE_FOUND);
    }
    if !show.json {
        out.line("")?;
        block(&bus, &found).into_iter().try_for_each(|line| out.line(line))?;
        out.flush()?;
    }
    Ok(OK)
}

fn progress(DlmsProgress { tried, of, left }: DlmsProgress) {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{tried} of {of} addresses, {} s left", left.as_secs());
        // A terminal that is gone is no reason to stop.
        let _ = stderr().flush();
    }
}

fn line(meter: &FoundDlms) -> serde_json::Value {
    json!({ "schema": SCHEMA, "event": "found", "protocol": "dlms", "meter": meter })
}

fn text(meter: &FoundDlms) -> String {
    let mut words = vec![format!("server {}", meter.server)];
    words.extend(meter.physical.map(|physical| format!("physical {physical}")));
    words.extend(meter.device_name.clone());
    words.extend(meter.serial.as_ref().map(|serial| format!("serial {serial}")));
    words.extend((!meter.devices.is_empty()).then(|| {
        let names: Vec<String> = meter.devices.iter().map(|(address, name)| format!("{address} {name}")).collect();
        format!("logical devices: {}", names.join(", "))
    }));
    words.extend(meter.ciphers.then(|| "has a ciphered client".into()));
    words.extend(meter.refusal.as_ref().map(|refusal| format!("says to the public client: {refusal}")));
    one_line(&words.join(", "))
}

/// What to paste.
fn block(bus: &Bus, found: &[FoundDlms]) -> Vec<String> {
    let quoted = |text: &str| json!(text).to_string();
    let mut lines = vec![
        "# For plombd.toml; give each point its name, its client's authentication and its registers.".into(),
        "[[bus]]".into(),
        "name = \"power\"".into(),
        "protocol = \"dlms\"".into(),
        format!("port = {}", quoted(&bus.port)),
    ];
    if !bus.port.contains("://") {
        lines.push(format!("baud = {}", bus.baud));
        lines.push("parity = \"none\"".into());
    }
    for (nth, meter) in (1..).zip(found) {
        lines.push(String::new());
        lines.push("[[meter]]".into());
        let name = meter.serial.as_ref().map(|serial| serial.to_lowercase()).filter(|name| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        });
        lines.push(format!("point = \"power-{}\"", name.unwrap_or_else(|| nth.to_string())));
        lines.push("bus = \"power\"".into());
        lines.push(format!("server = {}", meter.server));
        lines.extend(meter.physical.map(|physical| format!("physical = {physical}")));
        lines.push(match meter.ciphers {
            true => "authentication = \"hls-gmac\"   # keys into the file of meter_secrets".into(),
            false => "# authentication = \"lls\"         # password into the file of meter_secrets".into(),
        });
        lines.push("registers = [\"1-0:1.8.0\", \"1-0:2.8.0\"]".into());
        lines.push("# load_profile = \"1-0:99.1.0\"".into());
        lines.push("interval_s = 900".into());
    }
    lines
}
