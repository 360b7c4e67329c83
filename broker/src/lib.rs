//! The guarded MQTT broker: TLS, identity and rights in front of rumqttd.
//!
//! ```text
//!  gateway ──┐                       ┌─ rights ─ quotas ─┐
//!            ├─ TLS 1.3 ─ identity ──┤       guard       ├── loopback ── rumqttd ── hub's own client
//!  utility ──┘    (client            └─ codec ─ seats ───┘   (secret of
//!                 certificate)                                this start)
//! ```
//!
//! [`Broker::start`] brings both up. Peers meet the guard; the hub's own
//! client goes straight to the embedded broker with [`Broker::inside`]. Who a
//! certificate's holder is, and whether it still holds, is asked of an
//! [`Admission`], which the ledger implements.
//!
//! # What threatens rumqttd, and what the guard does about it
//!
//! rumqttd 0.20 routes messages well and defends itself badly. Nothing from
//! outside reaches it: not a socket, not a byte. The guard reads each packet
//! with a strict codec of its own ([`mqtt`]), judges what it means, and emits
//! it anew, so that the two cannot read the same bytes differently.
//!
//! | weakness of rumqttd | answer of the guard |
//! |---|---|
//! | its authentication hook sees no certificate, and there are no access rights | identity from the certificate, rights from one table ([`rights`]) |
//! | its TLS accept waits for each handshake in turn: one silent socket stops all | handshakes in tasks of their own, timed and counted; those that say nothing give way to those that come |
//! | a persistent shared subscriber that drops a message panics the router | every topic and filter that begins with `$` is refused |
//! | a topic whose first character is not ASCII panics the router | no right reaches such a topic |
//! | a client that vanishes between CONNECT and CONNACK, or is one too many, leaves a trap: the next of its name poisons the accept loop's table | the guard always finishes that exchange, and bounds connections below rumqttd's own limit |
//! | a disconnect is reported by a number that may already be another's | the guard never sends DISCONNECT, and waits for rumqttd's end of file before it uses a name again |
//! | on a takeover the newcomer's will is published in the leaver's stead | wills and takeovers are the guard's own; rumqttd sees neither |
//! | it keeps a log for each filter ever subscribed, a record of each client id, an entry for each topic | filters, topics and retained bytes have quotas, each identity its own; the guard's sessions share a fixed set of client ids |
//! | an acknowledgement out of order disconnects | the guard passes acknowledgements on in order |
//! | an empty payload without the retain flag deletes the retained message | refused |
//! | UNSUBSCRIBE of an unknown filter is never answered | the guard answers |
//! | it leaves Nagle's algorithm on: what it says waits up to 40 ms for an acknowledgement of what it said before | guard and inside relay acknowledge at once |
//! | its router can die while its accept loop lives | a probe goes through the router; [`Broker::died`] resolves |
//!
//! A release build aborts on panic, so that a dead router thread ends the
//! process at once; the probe is for whatever else stops it.
//!
//! # What stays true of it
//!
//! - Nothing persists. After a start there are no retained messages: the hub
//!   publishes receipts, heads and the checkpoint anew.
//! - A PUBACK says only that rumqttd has the message in memory. Only a receipt
//!   says that it is safe.
//! - A subscriber that falls behind by more than a filter's log loses the
//!   oldest messages without a sign ([`Limits::segments_max`]).
//! - A new QoS 1 subscription gets at most 100 retained messages, a QoS 0
//!   subscription at most 1,000.
//! - rumqttd logs every disconnect as an error: filter its target out with
//!   [`EMBEDDED_LOG_DIRECTIVE`].
//!
//! # Deliberately absent
//!
//! MQTT 5; QoS 2 (a publication with it closes the connection, a subscription
//! is granted QoS 1); persistent sessions (every session is new, and CONNACK
//! says so: a promise that a restart breaks is worse than none); shared
//! subscriptions; session resumption in TLS (a resumed session would come in
//! on a certificate that was checked earlier).
//!
//! # Refusals
//!
//! A CONNECT that is not allowed is answered with a return code before the
//! connection is closed: 5 (not authorized) when the ledger refuses the
//! certificate, 3 (unavailable) when it may be tried again. What TLS itself
//! refuses, an expired or foreign certificate among it, gets TLS's alert. A
//! session that a revocation or a newer one of its name ends is closed, as
//! MQTT 3.1.1 has no word for that; the next CONNECT hears why.
//!
//! A PUBLISH that is not allowed closes the connection, as MQTT 3.1.1 has no
//! other way to say no. A SUBSCRIBE with any filter that is not allowed is
//! answered with 0x80 for all of its filters. A connection that is too fast
//! is read more slowly. Every refusal is counted ([`Snapshot`]) and logged
//! with peer, identity, topic and rule, a bounded number of lines a minute
//! for each [`Reason`].
//!
//! The will of a peer that vanished is published, also when its certificate
//! was revoked meanwhile: it was allowed when it was left, and says the truth.

mod admission;
mod broker;
mod embedded;
mod guard;
mod inside;
mod limits;
pub mod mqtt;
pub mod rights;
mod stats;
mod tls;

pub use admission::{Admission, ID_BYTES_MAX, Identity, Refused, Role, Scope, is_id};
pub use broker::{Broker, BrokerConfig, BrokerError, Inside};
pub use embedded::EmbeddedError;
pub use limits::{LimitError, Limits};
pub use stats::{Reason, Snapshot, Takeovers};
pub use tls::TlsError;

/// For the log filter of the process: rumqttd logs ordinary disconnects as
/// errors, and as many lines as its peers cause.
pub const EMBEDDED_LOG_DIRECTIVE: &str = "rumqttd=off";
