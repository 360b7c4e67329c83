//! Meter models as data: the names, units and layouts of what the standards leave to the maker.
//!
//! No I/O: profiles come as text, the shipped ones inside the program. Telegrams are hostile input; nothing here
//! panics on any of them, and applying a profile allocates nothing once its [`Memory`] is warm.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use plomb_profiles::{Library, Memory};
//! use plomb_wmbus::{MeterState, Opener, Security, Telegram};
//!
//! let library = Library::shipped()?;
//! // A Techem water meter, all of it in the maker's own coding (CI A2).
//! let bytes = [
//!     0x1B, 0x44, 0x68, 0x50, 0x75, 0x83, 0x92, 0x41, 0x62, 0x72, 0xA2, // L C, TCH, 41928375, 62, 72
//!     0x06, 0x7F, 0x2C, 0x14, 0x00, 0xB0, 0x09, 0x07, 0x00, 0, 0, 0, 0, 0, 0, 0, 0,
//! ];
//! let mut buffer = Vec::new();
//! let telegram = Telegram::parse(&bytes, &mut buffer)?;
//! let mut opener = Opener::new();
//! let opened = opener.open(&telegram, &MeterState::new(Security::plain()))?;
//! let mut found = Vec::new();
//! let mut memory = Memory::default();
//! library.apply(opened.meter, &opened.content, None, &mut memory, |named| {
//!     found.push(format!("{} {} {}", named.name, named.value, named.unit));
//! })?;
//! assert_eq!(found[0], "volume at due date 2.0 m3");
//! assert_eq!(found[2], "date 2022-04-27 ");
//! assert_eq!(found[4], "volume 2.7 m3");
//! # Ok(())
//! # }
//! ```
//!
//! # A profile's file
//!
//! One TOML file a model; its name is the profile's. An unknown key, a wrong word, a field beyond its bytes is
//! refused with line and column ([`ProfileError`]).
//!
//! ```toml
//! format = 1                  # of this kind of file
//! name = "maker-model"
//! version = 1                 # counted up when a value gets another name, unit or meaning
//! model = "Maker's Model water meter"
//! security = "plain"          # plain, encrypted, authenticated: less is refused
//! bills = ["8-0:1.0.0"]       # standard records that bills are made from
//!
//! [[match]]                   # one or more; a list left out stands for any
//! manufacturer = "ABC"        # or four hexadecimal digits
//! version = [0x10]
//! medium = [0x07]
//! ci = [0xA2]                 # only for payloads in the maker's own coding
//! order = "version-medium-id" # only of makers that turn the address round
//!
//! [[record]]                  # a name for a record
//! vib = "FF07"                # VIF and VIFEs, all of them
//! storage = 0                 # a number or "any"; also tariff, subunit, function
//! name = "energy of forward flow"
//! read = { unit = "m3*°C" }   # left out: the record's own value and unit
//! billing = true
//!
//! [[block]]                   # bytes in the maker's own coding
//! in = "payload"              # from the CI on; or tail (behind DIF 0F), record (of `vib`), records (all)
//! ci = [0xA2]
//! when = [{ offset = 1, mask = 0xF0, equals = [0x10] }]
//! transform = "prios"         # none, prios, apator-na1
//! field = [
//!     { name = "volume", at = 4, bytes = 4, read = { exponent = -3, unit = "m3" }, billing = true },
//!     { name = "due date", at = 8, bytes = 2, read = { coding = "date-g" }, storage = 1 },
//! ]
//!
//! [[test]]                    # telegrams made for the purpose, not recorded from anyone's home
//! telegram = "1C44…"
//! key = "0011…"               # where it is encrypted
//! expect = [{ name = "volume", value = "1.234", unit = "m3" }]
//! ```
//!
//! A field may also have `storage`, `tariff`, `function`, `obis`, `optional` (the block may end before it),
//! `repeat = { count, stride }` (each with the next storage number), `from = "address"` (the eight bytes of
//! manufacturer, identification, version and medium) and, in a block of `tags = { 10 = 4, … }` (one byte of tag,
//! then so many of value, from `start` on), its `tag`.
//!
//! # `read`
//!
//! | key | meaning |
//! |---|---|
//! | `coding` | `uint` (if left out), `uint-be`, `int`, `bcd`, `bcd-be`, `real`, `text`, `text-reversed`, `bytes`; `date-g`, `date-time-f`, `date-time-i` of EN 13757-3; `date-dmy`: 5 bits of day, 4 of month, the rest years from 2000; `date-dm`: the same without years, the first such day behind the field `after`; `date-bcd-dmy`, `date-bcd-ymd`; `seconds-2000` |
//! | `bits` | `[first, count]`, or several such, put together lowest first |
//! | `digits` | `[first, count]` of the number's decimal digits, lowest first |
//! | `add`, `pow2`, `times` | added; then two to this power; then multiplied |
//! | `exponent` | power of ten; `exponent_at = { offset, bits, add }` adds one that the block holds |
//! | `divisor` | for what no decimal holds: the value is a [`NamedValue::Fraction`] |
//! | `terms` | so many numbers in a row are added |
//! | `plus`, `minus` | no bytes: the sum of earlier fields |
//! | `absent` | numbers that stand for "none" |
//! | `values`, `flags` | meanings of codes, meanings of bits |
//! | `unit` | as `plomb_mbus` writes it |
//!
//! # What is absent
//!
//! Makers' codings that nobody has made public: [`ReadError::Unsupported`] names maker and CI.

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
pub use profile::{FIELD_COUNT_MAX, MODEL_COUNT_MAX, Match, PROFILE_BYTES_MAX, Profile, RULE_COUNT_MAX};
