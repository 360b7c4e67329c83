//! Enrolment: how a gateway that made its key itself is taken on, without any secret that a fleet shares.
//!
//! `docs/enrolment.md` has it in words and bytes. In short:
//!
//! 1. the gateway signs a [`Request`] with its new key; in it a hash binds a nonce that it keeps;
//! 2. the hub answers with a nonce of its own ([`Opening`]); only then the gateway tells its nonce;
//! 3. both know a [`Transcript`] now: of it come the claim code, by which the hub's operator names this gateway and no
//!    other, and the check phrase, by which the installer knows that both ends saw the same;
//! 4. the installer says on site whether the phrases agree ([`Confirmation`]);
//! 5. the gateway is handed a [`Grant`].
//!
//! Who stands in the middle shows other keys to each side, so that the phrases differ. It can't try many nonces until
//! they agree: each side is bound before it knows the other's.

mod grant;
mod renewal;
mod words;

use alloc::{string::String, vec::Vec};

use sha2::{Digest, Sha256};

use crate::{
    Hash, Malformed, Name, PublicKey, Statement, Unverified,
    cbor::{Decoder, Encoder},
    reading::{TEXT_BYTES_MAX, text},
};

pub use grant::{Grant, NotGranted, PEM_BYTES_MAX};
pub use renewal::{Renewal, RenewalRequest};
use words::WORDS;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 32;
/// Characters of a claim code over the network: 40 bits, as nobody can try more than one at a time.
pub const CLAIM_CHARS: usize = 8;
/// Characters of a claim code by files: 80 bits, as whoever forges a request can try at leisure.
pub const CLAIM_FILE_CHARS: usize = 16;
/// Words of a check phrase over the network: 32 bits.
pub const PHRASE_WORDS: usize = 4;
/// Words of a check phrase by files: 64 bits.
pub const PHRASE_FILE_WORDS: usize = 8;

/// Digits of a claim code: no I, L, O or U, which are misread.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A gateway asks to be taken on. Signed by the key that it names, so that nobody can ask for another's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The name that it is to have.
    pub gateway: Name,
    /// Its key, made on the device.
    pub key: PublicKey,
    /// [`commitment`] to the nonce that it tells later.
    pub commitment: Hash,
    /// When, by the gateway's clock, in Unix seconds.
    pub time_s: i64,
}

/// What a nonce is bound by until it is told.
pub fn commitment(nonce: &[u8; NONCE_BYTES]) -> Hash {
    labelled("plomb enrolment nonce", &[nonce])
}

impl Statement for Request {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.enrolment+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(5).unsigned(crate::VERSION).text(self.gateway.as_str()).bytes(&self.key.to_bytes());
        out.hash(&self.commitment).signed(self.time_s);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(5)?;
        Ok(Self {
            gateway: Name::decode(from)?,
            key: PublicKey::decode(from)?,
            commitment: from.hash()?,
            time_s: from.signed()?,
        })
    }
}

impl Request {
    /// Reads a request and checks that the key in it signed it.
    pub fn open(bytes: &[u8]) -> Result<Self, Malformed> {
        let parsed = Unverified::<Self>::parse(bytes)?;
        let key = parsed.claims().key;
        Ok(parsed.verify(&key)?.statement().clone())
    }

    /// The SHA-256 of a request's bytes: its name between gateway and hub.
    pub fn ticket(bytes: &[u8]) -> Hash {
        Hash::of(bytes)
    }

    /// The claim code of a request that travels as a file.
    pub fn claim_code(bytes: &[u8]) -> String {
        code(&labelled("plomb enrolment claim by file", &[bytes]), CLAIM_FILE_CHARS)
    }
}

/// The hub's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The request's [`ticket`](Request::ticket).
    pub ticket: Hash,
    /// The ledger's name.
    pub origin: String,
    /// The hub's nonce.
    pub nonce: [u8; NONCE_BYTES],
}

impl Opening {
    /// The bytes: `[1, ticket, origin, nonce]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(4).unsigned(crate::VERSION).hash(&self.ticket).text(&self.origin).bytes(&self.nonce);
        out.finish()
    }

    /// Reads the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.versioned(4)?;
        let this = Self { ticket: from.hash()?, origin: text(&mut from)?, nonce: from.bytes_exact()? };
        from.finish()?;
        Ok(this)
    }
}

/// All that both sides have seen of each other, as one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transcript(pub Hash);

impl Transcript {
    /// Of a request's bytes, the hub's answer, the SHA-256 of the hub's TLS key (SubjectPublicKeyInfo) as this side has
    /// it, and the gateway's nonce.
    pub fn of(request: &[u8], opening: &Opening, hub_key: &Hash, nonce: &[u8; NONCE_BYTES]) -> Self {
        let mut out = Encoder::new();
        out.array(5).bytes(request).text(&opening.origin).hash(hub_key).bytes(&opening.nonce).bytes(nonce);
        Self(labelled("plomb enrolment transcript", &[&out.finish()]))
    }

