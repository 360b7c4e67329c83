//! Sockets that have not shown a certificate yet: how many, whose, and who gives way when their places are
//! needed.
//!
//! Until its handshake is done a peer may be anybody, and a socket that says nothing costs it nothing. So
//! silence has no right to stay: when a place is needed, the oldest silent socket of the address that holds
//! the most gives way. Idle sockets then crowd out one another, and not whoever has something to say.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::bounds::Held;
use crate::limits::{Limits, as_usize};

/// The places that a connection takes up for as long as it is open: among all, and among those of its address.
/// Given back on drop.
#[derive(Debug)]
pub(super) struct Places {
    _any: OwnedSemaphorePermit,
    _own: Held<IpAddr>,
}

impl Places {
    pub(super) fn new(any: OwnedSemaphorePermit, own: Held<IpAddr>) -> Self {
        Self { _any: any, _own: own }
    }
}

/// All handshakes under way.
#[derive(Debug)]
pub(super) struct Handshakes {
    all_max: usize,
    each_max: usize,
    /// Whoever has said something, and not finished after this, is slow enough to give way, too.
    slow: Duration,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    next: u64,
    by_age: BTreeMap<u64, Handshake>,
    each: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Handshake {
    peer: IpAddr,
    began: Instant,
    /// A whole ClientHello came.
    greeted: bool,
    places: Places,
    /// Dropped to send the connection's task away.
    _stay: oneshot::Sender<Infallible>,
}

/// One handshake's place, held by the connection's task.
#[derive(Debug)]
pub(super) struct Shaking {
    handshakes: Arc<Handshakes>,
    number: u64,
}

/// Resolves, with an error, when a handshake must give way.
pub(super) type MustGo = oneshot::Receiver<Infallible>;

impl Handshakes {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            all_max: as_usize(limits.handshakes_max),
            each_max: as_usize(limits.handshakes_per_peer_max),
            slow: Duration::from_millis(limits.hello_timeout_ms),
            under_way: Mutex::default(),
        })
    }

    /// Whether there is room for one more of this address, if need be after another gave way.
    pub(super) fn make_room(&self, peer: IpAddr, now: Instant) -> bool {
        let own = |this: &Self| this.with(|under_way| under_way.each.get(&peer).copied().unwrap_or(0));
        (own(self) < self.each_max || self.give_way(Some(peer), now))
            && (self.with(|under_way| under_way.by_age.len()) < self.all_max || self.give_way(None, now))
    }

    /// Sends away whoever has the least right to stay, of one address or of all; its places are free at once.
    /// False when there is nobody.
    pub(super) fn give_way(&self, of: Option<IpAddr>, now: Instant) -> bool {
        let leaving = self.with(|under_way| {
            let may_go = |one: &Handshake| !one.greeted || now.saturating_duration_since(one.began) >= self.slow;
            let number = under_way
                .by_age
                .iter()
                .filter(|(_, one)| of.is_none_or(|peer| peer == one.peer) && may_go(one))
                .min_by_key(|(number, one)| {
                    (one.greeted, Reverse(under_way.each.get(&one.peer).copied().unwrap_or(0)), **number)
                })
                .map(|(number, _)| *number);
            number.and_then(|number| under_way.remove(number))
        });
        leaving.is_some()
    }

    /// Notes a handshake that begins. It is for the caller to have [made room](Self::make_room).
    pub(super) fn begin(self: &Arc<Self>, peer: IpAddr, places: Places, now: Instant) -> (Shaking, MustGo) {
        let (_stay, stay) = oneshot::channel();
        let number = self.with(|under_way| {
            let number = under_way.next;
            under_way.next += 1;
            *under_way.each.entry(peer).or_insert(0) += 1;
            under_way.by_age.insert(number, Handshake { peer, began: now, greeted: false, places, _stay });
            number
        });
        (Shaking { handshakes: self.clone(), number }, stay)
    }

    fn with<T>(&self, look: impl FnOnce(&mut UnderWay) -> T) -> T {
        look(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl UnderWay {
    fn remove(&mut self, number: u64) -> Option<Handshake> {
        let leaving = self.by_age.remove(&number)?;
        if let Some(count) = self.each.get_mut(&leaving.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.each.remove(&leaving.peer);
            }
        }
        Some(leaving)
    }
}

impl Shaking {
    /// Notes that a whole ClientHello came.
    pub(super) fn greeted(&self) {
        self.handshakes.with(|under_way| {
            if let Some(own) = under_way.by_age.get_mut(&self.number) {
                own.greeted = true;
            }
        });
    }

    /// The handshake is done: its place is free, the connection's stay. `None` when it had to give way just now.
    pub(super) fn done(self) -> Option<Places> {
        let own = self.handshakes.with(|under_way| under_way.remove(self.number));
        own.map(|own| own.places)
    }
}

impl Drop for Shaking {
    fn drop(&mut self) {
        // Out of the lock: the places have locks of their own.
        drop(self.handshakes.with(|under_way| under_way.remove(self.number)));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::super::bounds::Counts;
    use super::*;

    struct Door {
        handshakes: Arc<Handshakes>,
        connections: Arc<Semaphore>,
        peers: Arc<Counts<IpAddr>>,
        now: Instant,
    }

    impl Door {
        fn new(handshakes_max: u32, handshakes_per_peer_max: u32) -> Self {
            let limits = Limits { handshakes_max, handshakes_per_peer_max, ..Limits::default() };
            let (connections, peers) = (Arc::new(Semaphore::new(100)), Counts::new(100));
            Self { handshakes: Handshakes::new(&limits), connections, peers, now: Instant::now() }
        }

        fn knock(&self, host: u8) -> Option<(Shaking, MustGo)> {
            let peer = IpAddr::from([192, 0, 2, host]);
            let room = self.handshakes.make_room(peer, self.now);
            let places =
                || Places::new(self.connections.clone().try_acquire_owned().unwrap(), self.peers.take(peer).unwrap());
            room.then(|| self.handshakes.begin(peer, places(), self.now))
        }
    }

    fn must_go((_, stay): &mut (Shaking, MustGo)) -> bool {
        stay.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn the_oldest_silent_one_of_the_heaviest_address_gives_way() {
        let door = Door::new(4, 4);
        let mut honest = door.knock(1).unwrap();
        let mut heavy: Vec<_> = (0..3).map(|_| door.knock(9).unwrap()).collect();
        heavy[0].0.greeted();
        let mut late = door.knock(2).unwrap();
        assert_eq!(heavy.iter_mut().map(must_go).collect::<Vec<_>>(), [false, true, false]);
        assert!(!must_go(&mut honest) && !must_go(&mut late));
        assert_eq!(door.connections.available_permits(), 96, "its place is free at once");
        assert!(heavy.remove(1).0.done().is_none(), "what gave way does not come in after all");
        drop((heavy, honest, late));
        assert_eq!(door.connections.available_permits(), 100);
        assert!(door.handshakes.with(|under_way| under_way.each.is_empty()), "no address is kept for ever");
    }

    #[test]
    fn whoever_said_something_stays_unless_it_is_slow() {
        let mut door = Door::new(2, 2);
        let mut both = [door.knock(1).unwrap(), door.knock(2).unwrap()];
        both.iter().for_each(|one| one.0.greeted());
        assert!(door.knock(3).is_none());
        door.now += Duration::from_millis(Limits::default().hello_timeout_ms);
        assert!(door.knock(3).is_some());
        assert_eq!(both.each_mut().map(must_go), [true, false]);
    }

    #[test]
    fn an_address_has_its_share_and_its_own_silent_ones_give_way_first() {
        let door = Door::new(100, 2);
        let mut own = [door.knock(1).unwrap(), door.knock(1).unwrap()];
        let other = door.knock(2).unwrap();
        let third = door.knock(1).unwrap();
        assert_eq!(own.each_mut().map(must_go), [true, false]);
        own.iter().chain([&third, &other]).for_each(|one| one.0.greeted());
        assert!(door.knock(1).is_none(), "all of it are busy");
        assert!(third.0.done().is_some());
        assert!(door.knock(1).is_some());
    }
}
