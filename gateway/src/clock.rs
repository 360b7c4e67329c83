//! The gateway's clock, and how well it is known.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicI64, Ordering},
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
    synced_file: PathBuf,
    error_ms: u32,
    last_synced_ms: AtomicI64,
}

impl SystemClock {
    /// A clock that is synced while the time service keeps its file.
    pub fn new(config: &config::Clock) -> Self {
        Self {
            synced_file: config.synced_file.clone(),
            error_ms: config.error_ms,
            last_synced_ms: AtomicI64::new(NEVER),
        }
    }

    /// Now.
    pub fn stamp(&self) -> Stamp {
        let unix_ms = unix_ms();
        if self.synced_file.exists() {
            self.last_synced_ms.store(unix_ms, Ordering::Relaxed);
            return Stamp { unix_ms, clock: State::Synced { error_ms: self.error_ms } };
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
        let file = self.synced_file.display();
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
