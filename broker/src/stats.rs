//! What the guard counted, and how often it speaks of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Why the guard turned something away. One counter each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs)] // `text` says what each means
pub enum Reason {
    ConnectionsFull,
    PeerFull,
    IdentityFull,
    HandshakesFull,
    GaveWay,
    HandshakeTimeout,
    HandshakeFailed,
    NoCertificate,
    ForeignCertificate,
    ExpiredCertificate,
    BadCertificate,
    UnknownToLedger,
    Revoked,
    NotAdmitted,
    LedgerUnavailable,
    Expelled,
    IdentityChanged,
    ConnectTimeout,
    NotConnect,
    ProtocolVersion,
    Malformed,
    TooLarge,
    Unexpected,
    WillRefused,
    PublishRefused,
    SubscribeRefused,
    QosTwo,
    EmptyPayload,
    TopicsFull,
    RetainedFull,
    FiltersFull,
    KeepAlive,
    WriteStall,
    TakenOver,
    TakeoverTimeout,
    BrokerUnavailable,
}

impl Reason {
    /// Every reason, in order of discriminant.
    pub const ALL: [Self; 36] = [
        Self::ConnectionsFull,
        Self::PeerFull,
        Self::IdentityFull,
        Self::HandshakesFull,
        Self::GaveWay,
        Self::HandshakeTimeout,
        Self::HandshakeFailed,
        Self::NoCertificate,
        Self::ForeignCertificate,
        Self::ExpiredCertificate,
        Self::BadCertificate,
        Self::UnknownToLedger,
        Self::Revoked,
        Self::NotAdmitted,
        Self::LedgerUnavailable,
        Self::Expelled,
        Self::IdentityChanged,
        Self::ConnectTimeout,
        Self::NotConnect,
        Self::ProtocolVersion,
        Self::Malformed,
        Self::TooLarge,
        Self::Unexpected,
        Self::WillRefused,
        Self::PublishRefused,
        Self::SubscribeRefused,
        Self::QosTwo,
        Self::EmptyPayload,
        Self::TopicsFull,
        Self::RetainedFull,
        Self::FiltersFull,
        Self::KeepAlive,
        Self::WriteStall,
        Self::TakenOver,
        Self::TakeoverTimeout,
        Self::BrokerUnavailable,
    ];

    /// The counter's name in a snapshot.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// What happened, in a sentence's words.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::ConnectionsFull => ("connections_full", "too many connections are open"),
            Self::PeerFull => ("peer_full", "too many connections from this address"),
            Self::IdentityFull => ("identity_full", "too many connections of this identity"),
            Self::HandshakesFull => ("handshakes_full", "too many handshakes are under way"),
            Self::GaveWay => ("gave_way", "the peer was slow with its handshake, and its place was needed"),
            Self::HandshakeTimeout => ("handshake_timeout", "the peer did not finish its TLS handshake"),
            Self::HandshakeFailed => ("handshake_failed", "the TLS handshake failed"),
            Self::NoCertificate => ("no_certificate", "the peer showed no client certificate"),
            Self::ForeignCertificate => {
                ("foreign_certificate", "the certificate was issued by an authority that is not ours")
            }
            Self::ExpiredCertificate => ("expired_certificate", "the certificate is outside its validity"),
            Self::BadCertificate => ("bad_certificate", "the certificate does not verify"),
            Self::UnknownToLedger => ("unknown_to_ledger", "the ledger does not know the certificate"),
            Self::Revoked => ("revoked", "the ledger revoked the certificate"),
            Self::NotAdmitted => ("not_admitted", "the ledger does not admit the certificate"),
            Self::LedgerUnavailable => ("ledger_unavailable", "the ledger cannot say who this is at present"),
            Self::Expelled => ("expelled", "the hub keeps this identity out for a while"),
            Self::IdentityChanged => ("identity_changed", "the ledger changed what this identity may do"),
            Self::ConnectTimeout => ("connect_timeout", "no CONNECT came in time"),
            Self::NotConnect => ("not_connect", "the first packet was not CONNECT"),
            Self::ProtocolVersion => ("protocol_version", "not MQTT 3.1.1"),
            Self::Malformed => ("malformed", "malformed MQTT"),
            Self::TooLarge => ("too_large", "the packet is larger than allowed"),
            Self::Unexpected => ("unexpected", "a packet that a client may not send here"),
            Self::WillRefused => ("will_refused", "the will is not allowed"),
            Self::PublishRefused => ("publish_refused", "publishing there is not allowed"),
            Self::SubscribeRefused => ("subscribe_refused", "subscribing to that is not allowed"),
            Self::QosTwo => ("qos_two", "QoS 2 is not served"),
            Self::EmptyPayload => {
                ("empty_payload", "an empty payload without the retain flag would delete the retained message")
            }
            Self::TopicsFull => ("topics_full", "too many distinct topics from this identity"),
            Self::RetainedFull => ("retained_full", "too many retained bytes from this identity"),
            Self::FiltersFull => ("filters_full", "too many filters"),
            Self::KeepAlive => ("keep_alive", "the peer fell silent"),
            Self::WriteStall => ("write_stall", "the peer takes no bytes"),
            Self::TakenOver => ("taken_over", "a newer connection of the same name took over"),
            Self::TakeoverTimeout => ("takeover_timeout", "the older connection of this name did not leave"),
            Self::BrokerUnavailable => ("broker_unavailable", "the embedded broker does not answer"),
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|r| *r == self).unwrap_or(0)
    }
}

