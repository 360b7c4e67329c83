//! `plomb scan`: which meters are there.

mod block;
mod daemon;

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use plomb_gateway::scan::{Found, SCHEMA, ScanLine, air, wired};
use serde_json::json;

use self::block::Paste;
use crate::{
    args::ScanArgs,
    cmd::runtime,
    exit::{Failure, INTERRUPTED, NONE_FOUND, OK, UNAVAILABLE},
    show::{Out, Show, Tone, count, one_line, tell, tell_part},
};

/// Ends of a scan that are no failure of the line.
const GOOD_ENDS: [&str; 3] = ["complete", "nobody-answers", "cancelled"];

pub(super) fn scan(args: &ScanArgs, show: &Show) -> Result<u8, Failure> {
    if args.dlms {
        return super::scan_dlms::scan(args, show);
    }
    if args.modbus {
        return super::scan_modbus::scan(args, show);
    }
    args.check()?;
    let mut teller = Teller::new(*show, args);
    if let Some(code) = daemon::scan(args, &mut teller)? {
        return Ok(code);
    }
    directly(args, &mut teller)
}

fn directly(args: &ScanArgs, teller: &mut Teller) -> Result<u8, Failure> {
    let (bus, options) = (args.bus(), args.options());
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
        if args.wireless() {
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
    match scanned {
        Err(why) if teller.found.is_empty() => return Err(Failure::Unavailable(why)),
        Err(why) => teller.break_off("failed", &why)?,
        Ok(()) => {}
    }
    teller.end()
}

/// Tells what comes, as it comes.
struct Teller {
    show: Show,
    out: Out,
    paste: Paste,
    wireless: bool,
    begun: Instant,
    /// Frames or telegrams so far.
    frames: u64,
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
            paste: Paste::of(args),
            wireless: args.wireless(),
            begun: Instant::now(),
            frames: 0,
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
                tell(self.show.tone(Tone::Doubt, one_line(&format!("{place}: {what}"))));
            }
            ScanLine::Speed { baud, answer } if answer != "silence" => {
                self.clear_progress();
                let answer = match answer.as_str() {
                    "clean" => "an answer",
                    "garbled" => "answers of several meters at once, or at another speed: it is searched",
                    other => other,
                };
                tell(format_args!("at {baud} baud: {}", one_line(answer)));
            }
            ScanLine::Speed { .. } | ScanLine::Done { .. } => {}
        }
        Ok(())
    }

    fn remember(&mut self, line: &ScanLine) {
        match line {
            ScanLine::Found(found) => self.found.push(found.clone()),
            ScanLine::Done { end, detail, .. } => self.done = Some((end.clone(), detail.clone())),
            ScanLine::Progress { frames, .. } => self.frames = *frames,
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
        tell_part(format_args!("\r\x1b[K{:>3} %: {frames} {what}, {found} found{left}", done_per_mille / 10));
        self.progress = true;
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.progress) {
            tell_part("\r\x1b[K");
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

    /// Tells the end of a scan that could not tell its own.
    fn break_off(&mut self, end: &str, detail: &str) -> Result<(), Failure> {
        self.tell(&ScanLine::Done {
            end: end.into(),
            detail: detail.into(),
            frames: self.frames,
            found: self.found.len() as u64,
            took_s: f64::from(u32::try_from(self.begun.elapsed().as_millis()).unwrap_or(u32::MAX)) / 1000.0,
        })
    }

    /// The block to paste, and the exit code.
    fn end(&mut self) -> Result<u8, Failure> {
        self.clear_progress();
        let (end, detail) = self.done.clone().unwrap_or_else(|| ("failed".into(), "the scan broke off".into()));
        if !self.show.json {
            let tone = if self.found.is_empty() || end != "complete" { Tone::Doubt } else { Tone::Good };
            let summary = format!("{} found; {detail}", count(self.found.len() as u64, "meter", "meters"));
            tell(self.show.tone(tone, one_line(&summary)));
            for line in self.paste.block(&self.found) {
                self.out.line(line)?;
            }
        }
        self.out.flush()?;
        Ok(match (end.as_str(), self.found.is_empty()) {
            ("cancelled", _) => INTERRUPTED,
            ("failed", _) => UNAVAILABLE,
            (end, _) if !GOOD_ENDS.contains(&end) && self.found.is_empty() => UNAVAILABLE,
            (_, true) => NONE_FOUND,
            (_, false) => OK,
        })
    }
}
