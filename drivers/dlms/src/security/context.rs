//! One association's keys and counters.

use super::cipher::{Head, seal};
use super::general::{Envelope, KeyChoice, protect};
use super::key::{Key, Suite, SystemTitle};
use super::sealed::{GENERAL_DEDICATED, GENERAL_GLOBAL, GeneralKeys, Receiver, Sealed, service_tag};
use super::{CounterRange, Protection, SecurityControl, SecurityError};
use crate::axdr::{emit_length, emit_octets};
use alloc::vec::Vec;

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
    /// A key that was sent along, wrapped.
    Wrapped,
    /// A key that both sides worked out.
    Agreed,
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
    received: Received,
    general: GeneralKeys,
    transaction: Option<[u8; 8]>,
}

/// The last counters that were taken: each key has its own count.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    global: Option<u32>,
    broadcast: Option<u32>,
    dedicated: Option<u32>,
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
            received: Received::default(),
            general: GeneralKeys::default(),
            transaction: None,
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
        self.received.dedicated = None;
    }

    /// Keys for [`protect_general`](Self::protect_general) and its answers.
    pub fn set_general(&mut self, keys: GeneralKeys) {
        self.general = keys;
    }

    /// The last counter of the meter that was taken before this association.
    pub const fn set_received(&mut self, last: Option<u32>) {
        self.received.global = last;
    }

    /// The last counter of the meter that was taken.
    #[must_use]
    pub const fn received(&self) -> Option<u32> {
        self.received.global
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

    /// Protects an APDU as general-ciphering, under this key. The counter is the transaction too, so that neither comes
    /// twice.
    ///
    /// # Errors
    /// [`SecurityError`]: counters used up, the meter's title or a key missing.
    pub fn protect_general(&mut self, choice: KeyChoice<'_>, plain: &[u8]) -> Result<Vec<u8>, SecurityError> {
        let recipient = self.meter.ok_or(SecurityError::TitleMissing)?;
        let counter = self.take_counter()?;
        let transaction = u64::from(counter).to_be_bytes();
        let envelope = Envelope { originator: self.title, recipient, transaction: &transaction, counter };
        let sealed = protect(self.suite, &self.keys, choice, &envelope, self.protection, plain)?;
        self.transaction = Some(transaction);
        Ok(sealed)
    }

    /// Opens an APDU of the meter, with every check. Only what passes them moves the meter's counter.
    ///
    /// # Errors
    /// [`SecurityError`].
    pub fn open(&mut self, bytes: &[u8]) -> Result<Opened, SecurityError> {
        let sealed = Sealed::read(bytes)?;
        let opened = sealed.open(&Receiver {
            suite: self.suite,
            keys: &self.keys,
            dedicated: self.dedicated.as_ref(),
            general: Some(&self.general),
            sender: self.meter,
            own: Some(self.title),
            least: self.protection,
        })?;
        let last = match opened.by {
            OpenedBy::Global => &mut self.received.global,
            OpenedBy::Broadcast => &mut self.received.broadcast,
            OpenedBy::Dedicated => &mut self.received.dedicated,
            // A key for one APDU has no count. What is fresh answers the question that was asked last, once.
            OpenedBy::Wrapped | OpenedBy::Agreed => {
                let asked = self.transaction.filter(|asked| sealed.transaction() == Some(asked));
                return match asked {
                    Some(_) => {
                        self.transaction = None;
                        Ok(opened)
                    }
                    None => Err(SecurityError::OtherTransaction),
                };
            }
        };
        refuse_repeated(opened.counter, *last)?;
        *last = Some(opened.counter);
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
    let opened = Sealed::read(bytes)?.open(&Receiver {
        suite,
        keys,
        dedicated: None,
        general: None,
        sender: title,
        own: None,
        least,
    })?;
    refuse_repeated(opened.counter, last)?;
    Ok(opened)
}

fn refuse_repeated(got: u32, last: Option<u32>) -> Result<(), SecurityError> {
    match last {
        Some(last) if got <= last => Err(SecurityError::Repeated { got, last }),
        _ => Ok(()),
    }
}
