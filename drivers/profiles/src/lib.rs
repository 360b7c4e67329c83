//! Meter models as data: the names, units and layouts of what the standards leave to the maker.

mod apply;
mod check;
mod compile;
mod error;
mod file;
mod library;
mod named;
mod profile;
mod reading;
mod shipped;
mod transform;
mod words;

pub use apply::{Memory, ReadError};
pub use check::SampleError;
pub use error::{Place, ProfileError};
pub use library::{Library, LibraryError, PROFILE_COUNT_MAX};
pub use named::{Flags, Named, NamedValue};
pub use profile::{FIELD_COUNT_MAX, Match, PROFILE_BYTES_MAX, Profile, RULE_COUNT_MAX};
