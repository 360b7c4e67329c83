//! Protected APDUs, taken apart, and opened with every check that does not need to know what came before.

use super::agreement::{AgreementKey, AgreementPublicKey, halves, one_pass, static_unified};
use super::cipher::{Head, TAG_BYTES, open};
use super::context::{Keys, Opened, OpenedBy};
use super::general::{GENERAL_CIPHERING, GeneralCiphering, KeyInfo, ONE_PASS, STATIC_UNIFIED};
use super::key::{Key, Suite, SystemTitle};
use super::signing::VerifyingKey;
use super::{Protection, SecurityControl, SecurityError, transfer};
use crate::apdu::{Apdu, ApduError};
use crate::axdr::{octets, parse_length};
use alloc::boxed::Box;
use alloc::vec::Vec;
use plomb_session::Reader;

/// `general-glo-ciphering`.
pub(super) const GENERAL_GLOBAL: u8 = 0xDB;
/// `general-ded-ciphering`.
pub(super) const GENERAL_DEDICATED: u8 = 0xDC;

/// The keys that general-ciphering needs beside the [`Keys`]: all are optional, and what is missing is refused by its
/// name when a frame needs it.
#[derive(Clone, Debug, Default)]
pub struct GeneralKeys {
    /// The key encrypting key (master key), for wrapped keys.
    pub wrapping: Option<Key>,
    /// Our own private key, for agreed keys.
    pub agreement: Option<AgreementKey>,
    /// The other side's public key, for agreed keys.
    pub their_agreement: Option<AgreementPublicKey>,
    /// The other side's public key, for its signatures.
    pub their_signing: Option<VerifyingKey>,
}

/// What the receiver has and expects.
pub(super) struct Receiver<'a> {
    pub(super) suite: Suite,
    pub(super) keys: &'a Keys,
    pub(super) dedicated: Option<&'a Key>,
    pub(super) general: Option<&'a GeneralKeys>,
    /// The sender, where it is known.
    pub(super) sender: Option<SystemTitle>,
    /// The receiver itself, where it has a title.
    pub(super) own: Option<SystemTitle>,
    pub(super) least: Protection,
}

/// A protected APDU, taken apart.
pub(super) struct Sealed<'a> {
    outer: Outer<'a>,
    title: Option<SystemTitle>,
    control: SecurityControl,
    counter: u32,
    text: &'a [u8],
}

/// In what the protected text goes.
enum Outer<'a> {
    /// A service's own form, with this tag.
    Service {
        tag: u8,
        dedicated: bool,
    },
    General {
        dedicated: bool,
    },
    Ciphering {
        apdu: Box<GeneralCiphering>,
        /// Its header fields as they came, which are authenticated.
        fields: &'a [u8],
    },
}

