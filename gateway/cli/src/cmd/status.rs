//! `plomb status`: how the gateway is.

use std::{io::IsTerminal, thread, time::Duration};

use plomb_gateway::{
    clock::unix_ms,
    config::Config,
    control::Request,
    journal::Stats,
    status::{Journal, OrderedCommand, OrderedConfig, Orders, SCHEMA, Snapshot, rfc3339},
    vitals::measure::Vitals,
};
use serde_json::json;

use crate::{
    args::StatusArgs,
    ask::{self, Place, STOPPED, Unanswered},
    cmd::{export, interruptible},
    exit::{BAD, DOWN, Failure, OK},
    show::{Out, Show, Table, Tone, count, one_line, rounded, size},
};

/// How often a watch looks again.
const WATCH_PERIOD: Duration = Duration::from_secs(2);
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

pub(super) fn status(args: &StatusArgs, show: &Show) -> Result<u8, Failure> {
    let place = Place::find(&args.daemon)?;
    let show = *show;
    if !args.watch {
        return once(&place, &show, "");
    }
    let clear = if std::io::stdout().is_terminal() && !show.json { CLEAR } else { "" };
    interruptible(move || {
        loop {
            once(&place, &show, clear)?;
            thread::sleep(WATCH_PERIOD);
        }
    })
}

fn once(place: &Place, show: &Show, before: &str) -> Result<u8, Failure> {
    let mut out = Out::new();
    out.bytes(before.as_bytes())?;
    let code = match place.ask(&Request::Status {}) {
        Ok(mut answer) => {
            let text = ask::line(&mut answer).map_err(|error| Failure::file(&place.socket, error))?;
            if text.is_empty() {
                return Err(Failure::Unavailable(STOPPED.into()));
            }
            let snapshot: Snapshot = serde_json::from_str(&text).map_err(|error| {
                Failure::Unavailable(format!(
                    "the daemon's status can't be read ({error}); are plomb and plombd of one version?"
                ))
            })?;
            if show.json {
                out.line(text.trim_end())?;
            } else {
                lines(&snapshot, show).into_iter().try_for_each(|line| out.line(line))?;
            }
            if snapshot.verdict == "ok" { OK } else { BAD }
        }
        Err(Unanswered::Down(error)) => {
            let why = place.down(&error).to_string();
            down(place, &why, show, &mut out)?;
            DOWN
        }
        Err(other) => return Err(place.failure(other)),
    };
    out.flush()?;
    Ok(code)
}

