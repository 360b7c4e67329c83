//! `general-ciphering`: protection from end to end, under a key that may be made for one APDU
//! (Green Book §9.2.7.2.4.5 and §9.5).
//!
//! ```text
//! DD  transaction  originator  recipient  date-time  other  [key]  control counter text tag
//!     └────────────── authenticated, each with its length ──────┘
//! ```

use super::agreement::{AgreementKey, AgreementPublicKey, one_pass, static_unified};
use super::cipher::{Head, seal};
use super::context::{Keys, Opened};
use super::key::{Key, Suite, SystemTitle};
use super::sealed::{GeneralKeys, Receiver, Sealed};
use super::signing::SigningKey;
use super::{Protection, SecurityControl, SecurityError, transfer};
use crate::apdu::ApduError;
use crate::axdr::{emit_octets, octets};
use alloc::vec;
use alloc::vec::Vec;
use plomb_session::Reader;

/// `general-ciphering`.
pub(super) const GENERAL_CIPHERING: u8 = 0xDD;
/// The key parameter of one-pass Diffie-Hellman, C(1e, 1s).
pub(super) const ONE_PASS: u8 = 1;
/// The key parameter of the static unified model, C(0e, 2s).
pub(super) const STATIC_UNIFIED: u8 = 2;

/// A `general-ciphering` APDU, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneralCiphering {
    /// The transaction: an answer carries that of its question.
    pub transaction: Vec<u8>,
    /// The sender's system title.
    pub originator: Vec<u8>,
    /// Whom it is for.
    pub recipient: Vec<u8>,
    /// When, as sent.
    pub time: Vec<u8>,
    /// Anything else.
    pub other: Vec<u8>,
    /// Under which key, where it is said.
    pub key: Option<KeyInfo>,
    /// Security control, invocation counter, text and tag.
    pub content: Vec<u8>,
}

/// Under which key something is protected, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyInfo {
    /// One that both have: 0 global unicast, 1 global broadcast.
    Identified(u8),
    /// One that is sent along under a key encrypting key.
    Wrapped {
        /// Which key encrypting key: 0 is the master key.
        kek: u8,
        /// The wrapped key.
        wrapped: Vec<u8>,
    },
    /// One that both work out.
    Agreed {
        /// Which scheme: 1 one-pass Diffie-Hellman, 2 static unified.
        parameters: Vec<u8>,
        /// In the first, the sender's fresh public key and its signature.
        ciphered: Vec<u8>,
    },
}

/// Which key the sender uses.
#[derive(Clone, Copy, Debug)]
pub enum KeyChoice<'a> {
    /// The global unicast key.
    Global,
    /// The global broadcast key.
    Broadcast,
    /// A fresh key, sent along under the key encrypting key.
    Wrapped {
        /// The key encrypting key.
        kek: &'a Key,
        /// The key; random, and for this APDU only.
        key: &'a Key,
    },
    /// One-pass Diffie-Hellman.
    OnePass {
        /// A key pair; random, and for this APDU only.
        fresh: &'a AgreementKey,
        /// Whoever signs its public half.
        signer: &'a SigningKey,
        /// The recipient's key.
        theirs: &'a AgreementPublicKey,
    },
    /// The static unified model. The transaction must be new each time.
    StaticUnified {
        /// Our own key.
        own: &'a AgreementKey,
        /// The recipient's key.
        theirs: &'a AgreementPublicKey,
    },
}

/// Who sends what to whom.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The sender.
    pub originator: SystemTitle,
    /// The recipient.
    pub recipient: SystemTitle,
    /// The transaction: eight bytes are usual.
    pub transaction: &'a [u8],
    /// The invocation counter, not used before with this key.
    pub counter: u32,
}

impl GeneralCiphering {
    /// Reads one APDU and nothing else.
    ///
    /// # Errors
    /// [`ApduError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ApduError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            GENERAL_CIPHERING => {}
            tag => return Err(ApduError::UnknownTag { tag }),
        }
        let (mut apdu, _) = Self::read_head(&mut reader)?;
        apdu.content = octets(&mut reader)?;
        reader.finish()?;
        Ok(apdu)
    }

    /// Everything before the content, and the bytes of the fields that are authenticated.
    pub(super) fn read_head<'a>(reader: &mut Reader<'a>) -> Result<(Self, &'a [u8]), ApduError> {
        let before = reader.rest();
        let mut apdu = Self {
            transaction: octets(reader)?,
            originator: octets(reader)?,
            recipient: octets(reader)?,
            time: octets(reader)?,
            other: octets(reader)?,
            key: None,
            content: Vec::new(),
        };
        let fields = before.get(..before.len().saturating_sub(reader.left())).unwrap_or_default();
        let offset = reader.offset();
        // Nothing authenticates it: one way to write it, then.
        apdu.key = match reader.u8()? {
            0 => None,
            1 => Some(KeyInfo::read(reader)?),
            _ => return Err(ApduError::Field { what: "whether there is a key-info", offset }),
        };
        Ok((apdu, fields))
    }

    /// Writes the APDU.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = vec![GENERAL_CIPHERING];
        out.extend(self.fields());
        match &self.key {
            None => out.push(0),
            Some(key) => {
                out.push(1);
                key.write(&mut out);
            }
        }
        emit_octets(&self.content, &mut out);
        out
    }

    fn fields(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for field in [&self.transaction, &self.originator, &self.recipient, &self.time, &self.other] {
            emit_octets(field, &mut out);
        }
        out
    }
}

