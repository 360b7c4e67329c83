//! One association's keys and counters.

use super::cipher::{Head, open, seal};
use super::key::{Key, Suite, SystemTitle};
use super::{CounterRange, Protection, SecurityControl, SecurityError};
use crate::apdu::{Apdu, ApduError};
use crate::axdr::{emit_length, emit_octets, octets, parse_length};
use alloc::vec::Vec;
use plomb_session::Reader;

/// `general-glo-ciphering`.
const GENERAL_GLOBAL: u8 = 0xDB;
/// `general-ded-ciphering`.
const GENERAL_DEDICATED: u8 = 0xDC;
/// Bytes of a security header: control and counter.
const HEADER_BYTES: usize = 5;

/// In which APDUs the protected ones go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// Each service's own: `glo-get-request` and so on.
    #[default]
    Service,
    /// `general-glo-ciphering`, with the sender's title in each.
    General,
}

/// The keys of a meter.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Global unicast encryption key.
    pub encryption: Key,
    /// Authentication key.
    pub authentication: Option<Key>,
    /// Global broadcast encryption key.
    pub broadcast: Option<Key>,
}

/// With which key something was protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenedBy {
    /// The global unicast key.
    Global,
    /// The broadcast key.
    Broadcast,
    /// The association's own key.
    Dedicated,
}

/// An APDU that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The APDU in clear.
    pub apdu: Vec<u8>,
    /// How it was protected.
    pub protection: Protection,
    /// By which key.
    pub by: OpenedBy,
    /// Its invocation counter.
    pub counter: u32,
    /// Who sent it.
    pub title: SystemTitle,
}

/// One association's keys and counters: protects what is sent, opens what comes.
#[derive(Clone, Debug)]
pub struct SecurityContext {
    suite: Suite,
    title: SystemTitle,
    meter: Option<SystemTitle>,
    keys: Keys,
    dedicated: Option<Key>,
    form: Form,
    protection: Protection,
    counters: CounterRange,
    received: Option<u32>,
}

impl SecurityContext {
    /// A client with this title and these keys, which uses up counters of `range`.
    ///
    /// # Errors
    /// [`SecurityError::KeyLength`], [`SecurityError::KeyMissing`].
    pub fn new(suite: Suite, title: SystemTitle, keys: Keys, range: CounterRange) -> Result<Self, SecurityError> {
        let needed = suite.key_bytes();
        let all = [Some(&keys.encryption), keys.authentication.as_ref(), keys.broadcast.as_ref()];
        if all.into_iter().flatten().any(|key| key.len() != needed) {
            return Err(SecurityError::KeyLength { suite: suite.number(), needed });
        }
        let protection = Protection { authenticated: keys.authentication.is_some(), encrypted: true };
        Ok(Self {
            suite,
            title,
            meter: None,
            keys,
            dedicated: None,
            form: Form::Service,
            protection,
            counters: range,
            received: None,
        })
    }

    /// Uses APDUs of this form.
    pub const fn set_form(&mut self, form: Form) {
        self.form = form;
    }

    /// Protects so, and expects as much.
    pub const fn set_protection(&mut self, protection: Protection) {
        self.protection = protection;
    }

    /// The meter's title, once it has told it.
    pub const fn set_meter(&mut self, title: SystemTitle) {
        self.meter = Some(title);
    }

    /// From now on the association's own key protects.
    pub fn set_dedicated(&mut self, key: Key) {
        self.dedicated = Some(key);
    }

    /// The last counter of the meter that was taken before this association.
    pub const fn set_received(&mut self, last: Option<u32>) {
        self.received = last;
    }

    /// The last counter of the meter that was taken.
    #[must_use]
    pub const fn received(&self) -> Option<u32> {
        self.received
    }

    /// What is left of the counters.
    #[must_use]
    pub const fn counters(&self) -> CounterRange {
        self.counters
    }

    /// The own title.
    #[must_use]
    pub const fn title(&self) -> SystemTitle {
        self.title
    }

