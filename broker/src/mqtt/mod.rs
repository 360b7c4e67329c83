//! MQTT 3.1.1 as a guard must read it: strictly, boundedly, on two levels.
//!
//! [`Frame`] is the bytes' own structure: a fixed header and a body of a known
//! length. [`Packet`] is the meaning. What a `Packet` holds has been checked:
//! a [`TopicName`] has no wildcard, a [`TopicFilter`] has them only where they
//! are legal, a packet id is not zero, no reserved bit is set.
//!
//! [`parse`] answers in three ways: `Err` (never valid, whatever follows),
//! `Ok(None)` (more bytes are needed), `Ok(Some((packet, consumed)))`. It never
//! panics and never asks for more than the given bound.
//!
//! The guard never forwards a peer's bytes. It forwards [`Packet::emit`] of
//! what it understood, so that the broker behind it cannot understand
//! something else.
//!
//! Clauses are those of the OASIS standard "MQTT Version 3.1.1".

mod body;
mod emit;
mod frame;
mod packet;
mod topic;

pub use emit::TooLong;
pub use frame::{Frame, Kind, REMAINING_LENGTH_MAX, parse_frame};
pub use packet::{
    ConnAck, Connect, ConnectCode, Login, Packet, PacketId, Publish, PublishQoS, QoS, SubAck, Subscribe, SubscribeCode,
    Subscription, Unsubscribe, Will, parse,
};
pub use topic::{TopicError, TopicFilter, TopicName};

use thiserror::Error;

/// Why bytes are not an MQTT 3.1.1 packet. The peer is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("byte {offset}: {reason}")]
pub struct Invalid {
    /// Where, counted from the packet's first byte.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Fault,
}

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// Packet type 0 or 15 (§2.2.1).
    #[error("packet type {0} is reserved")]
    Kind(u8),
    /// Flags that the packet type does not have (§2.2.2).
    #[error("flags {0:#06b} are not those of this packet type")]
    Flags(u8),
    /// A remaining length of more than four bytes, or longer than it needs to be (§2.2.3).
    #[error("the remaining length is malformed")]
    RemainingLength,
    /// A packet beyond the reader's bound.
    #[error("a packet of {bytes} bytes, at most {bytes_max} are taken")]
    TooLarge {
        /// Whole packet.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The body ends inside a field.
    #[error("the packet ends inside a field")]
    Truncated,
    /// Bytes are left after the last field.
    #[error("{0} bytes are left over")]
    TrailingBytes(usize),
    /// A string that is not UTF-8, or has a control character (§1.5.3).
    #[error("the string is not clean UTF-8")]
    String,
    /// A topic that cannot be one (§4.7).
    #[error("{0}")]
    Topic(TopicError),
    /// Not the protocol name `MQTT` (§3.1.2.1).
    #[error("not the protocol name MQTT")]
    ProtocolName,
    /// Another version than 3.1.1, which is level 4 (§3.1.2.2).
    #[error("protocol level {0}, only 4 (MQTT 3.1.1) is served")]
    ProtocolLevel(u8),
    /// CONNECT flags that contradict each other (§3.1.2.3 to §3.1.2.9).
    #[error("CONNECT flags {0:#010b} contradict each other")]
    ConnectFlags(u8),
    /// QoS 3 (§3.3.1.2).
    #[error("QoS {0} does not exist")]
    QoS(u8),
    /// DUP on a QoS 0 message (§3.3.1.1).
    #[error("DUP is set on a QoS 0 message")]
    Dup,
    /// Packet id 0 (§2.3.1).
    #[error("the packet id is 0")]
    PacketIdZero,
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter, a SUBACK without a code (§3.8.3, §3.10.3).
    #[error("the list is empty")]
    EmptyList,
    /// A return code that does not exist (§3.2.2.3, §3.9.3).
    #[error("return code {0:#04x} does not exist")]
    ReturnCode(u8),
}

#[cfg(test)]
mod tests;
