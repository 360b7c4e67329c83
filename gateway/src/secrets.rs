//! Passwords and keys of DLMS meters, by measuring point, from a file that nobody else can read.
//!
//! ```text
//! # point   what            value
//! flat-3    encryption      000102030405060708090A0B0C0D0E0F
//! flat-3    authentication  D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF
//! flat-4    password        12345678
//! ```
//!
//! No error and no `Debug` shows a secret.

use std::{collections::BTreeMap, fmt, path::Path};

use zeroize::Zeroizing;

use crate::{
    config::{Authentication, Meter},
    keys::read_secret_file,
};

/// The longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 512;
/// The most secrets of one file.
pub const SECRETS_MAX: usize = 8192;
/// The longest password, in bytes (the standard's challenges and secrets are 8 to 64).
pub const PASSWORD_BYTES_MAX: usize = 64;

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The password of LLS, or the secret of HLS with a hash.
    Password,
    /// The global unicast encryption key.
    Encryption,
    /// The authentication key.
    Authentication,
    /// The global broadcast encryption key.
    Broadcast,
    /// Our own signing key, of ECDSA.
    Signing,
    /// The meter's public key, of ECDSA.
    Verifying,
}

/// The words of purposes, and how many bytes each may have.
const PURPOSES: &[(&str, Purpose, &[usize])] = &[
    ("password", Purpose::Password, &[]),
    ("encryption", Purpose::Encryption, &[16, 32]),
    ("authentication", Purpose::Authentication, &[16, 32]),
    ("broadcast", Purpose::Broadcast, &[16, 32]),
    ("signing", Purpose::Signing, &[32, 48]),
    ("verifying", Purpose::Verifying, &[64, 65, 96, 97]),
];

/// Secrets by measuring point.
#[derive(Default)]
pub struct Secrets {
    of: BTreeMap<String, BTreeMap<Purpose, Zeroizing<Vec<u8>>>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("points", &self.of.len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads a file of secrets. One that others can read is refused.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub fn load(path: &Path) -> Result<Self, String> {
        Self::parse(&path.display().to_string(), &read_secret_file(path)?)
    }

    /// Reads the text of such a file; `name` is what errors call it.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut secrets = Self::default();
        let mut count = 0;
        for (number, line) in (1usize..).zip(text.lines()) {
            let wrong = |what: &str| format!("{name}:{number}: {what}");
            if line.len() > LINE_BYTES_MAX {
                return Err(wrong(&format!("more than {LINE_BYTES_MAX} bytes in a line")));
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((point, purpose, value)) = words_of(line) else {
                return Err(wrong("write POINT, what it is, and the value, as `flat-3 encryption 0001…`"));
            };
            let known = PURPOSES.iter().find(|(name, ..)| *name == purpose);
            let hexadecimal_password = purpose == "password-hex";
            let (purpose, lengths) = match known {
                Some((_, purpose, lengths)) => (*purpose, *lengths),
                None if hexadecimal_password => (Purpose::Password, [].as_slice()),
                None => {
                    let words: Vec<&str> = PURPOSES.iter().map(|(word, ..)| *word).collect();
                    return Err(wrong(&format!("the second word is one of {}, password-hex", words.join(", "))));
                }
            };
            let bytes = if purpose == Purpose::Password && !hexadecimal_password {
                Zeroizing::new(value.as_bytes().to_vec())
            } else {
                Zeroizing::new(
                    hex::decode(value).map_err(|_| wrong("the value: write hexadecimal digits, two a byte"))?,
                )
            };
            let fits = if lengths.is_empty() {
                (1..=PASSWORD_BYTES_MAX).contains(&bytes.len())
            } else {
                lengths.contains(&bytes.len())
            };
            if !fits {
                let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
                let what = if lengths.is_empty() { format!("1 to {PASSWORD_BYTES_MAX}") } else { lengths.join(" or ") };
                return Err(wrong(&format!("the value has {} bytes; it has {what}", bytes.len())));
            }
            count += 1;
            if count > SECRETS_MAX {
                return Err(wrong(&format!("more than {SECRETS_MAX} secrets")));
            }
            if secrets.of.entry(point.into()).or_default().insert(purpose, bytes).is_some() {
                return Err(wrong(&format!("a second value of this kind for {point}")));
            }
        }
        Ok(secrets)
    }

    /// A point's secret for a purpose.
    pub fn get(&self, point: &str, purpose: Purpose) -> Option<&[u8]> {
        self.of.get(point)?.get(&purpose).map(|bytes| bytes.as_slice())
    }

    /// What a DLMS meter proves itself by and what is not here, in words.
    pub fn missing(&self, meter: &Meter) -> Vec<&'static str> {
        let ciphered = self.get(&meter.point, Purpose::Encryption).is_some();
        let needed: &[(Purpose, &str)] = match meter.authentication {
            Authentication::None => &[],
            Authentication::Lls | Authentication::Md5 | Authentication::Sha1 | Authentication::Sha256 => {
                &[(Purpose::Password, "password")]
            }
            Authentication::Gmac => &[(Purpose::Encryption, "encryption key")],
            Authentication::Ecdsa => {
                &[(Purpose::Signing, "signing key"), (Purpose::Verifying, "verifying key (the meter's)")]
            }
        };
        let both = (ciphered || meter.authentication == Authentication::Gmac)
            .then_some((Purpose::Authentication, "authentication key"));
        let needed = needed.iter().copied().chain(both);
        needed.filter(|(purpose, _)| self.get(&meter.point, *purpose).is_none()).map(|(_, what)| what).collect()
    }

