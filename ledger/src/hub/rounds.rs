//! What each gateway was sent of what it has to do, and when it is sent again. No clock, no sockets.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use plomb_seal::{Hash, Name};

use crate::state::Due;

/// How long what is still due rests before it is sent again.
pub(super) const AGAIN: Duration = Duration::from_secs(60);
/// Dossiers to one gateway that it has not answered, and that it was sent within [`AGAIN`].
const AHEAD_MAX: usize = 8;
/// Bytes of those, above which no further one is sent. What the broker keeps for a slow gateway is twice this.
const AHEAD_BYTES_MAX: usize = 256 * 1024;
/// A gateway that says it is online is sent everything anew, at most this often.
const GREETING_PAUSE: Duration = Duration::from_secs(1);

/// What all gateways were sent lately. Holds only those that have something to do, or have just come.
#[derive(Debug, Default)]
pub(super) struct Rounds(BTreeMap<Name, Round>);

#[derive(Debug, Default)]
struct Round {
    sent: BTreeMap<Hash, Sent>,
    greeted: Option<Instant>,
    /// It came again within the pause: everything is to be sent anew after it.
    greets: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    bytes: usize,
}

impl Sent {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < AGAIN
    }
}

impl Round {
    fn may_greet(&self, now: Instant) -> bool {
        self.greeted.is_none_or(|at| now.saturating_duration_since(at) >= GREETING_PAUSE)
    }

    fn greet(&mut self, now: Instant) {
        *self = Self { greeted: Some(now), ..Self::default() };
    }
}

impl Rounds {
    /// A gateway came online: what it was sent before may be lost.
    pub(super) fn greet(&mut self, gateway: &Name, now: Instant) {
        let round = self.0.entry(gateway.clone()).or_default();
        if round.may_greet(now) {
            round.greet(now);
        } else {
            round.greets = true;
        }
    }

    /// What to send next, of what the gateway has to do; `None` if nothing is to be sent now.
    pub(super) fn next(&mut self, gateway: &Name, due: &[Due], now: Instant) -> Option<Due> {
        let round = self.0.entry(gateway.clone()).or_default();
        if round.greets && round.may_greet(now) {
            round.greet(now);
        }
        round.sent.retain(|transaction, _| due.iter().any(|one| one.transaction == *transaction));
        let fresh = || round.sent.values().filter(|sent| sent.is_fresh(now));
        let room = fresh().count() < AHEAD_MAX && fresh().map(|sent| sent.bytes).sum::<usize>() < AHEAD_BYTES_MAX;
        let last = |one: &Due| round.sent.get(&one.transaction).copied();
        let ripe = due.iter().filter(|one| last(one).is_none_or(|sent| !sent.is_fresh(now)));
        // What was never sent comes first: what stays unanswered must not hold up the rest for ever.
        let next = ripe.min_by_key(|one| last(one).map(|sent| sent.at)).filter(|_| room).copied();
        if due.is_empty() && !round.greets && round.may_greet(now) {
            self.0.remove(gateway);
        }
        next
    }

    /// Notes what was sent.
    pub(super) fn sent(&mut self, gateway: &Name, transaction: Hash, bytes: usize, now: Instant) {
        self.0.entry(gateway.clone()).or_default().sent.insert(transaction, Sent { at: now, bytes });
    }

    /// The gateways that may have to be sent something again by now, or to be forgotten.
    pub(super) fn ripe(&self, now: Instant) -> Vec<Name> {
        let ripe = |round: &Round| match round.sent.is_empty() || round.greets {
            true => round.may_greet(now),
            false => round.sent.values().any(|sent| !sent.is_fresh(now)),
        };
        self.0.iter().filter(|(_, round)| ripe(round)).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use plomb_seal::transaction::{Kind, Priority};

    use super::*;

    fn due(n: u8) -> Due {
        Due { kind: Kind::Command, priority: Priority::Immediate, index: n.into(), transaction: Hash([n; 32]) }
    }

    fn gateway() -> Name {
        "gw-1".parse().unwrap()
    }

    /// Sends all that is to be sent now; gives the first bytes of their hashes.
    fn send(rounds: &mut Rounds, due: &[Due], bytes: usize, now: Instant) -> Vec<u8> {
        let mut sent = Vec::new();
        while let Some(next) = rounds.next(&gateway(), due, now) {
            rounds.sent(&gateway(), next.transaction, bytes, now);
            sent.push(next.transaction.0[0]);
        }
        sent
    }

    #[test]
    fn what_is_due_is_sent_once_and_again_after_a_minute_until_it_is_answered() {
        let (mut rounds, now) = (Rounds::default(), Instant::now());
        let all = [due(1), due(2)];
        assert_eq!(send(&mut rounds, &all, 10, now), [1, 2]);
        assert_eq!(send(&mut rounds, &all, 10, now + AGAIN / 2), [0u8; 0]);
        assert_eq!(rounds.ripe(now + AGAIN / 2), []);
        assert_eq!(rounds.ripe(now + AGAIN), [gateway()]);
        assert_eq!(send(&mut rounds, &all, 10, now + AGAIN), [1, 2]);
        assert_eq!(send(&mut rounds, &all[1..], 10, now + AGAIN * 2), [2]);
        assert_eq!(send(&mut rounds, &[], 10, now + AGAIN * 2), [0u8; 0]);
        assert!(rounds.0.is_empty(), "nobody is kept for ever");
    }

    #[test]
    fn a_gateway_that_answers_nothing_is_sent_no_more_than_it_can_hold_and_answers_make_room() {
        let (mut rounds, now) = (Rounds::default(), Instant::now());
        let all: Vec<Due> = (0..64).map(due).collect();
        assert_eq!(send(&mut rounds, &all, 10, now), (0..8).collect::<Vec<u8>>());
        assert_eq!(send(&mut rounds, &all[3..], 10, now), [8, 9, 10]);
        let later = send(&mut rounds, &all[3..], 10, now + AGAIN);
        assert_eq!(later, (11..19).collect::<Vec<u8>>(), "those that were never sent have their turn");
        let mut rounds = Rounds::default();
        assert_eq!(send(&mut rounds, &all, 200 * 1024, now), [0, 1], "a second may cross the bound, a third waits");
        assert_eq!(send(&mut rounds, &all[1..], 200 * 1024, now), [2]);
    }

    #[test]
    fn who_comes_online_is_sent_everything_anew_but_not_as_often_as_it_says_so() {
        let (mut rounds, now) = (Rounds::default(), Instant::now());
        assert_eq!(send(&mut rounds, &[due(1)], 10, now), [1]);
        rounds.greet(&gateway(), now);
        assert_eq!(send(&mut rounds, &[due(1)], 10, now), [1]);
        for _ in 0..100 {
            rounds.greet(&gateway(), now + GREETING_PAUSE / 2);
            assert_eq!(send(&mut rounds, &[due(1)], 10, now + GREETING_PAUSE / 2), [0u8; 0]);
        }
        assert_eq!(rounds.ripe(now + GREETING_PAUSE / 2), []);
        assert_eq!(rounds.ripe(now + GREETING_PAUSE), [gateway()]);
        assert_eq!(send(&mut rounds, &[due(1)], 10, now + GREETING_PAUSE), [1], "the last greeting is not lost");
        assert_eq!(send(&mut rounds, &[due(1)], 10, now + GREETING_PAUSE * 2), [0u8; 0]);
    }
}
