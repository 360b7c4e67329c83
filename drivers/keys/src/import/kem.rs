//! Kamstrup's KEM files: an XML container (W3C XML Encryption, AES-128-CBC) with a list of meters inside. The
//! password's bytes, filled up with zeros, are the key and the initialisation vector as well.

use super::{ImportError, Imported};
use aes::Aes128;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64ct::{Base64, Encoding};
use quick_xml::Reader;
use quick_xml::events::Event;
use zeroize::Zeroizing;

/// The longest file.
pub const KEM_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest password: as long as the key that it is.
pub const PASSWORD_BYTES_MAX: usize = 16;

const BLOCK_BYTES: usize = 16;
const CIPHER_ELEMENT: &[u8] = b"CipherValue";
/// What encloses one meter.
const METER_ELEMENTS: &[&[u8]] = &[b"Meter", b"Device"];
const ID_ELEMENTS: &[&[u8]] = &[b"SerialNo", b"SerialNumber"];
/// Only where there is no serial number.
const NUMBER_ELEMENTS: &[&[u8]] = &[b"MeterNo", b"DeviceNo"];
const KEY_ELEMENTS: &[&[u8]] = &[b"DEK", b"EncKey", b"EncryptionKey"];

/// Reads a KEM file, unpacked from its archive.
///
/// # Errors
/// [`ImportError`]. A meter without number or key is skipped.
pub fn kem(file: &str, bytes: &[u8], password: &str) -> Result<Imported, ImportError> {
    if bytes.len() > KEM_BYTES_MAX {
        return Err(ImportError::TooLong { file: file.into(), bytes_max: KEM_BYTES_MAX });
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(ImportError::Archive { file: file.into() });
    }
    let mut key = Zeroizing::new([0; PASSWORD_BYTES_MAX]);
    let own = key.get_mut(..password.len()).ok_or(ImportError::PasswordTooLong)?;
    own.copy_from_slice(password.as_bytes());
    let malformed = |what| ImportError::Malformed { file: file.into(), line: 1, what };
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("not a text of UTF-8"))?;
    let cipher = cipher_value(text).ok_or(malformed("no CipherValue: not a KEM file"))?;
    let mut plain = Zeroizing::new(Base64::decode_vec(&cipher).map_err(|_| malformed("CipherValue is not base64"))?);
    if plain.is_empty() || !plain.len().is_multiple_of(BLOCK_BYTES) {
        return Err(malformed("CipherValue is no whole number of blocks"));
    }
    let mut decryptor = cbc::Decryptor::<Aes128>::new(&(*key).into(), &(*key).into());
    for block in plain.as_chunks_mut::<BLOCK_BYTES>().0 {
        decryptor.decrypt_block(block.into());
    }
    let wrong = || ImportError::Password { file: file.into() };
    // Padding follows the last element.
    let end = plain.iter().rposition(|byte| *byte == b'>').ok_or_else(wrong)?;
    let inner = std::str::from_utf8(plain.get(..=end).unwrap_or_default()).map_err(|_| wrong())?;
    let inner = inner.trim_start_matches('\u{FEFF}');
    if !inner.starts_with('<') {
        return Err(wrong());
    }
    meters(file, inner)
}

/// The text of the element that holds the ciphertext, without its white space.
fn cipher_value(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    let mut inside = false;
    let mut value = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => inside |= start.local_name().as_ref() == CIPHER_ELEMENT,
            Event::End(end) if end.local_name().as_ref() == CIPHER_ELEMENT => return Some(value),
            Event::Text(text) if inside => {
                value.extend(text.decode().ok()?.chars().filter(|c| !c.is_whitespace()));
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// What is known of the meter that is being read.
#[derive(Default)]
struct Meter {
    serial: String,
    number: String,
    key: Zeroizing<String>,
}

fn meters(file: &str, text: &str) -> Result<Imported, ImportError> {
    let mut reader = Reader::from_str(text);
    let mut imported = Imported::default();
    let mut meter = None;
    let mut element = Vec::new();
    let mut entry = 0;
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let malformed = || ImportError::Malformed { file: file.into(), line, what: "the list inside is not XML" };
        match reader.read_event().map_err(|_| malformed())? {
            Event::Start(start) => {
                element = start.local_name().as_ref().to_vec();
                if METER_ELEMENTS.contains(&element.as_slice()) {
                    meter = Some(Meter::default());
                }
            }
            Event::Text(text) => {
                if let Some(meter) = &mut meter {
                    let text = Zeroizing::new(text.decode().map_err(|_| malformed())?.into_owned());
                    meter.take(&element, &text);
                }
            }
            Event::End(end) => {
                element.clear();
                if METER_ELEMENTS.contains(&end.local_name().as_ref())
                    && let Some(Meter { serial, number, key }) = meter.take()
                {
                    entry += 1;
                    let id = if serial.is_empty() { number } else { serial };
                    imported.add(entry, &id, &key, None);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if entry == 0 {
        return Err(ImportError::NotFound { file: file.into(), what: "meter" });
    }
    Ok(imported)
}

impl Meter {
    fn take(&mut self, element: &[u8], text: &str) {
        if ID_ELEMENTS.contains(&element) {
            text.trim().clone_into(&mut self.serial);
        } else if NUMBER_ELEMENTS.contains(&element) {
            text.trim().clone_into(&mut self.number);
        } else if KEY_ELEMENTS.contains(&element) {
            self.key = Zeroizing::new(text.trim().to_owned());
        }
    }
}