impl<'a> Sealed<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, SecurityError> {
        let mut reader = Reader::new(bytes);
        let tag = reader.u8()?;
        let (outer, title) = match tag {
            GENERAL_GLOBAL | GENERAL_DEDICATED => {
                let offset = reader.offset();
                let title = title_of(&octets(&mut reader)?, offset)?;
                (Outer::General { dedicated: tag == GENERAL_DEDICATED }, title)
            }
            GENERAL_CIPHERING => {
                let (apdu, fields) = GeneralCiphering::read_head(&mut reader)?;
                let title = title_of(&apdu.originator, 1)?;
                (Outer::Ciphering { apdu: Box::new(apdu), fields }, title)
            }
            0x21 | 0x28 | 0x2E | 0xC8..=0xCF => (Outer::Service { tag, dedicated: false }, None),
            0x41 | 0x48 | 0x4E | 0xD0..=0xD7 => (Outer::Service { tag, dedicated: true }, None),
            tag => return Err(ApduError::UnknownTag { tag }.into()),
        };
        let length = parse_length(&mut reader)?;
        let mut inner = reader.sub(length)?;
        reader.finish()?;
        let control = SecurityControl(inner.u8()?);
        Ok(Self { outer, title, control, counter: inner.u32_be()?, text: inner.rest() })
    }

    /// The transaction, where the APDU names one.
    pub(super) fn transaction(&self) -> Option<&[u8]> {
        match &self.outer {
            Outer::Ciphering { apdu, .. } => Some(&apdu.transaction),
            _ => None,
        }
    }

    pub(super) fn open(&self, receiver: &Receiver<'_>) -> Result<Opened, SecurityError> {
        let title = match (self.title, receiver.sender) {
            (Some(got), Some(expected)) if got != expected => return Err(SecurityError::OtherTitle { got, expected }),
            (Some(title), _) | (None, Some(title)) => title,
            (None, None) => return Err(SecurityError::TitleMissing),
        };
        let suite = receiver.suite;
        if self.control.is_compressed() {
            return Err(SecurityError::Unsupported("compression"));
        }
        if self.control.suite() != suite.number() {
            return Err(SecurityError::OtherSuite { got: self.control.suite(), expected: suite.number() });
        }
        let protection = self.control.protection();
        if !protection.covers(receiver.least) {
            return Err(SecurityError::Weaker { got: protection, expected: receiver.least });
        }
        let recipient = self.recipient(receiver.own)?;
        let made;
        let (key, by) = match self.shared_key(receiver)? {
            Some(shared) => shared,
            None => {
                made = self.made_key(receiver, title, recipient)?;
                (&made.0, made.1)
            }
        };
        if key.len() != suite.key_bytes() {
            return Err(SecurityError::KeyLength { suite: suite.number(), needed: suite.key_bytes() });
        }
        let fields = match self.outer {
            Outer::Ciphering { fields, .. } => fields,
            _ => &[],
        };
        let authentication = receiver.keys.authentication.as_ref();
        let head = Head { control: self.control, title, counter: self.counter, authentication, fields };
        let apdu = open(key, &head, self.text)?;
        // The outer tag is not authenticated: it must be that of what is inside.
        if let Outer::Service { tag, dedicated } = self.outer
            && service_tag(apdu.first().copied().unwrap_or_default(), dedicated) != Ok(tag)
        {
            return Err(SecurityError::TagWrong);
        }
        if !protection.authenticated && protection.encrypted {
            // Nothing else shows that the key is the right one.
            Apdu::parse(&apdu).map_err(SecurityError::Nonsense)?;
        }
        Ok(Opened { apdu, protection, by, counter: self.counter, title })
    }

    /// Whom it is for, where that is known.
    fn recipient(&self, own: Option<SystemTitle>) -> Result<Option<SystemTitle>, SecurityError> {
        let Outer::Ciphering { apdu, .. } = &self.outer else { return Ok(own) };
        match (title_of(&apdu.recipient, 1)?, own) {
            (Some(got), Some(own)) if got != own => Err(SecurityError::NotForUs { got, own }),
            (title, own) => Ok(title.or(own)),
        }
    }

    /// The key that both sides have already.
    fn shared_key<'b>(&self, receiver: &Receiver<'b>) -> Result<Option<(&'b Key, OpenedBy)>, SecurityError> {
        let missing = SecurityError::KeyMissing;
        let broadcast = || receiver.keys.broadcast.as_ref().ok_or(missing("broadcast"));
        let (dedicated, broadcasts) = match &self.outer {
            Outer::Service { dedicated, .. } | Outer::General { dedicated } => {
                (*dedicated, self.control.is_broadcast())
            }
            Outer::Ciphering { apdu, .. } => match apdu.key {
                None => (false, self.control.is_broadcast()),
                Some(KeyInfo::Identified(0)) => (false, false),
                Some(KeyInfo::Identified(1)) => (false, true),
                Some(KeyInfo::Identified(_)) => return Err(SecurityError::Unsupported("a key with this number")),
                Some(KeyInfo::Wrapped { .. } | KeyInfo::Agreed { .. }) => return Ok(None),
            },
        };
        Ok(Some(match (dedicated, broadcasts) {
            (true, _) => (receiver.dedicated.ok_or(missing("dedicated"))?, OpenedBy::Dedicated),
            (false, true) => (broadcast()?, OpenedBy::Broadcast),
            (false, false) => (&receiver.keys.encryption, OpenedBy::Global),
        }))
    }

    /// The key that was made for this APDU.
    fn made_key(
        &self,
        receiver: &Receiver<'_>,
        sender: SystemTitle,
        recipient: Option<SystemTitle>,
    ) -> Result<(Key, OpenedBy), SecurityError> {
        let Outer::Ciphering { apdu, .. } = &self.outer else { return Err(SecurityError::KeyMissing("encryption")) };
        let general = receiver.general;
        match &apdu.key {
            Some(KeyInfo::Wrapped { kek: 0, wrapped }) => {
                let kek = general.and_then(|keys| keys.wrapping.as_ref());
                let kek = kek.ok_or(SecurityError::KeyMissing("key encrypting"))?;
                Ok((transfer::unwrap(kek, wrapped)?, OpenedBy::Wrapped))
            }
            Some(KeyInfo::Agreed { parameters, ciphered }) => {
                let own = general.and_then(|keys| keys.agreement.as_ref());
                let own = own.ok_or(SecurityError::KeyMissing("own agreement"))?;
                let recipient = recipient.ok_or(SecurityError::TitleMissing)?;
                let key = match parameters.as_slice() {
                    [ONE_PASS] => {
                        let signer = general.and_then(|keys| keys.their_signing.as_ref());
                        let signer = signer.ok_or(SecurityError::KeyMissing("meter's signing"))?;
                        let (public, signature) = halves(ciphered)?;
                        signer.verify(public, signature)?;
                        one_pass(own, &AgreementPublicKey::new(public)?, sender, recipient)?
                    }
                    [STATIC_UNIFIED] if ciphered.is_empty() => {
                        let theirs = general.and_then(|keys| keys.their_agreement.as_ref());
                        let theirs = theirs.ok_or(SecurityError::KeyMissing("meter's agreement"))?;
                        static_unified(own, theirs, sender, recipient, &apdu.transaction)?
                    }
                    _ => return Err(SecurityError::Unsupported("this scheme of key agreement")),
                };
                Ok((key, OpenedBy::Agreed))
            }
            _ => Err(SecurityError::Unsupported("a key with this number")),
        }
    }
}

