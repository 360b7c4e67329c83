//! Keys of DLMS meters, and APDUs opened with them. No answer shows a key.

use plomb_dlms::{
    apdu::Ciphered,
    security::{
        GeneralKeys, Key, Keys, Opened, Protection, SecurityError, Suite, SystemTitle, decipher_unchecked, general,
    },
};
use plomb_gateway::secrets::{Purpose, Secrets};

use super::told::{Security, Wrong};

/// What an APDU is whose tag could not be checked.
pub(super) const UNCHECKED: &str = "not authenticated: the authentication key is missing";

/// The keys of a file of secrets, and whose they may be.
#[derive(Debug, Default)]
pub(super) struct Seals {
    rings: Vec<Ring>,
    /// The sender that was named, for APDUs that name none.
    title: Option<SystemTitle>,
    /// Who spoke in the association that was seen last.
    client: Option<SystemTitle>,
    meter: Option<SystemTitle>,
}

/// One name's keys.
#[derive(Debug)]
struct Ring {
    /// The system title that the name is, if it is one.
    title: Option<SystemTitle>,
    keys: Keys,
}

/// An APDU that was opened.
#[derive(Debug)]
pub(super) struct Unsealed {
    pub(super) apdu: Vec<u8>,
    pub(super) security: Security,
    pub(super) title: SystemTitle,
    /// Nothing shows that nobody changed it.
    pub(super) unchecked: bool,
}

impl Seals {
    pub(super) fn new(secrets: &Secrets, title: Option<SystemTitle>) -> Self {
        let rings = secrets.points().filter_map(|point| {
            let key = |purpose| secrets.get(point, purpose).and_then(|bytes| Key::new(bytes).ok());
            let keys = Keys {
                encryption: key(Purpose::Encryption)?,
                authentication: key(Purpose::Authentication),
                broadcast: key(Purpose::Broadcast),
            };
            Some(Ring { title: title_of(point), keys })
        });
        Self { rings: rings.collect(), title, client: None, meter: None }
    }

    /// Takes note of who asks for an association.
    pub(super) fn note_client(&mut self, title: Option<&[u8]>) {
        self.client = title.and_then(SystemTitle::from_slice).or(self.client);
    }

    /// Takes note of who grants one.
    pub(super) fn note_meter(&mut self, title: Option<&[u8]>) {
        self.meter = title.and_then(SystemTitle::from_slice).or(self.meter);
    }

    /// Opens a ciphered APDU with whichever keys fit: first those under the sender's own title. `sender` is who is
    /// known to have sent it.
    pub(super) fn open(&self, bytes: &[u8], sender: Option<SystemTitle>) -> Result<Unsealed, Wrong<'static>> {
        if let Some(error) = malformed(bytes) {
            return Err(Wrong::new("apdu", error.to_string(), 0));
        }
        let senders = match named_title(bytes) {
            Some(title) => vec![title],
            None => self.senders(bytes, sender),
        };
        let is_named = named_title(bytes).is_some();
        let of_sender = |ring: &&Ring| ring.title.is_some_and(|title| senders.contains(&title));
        let (own, others): (Vec<&Ring>, Vec<&Ring>) = self.rings.iter().partition(of_sender);
        let mut worst = SecurityError::KeyMissing("encryption");
        for ring in own.into_iter().chain(others) {
            // Where nobody says who sent it, the name may.
            let by_name = ring.title.filter(|title| !is_named && !senders.contains(title));
            let tried: Vec<SystemTitle> = senders.iter().copied().chain(by_name).collect();
            let unknown = tried.is_empty().then_some(None);
            for title in tried.into_iter().map(Some).chain(unknown) {
                match with(bytes, title, &ring.keys) {
                    Ok(unsealed) => return Ok(unsealed),
                    Err(error) => worst = graver(worst, error),
                }
            }
        }
        Err(wrong(&worst))
    }

    /// Who may have sent what names no sender.
    fn senders(&self, bytes: &[u8], sender: Option<SystemTitle>) -> Vec<SystemTitle> {
        let by_direction = match bytes.first() {
            // Requests, but for events.
            Some(0x21 | 0xC8 | 0xC9 | 0xCB) => [self.client, self.meter],
            _ => [self.meter, self.client],
        };
        let mut senders: Vec<SystemTitle> = Vec::new();
        for title in sender.into_iter().chain(self.title).chain(by_direction.into_iter().flatten()) {
            if !senders.contains(&title) {
                senders.push(title);
            }
        }
        senders
    }
}

