//! Signed notes (C2SP signed-note), checkpoints (C2SP tlog-checkpoint) and timestamped cosignatures
//! (C2SP tlog-cosignature, type 0x04).

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use base64ct::{Base64, Encoding};

use crate::{Hash, PublicKey, SigningKey};

/// The longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 16 * 1024;
/// The most signatures in a note.
pub const NOTE_SIGNATURES_MAX: usize = 64;

const EM_DASH: &str = "\u{2014} ";

/// What a key signs (the signature type byte of C2SP signed-note).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// 0x01: a plain Ed25519 signature over the note's text; a log's own.
    Log,
    /// 0x04: an Ed25519 cosignature with a time; a witness's.
    Cosigner,
}

/// A named public key with its use, as policies list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    /// The key's name; a log's origin.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// What it signs.
    pub usage: KeyUse,
}

/// Why a text is no note, checkpoint or verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not of the form that C2SP signed-note gives.
    #[error("not a signed note: {0}")]
    Form(&'static str),
    /// The text of the note is no checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// A verifier key can't be read.
    #[error("not a verifier key: {0}")]
    VerifierKey(&'static str),
    /// A signature by a known key does not fit.
    #[error("the signature by {0} does not match")]
    Signature(String),
    /// A known key signed twice: of two times none can be believed.
    #[error("{0} signed twice")]
    Twice(String),
}

/// A note as parsed: its text, and signatures of which nothing is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    /// The text with its last newline, without the blank line.
    pub text: &'a str,
    signatures: Vec<Signature<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature<'a> {
    line: &'a str,
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A tree head: who, how large, which root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The RFC 6962 root over them.
    pub root: Hash,
}

