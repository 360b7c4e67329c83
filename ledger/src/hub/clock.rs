//! Whether the hub's clock can be right: at the start, by the ledger's newest date; later, by the time that ran.
//!
//! Dates are what a receipt is for, and none can be taken back: a block that is dated a year ahead dates
//! everything after it a year ahead, as dates never go back. So a clock that leaps is not believed, and the
//! difference between a clock that is wrong and a hub that stood still is left to a person.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use plomb_view::rfc3339;

const DAY_MS: i64 = 86_400_000;
/// A clock that is behind the ledger's newest date by more than this is named.
const BEHIND_MS_MAX: i64 = 60_000;
/// A hub may stand still this long before its start says so.
const QUIET_MS_MAX: i64 = DAY_MS;
/// A hub that stood still longer, or has a wrong clock, is started by a person: with `--accept-clock`.
const STOOD_STILL_MS_MAX: i64 = 31 * DAY_MS;
/// How far the clock may be set forward while the hub runs.
const LEAP_MS_MAX: i64 = DAY_MS;

/// What a start thinks of the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// Nothing speaks against it.
    Plausible,
    /// It may be right: a person should look.
    Doubtful(String),
    /// It would have to be accepted by a person.
    Implausible(String),
}

/// Compares the clock with the newest date that the ledger gave out.
pub(crate) fn judge(newest_ms: Option<i64>, now_ms: i64) -> Opinion {
    let Some(newest_ms) = newest_ms else { return Opinion::Plausible };
    let (now, newest) = (rfc3339(now_ms), rfc3339(newest_ms));
    let ahead_ms = now_ms.saturating_sub(newest_ms);
    if ahead_ms > STOOD_STILL_MS_MAX {
        return Opinion::Implausible(format!(
            "this clock says {now}, {} days after the ledger's newest date, {newest}. A date that was given out can't \
             be taken back: set the clock right; or, if the hub did stand still so long, start it once with \
             --accept-clock",
            ahead_ms / DAY_MS
        ));
    }
    if ahead_ms > QUIET_MS_MAX {
        return Opinion::Doubtful(format!(
            "at the start this clock was {} days ahead of the ledger's newest date, {newest}: right if the hub stood \
             still so long; if not, stop it and set the clock right",
            ahead_ms / DAY_MS
        ));
    }
    match behind(newest_ms, now_ms) {
        Some(doubt) => Opinion::Doubtful(doubt),
        None => Opinion::Plausible,
    }
}

/// What a person must know while dates stand still.
fn behind(newest_ms: i64, now_ms: i64) -> Option<String> {
    let behind_ms = newest_ms.saturating_sub(now_ms);
    (behind_ms > BEHIND_MS_MAX).then(|| {
        format!(
            "this clock says {}, {} s behind the ledger's newest date: dates stand still at {} until it has come so \
             far. Is the clock late now, or was it ahead before?",
            rfc3339(now_ms),
            behind_ms / 1000,
            rfc3339(newest_ms)
        )
    })
}

/// What is to be said of the clock now; nothing while all is well. `at_start`: what the start had to say.
pub(crate) fn doubt(newest_ms: Option<i64>, at_start: Option<&str>) -> Option<String> {
    let wall_ms = wall_ms();
    let leapt = begun().leapt(wall_ms, begun().running.elapsed()).map(|held_ms| {
        format!(
            "this clock leapt forward to {}, and {} is what ran: it is not believed. If it is right now, restart the \
             hub; if not, set it right",
            rfc3339(wall_ms),
            rfc3339(held_ms)
        )
    });
    leapt.or_else(|| newest_ms.and_then(|newest_ms| behind(newest_ms, wall_ms))).or(at_start.map(Into::into))
}

/// The present time, in Unix milliseconds: the clock's, unless that leapt forward while the process ran.
pub fn unix_ms() -> i64 {
    let wall_ms = wall_ms();
    begun().leapt(wall_ms, begun().running.elapsed()).unwrap_or(wall_ms)
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// When the process first asked the time.
struct Begun {
    wall_ms: i64,
    running: Instant,
}

fn begun() -> &'static Begun {
    static BEGUN: OnceLock<Begun> = OnceLock::new();
    BEGUN.get_or_init(|| Begun { wall_ms: wall_ms(), running: Instant::now() })
}

impl Begun {
    /// The time by what ran, if the clock is not to be believed.
    fn leapt(&self, wall_ms: i64, ran: Duration) -> Option<i64> {
        let held_ms = self.wall_ms.saturating_add(i64::try_from(ran.as_millis()).unwrap_or(i64::MAX));
        (wall_ms.saturating_sub(held_ms) > LEAP_MS_MAX).then_some(held_ms)
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    #[test]
    fn a_start_believes_a_pause_and_not_a_year() {
        let at = |ahead_ms: i64| judge(Some(NOW_MS), NOW_MS + ahead_ms);
        assert_eq!(judge(None, NOW_MS), Opinion::Plausible);
        for fine in [0, -BEHIND_MS_MAX, QUIET_MS_MAX] {
            assert_eq!(at(fine), Opinion::Plausible, "{fine}");
        }
        for (doubtful, said) in [
            (21 * DAY_MS, "21 days ahead"),
            (STOOD_STILL_MS_MAX, "31 days ahead"),
            (-300 * DAY_MS, "dates stand still at 2027-01-15"),
        ] {
            let Opinion::Doubtful(text) = at(doubtful) else { panic!("{doubtful}: {:?}", at(doubtful)) };
            assert!(text.contains(said), "{text}");
        }
        let Opinion::Implausible(text) = at(300 * DAY_MS) else { panic!("{:?}", at(300 * DAY_MS)) };
        assert!(text.contains("300 days after") && text.contains("--accept-clock"), "{text}");
    }

    #[test]
    fn a_clock_that_leaps_forward_is_not_believed_and_one_that_is_set_back_is() {
        let begun = Begun { wall_ms: NOW_MS, running: Instant::now() };
        let hour = Duration::from_secs(3600);
        let leapt = |set_by_ms: i64| begun.leapt(NOW_MS + 3_600_000 + set_by_ms, hour);
        assert_eq!(leapt(0), None);
        assert_eq!(leapt(LEAP_MS_MAX), None, "a clock that was late is set");
        assert_eq!(leapt(-300 * DAY_MS), None, "the ledger's dates don't go back with it");
        assert_eq!(leapt(LEAP_MS_MAX + 1), Some(NOW_MS + 3_600_000));
    }
}
