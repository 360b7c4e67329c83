//! `plomb decode`: what telegrams say, by wire or by air.

mod air;
mod line;
mod told;
mod wired;

use std::io::{self, BufReader, IsTerminal};

use plomb_gateway::{keys::Keys, view};
use plomb_mbus::Frame;

use crate::{
    args::{DecodeArgs, Protocol},
    exit::{Failure, KEY, MALFORMED, OK},
    show::{self, Out, Show},
};

use air::Ear;
use line::{EMPTY, FrameBuffer, Line, bounded, next_line, too_long, unhex};
use told::{Told, Wrong, run};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Of a run of annotated bytes, so many are shown on a line.
const SHOWN_BYTES_MAX: usize = 12;

pub(super) fn decode(args: &DecodeArgs, show: &Show) -> Result<u8, Failure> {
    let keys = match &args.keys {
        Some(path) => Keys::load(path).map_err(Failure::Config)?,
        None => Keys::default(),
    };
    let mut work = Work {
        protocol: args.protocol,
        annotate: args.annotate,
        show: *show,
        out: Out::new(),
        tally: Tally::default(),
        ear: Ear::new(keys, args.profiles.as_deref(), args.accept_decrypted_samples)?,
        frame: EMPTY,
    };
    match args.telegrams.as_slice() {
        [] if io::stdin().is_terminal() => {
            return Err(Failure::Usage(
                "give telegrams in hexadecimal, or `-` to read them from standard input".into(),
            ));
        }
        [] => work.stream()?,
        [dash] if dash == "-" => work.stream()?,
        // Bytes pasted without quotes are one telegram.
        bytes if bytes.iter().all(|byte| byte.len() == 2) => work.line(Ok(bytes.join(" ").as_bytes()))?,
        telegrams => telegrams.iter().try_for_each(|telegram| work.line(bounded(telegram.as_bytes())))?,
    }
    work.out.flush()?;
    Ok(work.tally.code())
}

struct Work {
    protocol: Option<Protocol>,
    annotate: bool,
    show: Show,
    out: Out,
    tally: Tally,
    ear: Ear,
    frame: FrameBuffer,
}

/// How the lines went.
#[derive(Debug, Default)]
struct Tally {
    lines: u64,
    failed: u64,
    for_want_of_key: u64,
}

impl Tally {
    fn code(&self) -> u8 {
        match self {
            Self { lines: 0, .. } => OK,
            Self { lines, for_want_of_key, .. } if lines == for_want_of_key => KEY,
            Self { lines, failed, .. } if lines == failed => MALFORMED,
            _ => OK,
        }
    }
}

impl Work {
    fn stream(&mut self) -> Result<(), Failure> {
        let mut reader = BufReader::with_capacity(READ_BYTES, io::stdin().lock());
        let mut line = Vec::new();
        loop {
            if reader.buffer().is_empty() {
                // Whoever waits for an answer before the next question gets it.
                self.out.flush()?;
            }
            match next_line(&mut reader, &mut line).map_err(|error| Failure::io("standard input", error))? {
                Line::End => return Ok(()),
                Line::Whole => self.line(Ok(&line))?,
                Line::TooLong => self.line(Err(too_long()))?,
            }
        }
    }

    fn line(&mut self, line: Result<&[u8], Wrong<'static>>) -> Result<(), Failure> {
        self.tally.lines += 1;
        let mut frame = std::mem::replace(&mut self.frame, EMPTY);
        let told = match line.and_then(|line| unhex(line, &mut frame)) {
            Ok(bytes) => self.tell(bytes),
            Err(wrong) => Told::wrong(self.protocol.unwrap_or_default(), wrong),
        };
        self.frame = frame;
        if let Some(wrong) = &told.wrong {
            self.tally.failed += 1;
            self.tally.for_want_of_key += u64::from(["key missing", "key wrong"].contains(&wrong.kind));
        }
        if self.show.json { self.json(&told) } else { self.text(&told) }
    }

    fn tell(&mut self, bytes: &[u8]) -> Told {
        let protocol = self.protocol.unwrap_or(match wired::is_wired(bytes) {
            true => Protocol::Mbus,
            false => Protocol::Wmbus,
        });
        let mut told = match protocol {
            Protocol::Mbus => match wired::tell(bytes) {
                Ok(Some(told)) => told,
                Ok(None) => self.ear.tell_wired(bytes),
                Err(wrong) => Told::wrong(protocol, wrong),
            },
            Protocol::Wmbus => self.ear.tell(bytes),
            Protocol::Dlms => {
                let wrong = Wrong::new("unsupported", "this version decodes wired and wireless M-Bus", 0);
                Told::wrong(protocol, wrong)
            }
        };
        told.protocol = protocol;
        if self.annotate {
            told.annotations = Some(match Frame::parse_whole(bytes) {
                Ok(_) if protocol == Protocol::Mbus => self.ear.annotate_wired(bytes),
                _ if protocol == Protocol::Mbus => (bytes.to_vec(), plomb_mbus::annotate(bytes)),
                _ => self.ear.annotate(bytes),
            });
        }
        told
    }

    fn json(&mut self, told: &Told) -> Result<(), Failure> {
        self.out.document(&told.answer())
    }

    fn text(&mut self, told: &Told) -> Result<(), Failure> {
        if let Some(record) = &told.record {
            for line in show::record(&view::record_fields(record)) {
                self.out.line(line)?;
            }
            if let Some(security) = &told.security {
                let counter = security.counter.map(|counter| format!(", message counter {counter}"));
                self.out.line(format!("  {}{}", security.protection, counter.unwrap_or_default()))?;
            }
            if told.more {
                self.out.line("  more records follow in the meter's next telegram")?;
            }
        } else if told.wrong.is_none() {
            let mut words = told.frame.words();
            words.extend(told.said.iter().cloned());
            self.out.line(show::one_line(&words.join("  ")))?;
        }
        if let Some((bytes, list)) = &told.annotations {
            for one in list {
                let shown = run(bytes, one);
                let more = if shown.len() > SHOWN_BYTES_MAX { "…" } else { "" };
                let shown = hex::encode(shown.get(..SHOWN_BYTES_MAX).unwrap_or(shown)) + more;
                let line =
                    format!("  {:>3}  {shown:<25}  {:<14}  {}: {}", one.offset, one.layer, one.field, one.meaning);
                self.out.line(show::one_line(&line))?;
            }
        }
        if let Some(wrong) = &told.wrong {
            self.out.flush()?;
            let sender = told.sender.as_ref().map(|sender| format!(" (meter {sender})")).unwrap_or_default();
            let message = show::one_line(&wrong.message);
            let (line, kind, offset) = (self.tally.lines, wrong.kind, wrong.offset);
            show::tell(format_args!("plomb: line {line}: {kind}: {message}{sender} (offset {offset})"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_anything_was_decoded() {
        let code = |lines, failed, for_want_of_key| Tally { lines, failed, for_want_of_key }.code();
        assert_eq!((code(0, 0, 0), code(1, 0, 0), code(2, 1, 1)), (OK, OK, OK));
        assert_eq!((code(1, 1, 0), code(2, 2, 1), code(2, 2, 2)), (MALFORMED, MALFORMED, KEY));
    }
}
