use core::fmt;

/// The control field (IEC 62056-46 §6.4.3). Sequence numbers count modulo 8.
///
/// The fifth bit is P (poll) in a command, where it asks for an answer, and F (final) in a response,
/// where it ends the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// I: numbered information.
    I {
        /// N(S): the number of this frame.
        send: u8,
        /// N(R): the number of the frame expected next; all before it have arrived.
        receive: u8,
        /// P or F.
        last: bool,
    },
    /// RR: ready to receive.
    Rr {
        /// N(R).
        receive: u8,
        /// P or F.
        last: bool,
    },
    /// RNR: cannot receive now.
    Rnr {
        /// N(R).
        receive: u8,
        /// P or F.
        last: bool,
    },
    /// SNRM: set normal response mode, that is connect.
    Snrm {
        /// P.
        last: bool,
    },
    /// DISC: disconnect.
    Disc {
        /// P.
        last: bool,
    },
    /// UA: unnumbered acknowledgement of SNRM or DISC.
    Ua {
        /// F.
        last: bool,
    },
    /// DM: in disconnected mode; refuses, or says that there is no connection.
    Dm {
        /// F.
        last: bool,
    },
    /// FRMR: a frame was understood and cannot be right.
    Frmr {
        /// F.
        last: bool,
    },
    /// UI: information without number and acknowledgement.
    Ui {
        /// P or F.
        last: bool,
    },
    /// Any other code.
    Unknown(u8),
}

const LAST: u8 = 0x10;
const RR: u8 = 0x01;
const RNR: u8 = 0x05;
const SNRM: u8 = 0x83;
const DISC: u8 = 0x43;
const UA: u8 = 0x63;
const DM: u8 = 0x0F;
const FRMR: u8 = 0x87;
const UI: u8 = 0x03;

impl Control {
    /// The code's meaning.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        let last = code & LAST != 0;
        let receive = code >> 5;
        if code & 1 == 0 {
            return Self::I { send: code >> 1 & 7, receive, last };
        }
        match (code & 0x0F, code & !LAST) {
            (RR, _) => Self::Rr { receive, last },
            (RNR, _) => Self::Rnr { receive, last },
            (_, SNRM) => Self::Snrm { last },
            (_, DISC) => Self::Disc { last },
            (_, UA) => Self::Ua { last },
            (_, DM) => Self::Dm { last },
            (_, FRMR) => Self::Frmr { last },
            (_, UI) => Self::Ui { last },
            _ => Self::Unknown(code),
        }
    }

    /// The code on the wire. Of sequence numbers the lowest three bits are taken.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::I { send, receive, last } => (receive & 7) << 5 | poll(last) | (send & 7) << 1,
            Self::Rr { receive, last } => (receive & 7) << 5 | poll(last) | RR,
            Self::Rnr { receive, last } => (receive & 7) << 5 | poll(last) | RNR,
            Self::Snrm { last } => SNRM | poll(last),
            Self::Disc { last } => DISC | poll(last),
            Self::Ua { last } => UA | poll(last),
            Self::Dm { last } => DM | poll(last),
            Self::Frmr { last } => FRMR | poll(last),
            Self::Ui { last } => UI | poll(last),
            Self::Unknown(code) => code,
        }
    }

    /// P in a command, F in a response.
    #[must_use]
    pub const fn last(self) -> bool {
        self.code() & LAST != 0
    }
}

const fn poll(last: bool) -> u8 {
    if last { LAST } else { 0 }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I { send, receive, .. } => write!(f, "I N(S)={send} N(R)={receive}")?,
            Self::Rr { receive, .. } => write!(f, "RR N(R)={receive}")?,
            Self::Rnr { receive, .. } => write!(f, "RNR N(R)={receive}")?,
            Self::Snrm { .. } => f.write_str("SNRM")?,
            Self::Disc { .. } => f.write_str("DISC")?,
            Self::Ua { .. } => f.write_str("UA")?,
            Self::Dm { .. } => f.write_str("DM")?,
            Self::Frmr { .. } => f.write_str("FRMR")?,
            Self::Ui { .. } => f.write_str("UI")?,
            Self::Unknown(code) => write!(f, "control {code:02x}")?,
        }
        f.write_str(if self.last() { " P/F" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back() {
        for code in 0..=u8::MAX {
            assert_eq!(Control::from_code(code).code(), code);
        }
    }

    #[test]
    fn codes_of_the_standard() {
        for (code, control) in [
            (0x93, Control::Snrm { last: true }),
            (0x73, Control::Ua { last: true }),
            (0x53, Control::Disc { last: true }),
            (0x1F, Control::Dm { last: true }),
            (0x97, Control::Frmr { last: true }),
            (0x13, Control::Ui { last: true }),
            (0x03, Control::Ui { last: false }),
            (0x10, Control::I { send: 0, receive: 0, last: true }),
            (0x32, Control::I { send: 1, receive: 1, last: true }),
            (0x31, Control::Rr { receive: 1, last: true }),
            (0xF5, Control::Rnr { receive: 7, last: true }),
        ] {
            assert_eq!(Control::from_code(code), control);
        }
    }
}
