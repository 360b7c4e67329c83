//! Connections of those who push: how many, whose, and who gives way when places run out. Pure: times come in.
//!
//! Nobody who connects is sent away. Where places run out, somebody who has a place gives way: first one who never
//! sent anything whole, and among those the one that has been silent longest. Connections held open then crowd out
//! one another, and not whoever has something to say.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// The most connections at once.
pub const CONNECTIONS_MAX: usize = 64;
/// The most of them from one address; of IPv6, from one network of 64 bits.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 16;

/// A time, counted from when the port was opened.
type Elapsed = Duration;

/// The places of a port; `S` is what lets a connection stay as long as it is kept.
#[derive(Debug)]
pub struct Seats<S> {
    taken: BTreeMap<u64, Seat<S>>,
    next: u64,
}

#[derive(Debug)]
struct Seat<S> {
    peer: IpAddr,
    /// What it is counted by.
    net: IpAddr,
    /// Whether something whole came.
    spoke: bool,
    /// When it last did; before that, when the connection was made.
    since: Elapsed,
    _stay: S,
}

impl<S> Default for Seats<S> {
    fn default() -> Self {
        Self { taken: BTreeMap::new(), next: 0 }
    }
}

impl<S> Seats<S> {
    /// Gives a new connection a place. Tells its number, and whose connection gave way.
    pub fn take(&mut self, peer: IpAddr, now: Elapsed, stay: S) -> (u64, Option<IpAddr>) {
        let net = counted_as(peer);
        let gave_way = if self.taken.values().filter(|seat| seat.net == net).count() >= CONNECTIONS_PER_ADDRESS_MAX {
            self.give_way(Some(net))
        } else if self.taken.len() >= CONNECTIONS_MAX {
            self.give_way(None)
        } else {
            None
        };
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.taken.insert(number, Seat { peer, net, spoke: false, since: now, _stay: stay });
        (number, gave_way)
    }

    /// Something whole came.
    pub fn spoke(&mut self, number: u64, now: Elapsed) {
        if let Some(seat) = self.taken.get_mut(&number) {
            (seat.spoke, seat.since) = (true, now);
        }
    }

    /// The connection ended.
    pub fn leave(&mut self, number: u64) {
        self.taken.remove(&number);
    }

    /// Sends away whoever has the least right to stay, of one address or of all.
    fn give_way(&mut self, of: Option<IpAddr>) -> Option<IpAddr> {
        let own = self.taken.iter().filter(|(_, seat)| of.is_none_or(|net| net == seat.net));
        let least = own.min_by_key(|(number, seat)| (seat.spoke, seat.since, **number)).map(|(number, _)| *number);
        least.and_then(|number| self.taken.remove(&number)).map(|seat| seat.peer)
    }
}

/// The address that connections are counted by: who has one of IPv6 has a whole network of them.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::rc::{Rc, Weak};

    use super::*;

    #[derive(Default)]
    struct Door {
        seats: Seats<Rc<()>>,
        now: u64,
    }

    impl Door {
        /// A connection, a second after the last; whether it still has its place is what the weak one tells.
        fn knock(&mut self, peer: IpAddr) -> (u64, Weak<()>) {
            let stay = Rc::new(());
            let held = Rc::downgrade(&stay);
            self.now += 1;
            (self.seats.take(peer, Duration::from_secs(self.now), stay).0, held)
        }

        fn spoke(&mut self, number: u64) {
            self.now += 1;
            self.seats.spoke(number, Duration::from_secs(self.now));
        }
    }

    fn host(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn is_seated(one: &(u64, Weak<()>)) -> bool {
        one.1.strong_count() > 0
    }

    #[test]
    fn the_silent_of_one_address_crowd_out_one_another_only() {
        let mut door = Door::default();
        let honest = door.knock(host(1));
        let silent: Vec<_> = (0..200).map(|_| door.knock(host(9))).collect();
        assert!(is_seated(&honest), "it was there first, and says nothing yet");
        assert_eq!(silent.iter().filter(|one| is_seated(one)).count(), CONNECTIONS_PER_ADDRESS_MAX);
        assert!(silent[200 - CONNECTIONS_PER_ADDRESS_MAX..].iter().all(is_seated), "the newest stay");
    }

    #[test]
    fn who_said_something_stays_before_many_silent_addresses() {
        let mut door = Door::default();
        let honest = door.knock(host(1));
        door.spoke(honest.0);
        for nth in 0..500_u32 {
            door.knock(host(u8::try_from(nth % 250).unwrap()));
        }
        assert!(is_seated(&honest));
        assert_eq!(door.seats.taken.len(), CONNECTIONS_MAX);
    }

    /// Who sends something whole to keep a place gives way all the same, once it has been silent longest.
    #[test]
    fn where_all_said_something_the_one_silent_longest_gives_way() {
        let mut door = Door::default();
        let all: Vec<_> = (0..64_u8).map(|nth| door.knock(host(nth))).collect();
        all.iter().for_each(|one| door.spoke(one.0));
        door.spoke(all[0].0);
        let late = door.knock(host(200));
        assert!(is_seated(&late) && is_seated(&all[0]) && !is_seated(&all[1]));
        door.seats.leave(late.0);
        assert_eq!(door.seats.taken.len(), CONNECTIONS_MAX - 1);
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let of = |text: &str| counted_as(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8:0:0:ffff::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), host(1));
    }
}
