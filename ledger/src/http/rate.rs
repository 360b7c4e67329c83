//! How often an address may ask: a bucket of tokens for each.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Addresses that are remembered at once. When there are more, those whose bucket is full are forgotten.
const ADDRESSES_MAX: usize = 8_192;

/// The rates of many addresses.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: per_second.into(), burst: burst.into(), buckets: Mutex::default() }
    }

    /// Whether the address may ask once more now. One that finds no room in the table may not.
    pub(super) fn take(&self, peer: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&peer) {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
            if buckets.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let bucket = buckets.entry(peer).or_insert(Bucket { tokens: self.burst, at: now });
        let tokens = self.filled(bucket, now);
        let may = tokens >= 1.0;
        *bucket = Bucket { tokens: if may { tokens - 1.0 } else { tokens }, at: now };
        may
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let waited = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + waited * self.per_second).min(self.burst)
    }
}

/// The address that a peer is counted under: a whole /64 in IPv6, as one host may use all of it.
pub(super) fn peer_key(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_that_asks_too_often_waits_and_others_do_not() {
        let (rates, start) = (Rates::new(2, 3), Instant::now());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let took = (0..5).filter(|_| rates.take(one, start)).count();
        assert_eq!((took, rates.take(other, start)), (3, true));
        assert!(rates.take(one, start + Duration::from_millis(500)));
        assert!(!rates.take(one, start + Duration::from_millis(501)));
    }

    #[test]
    fn the_table_of_addresses_is_bounded_and_forgets_those_that_are_quiet() {
        let (rates, start) = (Rates::new(1, 2), Instant::now());
        let address = |n: usize| IpAddr::from(u32::try_from(n).unwrap_or(0).to_be_bytes());
        for n in 0..ADDRESSES_MAX {
            assert!(rates.take(address(n), start));
        }
        assert!(!rates.take(address(ADDRESSES_MAX), start), "all are busy");
        assert!(rates.take(address(ADDRESSES_MAX), start + Duration::from_secs(5)), "all were quiet");
        assert_eq!(rates.buckets.lock().unwrap_or_else(PoisonError::into_inner).len(), 1);
    }

    #[test]
    fn a_host_that_has_a_whole_network_is_one_peer() {
        let of = |text: &str| text.parse().map(peer_key);
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