/// What is known without the daemon: the journal's file.
fn down(place: &Place, why: &str, show: &Show, out: &mut Out) -> Result<(), Failure> {
    let journal = place.config.as_ref().map(journal);
    if show.json {
        let (journal, trouble) = match &journal {
            Some(Ok(journal)) => (Some(journal), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let troubles: Vec<&str> = std::iter::once(why).chain(trouble.as_deref()).collect();
        return out.json(&json!({
            "schema": SCHEMA, "verdict": "down", "troubles": troubles, "time": rfc3339(unix_ms()),
            "gateway": place.config.as_ref().map(|config| config.gateway.id.as_str()), "journal": journal,
            "buses": [], "points": [],
        }));
    }
    out.line(format!("{}: {}", show.tone(Tone::Bad, "DOWN"), one_line(why)))?;
    match journal {
        Some(Ok(journal)) => {
            journal_lines(&journal).into_iter().try_for_each(|line| out.line(line))?;
            out.line("           (from the journal's file, as it was left)")
        }
        Some(Err(error)) => out.line(format!("journal    {}", one_line(&error.to_string()))),
        None => Ok(()),
    }
}

fn journal(config: &Config) -> Result<Journal, Failure> {
    let stats = export::open(config)?.snapshot().and_then(|snapshot| snapshot.stats());
    let Stats { epoch, next_seq, anchored_seq, acked_seq, oldest_unreceipted_ms, stored_bytes, .. } =
        stats.map_err(|error| Failure::Unavailable(error.to_string()))?;
    Ok(Journal {
        epoch,
        entries: next_seq,
        anchored: anchored_seq,
        receipted: acked_seq,
        oldest_unreceipted: oldest_unreceipted_ms.map(rfc3339),
        stored_bytes,
        quota_bytes: config.journal.quota_mib.saturating_mul(1024 * 1024),
        ..Journal::default()
    })
}

/// The state on one screen.
fn lines(snapshot: &Snapshot, show: &Show) -> Vec<String> {
    let now_ms = unix_ms();
    let verdict = match snapshot.verdict.as_str() {
        "ok" => show.tone(Tone::Good, "OK"),
        _ => format!("{}: {}", show.tone(Tone::Doubt, "DEGRADED"), one_line(&snapshot.troubles.join("; "))),
    };
    let mut lines = vec![verdict];
    lines.push(format!(
        "gateway    {}, plombd {}, running for {}",
        one_line(&snapshot.gateway),
        one_line(&snapshot.version),
        rounded(Some(&snapshot.started), now_ms)
    ));
    lines.extend(hub_lines(snapshot, now_ms));
    lines.extend(journal_lines(&snapshot.journal));
    let doubt = snapshot.clock_doubt.as_ref().map(|doubt| format!(": {doubt}")).unwrap_or_default();
    lines.push(one_line(&format!("clock      {}, {}{doubt}", snapshot.clock, show.zone.text(&snapshot.time))));
    lines.extend(snapshot.vitals.as_ref().and_then(vitals_line));
    lines.extend(order_lines(&snapshot.orders, show));
    for bus in &snapshot.buses {
        let state = match (&bus.last_error, bus.open) {
            (_, true) => "open".into(),
            (Some(error), false) => format!("closed: {error}"),
            (None, false) => "not opened yet".into(),
        };
        let (name, port) = (&bus.name, &bus.port);
        let line = match &bus.receiver {
            None => format!("bus        {name} at {port}, {state}; {} answered, {} failed", bus.answered, bus.failed),
            Some(receiver) => format!(
                "air        {name} at {port}, {state}: {receiver}; {} telegrams, {} refused, {} of strangers, {} noise",
                bus.answered, bus.failed, bus.strangers, bus.noise
            ),
        };
        lines.push(one_line(&line));
    }
    lines.push(String::new());
    lines.extend(points(snapshot, now_ms, show).lines());
    if snapshot.points.iter().any(|point| point.radio.is_some()) {
        lines.push(String::new());
        lines.extend(reception(snapshot, now_ms).lines());
    }
    if snapshot.points.iter().any(|point| point.asked_again.is_some()) {
        lines.push(
            "A meter that failed is asked again at the time shown; `plomb read --point NAME` asks it now.".into(),
        );
    }
    lines
}

fn hub_lines(snapshot: &Snapshot, now_ms: i64) -> Vec<String> {
    let hub = &snapshot.hub;
    if hub.address.is_empty() {
        return vec!["hub        none is configured: entries are recorded and not anchored".into()];
    }
    let state = match (&hub.last_error, hub.connected) {
        (_, true) => format!("connected ({})", count(hub.connections, "connection", "connections")),
        (Some(error), false) => format!("not connected: {error}"),
        (None, false) => "not connected yet".into(),
    };
    let size = hub.ledger_size.map(|size| format!(", ledger at {size}")).unwrap_or_default();
    vec![
        one_line(&format!("hub        {}, {state}", hub.address)),
        match &hub.last_receipt {
            None => format!("receipts   none yet{size}"),
            last => format!("receipts   {}, the last {} ago{size}", hub.receipts, rounded(last.as_deref(), now_ms)),
        },
    ]
}

/// What came from the ledger: nothing is said where there was nothing.
fn order_lines(orders: &Orders, show: &Show) -> Vec<String> {
    let config = |label: &str, config: &OrderedConfig, what: &str| {
        let OrderedConfig { version, author, reason, priority, time, .. } = config;
        let time = show.zone.text(time);
        one_line(&format!("{label:<11}version {version} by {author}, {priority}, {what} {time}: {reason}"))
    };
    let mut lines = Vec::new();
    lines.extend(orders.in_force.as_ref().map(|applied| config("config", applied, "applied")));
    lines.extend(orders.on_trial.as_ref().map(|trial| config("on trial", trial, "begun")));
    lines.extend(orders.pending.iter().map(|pending| config("pending", pending, "came")));
    if let Some(last) = &orders.last_command {
        let OrderedCommand { point, verb, counter, author, outcome, time } = last;
        let time = show.zone.text(time);
        lines.push(one_line(&format!("command    {counter}: {verb} at {point} by {author}, {time}: {outcome}")));
    }
    if orders.executing > 0 || orders.unanswered > 0 {
        let executing = count(orders.executing as u64, "command", "commands");
        let waiting = count(orders.unanswered as u64, "statement", "statements");
        lines.push(format!("orders     {executing} under way, {waiting} not answered by the ledger yet"));
    }
    lines.extend(orders.refused.as_ref().map(|refused| one_line(&format!("not taken  {refused}"))));
    lines.extend(orders.sealing_key.as_ref().map(|key| one_line(&format!("sealed to  key {key}"))));
    lines
}

/// The box, as far as it tells anything.
fn vitals_line(vitals: &Vitals) -> Option<String> {
    let mut words = Vec::new();
    words.extend(vitals.mains.map(|mains| if mains { "on mains".into() } else { "on battery".to_string() }));
    words.extend(vitals.battery_percent.map(|percent| format!("battery {percent} %")));
    words.extend(vitals.temperature_c.map(|degrees| format!("{degrees} °C")));
    words.extend(vitals.under_voltage.filter(|low| *low).map(|_| "under-voltage".into()));
    words.extend(vitals.memory_free_mib.map(|mib| format!("{mib} MiB of memory free")));
    words.extend(vitals.disk_free_mib.map(|mib| format!("{mib} MiB of disk free")));
    words.extend(vitals.flash_worn_percent.map(|percent| format!("flash {percent} % worn")));
    (!words.is_empty()).then(|| format!("box        {}", words.join(", ")))
}

fn journal_lines(journal: &Journal) -> Vec<String> {
    let mut lines = vec![format!(
        "journal    epoch {}, {}, {} in closed batches, {} receipted; {} of {}",
        journal.epoch,
        count(journal.entries, "entry", "entries"),
        journal.anchored,
        journal.receipted,
        size(journal.stored_bytes),
        size(journal.quota_bytes)
    )];
    if let Some(oldest) = &journal.oldest_unreceipted {
        lines.push(format!("           the oldest without a receipt is {} old", rounded(Some(oldest), unix_ms())));
    }
    lines
}

fn points(snapshot: &Snapshot, now_ms: i64, show: &Show) -> Table {
    let mut table =
        Table::new(&["point", "meter", "last value", ">age", ">of", ">answered", "asked again", "last failure"]);
    for point in &snapshot.points {
        let asked = point.answered.saturating_add(point.absent);
        let share = match point.answered.saturating_mul(100).checked_div(asked) {
            Some(percent) => format!("{percent} % of {asked}"),
            None => "-".into(),
        };
        let failure = point.last_failure.as_deref().filter(|_| point.failures_in_a_row > 0);
        table.row([
            point.point.as_str(),
            point.meter.as_deref().unwrap_or("-"),
            point.value.as_deref().unwrap_or("-"),
            &rounded(point.last_record.as_deref(), now_ms),
            &format!("{} s", point.interval_s),
            &share,
            &point.asked_again.as_deref().map(|time| show.zone.text(time)).unwrap_or_default(),
            failure.unwrap_or_default(),
        ]);
    }
    table
}

/// How the radio meters are received.
fn reception(snapshot: &Snapshot, now_ms: i64) -> Table {
    let mut table =
        Table::new(&["in the air", ">heard", ">every", ">of 24 h", ">dBm", ">telegrams", "protection", "refused"]);
    for (point, radio) in snapshot.points.iter().filter_map(|point| Some((point, point.radio.as_ref()?))) {
        let refused: Vec<String> = radio.refused.iter().map(|(kind, times)| format!("{times} × {kind}")).collect();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        table.row([
            point.point.as_str(),
            &match (&radio.last_heard, &radio.last_refused) {
                (None, Some(refused)) => format!("refused {}", rounded(Some(refused), now_ms)),
                (heard, _) => rounded(heard.as_deref(), now_ms),
            },
            &or_dash(radio.expected_interval_s.map(|seconds| format!("{seconds:.0} s"))),
            &or_dash(radio.heard_24h_percent.map(|percent| format!("{percent} %"))),
            &or_dash(radio.rssi_dbm.map(|dbm| dbm.to_string())),
            &radio.telegrams.to_string(),
            radio.protection.as_deref().unwrap_or("-"),
            &refused.join(", "),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use plomb_gateway::status::Point;

    use super::*;
    use crate::args::Args;

    #[test]
    fn a_silent_meter_says_when_it_is_asked_again_and_a_clock_why_it_is_unset() {
        let args = <Args as clap::Parser>::try_parse_from(["plomb", "status"]).unwrap();
        let snapshot = Snapshot {
            schema: SCHEMA.into(),
            version: "1".into(),
            gateway: "gw".into(),
            verdict: "degraded".into(),
            troubles: vec!["1 meter silent".into()],
            time: rfc3339(0),
            clock: "unset".into(),
            clock_doubt: Some("no time service found".into()),
            started: rfc3339(0),
            vitals: None,
            hub: Default::default(),
            journal: Journal { entries: 2, anchored: 2, ..Journal::default() },
            orders: Orders {
                in_force: Some(OrderedConfig { version: 3, author: "alice".into(), ..OrderedConfig::default() }),
                refused: Some("configuration 4: config-syntax".into()),
                ..Orders::default()
            },
            buses: Vec::new(),
            points: vec![Point {
                point: "flat".into(),
                failures_in_a_row: 4,
                asked_again: Some("2026-11-23T08:42:05.000Z".into()),
                ..Point::default()
            }],
        };
        let text = lines(&snapshot, &Show::new(&args)).join("\n");
        assert!(text.contains("2026-11-23 ") && text.contains("`plomb read --point NAME` asks it now"), "{text}");
        assert!(text.contains("clock      unset, ") && text.contains(": no time service found"), "{text}");
        assert!(
            text.contains("config     version 3 by alice") && text.contains("not taken  configuration 4"),
            "{text}"
        );
        assert!(text.contains("2 in closed batches, 0 receipted") && !text.contains("2 anchored"), "{text}");
    }
}
