//! `plomb decode`: what telegrams say.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal},
};

use plomb_gateway::{
    normalise::mbus::{NormaliseError, record_of},
    view::{self, RecordView},
};
use plomb_mbus::{Body, Control, Decoded, FRAME_BYTES_MAX, Frame, TelegramError};
use plomb_seal::Record;
use serde::Serialize;

use crate::{
    args::{DecodeArgs, Protocol},
    exit::{Failure, KEY, MALFORMED, OK},
    show::{self, Out, Show},
};

/// The longest line, in bytes: a frame of 261 bytes with room for spaces.
pub(crate) const LINE_BYTES_MAX: usize = 4096;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;
const SCHEMA: &str = "plomb.decode/1";
/// Where the CI field of a long frame is.
const CI_OFFSET: usize = 6;

pub(super) fn decode(args: &DecodeArgs, show: &Show) -> Result<u8, Failure> {
    if let Some(path) = &args.keys {
        File::open(path).map_err(|error| Failure::file(path, error))?;
        eprintln!("plomb: this version decrypts no telegrams; --keys is not used");
    }
    let mut work = Work { protocol: args.protocol, show: *show, out: Out::new(), tally: Tally::default() };
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
    protocol: Protocol,
    show: Show,
    out: Out,
    tally: Tally,
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

/// One line's answer.
#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Wrong<'a>>,
    protocol: &'static str,
    #[serde(flatten)]
    frame: FrameView,
    /// More records follow in the meter's next telegram.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    #[serde(flatten)]
    record: Option<RecordView<'a>>,
    #[serde(flatten)]
    bare: Option<Bare<'a>>,
}

/// What the link layer says. All absent when there is no frame.
#[derive(Default, Serialize)]
struct FrameView {
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ci: Option<u8>,
}

/// A frame without values: the fields of a record, empty.
#[derive(Serialize)]
struct Bare<'a> {
    meter: Option<()>,
    meter_time: Option<()>,
    status: Vec<Cow<'a, str>>,
    records: [(); 0],
}

/// Why a line could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Wrong<'a> {
    kind: &'static str,
    message: Cow<'a, str>,
    /// In the telegram's bytes; for kind `hex` the column in the line, from 0.
    offset: usize,
}

impl Wrong<'static> {
    fn new(kind: &'static str, message: impl Into<Cow<'static, str>>, offset: usize) -> Self {
        Self { kind, message: message.into(), offset }
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
        let mut frame = [0; FRAME_BYTES_MAX + 1];
        let bytes = line.and_then(|line| unhex(line, &mut frame));
        let told = match (bytes, self.protocol) {
            (Ok(_), Protocol::Wmbus | Protocol::Dlms) => {
                Err(Wrong::new("unsupported", "this version decodes wired M-Bus: --protocol mbus", 0))
            }
            (Ok(bytes), Protocol::Mbus) => tell(bytes),
            (Err(wrong), _) => Err(wrong),
        };
        let told = told.unwrap_or_else(Told::wrong);
        if let Some(wrong) = &told.wrong {
            self.tally.failed += 1;
            self.tally.for_want_of_key += u64::from(wrong.kind == "encrypted");
        }
        if self.show.json { self.json(&told) } else { self.text(&told) }
    }

    fn json(&mut self, told: &Told) -> Result<(), Failure> {
        let answer = Answer {
            schema: SCHEMA,
            ok: told.wrong.is_none(),
            error: told.wrong.clone(),
            protocol: match self.protocol {
                Protocol::Mbus => "mbus",
                Protocol::Wmbus => "wmbus",
                Protocol::Dlms => "dlms",
            },
            frame: told.frame.view(),
            more: told.more,
            record: told.record.as_ref().map(RecordView::of),
            bare: (told.record.is_none() && told.wrong.is_none()).then(|| Bare {
                meter: None,
                meter_time: None,
                status: told.said.iter().map(|word| Cow::Borrowed(word.as_str())).collect(),
                records: [],
            }),
        };
        let text = serde_json::to_string(&answer).map_err(|error| Failure::stdout(error.into()))?;
        self.out.line(text)
    }

    fn text(&mut self, told: &Told) -> Result<(), Failure> {
        if let Some(record) = &told.record {
            for line in show::record(&view::record_fields(record)) {
                self.out.line(line)?;
            }
            if told.more {
                self.out.line("  more records follow in the meter's next telegram")?;
            }
        } else if told.wrong.is_none() {
            let mut words = told.frame.words();
            words.extend(told.said.iter().cloned());
            self.out.line(show::one_line(&words.join("  ")))?;
        }
        if let Some(wrong) = &told.wrong {
            self.out.flush()?;
            let message = show::one_line(&wrong.message);
            eprintln!("plomb: line {}: {}: {message} (offset {})", self.tally.lines, wrong.kind, wrong.offset);
        }
        Ok(())
    }
}

