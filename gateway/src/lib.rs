//! The gateway: poll, normalise, sign, journal, batch, publish.
//!
//! The path of a reading is one line:
//!
//! ```text
//! poll ─▶ normalise ─▶ journal (seal, chain, commit) ─▶ batcher (anchor) ─▶ uplink (receipt)
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`poll`], [`schedule`], [`silence`], [`outage`], [`exchange`] | asks the meters of a line in their turn |
//! | [`ask`], [`link`] | asks one meter, whatever its protocol |
//! | [`normalise`] | a protocol's words to a [`Record`](plomb_seal::Record) |
//! | [`journal`] | gives entries their place, signs and keeps them: the only queue |
//! | [`batcher`] | closes batches with an anchor |
//! | [`uplink`] | sends batches until the ledger's receipt is verified; publishes readings |
//! | [`control`], [`groups`], [`status`], [`snapshot`], [`plain`], [`export`], and [`view`](plomb_view) | what people ask the daemon |
//! | [`enrolment`], [`renewal`], [`https`] | how it is taken on by a hub, and stays so |
//! | [`vitals`] | how the box itself fares |
//! | [`daemon`], [`config`], [`identity`], [`clock`] | puts it together |

pub mod ask;
pub mod batcher;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod enrolment;
pub mod exchange;
pub mod export;
pub mod groups;
pub mod https;
pub mod identity;
pub mod journal;
pub mod keys;
pub mod link;
pub mod models;
pub mod normalise;
pub mod outage;
pub mod plain;
pub mod poll;
pub mod push;
pub mod radio;
pub mod renewal;
pub mod scan;
pub mod schedule;
pub mod secrets;
pub mod silence;
pub mod snapshot;
pub mod status;
pub mod uplink;
pub mod vitals;

pub use plomb_view as view;
