//! A receiver among meters.

use super::air::Air;
use super::twin::Twin;
use crate::LineSpeed;
use crate::serve::Wire;
use std::time::Duration;

/// A receiver in an air, without I/O and without a clock.
#[derive(Debug)]
pub struct Station {
    /// The receiver.
    pub twin: Twin,
    /// The meters around it.
    pub air: Air,
    host_speed: Option<LineSpeed>,
}

impl Station {
    /// Puts a receiver among meters.
    #[must_use]
    pub fn new(twin: Twin, air: Air) -> Self {
        Self { twin, air, host_speed: None }
    }

    /// The host set its port to this speed.
    pub fn set_host_speed(&mut self, speed: LineSpeed) {
        self.host_speed = Some(speed);
    }

    /// The host writes bytes at `now`.
    pub fn host_sends(&mut self, bytes: &[u8], now: Duration) {
        let heard = self.at_its_speed(bytes);
        self.twin.host_sends(&heard, now);
    }

    /// When the receiver may have bytes for the host: it has some, or a meter sends.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        [self.twin.next_deadline(), self.air.next_deadline()].into_iter().flatten().min()
    }

    /// Lets the meters send until `now`, and takes the receiver's bytes for the host.
    pub fn take_due(&mut self, now: Duration) -> Vec<u8> {
        for (at, sent) in self.air.take_due(now) {
            self.twin.radiate(&sent, at);
        }
        let due = self.twin.take_due(now);
        self.at_its_speed(&due)
    }

    /// Bytes as they arrive on the other side: changed, when the speeds differ.
    fn at_its_speed(&self, bytes: &[u8]) -> Vec<u8> {
        match (self.host_speed, self.twin.speed()) {
            (Some(host), Some(twin)) if host != twin => bytes.iter().map(|byte| byte.rotate_left(3) ^ 0x5A).collect(),
            _ => bytes.to_vec(),
        }
    }
}

impl Wire for Station {
    fn set_master_speed(&mut self, speed: LineSpeed) {
        self.set_host_speed(speed);
    }

    fn master_sends(&mut self, bytes: &[u8], now: Duration) {
        self.host_sends(bytes, now);
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.next_deadline()
    }

    fn take_due(&mut self, now: Duration) -> Vec<u8> {
        self.take_due(now)
    }

    fn lose(&mut self, _: usize) {}
}
