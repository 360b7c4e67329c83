//! Data and value information blocks: the bytes in front of a value (EN 13757-3:2018, 6.3 and 6.4).

use crate::modifier::Modifiers;
use crate::record::{DIFE_COUNT_MAX, DataField, Function, RecordError, VIFE_COUNT_MAX};
use crate::value::Text;
use crate::vif::{self, Meaning};
use plomb_session::Reader;

const EXTENSION: u8 = 0x80;

/// Special data information fields.
pub(crate) struct Dif;

impl Dif {
    pub(crate) const MANUFACTURER: u8 = 0x0F;
    pub(crate) const MORE_FOLLOWS: u8 = 0x1F;
    pub(crate) const IDLE_FILLER: u8 = 0x2F;
    pub(crate) const GLOBAL_READOUT: u8 = 0x7F;
}

/// A data information block: `ESFFdddd` and up to ten `EUTTSSSS`.
pub(crate) struct Dib<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) field: DataField,
    pub(crate) function: Function,
    pub(crate) storage: u64,
    pub(crate) tariff: u32,
    pub(crate) subunit: u16,
}

impl<'a> Dib<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, record: usize) -> Result<Self, RecordError> {
        let truncated = |source| RecordError::Truncated { record, source };
        let start = reader.rest();
        let dif = reader.u8().map_err(truncated)?;
        let mut dib = Self {
            raw: &[],
            field: DataField::from_dif(dif),
            function: match (dif >> 4) & 0x03 {
                0 => Function::Instantaneous,
                1 => Function::Maximum,
                2 => Function::Minimum,
                _ => Function::Error,
            },
            storage: u64::from((dif >> 6) & 0x01),
            tariff: 0,
            subunit: 0,
        };
        let mut byte = dif;
        let mut count = 0u32;
        while byte & EXTENSION != 0 {
            let offset = reader.offset();
            byte = reader.u8().map_err(truncated)?;
            if count as usize == DIFE_COUNT_MAX {
                return Err(RecordError::TooManyDifes { record, offset });
            }
            // Ten DIFEs: 41 bits of storage, 20 of tariff, 10 of subunit. None can overflow.
            dib.storage |= u64::from(byte & 0x0F) << (1 + 4 * count);
            dib.tariff |= u32::from((byte >> 4) & 0x03) << (2 * count);
            dib.subunit |= u16::from((byte >> 6) & 0x01) << count;
            count += 1;
        }
        dib.raw = start.get(..start.len().saturating_sub(reader.left())).unwrap_or_default();
        Ok(dib)
    }
}

/// A value information block: VIF, its text if it has one, and up to ten VIFEs.
pub(crate) struct Vib<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) meaning: Meaning,
    pub(crate) text: Option<Text<'a>>,
    pub(crate) modifiers: Modifiers<'a>,
}

impl<'a> Vib<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, record: usize, msb_first: bool) -> Result<Self, RecordError> {
        let start = *reader;
        let vib = Self::read_text_first(reader, record, msb_first);
        if vib.as_ref().is_ok_and(|vib| vib.text.is_none_or(|text| text.is_printable())) {
            return vib;
        }
        // Some meters send the text of VIF FC behind the VIFEs. Taken only where the order of the
        // standard gives no text that a person could read.
        let mut retry = start;
        if let Ok(late) = Self::read_text_last(&mut retry, record, msb_first)
            && late.text.is_some_and(|text| text.is_printable())
        {
            *reader = retry;
            return Ok(late);
        }
        vib
    }

    fn read_text_first(reader: &mut Reader<'a>, record: usize, msb_first: bool) -> Result<Self, RecordError> {
        let start = reader.rest();
        let vif = reader.u8().map_err(|source| RecordError::Truncated { record, source })?;
        let text = match vif & !EXTENSION {
            VIF_TEXT => Some(read_text(reader, record, msb_first)?),
            _ => None,
        };
        let extensions = if vif & EXTENSION == 0 { &[][..] } else { read_vifes(reader, record)? };
        let (meaning, consumed) = meaning(vif, extensions);
        let modifiers =
            Modifiers::new(extensions.get(consumed..).unwrap_or_default(), vif & !EXTENSION == VIF_MANUFACTURER);
        Ok(Self { raw: taken(start, reader), meaning, text, modifiers })
    }

    fn read_text_last(reader: &mut Reader<'a>, record: usize, msb_first: bool) -> Result<Self, RecordError> {
        let start = reader.rest();
        let vif = reader.u8().map_err(|source| RecordError::Truncated { record, source })?;
        let extensions = if vif & EXTENSION == 0 { &[][..] } else { read_vifes(reader, record)? };
        let text = match vif {
            VIF_TEXT_EXTENDED => Some(read_text(reader, record, msb_first)?),
            _ => None,
        };
        let modifiers = Modifiers::new(extensions, false);
        Ok(Self { raw: taken(start, reader), meaning: Meaning::PLAIN_TEXT, text, modifiers })
    }
}

const VIF_TEXT: u8 = 0x7C;
const VIF_TEXT_EXTENDED: u8 = 0xFC;
const VIF_MANUFACTURER: u8 = 0x7F;
const VIF_EXTENSION_FB: u8 = 0xFB;
const VIF_EXTENSION_FD: u8 = 0xFD;

fn taken<'a>(start: &'a [u8], reader: &Reader<'a>) -> &'a [u8] {
    start.get(..start.len().saturating_sub(reader.left())).unwrap_or_default()
}

fn read_text<'a>(reader: &mut Reader<'a>, record: usize, msb_first: bool) -> Result<Text<'a>, RecordError> {
    let truncated = |source| RecordError::Truncated { record, source };
    let length = reader.u8().map_err(truncated)?;
    let bytes = reader.take(usize::from(length)).map_err(truncated)?;
    Ok(Text::new(bytes, !msb_first))
}

fn read_vifes<'a>(reader: &mut Reader<'a>, record: usize) -> Result<&'a [u8], RecordError> {
    let start = reader.rest();
    loop {
        let offset = reader.offset();
        let vife = reader.u8().map_err(|source| RecordError::Truncated { record, source })?;
        let vifes = taken(start, reader);
        if vifes.len() > VIFE_COUNT_MAX {
            return Err(RecordError::TooManyVifes { record, offset });
        }
        if vife & EXTENSION == 0 {
            return Ok(vifes);
        }
    }
}

/// The meaning of a VIF, and how many of its extensions were needed to name it.
#[inline]
fn meaning(vif: u8, extensions: &[u8]) -> (Meaning, usize) {
    match (vif, extensions) {
        (VIF_EXTENSION_FB, [code, ..]) => (vif::extension_fb(*code), 1),
        (VIF_EXTENSION_FD, [VIF_EXTENSION_FD, code, ..]) => (vif::extension_fd_fd(*code), 2),
        (VIF_EXTENSION_FD, [code, ..]) => (vif::extension_fd(*code), 1),
        // EF opens a table that no edition has filled.
        (0xEF, [_, ..]) => (Meaning::UNKNOWN, 1),
        _ if vif & !EXTENSION == VIF_MANUFACTURER => (Meaning::MANUFACTURER, 0),
        _ => (vif::primary(vif), 0),
    }
}
