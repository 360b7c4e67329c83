//! Orders: configurations and commands that come over the ledger.
//!
//! | module | what it does |
//! |---|---|
//! | [`post`] | what goes between uplink and desk |
//! | [`desk`], [`commands`], [`letters`], [`begin`] | the desk: what is done with an order, in which durable steps |
//! | [`rules`] | the gateway's own rules, each with a name. Pure |
//! | [`state`] | what is known for good, and where it is kept |
//! | [`sealing`] | the sealing keys |
//! | [`world`], [`live`] | what the desk needs of the world; the real one |
//!
//! The desk trusts no hub. A dossier is checked under the gateway's own policy; what was tried once is not tried
//! again; what was done is said on the ledger until the ledger shows that it has it.

pub mod begin;
pub mod commands;
pub mod desk;
pub mod letters;
pub mod live;
pub mod post;
pub mod rules;
pub mod sealing;
pub mod state;
pub mod world;

use plomb_seal::{Hash, reading::TEXT_BYTES_MAX};

pub use begin::{Beginning, Left};
pub use desk::{Desk, Who};
pub use post::{Ledger, Mail, Post};
pub use state::State;

/// The folder of sealing keys and copies, in the state directory.
pub const FOLDER: &str = "orders";
/// The copy of the configuration in force.
pub const APPLIED: &str = "applied.toml";
/// The copy of the one before.
pub const PREVIOUS: &str = "previous.toml";
/// The dossier by which the one in force came.
pub const DOSSIER: &str = "applied.dossier";

/// A text as entries and outcomes may have it: in one line, and not too long.
pub(crate) fn cut(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut end = line.len().min(TEXT_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}

/// A hash from its hexadecimal digits; what is none is no order's.
pub(crate) fn read_hash(text: &str) -> Hash {
    let mut hash = Hash::ZERO;
    if hex::decode_to_slice(text, &mut hash.0).is_err() {
        return Hash::ZERO;
    }
    hash
}