/// What was made of one line.
#[derive(Default)]
struct Told {
    frame: Link,
    record: Option<Record>,
    /// DIF 1F: there is more than this telegram.
    more: bool,
    /// What a frame without values says.
    said: Option<String>,
    wrong: Option<Wrong<'static>>,
}

impl Told {
    fn wrong(wrong: Wrong<'static>) -> Self {
        Self { wrong: Some(wrong), ..Self::default() }
    }
}

/// The frame that the bytes are.
#[derive(Debug, Clone, Copy, Default)]
enum Link {
    #[default]
    None,
    Ack,
    Short(Control, u8),
    Long(Control, u8, u8),
}

impl Link {
    fn view(self) -> FrameView {
        match self {
            Self::None => FrameView::default(),
            Self::Ack => FrameView { frame: Some("ack"), ..FrameView::default() },
            Self::Short(control, address) => FrameView {
                frame: Some("short"),
                control: Some(control_name(control)),
                address: Some(address),
                ci: None,
            },
            Self::Long(control, address, ci) => FrameView {
                frame: Some("long"),
                control: Some(control_name(control)),
                address: Some(address),
                ci: Some(ci),
            },
        }
    }

    fn words(self) -> Vec<String> {
        let view = self.view();
        let mut words: Vec<String> = view.frame.into_iter().chain(view.control).map(Into::into).collect();
        words.extend(view.address.map(|address| format!("address {address}")));
        words.extend(view.ci.map(|ci| format!("CI {ci:02x}")));
        words
    }
}

fn control_name(control: Control) -> &'static str {
    match control {
        Control::SndNke => "SND_NKE",
        Control::ReqUd1 { .. } => "REQ_UD1",
        Control::ReqUd2 { .. } => "REQ_UD2",
        Control::SndUd { .. } => "SND_UD",
        Control::RspUd { .. } => "RSP_UD",
        Control::Unknown(_) => "unknown",
    }
}

fn tell(bytes: &[u8]) -> Result<Told, Wrong<'static>> {
    match Frame::parse_whole(bytes).map_err(|error| telegram_wrong(&error.into()))? {
        Frame::Ack => Ok(Told { frame: Link::Ack, ..Told::default() }),
        Frame::Short { control, address } => Ok(Told { frame: Link::Short(control, address.0), ..Told::default() }),
        Frame::Long { control, address, ci, payload } => {
            let frame = Link::Long(control, address.0, ci);
            if payload.is_empty() && !matches!(control, Control::RspUd { .. }) {
                // A control frame of the master.
                return Ok(Told { frame, ..Told::default() });
            }
            Ok(match plomb_mbus::decode(bytes) {
                Ok(decoded) => long(frame, &decoded, bytes),
                Err(error) => Told { frame, wrong: Some(telegram_wrong(&error)), ..Told::default() },
            })
        }
    }
}

fn long(frame: Link, decoded: &Decoded<'_>, bytes: &[u8]) -> Told {
    let wrong = decoded.error.map(|error| Wrong::new("record", error.to_string(), error.offset()));
    match record_of(decoded, bytes) {
        Ok(record) => Told { frame, record: Some(record), more: decoded.telegram.more_follows(), said: None, wrong },
        Err(NormaliseError::Refused(said)) => Told { frame, said: Some(said), ..Told::default() },
        Err(error) => match (&decoded.telegram.body, decoded.telegram.control) {
            // What a master sends carries no values, whatever its CI.
            (Body::Unknown(_), control) if !matches!(control, Control::RspUd { .. }) => {
                Told { frame, ..Told::default() }
            }
            _ => {
                let wrong = Wrong::new("unsupported", error.to_string(), CI_OFFSET);
                Told { frame, wrong: Some(wrong), ..Told::default() }
            }
        },
    }
}

fn telegram_wrong(error: &TelegramError) -> Wrong<'static> {
    Wrong::new(error.kind(), error.to_string(), error.offset())
}