    /// The meter's title.
    #[must_use]
    pub const fn meter(&self) -> Option<SystemTitle> {
        self.meter
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Takes the next counter, for a proof.
    ///
    /// # Errors
    /// [`SecurityError::CountersUsedUp`].
    pub fn take_counter(&mut self) -> Result<u32, SecurityError> {
        self.counters.take().ok_or(SecurityError::CountersUsedUp)
    }

    /// Protects an APDU.
    ///
    /// # Errors
    /// [`SecurityError`]: counters used up, or a service that has no ciphered form.
    pub fn protect(&mut self, plain: &[u8]) -> Result<Vec<u8>, SecurityError> {
        let tag = plain.first().copied().unwrap_or_default();
        let initiates = tag == 0x01;
        let dedicated = self.dedicated.is_some() && !initiates;
        let outer = match (self.form, dedicated) {
            // The association is asked for in its own form always.
            (Form::General, false) if !initiates => GENERAL_GLOBAL,
            (Form::General, true) => GENERAL_DEDICATED,
            _ => service_tag(tag, dedicated)?,
        };
        let counter = self.take_counter()?;
        let control = SecurityControl::new(self.suite.number(), self.protection);
        let key = self.dedicated.as_ref().filter(|_| dedicated).unwrap_or(&self.keys.encryption);
        let authentication = self.keys.authentication.as_ref();
        let head = Head { control, title: self.title, counter, authentication, fields: &[] };
        let sealed = seal(key, &head, plain)?;
        let mut out = Vec::with_capacity(sealed.len().saturating_add(24));
        out.push(outer);
        if matches!(outer, GENERAL_GLOBAL | GENERAL_DEDICATED) {
            emit_octets(&self.title.0, &mut out);
        }
        emit_length(sealed.len().saturating_add(HEADER_BYTES), &mut out);
        out.push(control.0);
        out.extend(counter.to_be_bytes());
        out.extend(sealed);
        Ok(out)
    }

    /// Opens an APDU of the meter, with every check. Only what passes them moves the meter's counter.
    ///
    /// # Errors
    /// [`SecurityError`].
    pub fn open(&mut self, bytes: &[u8]) -> Result<Opened, SecurityError> {
        let sealed = Sealed::read(bytes)?;
        let title = match (sealed.title, self.meter) {
            (Some(got), Some(expected)) if got != expected => return Err(SecurityError::OtherTitle { got, expected }),
            (Some(title), _) | (None, Some(title)) => title,
            (None, None) => return Err(SecurityError::TitleMissing),
        };
        let opened = sealed.open(self.suite, title, &self.keys, self.dedicated.as_ref())?;
        if !opened.protection.covers(self.protection) {
            return Err(SecurityError::Weaker { got: opened.protection, expected: self.protection });
        }
        // A key of its own has a count of its own: what came under another is no measure.
        if let (Some(last), OpenedBy::Global) = (self.received, opened.by)
            && opened.counter <= last
        {
            return Err(SecurityError::Repeated { got: opened.counter, last });
        }
        if opened.by == OpenedBy::Global {
            self.received = Some(opened.counter);
        }
        Ok(opened)
    }

    /// Whether APDUs come and go protected.
    #[must_use]
    pub const fn protects(&self) -> bool {
        self.protection.authenticated || self.protection.encrypted
    }
}

/// Opens what a meter pushes: `general-glo-ciphering` names its sender; a service's own form is the one meter's that is
/// configured. `last` is the last counter that was taken of that meter.
///
/// # Errors
/// [`SecurityError`].
pub fn open_push(
    bytes: &[u8],
    suite: Suite,
    title: Option<SystemTitle>,
    keys: &Keys,
    least: Protection,
    last: Option<u32>,
) -> Result<Opened, SecurityError> {
    let sealed = Sealed::read(bytes)?;
    let title = match (sealed.title, title) {
        (Some(got), Some(expected)) if got != expected => return Err(SecurityError::OtherTitle { got, expected }),
        (Some(title), _) | (None, Some(title)) => title,
        (None, None) => return Err(SecurityError::TitleMissing),
    };
    let opened = sealed.open(suite, title, keys, None)?;
    if !opened.protection.covers(least) {
        return Err(SecurityError::Weaker { got: opened.protection, expected: least });
    }
    match last {
        Some(last) if opened.counter <= last => Err(SecurityError::Repeated { got: opened.counter, last }),
        _ => Ok(opened),
    }
}

/// A protected APDU, taken apart.
struct Sealed<'a> {
    tag: u8,
    dedicated: bool,
    title: Option<SystemTitle>,
    control: SecurityControl,
    counter: u32,
    text: &'a [u8],
}

