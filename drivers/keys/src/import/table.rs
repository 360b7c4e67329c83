//! Lists with a line a meter, separated by commas, semicolons or tabs.

use super::{ImportError, Imported, digits, identification};
use crate::file::manufacturer;
use csv::{ReaderBuilder, StringRecord, Trim};

/// The longest list.
pub const CSV_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Heads of columns, letters and digits only, in small letters.
const ID_HEADS: &[&str] = &[
    "serial",
    "serialno",
    "serialnumber",
    "meterno",
    "meternumber",
    "meterid",
    "meterserial",
    "meterserialnumber",
    "id",
    "identification",
    "deviceid",
    "deviceno",
    "devicenumber",
    "deviceserialnumber",
    "fabricationnumber",
    "fabricationno",
    "secondaryaddress",
    "zählernummer",
    "zaehlernummer",
    "gerätenummer",
    "geraetenummer",
    "seriennummer",
    "number",
];
const KEY_HEADS: &[&str] = &[
    "key",
    "aeskey",
    "aes",
    "aes128key",
    "dek",
    "enckey",
    "encryptionkey",
    "decryptionkey",
    "radiokey",
    "omskey",
    "wmbuskey",
    "meterkey",
    "masterkey",
    "userkey",
    "schlüssel",
    "schluessel",
    "aesschlüssel",
    "aesschluessel",
];
const MANUFACTURER_HEADS: &[&str] =
    &["manufacturer", "man", "mfr", "manufacturercode", "vendor", "hersteller", "herstellerkennung"];

/// Which column is what.
struct Columns {
    id: usize,
    key: usize,
    manufacturer: Option<usize>,
}

/// Reads a list of identifications and keys. The columns are found by their heads; without heads, by what
/// stands in them. Quotes are understood, numbers after DIN 43863-5 too.
///
/// # Errors
/// [`ImportError`]. An entry that is wrong is skipped, with its line.
pub fn csv(file: &str, text: &str) -> Result<Imported, ImportError> {
    if text.len() > CSV_BYTES_MAX {
        return Err(ImportError::TooLong { file: file.into(), bytes_max: CSV_BYTES_MAX });
    }
    let text = text.trim_start_matches('\u{FEFF}');
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .comment(Some(b'#'))
        .delimiter(separator(text))
        .from_reader(text.as_bytes());
    let mut imported = Imported::default();
    let mut columns = None;
    let mut record = StringRecord::new();
    loop {
        let more = reader.read_record(&mut record);
        let line = record.position().and_then(|position| usize::try_from(position.line()).ok()).unwrap_or(1);
        let malformed = |_| ImportError::Malformed { file: file.into(), line, what: "not a list of values" };
        if !more.map_err(malformed)? {
            break;
        }
        let Columns { id, key, manufacturer: by } = match &columns {
            Some(columns) => columns,
            None => {
                let (found, heads) = find(file, &record)?;
                columns = Some(found);
                if heads {
                    continue;
                }
                match &columns {
                    Some(columns) => columns,
                    None => continue,
                }
            }
        };
        let by = by.and_then(|by| record.get(by)).and_then(manufacturer);
        imported.add(line, record.get(*id).unwrap_or_default(), record.get(*key).unwrap_or_default(), by);
    }
    Ok(imported)
}

/// The columns, and whether the first record is their heads.
fn find(file: &str, first: &StringRecord) -> Result<(Columns, bool), ImportError> {
    let heads: Vec<String> = first
        .iter()
        .map(|head| head.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
        .collect();
    let named = |known: &[&str]| heads.iter().position(|head| known.contains(&head.as_str()));
    let missing = |what| ImportError::NotFound { file: file.into(), what };
    match (named(ID_HEADS), named(KEY_HEADS)) {
        (Some(id), Some(key)) => Ok((Columns { id, key, manufacturer: named(MANUFACTURER_HEADS) }, true)),
        (None, Some(_)) => Err(missing("column of identifications")),
        (Some(_), None) => Err(missing("column of keys")),
        (None, None) => {
            let key = first.iter().position(|value| digits(value).is_some()).ok_or(missing("column of keys"))?;
            let id = first.iter().position(|value| identification(value).is_some());
            Ok((Columns { id: id.ok_or(missing("column of identifications"))?, key, manufacturer: None }, false))
        }
    }
}

/// What occurs most in the first line outside of quotes.
fn separator(text: &str) -> u8 {
    let first = text.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty()).unwrap_or_default();
    let count = |separator: u8| {
        let mut quoted = false;
        let outside = first.bytes().filter(|byte| {
            quoted ^= *byte == b'"';
            !quoted && *byte == separator
        });
        outside.count()
    };
    [b';', b'\t', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}
