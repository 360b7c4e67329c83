//! Doing something at a meter, once: what can be done, and what came of it.
//!
//! | module | what it does |
//! |---|---|
//! | [`tariff`] | the text of a tariff calendar |
//! | [`dlms`] | disconnect control, clock, token gateway and activity calendar of a DLMS meter |
//! | [`clock`] | the time as a DLMS meter's clock wants it |
//! | [`valve`] | the valve of an M-Bus meter |
//!
//! A deed is asked for once. Whether the meter did something whose answer was lost is shown by the meter, or stays
//! unknown; it is never asked for again.

pub mod clock;
pub mod dlms;
pub mod tariff;
#[cfg(test)]
mod tests;
pub mod valve;

use std::fmt;

use plomb_seal::{Name, Record};
use tokio::sync::oneshot;

use tariff::Tariff;

/// The most deeds that wait for one line.
pub const DEEDS_MAX: usize = 8;
/// The longest token, in characters.
pub const TOKEN_BYTES_MAX: usize = 64;
/// The longest content of an instruction, in bytes.
pub const CONTENT_BYTES_MAX: usize = tariff::TARIFF_BYTES_MAX;

/// The driver of the point's meter can't do it.
pub const UNSUPPORTED: &str = "deed-unsupported";
/// No such point on the line.
pub const NO_POINT: &str = "deed-no-point";
/// The meter was not asked to do it: it could not be reached, or did not let itself be asked.
pub const NOT_REACHED: &str = "deed-not-reached";
/// A key or a password is wrong, or is missing: the meter was not asked to do it.
pub const KEY: &str = "deed-key";
/// Another meter answers than the one whose model is known.
pub const OTHER_METER: &str = "deed-other-meter";
/// The meter says no.
pub const REFUSED: &str = "deed-refused";
/// The meter was asked, and its answer was lost.
pub const ANSWER_LOST: &str = "deed-answer-lost";
/// The meter says yes, and shows something else.
pub const NOT_SHOWN: &str = "deed-not-shown";
/// The gateway does not know the time that the meter is to be given.
pub const CLOCK_UNSET: &str = "deed-clock-unset";
/// The line was stopped before.
pub const LINE_STOPPED: &str = "deed-stopped";

/// Something to be done at a measuring point's meter.
#[derive(Debug)]
pub struct Deed {
    /// The measuring point.
    pub point: Name,
    /// What is to be done.
    pub instruction: Instruction,
    /// Where the answer goes. Nothing is begun for an answer that nobody waits for any more; a sender that is dropped
    /// without a word leaves it [unknown](Certainty::Unknown).
    pub answer: oneshot::Sender<Result<Done, Undone>>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// Cut the supply.
    Disconnect,
    /// Give the supply back, or allow that someone at the meter closes the switch.
    Reconnect,
    /// Read the meter, now.
    Read,
    /// Set the meter's clock to the gateway's.
    SyncClock,
    /// Give the meter a token of prepayment.
    Credit {
        /// The token.
        token: Token,
    },
    /// Put another tariff calendar in force.
    SetTariff {
        /// The calendar.
        tariff: Box<Tariff>,
    },
    /// Open or close the meter's valve.
    Valve {
        /// Open it.
        open: bool,
    },
}

/// The characters of a token. Whoever has them has what was paid for, until the meter has taken them: they are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What the meter says and shows, in words.
    pub detail: String,
    /// The reading taken after it, which is in the journal; `None` where the meter gave none.
    pub record: Option<Record>,
}

/// What was not done, or perhaps was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// Which rule it broke.
    pub rule: &'static str,
    /// What happened, in words.
    pub detail: String,
    /// How sure it is that the meter did not do it.
    pub certainty: Certainty,
}

/// How sure it is that a meter did not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It did not.
    NotDone,
    /// It may have.
    Unknown,
}

/// What a meter did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What it says and shows, in words.
    pub detail: String,
    /// Whether the supply is on, as far as the meter shows it.
    pub connected: Option<bool>,
}

impl Instruction {
    /// Reads a command's verb and content.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn parse(verb: &str, content: &[u8]) -> Result<Self, String> {
        if content.len() > CONTENT_BYTES_MAX {
            return Err(format!(
                "{verb}: {} bytes of content are too much: {CONTENT_BYTES_MAX} at most",
                content.len()
            ));
        }
        let text = str::from_utf8(content).map_err(|error| format!("{verb}: the content is no UTF-8: {error}"))?;
        let bare = |instruction| match text {
            "" => Ok(instruction),
            _ => Err(format!("{verb} takes no content, and {} bytes came", text.len())),
        };
        match verb {
            "disconnect" => bare(Self::Disconnect),
            "reconnect" => bare(Self::Reconnect),
            "read" => bare(Self::Read),
            "sync-clock" => bare(Self::SyncClock),
            "credit" => Token::parse(text).map(|token| Self::Credit { token }),
            "set-tariff" => Tariff::parse(text).map(|tariff| Self::SetTariff { tariff: Box::new(tariff) }),
            "valve" => match text {
                "open" => Ok(Self::Valve { open: true }),
                "close" => Ok(Self::Valve { open: false }),
                _ => Err("valve takes `open` or `close`".into()),
            },
            _ => Err(format!(
                "no command `{verb}`: disconnect, reconnect, read, sync-clock, credit, set-tariff and valve are known"
            )),
        }
    }

    /// The command's verb.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Reconnect => "reconnect",
            Self::Read => "read",
            Self::SyncClock => "sync-clock",
            Self::Credit { .. } => "credit",
            Self::SetTariff { .. } => "set-tariff",
            Self::Valve { .. } => "valve",
        }
    }
}

impl Token {
    /// Reads a token: printable ASCII without blanks.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        // What is wrong with it is not told by showing it.
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(format!("credit takes a token: 1 to {TOKEN_BYTES_MAX} characters of ASCII, without blanks"))
        }
    }

    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(of {} characters)", self.0.len())
    }
}

impl Undone {
    /// The meter did not do it.
    pub fn surely(rule: &'static str, detail: impl Into<String>) -> Self {
        Self { rule, detail: detail.into(), certainty: Certainty::NotDone }
    }

    /// The meter may have done it.
    pub fn perhaps(rule: &'static str, detail: impl Into<String>) -> Self {
        Self { rule, detail: detail.into(), certainty: Certainty::Unknown }
    }

    /// The driver can't do it.
    pub fn unsupported(instruction: &Instruction, whose: &str) -> Self {
        Self::surely(UNSUPPORTED, format!("{} is not among what {whose} can be told to do", instruction.verb()))
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certainty = match self.certainty {
            Certainty::NotDone => "",
            Certainty::Unknown => "; whether the meter did it is unknown",
        };
        write!(f, "{} ({}){certainty}", self.detail, self.rule)
    }
}

impl Effect {
    /// An effect that says nothing of the supply.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), connected: None }
    }
}

/// Answers deeds on a line whose meters speak and don't listen.
pub fn refuse_on_listened_line(deed: Deed) {
    let what = "its line is only listened to: the meter sends by itself, and nothing can be sent to it";
    let undone = Undone::surely(UNSUPPORTED, format!("{}: {what}", deed.instruction.verb()));
    // Whoever asked may be gone.
    let _ = deed.answer.send(Err(undone));
}
