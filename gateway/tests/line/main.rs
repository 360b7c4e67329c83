//! Sessions over real links: paced pseudo-terminals and datagrams, in real time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    dead_code
)]

mod deeds;
mod dlms;
mod liars;
mod modbus;
mod modbus_lies;
mod push;
mod scan;
#[path = "../../../drivers/mbus/tests/search/sets.rs"]
mod sets;
mod udp;
#[path = "../../../drivers/mbus/tests/search/virtual_line.rs"]
mod virtual_line;
