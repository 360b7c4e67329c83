//! The guard as its peers meet it: over TLS, with real certificates, in front of a real rumqttd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

mod foreign;
mod log;
mod refusals;
mod sessions;
mod support;
