//! `plomb scan`: which meters are there.

use std::{
    io::{BufRead, IsTerminal, Write},
    time::Duration,
};

use plomb_gateway::{
    config::{Bus, Parity, Protocol, Select},
    control::Request,
    scan::{Found, How, SCHEMA, ScanLine, ScanOptions, air, wired},
};
use serde_json::{Value, json};

use crate::{
    args::{self, ScanArgs},
    ask::{self, Place, Unanswered},
    cmd::runtime,
    exit::{Failure, INTERRUPTED, NONE_FOUND, OK, UNAVAILABLE},
    show::{Out, Show, Tone, count, one_line},
};

/// Ends of a scan that are no failure of the line.
const GOOD_ENDS: [&str; 3] = ["complete", "nobody-answers", "cancelled"];

pub(super) fn scan(args: &ScanArgs, show: &Show) -> Result<u8, Failure> {
    if args.dlms {
        return super::scan_dlms::scan(args, show);
    }
    let mut teller = Teller::new(*show, args);
    if let Some(code) = through_the_daemon(args, &mut teller)? {
        return Ok(code);
    }
    directly(args, &mut teller)
}

/// A running daemon stops polling the port, scans, and goes on. `None`: it has nothing to do with this port.
fn through_the_daemon(args: &ScanArgs, teller: &mut Teller) -> Result<Option<u8>, Failure> {
    // On a laptop there is no configuration, and no daemon.
    let Ok(place) = Place::find(&args.daemon) else { return Ok(None) };
    let request = Request::Scan { port: args.port.clone(), options: options(args) };
    let mut answer = match place.ask(&request) {
        Ok(answer) => answer,
        Err(Unanswered::Down(_)) => return Ok(None),
        Err(Unanswered::Refused(_, why)) if why.starts_with("not a port") => return Ok(None),
        Err(other) => return Err(place.failure(other)),
    };
    teller.daemon = true;
    let fail = |error| Failure::file(&place.socket, error);
    while answer.fill_buf().map(|bytes| !bytes.is_empty()).map_err(fail)? {
        let text = ask::line(&mut answer).map_err(fail)?;
        let line = serde_json::from_str(&text)
            .map_err(|error| Failure::Unavailable(format!("the daemon's answer can't be read: {error}")))?;
        teller.tell(&line)?;
    }
    teller.end().map(Some)
}

fn directly(args: &ScanArgs, teller: &mut Teller) -> Result<u8, Failure> {
    let bus = bus(args);
    let (options, wireless) = (options(args), args.wireless());
    let runtime = runtime()?;
    let mut failure = None;
    let mut tell = |line: ScanLine| {
        if let Err(error) = teller.tell(&line) {
            failure.get_or_insert(error);
        }
    };
    let scanned = runtime.block_on(async {
        let stop = async {
            // Without signals the scan runs to its end.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        if wireless {
            air(&bus, Duration::from_secs(options.lasts_s), stop, &mut tell).await
        } else {
            wired(&bus, &options, stop, &mut tell)
                .await
                .map_err(|error| plomb_gateway::ask::port::explain(&bus.port, &error))
        }
    });
    // Standard input may still be waited for.
    runtime.shutdown_background();
    if let Some(failure) = failure {
        return Err(failure);
    }
    scanned.map_err(Failure::Unavailable)?;
    teller.end()
}

fn options(args: &ScanArgs) -> ScanOptions {
    let how = match args.primary {
        Some((first, last)) => How::Primary { first, last },
        None => How::Secondary { mask: args.mask.clone() },
    };
    ScanOptions { how, speeds: args.speeds, lasts_s: args.lasts.as_secs().max(1) }
}

fn bus(args: &ScanArgs) -> Bus {
    let wireless = args.wireless();
    Bus {
        port: args.port.clone(),
        baud: args.baud,
        parity: match args.parity {
            args::Parity::Even => Parity::Even,
            args::Parity::None => Parity::None,
            args::Parity::Odd => Parity::Odd,
        },
        reply_timeout_ms: args.timeout_ms,
        select: if args.select_73 { Select::WithFcb } else { Select::Plain },
        receiver: args.receiver.clone(),
        modes: args.modes.clone(),
        ..Bus::new("scan", if wireless { Protocol::Wmbus } else { Protocol::Mbus })
    }
}

/// Tells what comes, as it comes.
struct Teller {
    show: Show,
    out: Out,
    port: String,
    wireless: bool,
    daemon: bool,
    /// Whether a progress line stands on the terminal.
    progress: bool,
    found: Vec<Found>,
    done: Option<(String, String)>,
}

impl Teller {
    fn new(show: Show, args: &ScanArgs) -> Self {
        Self {
            show,
            out: Out::new(),
            port: args.port.clone(),
            wireless: args.wireless(),
            daemon: false,
            progress: false,
            found: Vec::new(),
            done: None,
        }
    }

    fn tell(&mut self, line: &ScanLine) -> Result<(), Failure> {
        self.remember(line);
        if self.show.json {
            let head = json!({ "schema": SCHEMA });
            let body = serde_json::to_value(line).unwrap_or_default();
            self.out.json(&plomb_gateway::view::joined(head, body))?;
            return self.out.flush();
        }
        match line {
            ScanLine::Progress { .. } => self.show_progress(line),
            ScanLine::Found(found) => {
                self.clear_progress();
                if self.found.len() == 1 {
                    self.out.line(self.row(&self.titles()))?;
                }
                self.out.line(self.row(&self.cells(found)))?;
                self.out.flush()?;
            }
            ScanLine::Trouble { place, what } => {
                self.clear_progress();
                eprintln!("{}", self.show.tone(Tone::Doubt, one_line(&format!("{place}: {what}"))));
            }
            ScanLine::Speed { baud, answer } if answer != "silence" => {
                self.clear_progress();
                eprintln!("at {baud} baud: {}", one_line(answer));
            }
            ScanLine::Speed { .. } | ScanLine::Done { .. } => {}
        }
        Ok(())
    }