impl KeyInfo {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let offset = reader.offset();
        match reader.u8()? {
            0 => Ok(Self::Identified(reader.u8()?)),
            1 => Ok(Self::Wrapped { kek: reader.u8()?, wrapped: octets(reader)? }),
            2 => Ok(Self::Agreed { parameters: octets(reader)?, ciphered: octets(reader)? }),
            choice => Err(ApduError::UnknownChoice { what: "key-info", choice, offset }),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Identified(id) => out.extend([0, *id]),
            Self::Wrapped { kek, wrapped } => {
                out.extend([1, *kek]);
                emit_octets(wrapped, out);
            }
            Self::Agreed { parameters, ciphered } => {
                out.push(2);
                emit_octets(parameters, out);
                emit_octets(ciphered, out);
            }
        }
    }
}

/// Protects an APDU.
///
/// # Errors
/// [`SecurityError`]: a key that is missing, or of another suite.
pub fn protect(
    suite: Suite,
    keys: &Keys,
    choice: KeyChoice<'_>,
    envelope: &Envelope<'_>,
    protection: Protection,
    plain: &[u8],
) -> Result<Vec<u8>, SecurityError> {
    let made;
    let (key, info) = match choice {
        KeyChoice::Global => (&keys.encryption, KeyInfo::Identified(0)),
        KeyChoice::Broadcast => {
            (keys.broadcast.as_ref().ok_or(SecurityError::KeyMissing("broadcast"))?, KeyInfo::Identified(1))
        }
        KeyChoice::Wrapped { kek, key } => (key, KeyInfo::Wrapped { kek: 0, wrapped: transfer::wrap(kek, key)? }),
        KeyChoice::OnePass { fresh, signer, theirs } => {
            made = one_pass(fresh, theirs, envelope.originator, envelope.recipient)?;
            let public = fresh.public().bytes();
            let signature = signer.sign(&public);
            (&made, KeyInfo::Agreed { parameters: vec![ONE_PASS], ciphered: [public, signature].concat() })
        }
        KeyChoice::StaticUnified { own, theirs } => {
            made = static_unified(own, theirs, envelope.originator, envelope.recipient, envelope.transaction)?;
            (&made, KeyInfo::Agreed { parameters: vec![STATIC_UNIFIED], ciphered: Vec::new() })
        }
    };
    if key.len() != suite.key_bytes() {
        return Err(SecurityError::KeyLength { suite: suite.number(), needed: suite.key_bytes() });
    }
    let mut apdu = GeneralCiphering {
        transaction: envelope.transaction.to_vec(),
        originator: envelope.originator.0.to_vec(),
        recipient: envelope.recipient.0.to_vec(),
        time: Vec::new(),
        other: Vec::new(),
        key: Some(info),
        content: Vec::new(),
    };
    let control = SecurityControl::new(suite.number(), protection);
    let head = Head {
        control,
        title: envelope.originator,
        counter: envelope.counter,
        authentication: keys.authentication.as_ref(),
        fields: &apdu.fields(),
    };
    let sealed = seal(key, &head, plain)?;
    apdu.content = [&[control.0], envelope.counter.to_be_bytes().as_slice(), &sealed].concat();
    Ok(apdu.emit())
}

/// Opens an APDU of any ciphered form, with every key there is. `sender` is whom it must come from, where that is known,
/// and `own` whom it must be for.
///
/// Whether a counter came before is the caller's to judge: a key that was made for one APDU has no count. An answer
/// under such a key is fresh where its transaction is the question's.
///
/// # Errors
/// [`SecurityError`].
pub fn open(
    bytes: &[u8],
    suite: Suite,
    keys: &Keys,
    general: &GeneralKeys,
    sender: Option<SystemTitle>,
    own: Option<SystemTitle>,
    least: Protection,
) -> Result<Opened, SecurityError> {
    let receiver = Receiver { suite, keys, dedicated: None, general: Some(general), sender, own, least };
    Sealed::read(bytes)?.open(&receiver)
}
