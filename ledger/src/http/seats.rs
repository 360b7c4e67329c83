//! Connections: how many, whose, and who gives way when their seats run out.
//!
//! A connection is at work from a request that came whole to its answer. All others are quiet: those without a finished
//! handshake, without a request, with half a request or half a body, and those between two requests. Where no seat is
//! free, a quiet one gives way: of the newcomer's own, if he has as many as one may have; else of whoever has most quiet
//! ones. Among these it is the one that has been quiet longest. Strangers and holders have seats of their own.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

use super::places::Who;

/// The seats of one kind of peers.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    each_most: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Counts up with each seat taken and each answer: what is lower was earlier.
    clock: u64,
    seated: HashMap<u64, Seated>,
}

#[derive(Debug)]
struct Seated {
    who: Who,
    at_work: bool,
    quiet_since: u64,
    leave: Arc<Notify>,
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.clock = self.clock.wrapping_add(1);
        self.clock
    }

    /// The quiet seat that is to go.
    fn yielding(&self, only: Option<Who>) -> Option<u64> {
        let quiet = || self.seated.iter().filter(|(_, one)| !one.at_work && only.is_none_or(|who| one.who == who));
        let mut counts: HashMap<Who, usize> = HashMap::new();
        for (_, one) in quiet() {
            *counts.entry(one.who).or_insert(0) += 1;
        }
        let most = counts.values().max().copied()?;
        let greedy: HashSet<Who> = counts.into_iter().filter(|(_, count)| *count == most).map(|(who, _)| who).collect();
        quiet().filter(|(_, one)| greedy.contains(&one.who)).min_by_key(|(_, one)| one.quiet_since).map(|(id, _)| *id)
    }
}

impl Seats {
    pub(super) fn new(most: usize, each_most: usize) -> Arc<Self> {
        Arc::new(Self { most, each_most, table: Mutex::default() })
    }

    /// A seat for a newcomer; `None` if nobody is quiet who could give way.
    pub(super) fn take(self: &Arc<Self>, who: Who) -> Option<Seat> {
        self.seat(who, Arc::new(Notify::new()))
    }

    fn seat(self: &Arc<Self>, who: Who, leave: Arc<Notify>) -> Option<Seat> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let own = table.seated.values().filter(|one| one.who == who).count();
        let gone = if own >= self.each_most {
            Some(table.yielding(Some(who))?)
        } else if table.seated.len() >= self.most {
            Some(table.yielding(None)?)
        } else {
            None
        };
        if let Some(gone) = gone.and_then(|id| table.seated.remove(&id)) {
            gone.leave.notify_one();
        }
        let id = table.tick();
        table.seated.insert(id, Seated { who, at_work: false, quiet_since: id, leave: leave.clone() });
        drop(table);
        Some(Seat { seats: self.clone(), id, who, leave })
    }
}

/// A connection's seat; given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    id: u64,
    who: Who,
    leave: Arc<Notify>,
}

impl Seat {
    pub(super) fn who(&self) -> Who {
        self.who
    }

    /// Told once when this connection must give way.
    pub(super) fn leave(&self) -> Arc<Notify> {
        self.leave.clone()
    }

    /// Another seat for the same connection: it has said who it is.
    pub(super) fn change(self, seats: &Arc<Seats>, who: Who) -> Option<Self> {
        // The old one is given back with `self`.
        seats.seat(who, self.leave.clone())
    }

    /// A request came whole: until this is dropped the connection gives way to nobody.
    pub(super) fn work(&self) -> Work<'_> {
        self.mark(true);
        Work(self)
    }

    fn mark(&self, at_work: bool) {
        let mut table = self.seats.table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = table.tick();
        // One that had to give way just now is no more in the table.
        if let Some(own) = table.seated.get_mut(&self.id) {
            (own.at_work, own.quiet_since) = (at_work, now);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.table.lock().unwrap_or_else(PoisonError::into_inner).seated.remove(&self.id);
    }
}

/// A request that is worked on.
#[derive(Debug)]
pub(super) struct Work<'a>(&'a Seat);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.mark(false);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(n: u8) -> Who {
        Who::Stranger(IpAddr::from([10, 0, 0, n]))
    }

    fn seated(seat: &Seat) -> bool {
        seat.seats.table.lock().unwrap_or_else(PoisonError::into_inner).seated.contains_key(&seat.id)
    }

    #[tokio::test]
    async fn the_quiet_of_the_greediest_give_way_and_those_at_work_do_not() {
        let seats = Seats::new(6, 3);
        let honest = seats.take(peer(9)).unwrap();
        let greedy: Vec<Seat> = (0..4).map(|_| seats.take(peer(1)).unwrap()).collect();
        assert_eq!(greedy.iter().map(seated).collect::<Vec<_>>(), [false, true, true, true], "of its own, the oldest");
        greedy[0].leave().notified().await;
        let other: Vec<Seat> = (0..2).map(|_| seats.take(peer(2)).unwrap()).collect();
        let newcomer = seats.take(peer(3)).unwrap();
        assert!(seated(&honest) && !seated(&greedy[1]), "of whoever has most, though another was quiet longer");
        let busy: Vec<Work<'_>> = [&honest, &greedy[2], &greedy[3], &other[0], &other[1]].map(Seat::work).into();
        let last = seats.take(peer(4)).unwrap();
        assert!(!seated(&newcomer), "the only one that is quiet");
        let at_work = last.work();
        assert!(seats.take(peer(5)).is_none(), "nobody is quiet");
        drop((at_work, busy));
        assert!(seats.take(peer(5)).is_some());
    }

    #[test]
    fn a_holder_takes_no_stranger_s_seat_for_long() {
        let (strangers, holders) = (Seats::new(1, 1), Seats::new(1, 1));
        let known = strangers.take(peer(1)).unwrap().change(&holders, Who::Holder(plomb_seal::Hash::ZERO)).unwrap();
        let stranger = strangers.take(peer(1)).unwrap();
        assert!(seated(&known) && seated(&stranger));
    }
}