impl<'a> Sealed<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, SecurityError> {
        let mut reader = Reader::new(bytes);
        let tag = reader.u8()?;
        let (dedicated, general) = match tag {
            GENERAL_GLOBAL => (false, true),
            GENERAL_DEDICATED => (true, true),
            0xDD => return Err(SecurityError::Unsupported("general-ciphering")),
            0x21 | 0x28 | 0xC8..=0xCF => (false, false),
            0x41 | 0x48 | 0xD0..=0xD7 => (true, false),
            tag => return Err(ApduError::UnknownTag { tag }.into()),
        };
        let title = if general {
            let offset = reader.offset();
            let title = octets(&mut reader)?;
            // Some meters leave it out where there is but one.
            let title = if title.is_empty() { None } else { Some(title) };
            let wrong = ApduError::Field { what: "the system title", offset };
            title.map(|title| SystemTitle::from_slice(&title).ok_or(wrong)).transpose()?
        } else {
            None
        };
        let length = parse_length(&mut reader)?;
        let mut inner = reader.sub(length)?;
        reader.finish()?;
        let control = SecurityControl(inner.u8()?);
        Ok(Self { tag, dedicated, title, control, counter: inner.u32_be()?, text: inner.rest() })
    }

    fn open(
        &self,
        suite: Suite,
        title: SystemTitle,
        keys: &Keys,
        dedicated: Option<&Key>,
    ) -> Result<Opened, SecurityError> {
        if self.control.is_compressed() {
            return Err(SecurityError::Unsupported("compression"));
        }
        if self.control.suite() != suite.number() {
            return Err(SecurityError::OtherSuite { got: self.control.suite(), expected: suite.number() });
        }
        let (key, by) = match (self.dedicated, self.control.is_broadcast()) {
            (true, _) => (dedicated.ok_or(SecurityError::KeyMissing("dedicated"))?, OpenedBy::Dedicated),
            (false, true) => {
                (keys.broadcast.as_ref().ok_or(SecurityError::KeyMissing("broadcast"))?, OpenedBy::Broadcast)
            }
            (false, false) => (&keys.encryption, OpenedBy::Global),
        };
        let authentication = keys.authentication.as_ref();
        let head = Head { control: self.control, title, counter: self.counter, authentication, fields: &[] };
        let apdu = open(key, &head, self.text)?;
        // The outer tag is not authenticated: it must be that of what is inside.
        if !matches!(self.tag, GENERAL_GLOBAL | GENERAL_DEDICATED)
            && service_tag(apdu.first().copied().unwrap_or_default(), self.dedicated) != Ok(self.tag)
        {
            return Err(SecurityError::TagWrong);
        }
        let protection = self.control.protection();
        if !protection.authenticated && protection.encrypted {
            // Nothing else shows that the key is the right one.
            Apdu::parse(&apdu).map_err(SecurityError::Nonsense)?;
        }
        Ok(Opened { apdu, protection, by, counter: self.counter, title })
    }
}

/// The ciphered form's tag of a service (IEC 62056-5-3 §8).
fn service_tag(plain: u8, dedicated: bool) -> Result<u8, SecurityError> {
    let tag = match (plain, dedicated) {
        (0x01, false) => 0x21,
        (0x08, false) => 0x28,
        (0x01, true) => 0x41,
        (0x08, true) => 0x48,
        (0xC0..=0xC7, false) => plain + 8,
        (0xC0..=0xC7, true) => plain + 16,
        _ => return Err(SecurityError::Unsupported("a ciphered form of this service")),
    };
    Ok(tag)
}
