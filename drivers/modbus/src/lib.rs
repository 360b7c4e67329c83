//! Modbus meters: register maps as profiles, exact values, and the questions that read them.
//!
//! Modbus says how registers are read and nothing of what they mean. A [`RegisterMap`] says it for one
//! model of meter, as a TOML file; [`plan`] makes it into as few questions as the meter allows, and
//! [`decode`] turns the answers into exact numbers. No socket, no clock: who asks is elsewhere.
//!
//! | item | what it is |
//! |---|---|
//! | [`RegisterMap`] | a model's registers, read from its file; errors name the line |
//! | [`Maps`] | the maps that are shipped, and those of an installation |
//! | [`Walk`] | finds the models of a SunSpec device, whose addresses are relative |
//! | [`plan`] | registers as [`Block`]s to ask for |
//! | [`Image`] | what was answered |
//! | [`decode`] | the answers as [`Measurement`]s |
//!
//! # A map's file
//!
//! ```toml
//! format = 1
//! name = "acme-kwh"            # what `model` names in the configuration
//! version = 1
//! model = "Acme kWh meter"
//! table = "input"              # or "holding"; a register may differ, as in all of these
//! address_base = 1             # the lowest address as the maker counts; 0 is as on the wire
//! order = "ABCD"               # of bytes, as they arrive: ABCD, CDAB, BADC or DCBA
//! max_gap = 8                  # unknown registers that may be read through, to save a question
//! max_block = 60               # the most registers of a question
//!
//! [serial]                     # the number on the meter, if it can be read
//! address = 500
//! type = "u32"
//!
//! [[identity]]                 # what tells this model from others
//! address = 12
//! type = "u16"
//! expect = ["340", "341"]      # or min = "45" and max = "65"
//!
//! [[register]]
//! name = "active energy import"
//! address = 73
//! type = "u32"                 # u16 i16 u32 i32 u64 i64 f32 f64 bcd string; the last two need `words`
//! multiplier = "0.01"          # an exact decimal; 1 if left out
//! scale_at = 75                # a register with a power of ten (SunSpec)
//! absent = ["FFFFFFFF"]        # bits that mean "no value", after ordering
//! unit = "kWh"
//! obis = "1-0:1.8.0"
//! quantity = "energy"
//! billing = true
//!
//! [[test]]                     # registers as read, and what they mean
//! input = { 73 = "0001 0002 FFFE" }
//! expect = [{ name = "active energy import", value = "6.5538" }]
//! ```

mod check;
mod decode;
mod error;
mod file;
mod map;
mod maps;
mod plan;
mod sunspec;
mod value;

pub use check::SampleError;
pub use decode::{IdentityError, Image, Measurement, decode, identify, serial};
pub use error::{MapError, Place};
pub use map::{
    Chain, Identity, MAP_BYTES_MAX, NAME_BYTES_MAX, REGISTERS_MAX, Register, RegisterMap, STRING_WORDS_MAX, Span,
    Table, Wanted, WordOrder,
};
pub use maps::{MAPS_MAX, Maps, MapsError};
pub use plan::{BLOCK_WORDS_MAX, Block, plan};
pub use sunspec::{MODELS_MAX, Model, Step, Walk, WalkError};
pub use value::{Kind, Value};
