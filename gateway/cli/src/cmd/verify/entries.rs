//! The entries of an export that was proved.

use plomb_seal::{Entry, Unverified, export};

use crate::{
    exit::Failure,
    show::{Out, Show, entry_line},
};

/// Prints them in the order of the file. Only for bytes of which everything was checked.
pub(super) fn print(proved: &[u8], show: &Show) -> Result<(), Failure> {
    let wrong = |error: plomb_seal::Malformed| Failure::Unproved(error.to_string());
    let mut out = Out::new();
    for bytes in export::entries_of(proved).map_err(wrong)? {
        let entry = Unverified::<Entry>::parse(bytes).map_err(wrong)?;
        // Its signature was checked with the whole file.
        let document = plomb_view::document(&entry.trust_own());
        if show.json {
            out.json(&document)?;
        } else {
            out.line(entry_line(&document, show.zone))?;
        }
    }
    out.flush()
}