/// Minute over which log lines are counted.
const LOG_WINDOW: Duration = Duration::from_secs(60);

/// Identities whose takeovers are counted; more than any ledger of today has gateways.
const TAKEOVER_IDENTITIES_MAX: usize = 65_536;
/// A session that was taken over before this age did not fall asleep: somebody else wants its seat.
const SHORT_LIVED_MAX: Duration = Duration::from_secs(60);
/// Takeovers further apart than this have nothing to do with each other.
const SAME_QUARREL_MAX: Duration = Duration::from_secs(600);
/// As many short-lived sessions in a row make a quarrel.
const QUARREL_MIN: u32 = 3;

/// How often connections of one identity were taken over by newer ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Takeovers {
    /// How often since the start.
    pub count: u64,
    /// Of those, the last ones that ended a session young, with no long pause between them.
    pub in_a_row: u32,
    /// When it last happened, in Unix milliseconds.
    pub last_unix_ms: i64,
}

impl Takeovers {
    /// Whether two peers throw each other out in turn: they hold the same key.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        self.in_a_row >= QUARREL_MIN
    }

    fn note(&mut self, age: Duration, unix_ms: i64) {
        let pause_ms = unix_ms.saturating_sub(self.last_unix_ms).unsigned_abs();
        let goes_on = self.count == 0 || u128::from(pause_ms) <= SAME_QUARREL_MAX.as_millis();
        self.in_a_row = match (age < SHORT_LIVED_MAX, goes_on) {
            (true, true) => self.in_a_row.saturating_add(1),
            (true, false) => 1,
            // Two boxes that wait long between their tries quarrel still.
            (false, true) if self.is_contested() => self.in_a_row,
            (false, _) => 0,
        };
        self.count += 1;
        self.last_unix_ms = unix_ms;
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Voice {
    window_began: Option<Instant>,
    spoken: u32,
    unspoken: u64,
}

/// Counters of one guard. Cheap to bump from any task.
#[derive(Debug)]
pub(crate) struct Stats {
    refusals: [AtomicU64; Reason::ALL.len()],
    voices: Mutex<[Voice; Reason::ALL.len()]>,
    lines_per_minute_max: u32,
    taken_over: Mutex<BTreeMap<String, Takeovers>>,
    pub(crate) accepted: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) publishes: AtomicU64,
    pub(crate) publish_bytes: AtomicU64,
    pub(crate) deliveries: AtomicU64,
}

impl Stats {
    pub(crate) fn new(lines_per_minute_max: u32) -> Self {
        Self {
            refusals: std::array::from_fn(|_| AtomicU64::new(0)),
            voices: Mutex::new([Voice::default(); Reason::ALL.len()]),
            lines_per_minute_max,
            taken_over: Mutex::default(),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            publishes: AtomicU64::new(0),
            publish_bytes: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
        }
    }

