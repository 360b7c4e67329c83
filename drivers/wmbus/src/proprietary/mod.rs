//! Payloads in a manufacturer's own coding: CI A0 to B7. The standard says nothing of what follows;
//! who reads it needs to know the manufacturer, the version and the medium.

use plomb_mbus::MeterId;

/// What follows a manufacturer's CI, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManufacturerPayload<'a> {
    /// The meter, with manufacturer, version and medium: they choose the reader.
    pub meter: MeterId,
    /// The control information field, A0 to B7.
    pub ci: u8,
    /// Everything behind it.
    pub bytes: &'a [u8],
    /// Where the first byte is in the frame without its CRCs.
    pub offset: usize,
}