/// Deciphers without the authentication key, so that nothing is authenticated: for people who look at a recording and
/// have no more, never for values. `title` is the sender's, where the APDU does not name it.
///
/// # Errors
/// [`SecurityError::Nonsense`] where the key is another; [`SecurityError::Unsupported`] where the key was made for this
/// APDU, and for compression; what is no such APDU.
pub fn decipher_unchecked(bytes: &[u8], title: Option<SystemTitle>, key: &Key) -> Result<Vec<u8>, SecurityError> {
    let sealed = Sealed::read(bytes)?;
    if sealed.control.is_compressed() {
        return Err(SecurityError::Unsupported("compression"));
    }
    if let Outer::Ciphering { apdu, .. } = &sealed.outer
        && matches!(apdu.key, Some(KeyInfo::Wrapped { .. } | KeyInfo::Agreed { .. }))
    {
        return Err(SecurityError::Unsupported("deciphering unchecked under a key that was made for one APDU"));
    }
    let title = sealed.title.or(title).ok_or(SecurityError::TitleMissing)?;
    let Protection { authenticated, encrypted } = sealed.control.protection();
    let tag_bytes = if authenticated { TAG_BYTES } else { 0 };
    let text = sealed.text.len().checked_sub(tag_bytes).and_then(|end| sealed.text.get(..end));
    let text = text.ok_or(SecurityError::TagWrong)?;
    let control = SecurityControl::new(sealed.control.suite(), Protection { authenticated: false, encrypted });
    let head = Head { control, title, counter: sealed.counter, authentication: None, fields: &[] };
    let apdu = open(key, &head, text)?;
    Apdu::parse(&apdu).map_err(SecurityError::Nonsense)?;
    Ok(apdu)
}

/// The ciphered form's tag of a service (IEC 62056-5-3 §8).
pub(super) fn service_tag(plain: u8, dedicated: bool) -> Result<u8, SecurityError> {
    let tag = match (plain, dedicated) {
        (0x01 | 0x08 | 0x0E, false) => plain + 0x20,
        (0x01 | 0x08 | 0x0E, true) => plain + 0x40,
        (0xC0..=0xC7, false) => plain + 8,
        (0xC0..=0xC7, true) => plain + 16,
        _ => return Err(SecurityError::Unsupported("a ciphered form of this service")),
    };
    Ok(tag)
}

/// A title, or none: some leave it out where there is but one.
fn title_of(bytes: &[u8], offset: usize) -> Result<Option<SystemTitle>, SecurityError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let wrong = ApduError::Field { what: "the system title", offset };
    SystemTitle::from_slice(bytes).map(Some).ok_or_else(|| wrong.into())
}
