//! What each byte is, of DLMS and P1.

use plomb_dlms::annotate;
use plomb_mbus::Annotation;

use super::told::Told;

/// Bytes, and what they are.
type Notes = (Vec<u8>, Vec<Annotation>);

/// Of a line, with its links; told is what it says.
pub(super) fn of_line(bytes: &[u8], told: &mut Told) {
    let list = match bytes {
        [0x7E, ..] => annotate::hdlc(bytes),
        [0x68, _, _, 0x68, ..] => annotate::mbus(bytes),
        [0, 1, ..] => annotate::wrapper(bytes),
        _ => annotate::apdu(bytes),
    };
    told.annotations = Some((bytes.to_vec(), list.into_iter().map(note).collect()));
}

/// Of an APDU that is not one run of the line.
pub(super) fn of_apdu(apdu: &[u8]) -> Notes {
    (apdu.to_vec(), annotate::apdu(apdu).into_iter().map(note).collect())
}

/// Of a P1 telegram.
pub(super) fn of_text(text: &[u8]) -> Notes {
    let list = plomb_iec62056::annotate(text).into_iter().map(|one| Annotation {
        offset: one.offset,
        length: one.length,
        layer: one.layer,
        field: one.field,
        meaning: one.meaning,
    });
    (text.to_vec(), list.collect())
}

fn note(one: annotate::Annotation) -> Annotation {
    let annotate::Annotation { offset, length, layer, field, meaning } = one;
    Annotation { offset, length, layer, field, meaning }
}