impl VerifierKey {
    /// The four bytes that name it in signature lines.
    pub fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] =
            Hash::of_parts(&[self.name.as_bytes(), b"\n", &[self.usage.code()], &self.key.to_bytes()]).0;
        [a, b, c, d]
    }

    /// Reads `<name>+<hex id>+<base64 of type and key>`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::VerifierKey;
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("it has the form name+id+key"));
        };
        if !is_key_name(name) {
            return Err(wrong("its name is empty or has a space"));
        }
        let bytes = Base64::decode_vec(key).map_err(|_| wrong("its key is not base64"))?;
        let (usage, key) = match bytes.split_first() {
            Some((0x01, key)) => (KeyUse::Log, key),
            Some((0x04, key)) => (KeyUse::Cosigner, key),
            Some((0x06, _)) => {
                return Err(wrong("its signature type is 0x06 (ML-DSA-44), which this version can't check"));
            }
            _ => {
                return Err(wrong("its signature type is neither 0x01 (Ed25519) nor 0x04 (Ed25519 cosignature)"));
            }
        };
        let key = <&[u8; 32]>::try_from(key).ok().and_then(PublicKey::from_bytes);
        let this = Self { name: name.into(), key: key.ok_or(wrong("its key is no Ed25519 public key"))?, usage };
        if hex_of(&this.id()) == id { Ok(this) } else { Err(wrong("its id does not fit its name and key")) }
    }

    /// Checks this key's signature in a note, if there is one: `None` if there is none, else the time of a
    /// cosignature (Unix seconds), or 0 for a log's signature.
    pub fn check(&self, note: &Note<'_>) -> Result<Option<u64>, NoteError> {
        let mut found = None;
        for signature in note.signatures.iter().filter(|line| self.named_by(line)) {
            let time = self.check_bytes(note.text, &signature.bytes);
            let time = time.ok_or_else(|| NoteError::Signature(self.name.clone()))?;
            if found.replace(time).is_some() {
                return Err(NoteError::Twice(self.name.clone()));
            }
        }
        Ok(found)
    }

    fn named_by(&self, line: &Signature<'_>) -> bool {
        line.name == self.name && line.id == self.id()
    }

    fn check_bytes(&self, text: &str, bytes: &[u8]) -> Option<u64> {
        match self.usage {
            KeyUse::Log => {
                self.key.verify(text.as_bytes(), bytes.try_into().ok()?).ok()?;
                Some(0)
            }
            KeyUse::Cosigner => {
                let (time, signature) = bytes.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                let signature = signature.try_into().ok()?;
                self.key.verify(cosigned(text, time).as_bytes(), signature).ok()?;
                i64::try_from(time).is_ok().then_some(time)
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = Vec::from([self.usage.code()]);
        typed.extend_from_slice(&self.key.to_bytes());
        write!(f, "{}+{}+{}", self.name, hex_of(&self.id()), Base64::encode_string(&typed))
    }
}

impl<'a> Note<'a> {
    /// Splits a note into text and signatures.
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        let wrong = NoteError::Form;
        if note.len() > NOTE_BYTES_MAX {
            return Err(wrong("it is longer than 16 KiB"));
        }
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(wrong("it has control characters"));
        }
        let at = note.rfind("\n\n").ok_or(wrong("no blank line stands before the signatures"))?;
        let (text, lines) = (note.get(..=at).unwrap_or_default(), note.get(at + 2..).unwrap_or_default());
        let lines = lines.strip_suffix('\n').ok_or(wrong("the last line has no end"))?;
        let signatures = lines.split('\n').map(Signature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > NOTE_SIGNATURES_MAX {
            return Err(wrong("it has more than 64 signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// The note with only the signature lines that are of one of these keys.
    pub fn with_lines_of(&self, keys: &[&VerifierKey]) -> String {
        let known = self.signatures.iter().filter(|line| keys.iter().any(|key| key.named_by(line)));
        known.fold(format!("{}\n", self.text), |note, signature| note + signature.line + "\n")
    }

    /// Reads the text as a checkpoint. Extension lines are allowed and ignored.
    pub fn checkpoint(&self) -> Result<Checkpoint, NoteError> {
        let wrong = NoteError::Checkpoint;
        let mut lines = self.text.strip_suffix('\n').unwrap_or(self.text).split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty()).ok_or(wrong("the origin is empty"))?;
        let size = lines.next().ok_or(wrong("the size is missing"))?;
        let number: u64 = size.parse().map_err(|_| wrong("the size is no number"))?;
        if format!("{number}") != size {
            return Err(wrong("the size has leading zeroes or a sign"));
        }
        let root = lines.next().and_then(hash_from_base64).ok_or(wrong("the root is no base64 of 32 bytes"))?;
        if lines.any(str::is_empty) {
            return Err(wrong("an extension line is empty"));
        }
        Ok(Checkpoint { origin: origin.into(), size: number, root })
    }
}

impl<'a> Signature<'a> {
    fn parse(line: &'a str) -> Result<Self, NoteError> {
        let wrong = NoteError::Form;
        let rest = line.strip_prefix(EM_DASH).ok_or(wrong("a signature line does not begin with an em dash"))?;
        let (name, base64) = rest.split_once(' ').ok_or(wrong("a signature line has no signature"))?;
        if !is_key_name(name) {
            return Err(wrong("a key name is empty or has a plus sign"));
        }
        let bytes = Base64::decode_vec(base64).map_err(|_| wrong("a signature is not base64"))?;
        let (id, bytes) = bytes.split_first_chunk::<4>().ok_or(wrong("a signature is too short"))?;
        Ok(Self { line, name, id: *id, bytes: bytes.into() })
    }
}

impl Checkpoint {
    /// The text that logs and witnesses sign.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, Base64::encode_string(&self.root.0))
    }

    /// The signed note, with the log's signature. The key's name is the origin.
    pub fn sign(&self, log: &SigningKey) -> String {
        let text = self.text();
        let key = VerifierKey { name: self.origin.clone(), key: log.public(), usage: KeyUse::Log };
        let line = signature_line(&key, &log.sign(text.as_bytes()));
        format!("{text}\n{line}")
    }
}

/// Adds a witness's cosignature to a signed note. `unix_s` is the time of signing.
pub fn cosign(note: &str, name: &str, witness: &SigningKey, unix_s: u64) -> Result<String, NoteError> {
    let parsed = Note::parse(note)?;
    let key = VerifierKey { name: name.into(), key: witness.public(), usage: KeyUse::Cosigner };
    let mut bytes = Vec::from(unix_s.to_be_bytes());
    bytes.extend_from_slice(&witness.sign(cosigned(parsed.text, unix_s).as_bytes()));
    Ok(format!("{note}{}", signature_line(&key, &bytes)))
}

pub(crate) fn hash_from_base64(text: &str) -> Option<Hash> {
    Base64::decode_vec(text).ok().and_then(|bytes| Hash::from_slice(&bytes))
}

impl KeyUse {
    fn code(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Cosigner => 0x04,
        }
    }
}

fn cosigned(text: &str, unix_s: u64) -> String {
    format!("cosignature/v1\ntime {unix_s}\n{text}")
}

fn signature_line(key: &VerifierKey, signature: &[u8]) -> String {
    let mut bytes = Vec::from(key.id());
    bytes.extend_from_slice(signature);
    format!("{EM_DASH}{} {}\n", key.name, Base64::encode_string(&bytes))
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+')
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// The example of the cosignature specification, with its line for the log.
    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    #[test]
    fn the_specifications_example_is_read() {
        let note = Note::parse(EXAMPLE).unwrap();
        let checkpoint = note.checkpoint().unwrap();
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(checkpoint.text(), note.text);
        assert_eq!(note.signatures[1].name, "witness.example.com/w1");
        assert_eq!(u64::from_be_bytes(note.signatures[1].bytes[..8].try_into().unwrap()), 1_679_315_147);
    }

    #[test]
    fn signed_and_cosigned_notes_check_and_bent_ones_do_not() {
        let (log, witness) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let checkpoint = Checkpoint { origin: "ledger.example/street".into(), size: 7, root: Hash([9; 32]) };
        let note = cosign(&checkpoint.sign(&log), "member.example", &witness, 1_700_000_000).unwrap();
        let log = VerifierKey { name: "ledger.example/street".into(), key: log.public(), usage: KeyUse::Log };
        let witness = VerifierKey { name: "member.example".into(), key: witness.public(), usage: KeyUse::Cosigner };
        let parsed = Note::parse(&note).unwrap();
        assert_eq!(log.check(&parsed), Ok(Some(0)));
        assert_eq!(witness.check(&parsed), Ok(Some(1_700_000_000)));
        assert_eq!(VerifierKey::parse(&log.to_string()), Ok(log.clone()));
        assert_eq!(VerifierKey::parse(&witness.to_string()), Ok(witness.clone()));
        let bent = note.replacen("\n7\n", "\n8\n", 1);
        let bent = Note::parse(&bent).unwrap();
        assert!(log.check(&bent).is_err() && witness.check(&bent).is_err());
        let quantum = format!("w+00000000+{}", Base64::encode_string(&[&[0x06][..], &[0; 1312]].concat()));
        assert!(VerifierKey::parse(&quantum).unwrap_err().to_string().contains("ML-DSA-44"));
        let stranger = VerifierKey { key: SigningKey::from_seed(&[3; 32]).public(), ..log };
        assert_eq!(stranger.check(&parsed), Ok(None), "an unknown key's signature is ignored");
    }

    #[test]
    fn what_is_no_note_is_refused() {
        for text in [
            "",
            "a\n",
            "a\n\n",
            "a\n\n— x\n",
            "a\n\n— x !!\n",
            "a\n\n- x AAAAAAAA\n",
            "a\r\n\n— x AAAAAAAA\n",
            "a\n\n— x AAAAAAAA",
        ] {
            assert!(Note::parse(text).is_err(), "{text:?}");
        }
    }
}