    /// Counts a refusal. `Some(n)` when it should be logged, with the number
    /// of the same kind that went unspoken since the last line.
    pub(crate) fn refuse(&self, reason: Reason, now: Instant) -> Option<u64> {
        let index = reason.index();
        if let Some(counter) = self.refusals.get(index) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let mut voices = self.voices.lock().unwrap_or_else(PoisonError::into_inner);
        let voice = voices.get_mut(index)?;
        if voice.window_began.is_none_or(|began| now.duration_since(began) >= LOG_WINDOW) {
            voice.window_began = Some(now);
            voice.spoken = 0;
        }
        if voice.spoken >= self.lines_per_minute_max {
            voice.unspoken = voice.unspoken.saturating_add(1);
            return None;
        }
        voice.spoken += 1;
        Some(std::mem::take(&mut voice.unspoken))
    }

    /// Counts a session of this age that a newer one of its identity ended; says how things stand.
    pub(crate) fn take_over(&self, id: &str, age: Duration, unix_ms: i64) -> Takeovers {
        let mut all = self.taken_over.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(id) && all.len() >= TAKEOVER_IDENTITIES_MAX {
            return Takeovers::default();
        }
        let of = all.entry(id.to_owned()).or_default();
        of.note(age, unix_ms);
        *of
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            accepted: read(&self.accepted),
            open: read(&self.open),
            sessions: read(&self.sessions),
            publishes: read(&self.publishes),
            publish_bytes: read(&self.publish_bytes),
            deliveries: read(&self.deliveries),
            refusals: Reason::ALL
                .iter()
                .zip(&self.refusals)
                .map(|(reason, counter)| (reason.name(), read(counter)))
                .collect(),
            taken_over: self.taken_over.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// The guard's counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Sockets accepted since the start.
    pub accepted: u64,
    /// Sockets open now.
    pub open: u64,
    /// Sessions begun since the start: CONNECTs that were answered with success.
    pub sessions: u64,
    /// PUBLISH packets passed to the broker.
    pub publishes: u64,
    /// Their payloads' bytes.
    pub publish_bytes: u64,
    /// PUBLISH packets passed to peers.
    pub deliveries: u64,
    /// Refusals by [`Reason::name`]; every reason is present.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Takeovers by the id of those that had any.
    pub taken_over: BTreeMap<String, Takeovers>,
}

impl Snapshot {
    /// The count of one reason.
    #[must_use]
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refusals.get(reason.name()).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_name_and_counter() {
        let stats = Stats::new(100);
        let now = Instant::now();
        for reason in Reason::ALL {
            stats.refuse(reason, now);
        }
        let snapshot = stats.snapshot();
        assert_eq!(snapshot.refusals.len(), Reason::ALL.len());
        assert!(snapshot.refusals.values().all(|n| *n == 1));
        assert_eq!(Reason::ALL.last().map(|r| *r as usize), Some(Reason::ALL.len() - 1));
    }

    #[test]
    fn a_flood_is_counted_in_full_and_logged_in_part() {
        let stats = Stats::new(2);
        let began = Instant::now();
        let spoken: Vec<_> = (0..10).map(|_| stats.refuse(Reason::Malformed, began)).collect();
        assert_eq!(spoken.iter().flatten().count(), 2);
        assert_eq!(stats.snapshot().refused(Reason::Malformed), 10);
        // Another reason keeps its own voice.
        assert_eq!(stats.refuse(Reason::Revoked, began), Some(0));
        // The next minute's first line says how many were silent.
        assert_eq!(stats.refuse(Reason::Malformed, began + LOG_WINDOW), Some(8));
    }

    #[test]
    fn a_quarrel_differs_from_a_line_that_drops() {
        const MINUTE_MS: i64 = 60_000;
        let stats = Stats::new(1);
        let young = Duration::from_millis(400);
        let old = Duration::from_secs(3600);
        // A line that drops now and then: each takeover ends a session that had stood, or comes alone.
        for n in 1..20 {
            assert!(!stats.take_over("gw-1", old, n * MINUTE_MS).is_contested());
            assert!(!stats.take_over("gw-2", young, n * 11 * MINUTE_MS).is_contested());
        }
        let states: Vec<_> = (0..3).map(|n| stats.take_over("gw-3", young, n * 400).is_contested()).collect();
        assert_eq!(states, [false, false, true]);
        assert!(stats.take_over("gw-3", Duration::from_secs(61), 2 * MINUTE_MS).is_contested());
        // The other box was found and stopped: the next takeover, days later, is an ordinary one.
        assert!(!stats.take_over("gw-3", old, 3 * 24 * 60 * MINUTE_MS).is_contested());
        let told = stats.snapshot().taken_over;
        assert_eq!((told["gw-3"].count, told["gw-1"].count), (5, 19));
    }
}