    /// The points that have secrets.
    pub fn points(&self) -> impl Iterator<Item = &str> {
        self.of.keys().map(String::as_str)
    }
}

/// Point, purpose and value of a line.
fn words_of(line: &str) -> Option<(&str, &str, &str)> {
    let (point, rest) = line.split_once(char::is_whitespace)?;
    let (purpose, value) = rest.trim_start().split_once(char::is_whitespace)?;
    Some((point, purpose, value.trim())).filter(|(_, _, value)| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_point_and_purpose() {
        let text = "# hall\nflat-3  encryption 000102030405060708090A0B0C0D0E0F\n\nflat-4 password s3 cret\nflat-5\tpassword-hex 00FF\n";
        let secrets = Secrets::parse("s", text).unwrap();
        assert_eq!(secrets.get("flat-3", Purpose::Encryption).map(<[u8]>::len), Some(16));
        assert_eq!(secrets.get("flat-4", Purpose::Password), Some(b"s3 cret".as_slice()));
        assert_eq!(secrets.get("flat-5", Purpose::Password), Some([0, 0xFF].as_slice()));
        assert_eq!(secrets.get("flat-4", Purpose::Encryption), None);
        assert!(!format!("{secrets:?}").contains("s3"));
    }

    #[test]
    fn what_a_meter_needs_and_has_not_is_told() {
        let secrets = Secrets::parse("s", "a encryption 000102030405060708090A0B0C0D0E0F\nb password x\n").unwrap();
        let missing =
            |point: &str, authentication| secrets.missing(&Meter { authentication, ..Meter::new(point, "line") });
        assert_eq!(missing("a", Authentication::Gmac), ["authentication key"]);
        assert_eq!(missing("a", Authentication::Lls), ["password", "authentication key"], "it is ciphered");
        assert_eq!(missing("c", Authentication::Gmac), ["encryption key", "authentication key"]);
        assert!(missing("b", Authentication::Md5).is_empty() && missing("c", Authentication::None).is_empty());
        assert_eq!(missing("b", Authentication::Ecdsa).len(), 2);
    }

    #[test]
    fn what_is_wrong_has_its_line_and_shows_no_secret() {
        for (text, what) in [
            ("flat-3 encryption\n", "s:1: write POINT"),
            ("\nflat-3 encryption C0FFEE\n", "s:2: the value has 3 bytes; it has 16 or 32"),
            ("flat-3 encryption C0FFEX\n", "s:1: the value: write hexadecimal digits"),
            ("flat-3 encrypt C0FFEE\n", "s:1: the second word is one of password, encryption"),
            ("a password C0FFEE\na password-hex C0FFEE\n", "s:2: a second value"),
        ] {
            let error = Secrets::parse("s", text).unwrap_err();
            assert!(error.starts_with(what), "{error}");
            assert!(!error.contains("C0FFE"), "{error}");
        }
    }
}