    fn remember(&mut self, line: &ScanLine) {
        match line {
            ScanLine::Found(found) => self.found.push(found.clone()),
            ScanLine::Done { end, detail, .. } => self.done = Some((end.clone(), detail.clone())),
            _ => {}
        }
    }

    fn show_progress(&mut self, line: &ScanLine) {
        let ScanLine::Progress { frames, found, done_per_mille, remaining_s } = line else { return };
        if !std::io::stderr().is_terminal() {
            return;
        }
        let left = remaining_s.map(|left| format!(", about {left:.0} s left")).unwrap_or_default();
        let what = if self.wireless { "telegrams" } else { "frames" };
        eprint!("\r\x1b[K{:>3} %: {frames} {what}, {found} found{left}", done_per_mille / 10);
        // Only a terminal shows it, and it is gone with the next line.
        let _ = std::io::stderr().flush();
        self.progress = true;
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.progress) {
            eprint!("\r\x1b[K");
        }
    }

    fn titles(&self) -> [String; 6] {
        let fifth = if self.wireless { "protection" } else { "address" };
        ["identity", "manufacturer", "medium", "value", fifth, if self.wireless { "dBm" } else { "baud" }]
            .map(str::to_string)
    }

    fn cells(&self, found: &Found) -> [String; 6] {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let fifth = match (self.wireless, found.address) {
            (true, _) => text(&found.protection),
            (false, address) => address.map_or_else(|| "-".into(), |address| address.to_string()),
        };
        let last = match self.wireless {
            true => found.rssi_dbm.map(|dbm| dbm.to_string()),
            false => found.baud.map(|baud| baud.to_string()),
        };
        [text(&found.identity), text(&found.manufacturer), text(&found.medium), text(&found.value), fifth, text(&last)]
    }

    /// Rows come one by one, so their widths are set, not measured.
    fn row(&self, cells: &[String; 6]) -> String {
        let [identity, manufacturer, medium, value, fifth, last] = cells.each_ref().map(|cell| one_line(cell));
        format!("{identity:<19}  {manufacturer:<12}  {medium:<20}  {value:<32}  {fifth:<24}  {last}")
    }

    /// The block to paste, and the exit code.
    fn end(&mut self) -> Result<u8, Failure> {
        self.clear_progress();
        let (end, detail) = self.done.clone().unwrap_or_else(|| ("failed".into(), "the scan broke off".into()));
        if !self.show.json {
            let tone = if self.found.is_empty() || end != "complete" { Tone::Doubt } else { Tone::Good };
            let summary = format!("{} found; {detail}", count(self.found.len() as u64, "meter", "meters"));
            eprintln!("{}", self.show.tone(tone, one_line(&summary)));
            for line in self.block() {
                self.out.line(line)?;
            }
        }
        self.out.flush()?;
        Ok(match (end.as_str(), self.found.is_empty()) {
            ("cancelled", _) => INTERRUPTED,
            (end, _) if !GOOD_ENDS.contains(&end) && self.found.is_empty() => UNAVAILABLE,
            (_, true) => NONE_FOUND,
            (_, false) => OK,
        })
    }

    fn block(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let new: Vec<&Found> = self.found.iter().filter(|found| found.point.is_none()).collect();
        if new.is_empty() {
            return lines;
        }
        lines.push(String::new());
        lines.push("# For plombd.toml; give the points names of the building:".into());
        let (bus, protocol) = if self.wireless { ("air", "wmbus") } else { ("line", "mbus") };
        if !self.daemon {
            lines.extend(["[[bus]]".into(), format!("name = \"{bus}\""), format!("protocol = \"{protocol}\"")]);
            lines.push(format!("port = {}", quoted(&self.port)));
            if let Some(baud) = self.found.iter().find_map(|found| found.baud) {
                lines.push(format!("baud = {baud}"));
            }
            lines.push(String::new());
        }
        for found in new {
            lines.extend(["[[meter]]".into(), format!("point = \"{}\"", point(found)), format!("bus = \"{bus}\"")]);
            match (&found.identity, found.address) {
                (Some(identity), _) => {
                    let key = if self.wireless { "id" } else { "secondary" };
                    lines.push(format!("{key} = {}", quoted(identity)));
                }
                (None, Some(address)) => lines.push(format!("address = {address}")),
                (None, None) => lines.push("# it names neither identity nor address".into()),
            }
            lines.push(String::new());
        }
        lines.pop();
        lines
    }
}

/// A point's name to begin with: medium and number.
fn point(found: &Found) -> String {
    let medium: String = found.medium.as_deref().unwrap_or("meter").chars().map(slug).collect();
    let medium = medium.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    match (&found.id, found.address) {
        (Some(id), _) => format!("{medium}-{}", id.to_lowercase()),
        (None, Some(address)) => format!("{medium}-at-{address}"),
        (None, None) => medium,
    }
}

fn slug(c: char) -> char {
    if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }
}

/// A TOML string. JSON's escapes are a part of TOML's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
