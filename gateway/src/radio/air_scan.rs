//! A scan of the air while the receiver goes on serving the points.

use plomb_mbus::MeterId;
use std::sync::Arc;

use plomb_profiles::Library;
use plomb_receivers::Heard;
use tokio::time::{Duration, Instant};

use crate::scan::{Ear, LINES_MAX, ScanLine, ScanOrder};

/// Who was heard since somebody asked.
pub(super) struct AirScan {
    order: ScanOrder,
    ear: Ear,
    begun: Instant,
}

impl AirScan {
    pub(super) fn begin(order: ScanOrder, library: Arc<Library>) -> Self {
        Self { order, ear: Ear::new(library), begun: Instant::now() }
    }

    /// Tells a sender that was not heard since the begin, with the point that is configured for it.
    pub(super) fn hear(&mut self, heard: &Heard, point: impl Fn(&MeterId) -> Option<String>) {
        let line = self.ear.hear(&heard.bytes, heard.rssi_dbm);
        if let Some((meter, ScanLine::Found(mut found))) = line {
            found.point = point(&meter);
            // There is place for each: the ear knows no more than half the queue, and progress leaves that half free.
            let _ = self.order.lines.try_send(ScanLine::Found(found));
        }
    }

    /// Tells how far it is, also while nobody sends: whoever asked must not take it for dead, and whoever is gone
    /// is noticed only by this.
    pub(super) fn tick(&self) {
        if self.order.lines.capacity() > LINES_MAX / 2 {
            let _ = self.order.lines.try_send(self.ear.progress(self.begun.elapsed(), self.lasts()));
        }
    }

    /// Whether the time is over, or whoever asked is gone.
    pub(super) fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.lasts() || self.order.lines.is_closed()
    }

    /// Tells the end: `complete`, or `failed` when plombd stops.
    pub(super) fn end(self, end: &str) {
        let _ = self.order.lines.try_send(self.ear.done(end, self.begun.elapsed(), None));
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs(self.order.options.lasts_s)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::scan::{How, ScanOptions, Wish};

    /// Whoever asked would take a long silence for a daemon that hangs.
    #[test]
    fn a_silent_air_is_told_of_and_a_slow_reader_misses_no_end() {
        let (lines, mut told) = mpsc::channel(LINES_MAX);
        let options =
            ScanOptions { how: How::Secondary { mask: None }, speeds: false, lasts_s: 60, wish: Wish::default() };
        let scan = AirScan::begin(ScanOrder { options, lines }, Arc::new(Library::empty()));
        (0..2 * LINES_MAX).for_each(|_| scan.tick());
        scan.end("cancelled");
        assert!(matches!(told.blocking_recv(), Some(ScanLine::Progress { frames: 0, .. })));
        let mut last = None;
        while let Some(line) = told.blocking_recv() {
            last = Some(line);
        }
        assert!(matches!(last, Some(ScanLine::Done { end, .. }) if end == "cancelled"));
    }
}
