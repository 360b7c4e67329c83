//! `plomb decode`: what telegrams say, by wire or by air, of M-Bus, DLMS and P1.

mod air;
mod carried;
mod cosem;
mod line;
mod notes;
mod p1;
mod said;
mod seals;
mod told;
mod wired;

use std::io::{self, BufReader, IsTerminal};

use plomb_gateway::{keys::Keys, secrets::Secrets, view};
use plomb_mbus::{Annotation, Frame};

use crate::{
    args::{DecodeArgs, Protocol},
    exit::{Failure, KEY, MALFORMED, OK},
    show::{self, Out, Show},
};

use air::Ear;
use cosem::Cosem;
use line::{Bytes, EMPTY, FrameBuffer, Line, bounded, frame_too_long, next_line, too_long, unhex};
use p1::{Lines, Step};
use seals::Seals;
use told::{Told, Wrong, shown};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Of a run of annotated bytes, so many digits are shown on a line.
const SHOWN_DIGITS_MAX: usize = 24;

pub(super) fn decode(args: &DecodeArgs, show: &Show) -> Result<u8, Failure> {
    let keys = match &args.keys {
        Some(path) => Keys::load(path).map_err(Failure::Config)?,
        None => Keys::default(),
    };
    let secrets = match &args.secrets {
        Some(path) => Secrets::load(path).map_err(Failure::Config)?,
        None => Secrets::default(),
    };
    let seals = Seals::new(&secrets, args.title);
    let mut work = Work {
        protocol: args.protocol,
        annotate: args.annotate,
        show: *show,
        out: Out::new(),
        tally: Tally::default(),
        ear: Ear::new(keys, args.profiles.as_deref(), args.accept_decrypted_samples)?,
        cosem: Cosem::new(seals, args.annotate),
        p1: Lines::default(),
        number: 0,
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
        telegrams => telegrams.iter().try_for_each(|telegram| work.argument(telegram.as_bytes()))?,
    }
    work.finish_text()?;
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
    cosem: Cosem,
    /// Lines of a P1 telegram that is not complete.
    p1: Lines,
    /// The number of the line, from 1.
    number: u64,
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

    /// A telegram of the command line: text has several lines.
    fn argument(&mut self, telegram: &[u8]) -> Result<(), Failure> {
        if !self.takes_text() || !p1::begins(telegram) {
            return self.line(bounded(telegram));
        }
        telegram.trim_ascii_end().split(|byte| *byte == b'\n').try_for_each(|line| self.line(bounded(line)))?;
        self.finish_text()
    }

    fn line(&mut self, line: Result<&[u8], Wrong<'static>>) -> Result<(), Failure> {
        self.number += 1;
        if let Ok(line) = line
            && (self.p1.is_open() || (line.first() == Some(&b'/') && self.takes_text() && p1::begins(line)))
        {
            match self.p1.add(line) {
                Step::More => return Ok(()),
                Step::Done(text) => return self.text_telegram(&text),
                Step::CutOff(text) => {
                    self.text_telegram(&text)?;
                    self.number -= 1;
                    return self.line(Ok(line));
                }
            }
        }
        let mut frame = std::mem::replace(&mut self.frame, EMPTY);
        let told = match line.and_then(|line| unhex(line, &mut frame)) {
            Ok(Bytes::Short(bytes)) => self.tell(bytes),
            Ok(Bytes::Long(bytes)) => self.tell_long(&bytes),
            Err(wrong) => Told::wrong(self.protocol.unwrap_or_default(), wrong),
        };
        self.frame = frame;
        self.answer(&told)
    }

    fn answer(&mut self, told: &Told) -> Result<(), Failure> {
        // A part of a telegram is neither decoded nor not.
        self.tally.lines += u64::from(!told.is_awaiting());
        if let Some(wrong) = &told.wrong {
            self.tally.failed += 1;
            self.tally.for_want_of_key += u64::from(["key missing", "key wrong"].contains(&wrong.kind));
        }
        if self.show.json { self.json(told) } else { self.text(told) }
    }

    /// Whether lines of text are P1 telegrams.
    const fn takes_text(&self) -> bool {
        matches!(self.protocol, None | Some(Protocol::P1))
    }

    /// No line follows that could end a telegram of text.
    fn finish_text(&mut self) -> Result<(), Failure> {
        if !self.p1.is_open() {
            return Ok(());
        }
        let text = self.p1.finish();
        self.text_telegram(&text)
    }

    fn text_telegram(&mut self, text: &[u8]) -> Result<(), Failure> {
        let told = self.tell_text(text);
        self.answer(&told)
    }

    fn tell_text(&self, text: &[u8]) -> Told {
        let restored = p1::restored(text);
        let (told, read) = match p1::tell(&restored) {
            // Ends of lines count in the sum.
            told if told.wrong.is_some() => match p1::tell(text) {
                other if other.wrong.is_none() => (other, text),
                _ => (told, restored.as_slice()),
            },
            told => (told, restored.as_slice()),
        };
        let annotations = self.annotate.then(|| notes::of_text(read));
        Told { annotations, ..told }
    }

    /// Bytes that are too many for M-Bus.
    fn tell_long(&mut self, bytes: &[u8]) -> Told {
        match self.protocol {
            Some(Protocol::Dlms) => self.cosem.tell(bytes),
            Some(Protocol::P1) => self.tell_text(bytes),
            Some(protocol) => Told::wrong(protocol, frame_too_long()),
            None if p1::is_text(bytes) => self.tell_text(bytes),
            None if cosem::is_carried(bytes) => self.cosem.tell(bytes),
            None => self.cosem.tell_bare(bytes, true).unwrap_or_else(|| Told::wrong(Protocol::Wmbus, frame_too_long())),
        }
    }

    fn tell(&mut self, bytes: &[u8]) -> Told {
        let protocol = self.protocol.unwrap_or_else(|| match bytes {
            _ if cosem::is_carried(bytes) => Protocol::Dlms,
            _ if p1::is_text(bytes) => Protocol::P1,
            _ if wired::is_wired(bytes) => Protocol::Mbus,
            _ => Protocol::Wmbus,
        });
        match protocol {
            Protocol::Dlms => return self.cosem.tell(bytes),
            Protocol::P1 => return self.tell_text(bytes),
            Protocol::Mbus | Protocol::Wmbus => {}
        }
        let told = self.tell_mbus(protocol, bytes);
        match &told.wrong {
            Some(wrong) if self.protocol.is_none() && protocol == Protocol::Wmbus => {
                let no_telegram = ["frame", "truncated"].contains(&wrong.kind) && told.sender.is_none();
                self.cosem.tell_bare(bytes, no_telegram).unwrap_or(told)
            }
            _ => told,
        }
    }

    fn tell_mbus(&mut self, protocol: Protocol, bytes: &[u8]) -> Told {
        let mut told = match protocol {
            Protocol::Mbus => match wired::tell(bytes) {
                Ok(Some(told)) => told,
                Ok(None) => self.ear.tell_wired(bytes),
                Err(wrong) => Told::wrong(protocol, wrong),
            },
            _ => self.ear.tell(bytes),
        };
        told.protocol = protocol;
        if self.annotate {
            let list = match Frame::parse_whole(bytes) {
                Ok(_) if protocol == Protocol::Mbus => self.ear.annotate_wired(bytes),
                _ if protocol == Protocol::Mbus => plomb_mbus::annotate(bytes),
                _ => self.ear.annotate(bytes),
            };
            told.annotations = Some((bytes.to_vec(), list));
        }
        told
    }

    fn json(&mut self, told: &Told) -> Result<(), Failure> {
        self.out.document(&told.answer())
    }

    fn text(&mut self, told: &Told) -> Result<(), Failure> {
        for one in std::iter::once(told).chain(&told.others) {
            self.text_of_one(one)?;
        }
        for one in std::iter::once(told).chain(&told.others) {
            self.text_of_wrong(one)?;
        }
        Ok(())
    }

    fn text_of_one(&mut self, told: &Told) -> Result<(), Failure> {
        if let Some(record) = &told.record {
            for line in show::record(&view::record_fields(record)) {
                self.out.line(line)?;
            }
        } else if let Some(apdu) = &told.apdu {
            let words = told.frame.words();
            if !words.is_empty() {
                self.out.line(show::one_line(&words.join("  ")))?;
            }
            for line in apdu.lines() {
                self.out.line(show::one_line(&format!("  {line}")))?;
            }
        } else if told.wrong.is_none() {
            let mut words = told.frame.words();
            words.extend(told.said.iter().cloned());
            self.out.line(show::one_line(&words.join("  ")))?;
        }
        if let (Some(security), true) = (&told.security, told.record.is_some() || told.apdu.is_some()) {
            let counter = security.counter.map(|counter| match security.suite {
                Some(_) => format!(", invocation counter {counter}"),
                None => format!(", message counter {counter}"),
            });
            self.out.line(format!("  {}{}", security.protection, counter.unwrap_or_default()))?;
        }
        if told.more {
            self.out.line("  more records follow in the meter's next telegram")?;
        }
        if let Some((bytes, list)) = &told.annotations {
            self.annotations(bytes, list)?;
        }
        if let Some((bytes, list)) = &told.clear {
            self.out.line("  the APDU in clear:")?;
            self.annotations(bytes, list)?;
        }
        Ok(())
    }

    fn annotations(&mut self, bytes: &[u8], list: &[Annotation]) -> Result<(), Failure> {
        for one in list {
            let mut digits = shown(bytes, one);
            if digits.len() > SHOWN_DIGITS_MAX {
                digits.truncate(SHOWN_DIGITS_MAX);
                digits.push('…');
            }
            // What lies inside is indented, and its name with it.
            let meaning = one.meaning.trim_start_matches(' ');
            let indent = one.meaning.len().saturating_sub(meaning.len());
            let line =
                format!("  {:>3}  {digits:<25}  {:<14}  {:indent$}{}: {meaning}", one.offset, one.layer, "", one.field);
            self.out.line(show::one_line(&line))?;
        }
        Ok(())
    }

    fn text_of_wrong(&mut self, told: &Told) -> Result<(), Failure> {
        if let Some(wrong) = &told.wrong {
            self.out.flush()?;
            let sender = told.sender.as_ref().map(|sender| format!(" (meter {sender})")).unwrap_or_default();
            let message = show::one_line(&wrong.message);
            eprintln!("plomb: line {}: {}: {message}{sender} (offset {})", self.number, wrong.kind, wrong.offset);
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
