//! What is counted so that it stays bounded: connections, seats, rates.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::timeout;

/// How many of each key are held at once.
#[derive(Debug)]
pub(super) struct Counts<K: Eq + Hash + Clone> {
    held: Mutex<HashMap<K, u32>>,
    each_max: u32,
}

/// One of a key's places; given back on drop.
#[derive(Debug)]
pub(super) struct Held<K: Eq + Hash + Clone> {
    counts: Arc<Counts<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> Counts<K> {
    pub(super) fn new(each_max: u32) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), each_max })
    }

    /// `None` when the key already holds its maximum.
    pub(super) fn take(self: &Arc<Self>, key: K) -> Option<Held<K>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(key.clone()).or_insert(0);
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Held { counts: self.clone(), key })
    }
}

impl<K: Eq + Hash + Clone> Drop for Held<K> {
    fn drop(&mut self) {
        let mut held = self.counts.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// The address that a peer's connections are counted under: a whole /64 in
/// IPv6, as one host may use all of it.
pub(super) fn peer_key(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// A token bucket that slows and never refuses.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        Self { per_second: f64::from(per_second.max(1)), burst, tokens: burst, filled: now }
    }

    /// Takes `amount`, and says how long to wait until it was covered. An
    /// amount above the burst is allowed and waits longer.
    pub(super) fn take(&mut self, amount: u32, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst) - f64::from(amount);
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::try_from_secs_f64(-self.tokens / self.per_second).unwrap_or(Duration::MAX)
        }
    }
}

/// One seat for each session name; the newest comer gets it.
#[derive(Debug, Default)]
pub(super) struct Seats {
    by_name: Mutex<HashMap<String, Arc<Seat>>>,
}

#[derive(Debug)]
struct Seat {
    newest_turn: watch::Sender<u64>,
    chair: Arc<tokio::sync::Mutex<()>>,
}

/// A seat that is sat in. Given up on drop.
#[derive(Debug)]
pub(super) struct Seated {
    turn: u64,
    newest_turn: watch::Receiver<u64>,
    chair: Option<OwnedMutexGuard<()>>,
    seat: Option<Arc<Seat>>,
    seats: Arc<Seats>,
    name: String,
}

impl Seats {
    /// Asks the present holder to leave, and waits for it.
    /// `None` when it did not leave in time.
    pub(super) async fn take(self: &Arc<Self>, name: &str, patience: Duration) -> Option<Seated> {
        let seat = {
            let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = || Arc::new(Seat { newest_turn: watch::Sender::new(0), chair: Arc::default() });
            by_name.entry(name.to_owned()).or_insert_with(fresh).clone()
        };
        let mut turn = 0;
        seat.newest_turn.send_modify(|newest| {
            *newest = newest.wrapping_add(1);
            turn = *newest;
        });
        let newest_turn = seat.newest_turn.subscribe();
        let chair = timeout(patience, seat.chair.clone().lock_owned()).await.ok();
        let seated = Seated { turn, newest_turn, chair, seat: Some(seat), seats: self.clone(), name: name.to_owned() };
        seated.chair.is_some().then_some(seated)
    }

    fn sweep(&self, name: &str) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if by_name.get(name).is_some_and(|seat| Arc::strong_count(seat) == 1) {
            by_name.remove(name);
        }
    }
}

impl Seated {
    /// Resolves when someone newer wants the seat.
    pub(super) async fn displaced(&mut self) {
        let turn = self.turn;
        // The sender lives as long as this seat, so the wait cannot fail.
        let _ = self.newest_turn.wait_for(|newest| *newest != turn).await;
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.chair = None;
        self.seat = None;
        self.seats.sweep(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_holds_its_maximum_and_gets_places_back() {
        let counts = Counts::new(2);
        let first = counts.take("a").unwrap();
        let _second = counts.take("a").unwrap();
        assert!(counts.take("a").is_none());
        assert!(counts.take("b").is_some());
        drop(first);
        assert!(counts.take("a").is_some());
        drop(_second);
        assert!(counts.held.lock().unwrap().is_empty(), "no key is kept for ever");
    }

    #[test]
    fn one_host_cannot_hide_behind_its_64_bits() {
        let key = |text: &str| peer_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn a_bucket_slows_to_its_rate() {
        let began = Instant::now();
        let mut bucket = Bucket::new(100, 50, began);
        assert_eq!(bucket.take(50, began), Duration::ZERO);
        assert_eq!(bucket.take(100, began), Duration::from_secs(1));
        // Two seconds later the debt is paid and the burst is full again, not more.
        assert_eq!(bucket.take(50, began + Duration::from_secs(2)), Duration::ZERO);
        assert_eq!(bucket.take(1, began + Duration::from_secs(2)), Duration::from_millis(10));
    }

    #[tokio::test]
    async fn the_newest_gets_the_seat() {
        let seats = Arc::new(Seats::default());
        let patience = Duration::from_secs(60);
        let mut first = seats.take("gw", patience).await.unwrap();
        let second = tokio::spawn({
            let seats = seats.clone();
            async move { seats.take("gw", patience).await }
        });
        first.displaced().await;
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert_eq!(second.turn, 2);
        assert!(seats.take("other", patience).await.is_some());
        drop(second);
        assert!(seats.by_name.lock().unwrap().is_empty(), "no name is kept for ever");
    }

    #[tokio::test]
    async fn a_holder_that_stays_keeps_the_seat() {
        let seats = Arc::new(Seats::default());
        let _first = seats.take("gw", Duration::from_secs(60)).await.unwrap();
        assert!(seats.take("gw", Duration::ZERO).await.is_none());
    }
}