    /// By this the operator names the gateway: 8 characters.
    pub fn claim_code(&self) -> String {
        code(&labelled("plomb enrolment claim", &[&self.0.0]), CLAIM_CHARS)
    }

    /// By this the installer knows that both sides saw the same: 4 words.
    pub fn phrase(&self) -> String {
        phrase(&labelled("plomb enrolment phrase", &[&self.0.0]), PHRASE_WORDS)
    }
}

/// The installer's word, said at the gateway and signed by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Of which transcript.
    pub transcript: Hash,
    /// Whether the phrases agree.
    pub agreed: bool,
}

impl Statement for Confirmation {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.enrolment-confirmation+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(3).unsigned(crate::VERSION).hash(&self.transcript).unsigned(u64::from(self.agreed));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(3)?;
        let transcript = from.hash()?;
        match from.unsigned()? {
            0 => Ok(Self { transcript, agreed: false }),
            1 => Ok(Self { transcript, agreed: true }),
            code => Err(Malformed::UnknownCode { what: "the installer's word", code }),
        }
    }
}

/// The line in the QR code: `PLOMB1:NAME:FINGERPRINT:CODE`, in the characters that QR codes pack well. The fingerprint is
/// the SHA-256 of the gateway's public key.
pub fn label(gateway: &Name, key: &PublicKey, claim_code: &str) -> String {
    let fingerprint = Hash::of(&key.to_bytes());
    alloc::format!("PLOMB1:{gateway}:{fingerprint}:{claim_code}").to_ascii_uppercase()
}

/// What an operator typed or scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The code, in its one spelling.
    pub code: String,
    /// The gateway's name and its key's fingerprint, if the whole [`label`] was scanned.
    pub label: Option<(String, Hash)>,
}

impl Claim {
    /// Reads a code as people write them (small letters, dashes and spaces, O for 0, I and L for 1), or a label.
    pub fn read(typed: &str) -> Option<Self> {
        let typed = typed.trim().to_ascii_uppercase();
        if typed.len() > TEXT_BYTES_MAX {
            return None;
        }
        let Some(rest) = typed.strip_prefix("PLOMB1:") else {
            return Some(Self { code: plain(&typed)?, label: None });
        };
        let mut parts = rest.split(':');
        let (gateway, fingerprint, code) = (parts.next()?, parts.next()?, parts.next()?);
        let fingerprint = unhex(fingerprint)?;
        parts.next().is_none().then_some(())?;
        Some(Self { code: plain(code)?, label: Some((gateway.to_ascii_lowercase(), fingerprint)) })
    }
}

/// A code for people: in groups of four.
pub fn spaced(code: &str) -> String {
    let groups: Vec<&str> = code.as_bytes().chunks(4).filter_map(|group| core::str::from_utf8(group).ok()).collect();
    groups.join("-")
}

/// Whether two phrases are the same words, however they are spaced or spelt (a word's first four letters tell it).
pub fn same_phrase(one: &str, other: &str) -> bool {
    let words = |phrase: &str| -> Vec<String> {
        let split = phrase.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
        split.map(|word| word.to_ascii_lowercase().chars().take(4).collect()).collect()
    };
    let (one, other) = (words(one), words(other));
    !one.is_empty() && one == other
}

fn plain(typed: &str) -> Option<String> {
    let marks = [' ', '-', '\t'];
    let code: String = typed
        .chars()
        .filter(|c| !marks.contains(c))
        .map(|c| match c {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    let known = code.bytes().all(|byte| DIGITS.contains(&byte));
    (known && [CLAIM_CHARS, CLAIM_FILE_CHARS].contains(&code.len())).then_some(code)
}

fn unhex(text: &str) -> Option<Hash> {
    let nibble = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let nibbles: Vec<u8> = text.as_bytes().iter().map(nibble).collect::<Option<_>>()?;
    let bytes: Vec<u8> = nibbles.chunks(2).map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble)).collect();
    (text.len() == 64).then(|| Hash::from_slice(&bytes)).flatten()
}

/// SHA-256 of a label, a zero byte, and parts of which at most the last is of free length.
fn labelled(label: &str, parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(label.as_bytes());
    hasher.update([0]);
    parts.iter().for_each(|part| hasher.update(part));
    Hash(hasher.finalize().into())
}

/// The first bits of a hash, five a character, the highest first.
fn code(hash: &Hash, chars: usize) -> String {
    let bit = |at: usize| hash.0.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let digit = |at: usize| (at * 5..at * 5 + 5).fold(0u8, |value, at| value << 1 | bit(at));
    (0..chars).filter_map(|at| DIGITS.get(usize::from(digit(at)))).map(|digit| char::from(*digit)).collect()
}

/// A word for each of the first bytes of a hash.
pub(crate) fn phrase(hash: &Hash, words: usize) -> String {
    let words: Vec<&str> =
        hash.0.iter().take(words).filter_map(|byte| WORDS.get(usize::from(*byte))).copied().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
