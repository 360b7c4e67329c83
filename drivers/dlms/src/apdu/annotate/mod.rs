//! What each byte of an APDU is: for people who look at APDUs.

mod acse;
mod service;
mod value;
mod walk;

use crate::annotate::Annotation;
use alloc::vec::Vec;
use walk::Walk;

/// The most annotations of one APDU, but for those that end it: elements beyond are told together.
pub const ANNOTATION_COUNT_MAX: usize = 20_000;

/// What each byte of an APDU is. Every byte is in exactly one annotation, in their order; what cannot be read is
/// annotated with the reason. Values that lie in others are indented by two blanks a level. Passwords, challenges and
/// keys are counted, never shown, where the APDU itself tells that they are.
///
/// ```
/// # use plomb_dlms::apdu::annotate;
/// let apdu = [0xC0, 0x01, 0xC1, 0x00, 0x03, 0x01, 0x00, 0x01, 0x08, 0x00, 0xFF, 0x02, 0x00];
/// let told: Vec<_> = annotate(&apdu).iter().map(|one| format!("{}: {}", one.field, one.meaning)).collect();
/// assert_eq!(told, [
///     "tag: get-request",
///     "choice: normal",
///     "invoke id: 1, confirmed, high priority",
///     "class: 3, register",
///     "object: 1-0:1.8.0*255",
///     "attribute: 2, value",
///     "selective access: none",
/// ]);
/// ```
#[must_use]
pub fn annotate(bytes: &[u8]) -> Vec<Annotation> {
    let mut walk = Walk::new(bytes);
    if let Err(error) = walk.apdu() {
        walk.rest("not read", error);
    }
    walk.rest("trailing", "bytes behind the APDU");
    walk.finish()
}
