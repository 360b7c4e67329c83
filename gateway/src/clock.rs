//! The gateway's clock, and how well it is known.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use plomb_seal::{Clock as State, Stamp};

use crate::config;

pub use plomb_view::state_name;

/// A jump of the system clock against its own running by more than this is an event.
pub const STEP_MS_MIN: i64 = 2000;

const NEVER: i64 = i64::MIN;

/// Reads the system clock and its state.
#[derive(Debug)]
pub struct SystemClock {
    config: Mutex<config::Clock>,
    last_synced_ms: AtomicI64,
}

impl SystemClock {
    /// A clock that is synced while the time service keeps its file.
    pub fn new(config: &config::Clock) -> Self {
        Self { config: Mutex::new(config.clone()), last_synced_ms: AtomicI64::new(NEVER) }
    }

    /// From now on it is synced by another file, or has another error.
    pub fn change(&self, config: &config::Clock) {
        *self.config() = config.clone();
    }

    /// A panic while the lock was held can't leave this half-written, so its poison means nothing.
    fn config(&self) -> MutexGuard<'_, config::Clock> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now.
    pub fn stamp(&self) -> Stamp {
        let unix_ms = unix_ms();
        let config = self.config();
        if config.synced_file.exists() {
            self.last_synced_ms.store(unix_ms, Ordering::Relaxed);
            return Stamp { unix_ms, clock: State::Synced { error_ms: config.error_ms } };
        }
        match self.last_synced_ms.load(Ordering::Relaxed) {
            NEVER => Stamp { unix_ms, clock: State::Unset },
            since_ms => Stamp { unix_ms, clock: State::Holdover { since_ms } },
        }
    }
}

impl SystemClock {
    /// Why the time is not known better; nothing while the clock is synchronised.
    pub fn doubt(&self, state: State) -> Option<String> {
        let config = self.config();
        let file = config.synced_file.display();
        let missing = format!("{file} is not there: [clock] synced_file names what the time service keeps");
        match state {
            State::Synced { .. } => None,
            State::Unset => Some(format!("no time service found ({missing})")),
            State::Holdover { .. } => Some(format!("the time service is gone ({missing})")),
        }
    }
}

/// The system's time, in Unix milliseconds; 0 for a clock before 1970.
pub fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// Notices jumps of the system clock.
#[derive(Debug)]
pub struct StepWatch {
    wall_ms: i64,
    running: Instant,
}

impl StepWatch {
    /// Begins to watch.
    pub fn start() -> Self {
        Self { wall_ms: unix_ms(), running: Instant::now() }
    }

    /// By how many milliseconds the clock jumped since the last call, if it did.
    pub fn step_ms(&mut self) -> Option<i64> {
        let (wall_ms, running) = (unix_ms(), Instant::now());
        let ran = i64::try_from(running.duration_since(self.running).as_millis()).unwrap_or(i64::MAX);
        let step = wall_ms.saturating_sub(self.wall_ms).saturating_sub(ran);
        *self = Self { wall_ms, running };
        (step.abs() >= STEP_MS_MIN).then_some(step)
    }
}