/// Sixteen hexadecimal digits as a title.
pub(super) fn title_of(digits: &str) -> Option<SystemTitle> {
    SystemTitle::from_slice(&hex::decode(digits).ok()?)
}

/// The sender that the APDU names.
fn named_title(bytes: &[u8]) -> Option<SystemTitle> {
    match bytes {
        [0xDB | 0xDC, 8, title @ ..] => SystemTitle::from_slice(title.get(..8)?),
        [0xDD, ..] => {
            general::GeneralCiphering::parse(bytes).ok().and_then(|apdu| SystemTitle::from_slice(&apdu.originator))
        }
        _ => None,
    }
}

/// Opens with one name's keys, in the suite that the APDU uses.
fn with(bytes: &[u8], title: Option<SystemTitle>, keys: &Keys) -> Result<Unsealed, SecurityError> {
    let open = |suite| general::open(bytes, suite, keys, &GeneralKeys::default(), title, None, Protection::NONE);
    let first = if keys.encryption.len() == Suite::Two.key_bytes() { Suite::Two } else { Suite::Zero };
    let opened = match open(first) {
        Err(SecurityError::OtherSuite { got: 1, .. }) if first == Suite::Zero => {
            open(Suite::One).map(|opened| (Suite::One, opened))
        }
        opened => opened.map(|opened| (first, opened)),
    };
    match opened {
        Ok((suite, Opened { apdu, protection, counter, title, .. })) => {
            if !protection.authenticated {
                makes_sense(&apdu)?;
            }
            let security = Security {
                suite: Some(suite.number()),
                protection: protection.to_string().into(),
                counter: Some(counter),
                title: Some(title.to_string()),
                ..Security::default()
            };
            Ok(Unsealed { apdu, security, title, unchecked: !protection.authenticated })
        }
        Err(SecurityError::KeyMissing("authentication")) => {
            let title = title.ok_or(SecurityError::TitleMissing)?;
            let apdu = decipher_unchecked(bytes, Some(title), &keys.encryption)?;
            makes_sense(&apdu)?;
            let security =
                Security { protection: UNCHECKED.into(), title: Some(title.to_string()), ..Security::default() };
            Ok(Unsealed { apdu, security, title, unchecked: true })
        }
        Err(error) => Err(error),
    }
}

/// Nothing but its form shows that a key was the right one: of what looks ciphered again, the lengths must fit.
fn makes_sense(apdu: &[u8]) -> Result<(), SecurityError> {
    match apdu {
        [tag, ..] if Ciphered::is_ciphered(*tag) && !is_sealed(apdu) => Err(SecurityError::TagWrong),
        _ => Ok(()),
    }
}

/// Of two errors the one that says more: a key that is wrong rather than one that is missing.
fn graver(one: SecurityError, other: SecurityError) -> SecurityError {
    let rank = |error: &SecurityError| match error {
        SecurityError::Malformed(_) | SecurityError::Unsupported(_) => 5,
        SecurityError::TagWrong | SecurityError::Nonsense(_) => 4,
        SecurityError::TitleMissing => 3,
        SecurityError::KeyMissing("encryption") => 0,
        SecurityError::KeyMissing(_) => 2,
        _ => 1,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

fn wrong(error: &SecurityError) -> Wrong<'static> {
    match error {
        SecurityError::KeyMissing("encryption") => {
            let what = "the encryption key is missing: give a file that has it with --secrets";
            Wrong::new("key missing", what, 0)
        }
        SecurityError::KeyMissing("dedicated") => {
            let what = "the APDU is under the association's own key, under which nothing is opened here";
            Wrong::new("key missing", what, 0)
        }
        SecurityError::TitleMissing => {
            let what = "the APDU does not name its sender: give the sender's system title with --title";
            Wrong::new("title missing", what, 0)
        }
        error => Wrong::new(error.kind(), error.to_string(), 0),
    }
}

/// Whether bytes are a ciphered APDU: its lengths fit.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    matches!(bytes, [tag, ..] if Ciphered::is_ciphered(*tag)) && malformed(bytes).is_none()
}

/// What is wrong with the lengths of a ciphered APDU.
fn malformed(bytes: &[u8]) -> Option<SecurityError> {
    // Any key will do to have the lengths read; what comes out is not looked at.
    let key = Key::new(&[0; 16]).ok()?;
    match decipher_unchecked(bytes, Some(SystemTitle([0; 8])), &key) {
        Err(error @ (SecurityError::Malformed(_) | SecurityError::TagWrong)) => Some(error),
        _ => None,
    }
}
