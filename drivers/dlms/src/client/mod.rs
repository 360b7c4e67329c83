//! The client: an association over a link, and what is asked in it.
//!
//! A [`Client`] is a [`Session`](plomb_session::Session). It connects the link, asks for the association, proves who
//! it is and has the meter prove it, asks what its [`Conversation`] wants to know, one question after the other, and
//! releases the association. Blocks, ciphers and retransmissions are its own; the conversation sees values.
//!
//! ```text
//! link up ─► AARQ ─► AARE ─► proofs (HLS) ─► question ─► answer ─► … ─► RLRQ ─► RLRE ─► link down
//! ```
//!
//! | item | what it is |
//! |---|---|
//! | [`Client`], [`ClientEvent`] | the session, and what it tells |
//! | [`AssociationConfig`] | as whom, with which proof and which protection |
//! | [`Conversation`], [`Request`], [`Answer`] | what is asked |
//! | [`Errand`] | a conversation that changes something, each change asked for once |
//! | [`Round`] | the conversation of a gateway: registers with their scalers, the clock, a load profile |
//! | [`ClientFailure`] | why nothing came of it, and what to do |

mod config;
mod conversation;
mod errand;
mod exchange;
mod failure;
mod machine;
mod round;

pub use config::{Association, AssociationConfig, Proof};
pub use conversation::{Answer, Conversation, LIST_COUNT_MAX, Once, Request};
pub use errand::{Errand, Fate, Looked, Plan, Refusal};
pub use failure::ClientFailure;
pub use machine::{Client, ClientEvent};
pub use round::{
    Asked, ColumnMeaning, Measured, MeterModel, PROFILE_COLUMN_COUNT_MAX, ProfileWish, Round, RoundReport, RoundWish,
};
