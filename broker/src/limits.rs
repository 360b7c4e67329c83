//! Every bound of the guard and of the broker behind it, in one place.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bounds. Each has a default that fits a hub with some hundreds of gateways;
/// a configuration names only those that it changes, and an unknown name is refused.
///
/// A connection costs three file descriptors: the peer's socket and both ends
/// of the loopback. Raise the process's limit (`LimitNOFILE`) with `connections_max`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections, those still in their handshake included.
    pub connections_max: u32,
    /// Open connections from one peer address (IPv4), or from one /64 (IPv6).
    pub connections_per_peer_max: u32,
    /// Open connections of one identity.
    pub connections_per_identity_max: u32,
    /// TLS handshakes under way. When there are more, or more open connections than allowed, those that have
    /// sent no ClientHello give way.
    pub handshakes_max: u32,
    /// TLS handshakes under way from one peer address.
    pub handshakes_per_peer_max: u32,
    /// From the accepted socket to a whole ClientHello. Also the age from which a handshake that has begun
    /// gives way when places run out.
    pub hello_timeout_ms: u64,
    /// From the ClientHello to the finished handshake.
    pub handshake_timeout_ms: u64,
    /// From the finished handshake to a complete CONNECT.
    pub connect_timeout_ms: u64,
    /// How long a second connection waits for the first of its name to leave.
    pub takeover_timeout_ms: u64,
    /// Silence after which a connection with keep alive 0 is closed.
    pub idle_ms_max: u64,
    /// How long a peer may refuse to take a byte that is due to it.
    pub write_stall_ms_max: u64,
    /// Largest CONNECT, will included.
    pub connect_bytes_max: u32,
    /// Largest payload of a PUBLISH.
    pub payload_bytes_max: u32,
    /// Longest topic name or filter.
    pub topic_bytes_max: u32,
    /// Sustained bytes a second that are read from one connection; faster is slowed, not dropped.
    pub bytes_per_second_max: u32,
    /// Bytes that may come at once after a silence.
    pub burst_bytes_max: u32,
    /// Sustained packets a second that are read from one connection.
    pub packets_per_second_max: u32,
    /// Packets that may come at once after a silence.
    pub burst_packets_max: u32,
    /// Filters in one SUBSCRIBE, and filters that one connection holds.
    pub filters_per_connection_max: u32,
    /// Distinct filters that peers chose, ever passed to the embedded broker since its start. It keeps a log
    /// for each and frees none: this times the log's size bounds memory. Filters that the table of rights
    /// names itself are not counted; the ledger bounds those.
    pub filters_max: u32,
    /// Of those, the filters that one identity was the first to ask for.
    pub filters_per_identity_max: u32,
    /// Distinct topics that one identity publishes on since the start: the
    /// embedded broker remembers each. 500 meters with a reading, an event and
    /// an info topic each make 1,500.
    pub topics_per_identity_max: u32,
    /// Retained payload bytes that one identity holds.
    pub retained_bytes_per_identity_max: u32,
    /// Bytes in one segment of a filter's log in the embedded broker. A segment
    /// closes after the packet that crosses this, so it may hold one packet more.
    pub segment_bytes_max: u32,
    /// Segments in a filter's log. A subscriber that falls further behind
    /// than segments × segment bytes loses the oldest messages without a sign.
    pub segments_max: u32,
    /// Segments in the log behind the ledger's own filter, which hears every gateway.
    pub ledger_segments_max: u32,
    /// Connections of the process's own clients, which bypass the guard.
    pub inside_connections_max: u32,
    /// Between two probes of the embedded broker's health.
    pub probe_interval_ms: u64,
    /// How long one probe may take before the embedded broker counts as dead.
    pub probe_timeout_ms: u64,
    /// Log lines a minute for one kind of refusal; the rest are only counted.
    pub log_lines_per_minute_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_000,
            connections_per_peer_max: 256, // gateways behind one carrier NAT share an address
            connections_per_identity_max: 8,
            handshakes_max: 512,
            handshakes_per_peer_max: 32,
            hello_timeout_ms: 3_000, // a first packet that is lost comes again after 1 s
            handshake_timeout_ms: 10_000,
            connect_timeout_ms: 10_000,
            takeover_timeout_ms: 10_000,
            idle_ms_max: 600_000,
            write_stall_ms_max: 30_000,
            connect_bytes_max: 16 * 1024,
            payload_bytes_max: 1024 * 1024,
            topic_bytes_max: 256,
            bytes_per_second_max: 1024 * 1024,
            burst_bytes_max: 4 * 1024 * 1024,
            packets_per_second_max: 500,
            burst_packets_max: 2_000,
            filters_per_connection_max: 64,
            filters_max: 4_096,
            filters_per_identity_max: 512, // as many as its connections hold
            topics_per_identity_max: 4_096,
            retained_bytes_per_identity_max: 8 * 1024 * 1024,
            segment_bytes_max: 128 * 1024,
            segments_max: 4,
            ledger_segments_max: 256, // 32 MiB of batches for a hub that is slow for a while
            inside_connections_max: 16,
            probe_interval_ms: 10_000,
            probe_timeout_ms: 15_000,
            log_lines_per_minute_max: 20,
        }
    }
}

/// A bound that nothing can work with. Change the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("limit {name} = {value} must be from {least} to {most}")]
pub struct LimitError {
    /// The limit's name.
    pub name: &'static str,
    /// What the configuration says.
    pub value: u32,
    /// The smallest that works.
    pub least: u32,
    /// The largest that works.
    pub most: u32,
}

/// Connections for which tables are laid out at the start.
const CONNECTIONS_MOST: u32 = 100_000;
/// Segments for which a log's table is laid out when its filter is first subscribed.
const SEGMENTS_MOST: u32 = 65_536;
/// rumqttd panics on a smaller segment.
const SEGMENT_BYTES_LEAST: u32 = 1024;

/// Bytes of a PUBLISH around its payload and topic: fixed header, topic length, packet id.
const PUBLISH_OVERHEAD_BYTES: usize = 5 + 2 + 2;

impl Limits {
    /// Refuses what the guard or the embedded broker cannot start with.
    pub(crate) fn check(&self) -> Result<(), LimitError> {
        let bounds = [
            ("connections_max", self.connections_max, 1, CONNECTIONS_MOST),
            ("inside_connections_max", self.inside_connections_max, 1, CONNECTIONS_MOST),
            ("handshakes_max", self.handshakes_max, 1, CONNECTIONS_MOST),
            ("segment_bytes_max", self.segment_bytes_max, SEGMENT_BYTES_LEAST, u32::MAX),
            ("segments_max", self.segments_max, 1, SEGMENTS_MOST),
            ("ledger_segments_max", self.ledger_segments_max, 1, SEGMENTS_MOST),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(LimitError { name, value, least, most });
            }
        }
        Ok(())
    }

    /// Largest packet that is read from a peer after its CONNECT.
    #[must_use]
    pub fn packet_bytes_max(&self) -> usize {
        PUBLISH_OVERHEAD_BYTES
            .saturating_add(as_usize(self.payload_bytes_max))
            .saturating_add(as_usize(self.topic_bytes_max))
            .max(as_usize(self.connect_bytes_max))
    }
}

/// Widens a bound. Never loses anything: no target has addresses below 32 bits.
pub(crate) fn as_usize(bound: u32) -> usize {
    usize::try_from(bound).unwrap_or(usize::MAX)
}
