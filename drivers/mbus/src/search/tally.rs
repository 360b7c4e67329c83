//! Frames, time, and what waits to be told.

use super::event::{FoundMeter, Progress, ScanEnd, ScanEvent};
use alloc::collections::VecDeque;
use core::time::Duration;
use plomb_session::Instant;

/// The whole of a search, in the finest share that is counted.
pub(super) const WHOLE: u64 = 1_000_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) frames: u32,
    pub(super) found: u32,
    begun: Option<Instant>,
    events: VecDeque<ScanEvent>,
}

impl Tally {
    pub(super) fn asked(&mut self, now: Instant) {
        self.begun.get_or_insert(now);
        self.frames = self.frames.saturating_add(1);
    }

    pub(super) fn tell(&mut self, event: ScanEvent) {
        self.events.push_back(event);
    }

    pub(super) fn found(&mut self, meter: FoundMeter) {
        self.found = self.found.saturating_add(1);
        self.tell(ScanEvent::Found(meter));
    }

    /// Notes that `done` of [`WHOLE`] is done.
    pub(super) fn progress(&mut self, done: u64, now: Instant) {
        if let Some(ScanEvent::Progress(_)) = self.events.back() {
            self.events.pop_back();
        }
        let took = self.took(now).as_micros();
        let remaining = took
            .saturating_mul(u128::from(WHOLE.saturating_sub(done)))
            .checked_div(u128::from(done))
            .map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)));
        let done_per_mille = u16::try_from(done / (WHOLE / 1000)).unwrap_or(1000).min(1000);
        self.tell(ScanEvent::Progress(Progress { frames: self.frames, found: self.found, done_per_mille, remaining }));
    }

    pub(super) fn done(&mut self, end: ScanEnd, now: Instant) {
        let (frames, found, took) = (self.frames, self.found, self.took(now));
        self.tell(ScanEvent::Done { end, frames, found, took });
    }

    pub(super) fn poll(&mut self) -> Option<ScanEvent> {
        self.events.pop_front()
    }

    fn took(&self, now: Instant) -> Duration {
        self.begun.map_or(Duration::ZERO, |begun| now - begun)
    }
}
