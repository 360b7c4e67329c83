//! What a maker does to its bytes before they are sent, where it is more than a layout.

mod apator;
mod prios;

pub(crate) use apator::decrypt_na1;
pub(crate) use prios::descramble;