/// Reads hexadecimal digits, spaces between them allowed, into `frame`. One byte more than the longest
/// frame is kept, so that what is too long is told as such.
fn unhex<'f>(line: &[u8], frame: &'f mut [u8; FRAME_BYTES_MAX + 1]) -> Result<&'f [u8], Wrong<'static>> {
    let mut length = 0;
    let mut high: Option<u8> = None;
    for (column, &character) in line.iter().enumerate() {
        if character.is_ascii_whitespace() {
            continue;
        }
        let Some(digit) = char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok()) else {
            let shown = char::from(character).escape_default();
            return Err(Wrong::new("hex", format!("'{shown}' in column {column} is no hexadecimal digit"), column));
        };
        let Some(first) = high.take() else {
            high = Some(digit);
            continue;
        };
        let place = frame.get_mut(length).ok_or_else(|| {
            Wrong::new("frame", format!("more than the {FRAME_BYTES_MAX} bytes of the longest frame"), FRAME_BYTES_MAX)
        })?;
        *place = first << 4 | digit;
        length += 1;
    }
    match (high, length) {
        (Some(_), _) => Err(Wrong::new("hex", "the last byte has only one digit", line.len())),
        (None, 0) => Err(Wrong::new("empty", "the line is empty", 0)),
        (None, length) => Ok(frame.get(..length).unwrap_or_default()),
    }
}

fn bounded(line: &[u8]) -> Result<&[u8], Wrong<'static>> {
    if line.len() > LINE_BYTES_MAX { Err(too_long()) } else { Ok(line) }
}

fn too_long() -> Wrong<'static> {
    Wrong::new("too long", format!("the line has more than {LINE_BYTES_MAX} bytes"), LINE_BYTES_MAX)
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// The next line without its end. Of one that is too long nothing is kept but its being there.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut seen = false;
    let mut long = false;
    loop {
        let available = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if available.is_empty() {
            return Ok(if !seen {
                Line::End
            } else if long {
                Line::TooLong
            } else {
                Line::Whole
            });
        }
        seen = true;
        let (piece, end) = match available.iter().position(|byte| *byte == b'\n') {
            Some(at) => (available.get(..at).unwrap_or_default(), true),
            None => (available, false),
        };
        if line.len() + piece.len() > LINE_BYTES_MAX {
            long = true;
            line.clear();
        }
        if !long {
            line.extend_from_slice(piece);
        }
        let used = piece.len() + usize::from(end);
        reader.consume(used);
        if end {
            return Ok(if long { Line::TooLong } else { Line::Whole });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_with_any_spacing_and_errors_name_the_column() {
        let read = |line: &str| unhex(line.as_bytes(), &mut [0; FRAME_BYTES_MAX + 1]).map(<[u8]>::to_vec);
        assert_eq!(read(" e5\r"), Ok(vec![0xe5]));
        assert_eq!(read("10 5B\t01 5C 16"), read("105b015c16"));
        assert_eq!(read("E5 G").map_err(|wrong| (wrong.kind, wrong.offset)), Err(("hex", 3)));
        assert_eq!(read("E5 1").map_err(|wrong| wrong.kind), Err("hex"));
        assert_eq!(read(" ").map_err(|wrong| wrong.kind), Err("empty"));
        assert_eq!(read(&"00".repeat(FRAME_BYTES_MAX + 1)).map(|bytes| bytes.len()), Ok(FRAME_BYTES_MAX + 1));
        assert_eq!(read(&"00".repeat(FRAME_BYTES_MAX + 2)).map_err(|wrong| wrong.kind), Err("frame"));
    }

    #[test]
    fn lines_are_split_and_bounded_whatever_the_pieces() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let fits = "y".repeat(LINE_BYTES_MAX);
        let text = format!("a\n\n{long}\n{fits}\nlast");
        for capacity in [1, 3, 4096, 100_000] {
            let mut reader = BufReader::with_capacity(capacity, text.as_bytes());
            let mut line = Vec::new();
            let mut found = Vec::new();
            loop {
                match next_line(&mut reader, &mut line).unwrap() {
                    Line::End => break,
                    Line::TooLong => found.push("too long".to_string()),
                    Line::Whole => found.push(String::from_utf8(line.clone()).unwrap()),
                }
            }
            assert_eq!(found, ["a", "", "too long", fits.as_str(), "last"]);
        }
    }

    #[test]
    fn the_exit_code_says_whether_anything_was_decoded() {
        let code = |lines, failed, for_want_of_key| Tally { lines, failed, for_want_of_key }.code();
        assert_eq!((code(0, 0, 0), code(1, 0, 0), code(2, 1, 1)), (OK, OK, OK));
        assert_eq!((code(1, 1, 0), code(2, 2, 1), code(2, 2, 2)), (MALFORMED, MALFORMED, KEY));
    }
}
