use core::fmt;
use core::ops::BitOr;
use core::str::FromStr;
use thiserror::Error;

/// A radio mode of EN 13757-4 that a receiver can be set to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Stationary, 868.3 MHz, Manchester coded.
    S,
    /// Frequent transmit, 868.95 MHz, 3-of-6 coded.
    T,
    /// Compact, 868.95 MHz, not coded.
    C,
    /// Narrow band, 169 MHz.
    N,
}

/// A set of [`Mode`]s. Text form: the letters joined by `+`, as in `T+C`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Modes(u8);

/// A receiver that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// IMST iM871A, module or USB stick: HCI frames, start byte A5.
    Im871a,
    /// Amber (now Würth) AMB8465 and its successor Metis-II, 868 MHz: command mode, start byte FF.
    Amb8465,
    /// Amber AMB3665, 169 MHz: the same commands.
    Amb3665,
    /// CUL and other CC1101 sticks with culfw: lines of text.
    Cul,
    /// Radiocrafts RC1180-MBUS3: length-prefixed frames, and a configuration mode entered with 00.
    Rc1180,
    /// The program rtl_wmbus behind a software-defined radio: lines of text on a pipe. It is told
    /// what to hear by whoever starts it.
    RtlWmbus,
}

/// The text names no receiver, or no set of modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Not a receiver.
    #[error("no receiver of this name: write one of im871a, amb8465, amb3665, cul, rc1180, rtl_wmbus")]
    Kind,
    /// Not a set of modes.
    #[error("no set of radio modes: write letters of S, T, C, N, joined by +, as in T+C")]
    Modes,
}

impl Mode {
    /// All modes, in the order in which they are written.
    pub const ALL: [Self; 4] = [Self::S, Self::T, Self::C, Self::N];

    const fn letter(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::T => "T",
            Self::C => "C",
            Self::N => "N",
        }
    }
}

impl Modes {
    /// No mode at all.
    pub const NONE: Self = Self(0);
    /// S only.
    pub const S: Self = Self::of(Mode::S);
    /// T only.
    pub const T: Self = Self::of(Mode::T);
    /// C only.
    pub const C: Self = Self::of(Mode::C);
    /// N only.
    pub const N: Self = Self::of(Mode::N);
    /// T and C at the same time, which share a frequency.
    pub const T_AND_C: Self = Self::T.and(Self::C);

    /// The set of one mode.
    #[must_use]
    pub const fn of(mode: Mode) -> Self {
        Self(1 << mode as u8)
    }

    /// The modes of either.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every mode of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no mode in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The mode, where there is exactly one: what a receiver set to hear several does not tell.
    #[must_use]
    pub fn single(self) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| Self::of(*mode) == self)
    }
}

impl BitOr for Modes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.letter())
    }
}

impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut first = true;
        for mode in Mode::ALL.into_iter().filter(|mode| self.contains(Self::of(*mode))) {
            if !first {
                f.write_str("+")?;
            }
            first = false;
            f.write_str(mode.letter())?;
        }
        Ok(())
    }
}

impl FromStr for Modes {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.split('+').try_fold(Self::NONE, |modes, part| {
            let mode = Mode::ALL.into_iter().find(|mode| mode.letter().eq_ignore_ascii_case(part.trim()));
            mode.map(|mode| modes | Self::of(mode)).ok_or(NameError::Modes)
        })
    }
}

impl Kind {
    /// All receivers.
    pub const ALL: [Self; 6] = [Self::Im871a, Self::Amb8465, Self::Amb3665, Self::Cul, Self::Rc1180, Self::RtlWmbus];

    /// Its name in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Im871a => "im871a",
            Self::Amb8465 => "amb8465",
            Self::Amb3665 => "amb3665",
            Self::Cul => "cul",
            Self::Rc1180 => "rc1180",
            Self::RtlWmbus => "rtl_wmbus",
        }
    }

    /// The speed of its serial port as delivered, always 8N1; `None` for a program on a pipe.
    ///
    /// The CUL is a USB device of its own, for which the speed has no meaning; 38400 is what
    /// programs commonly set there, and what the CUN's and nanoCUL's serial chips are built for.
    #[must_use]
    pub const fn bits_per_second(self) -> Option<u32> {
        match self {
            Self::Im871a => Some(57_600),
            Self::Amb8465 | Self::Amb3665 => Some(9600),
            Self::Cul => Some(38_400),
            Self::Rc1180 => Some(19_200),
            Self::RtlWmbus => None,
        }
    }

    /// Every set of modes that it can be set to hear at the same time.
    ///
    /// For `rtl_wmbus` these are what its options make it hear; the session cannot set them.
    #[must_use]
    pub const fn combinations(self) -> &'static [Modes] {
        const SINGLE: &[Modes] = &[Modes::S, Modes::T, Modes::C];
        const WITH_T_AND_C: &[Modes] = &[Modes::S, Modes::T, Modes::C, Modes::T_AND_C];
        const RADIO_BY_SOFTWARE: &[Modes] =
            &[Modes::S, Modes::T, Modes::C, Modes::T_AND_C, Modes::T_AND_C.and(Modes::S)];
        match self {
            Self::Im871a | Self::Cul => SINGLE,
            Self::Amb8465 | Self::Rc1180 => WITH_T_AND_C,
            Self::Amb3665 => &[Modes::N],
            Self::RtlWmbus => RADIO_BY_SOFTWARE,
        }
    }

    /// Whether it can hear exactly these modes at the same time.
    #[must_use]
    pub fn can_hear(self, modes: Modes) -> bool {
        self.combinations().contains(&modes)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(NameError::Kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_and_sets_read_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            for modes in kind.combinations() {
                assert_eq!(modes.to_string().parse(), Ok(*modes));
            }
        }
        assert_eq!("c + t".parse(), Ok(Modes::T_AND_C));
        for wrong in ["", "T+", "X", "TC"] {
            assert_eq!(wrong.parse::<Modes>(), Err(NameError::Modes), "{wrong}");
        }
        assert_eq!("IM871A".parse::<Kind>(), Err(NameError::Kind));
    }

    #[test]
    fn only_a_single_mode_is_told() {
        assert_eq!(Modes::C.single(), Some(Mode::C));
        assert_eq!(Modes::T_AND_C.single(), None);
        assert_eq!(Modes::NONE.single(), None);
        assert!(Kind::Amb8465.can_hear(Modes::T_AND_C) && !Kind::Im871a.can_hear(Modes::T_AND_C));
    }
}
