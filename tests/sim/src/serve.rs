//! The loop that joins a line to a port, with time.

use crate::LineSpeed;
use crate::line::Line;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Bytes read from a port at once.
const READ_BYTES_MAX: usize = 1024;

/// A place where a master writes and reads.
pub(crate) trait Port {
    /// Waits for bytes of the master; 0 means that it has gone for good.
    async fn read(&self, bytes: &mut [u8]) -> io::Result<usize>;
    /// Hands over as many bytes as there is room for, without waiting.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// The speed to which the master has set its side, where it can be known.
    fn master_speed(&self) -> Option<LineSpeed>;
}

/// What is behind a port: it hears the master and answers in time, without I/O.
pub(crate) trait Wire {
    /// The master set its own port to this speed.
    fn set_master_speed(&mut self, speed: LineSpeed);
    /// The master writes bytes at `now`.
    fn master_sends(&mut self, bytes: &[u8], now: Duration);
    /// When there may be bytes for the master.
    fn next_deadline(&self) -> Option<Duration>;
    /// The bytes for the master that are due by `now`.
    fn take_due(&mut self, now: Duration) -> Vec<u8>;
    /// So many bytes found no room on the master's side.
    fn lose(&mut self, bytes: usize);
}

impl Wire for Line {
    fn set_master_speed(&mut self, speed: LineSpeed) {
        self.set_master_speed(speed);
    }

    fn master_sends(&mut self, bytes: &[u8], now: Duration) {
        self.master_sends(bytes, now);
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.next_deadline()
    }

    fn take_due(&mut self, now: Duration) -> Vec<u8> {
        self.take_due(now)
    }

    fn lose(&mut self, bytes: usize) {
        self.lose(bytes);
    }
}

/// A line that its user and its loop share.
pub(crate) type Shared = Arc<Mutex<Line>>;

/// A panic elsewhere cannot leave a line half changed in a way that matters
/// to a simulator: go on with it.
pub(crate) fn lock<W>(wire: &Mutex<W>) -> MutexGuard<'_, W> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves the wire on the port until the master has gone. Every instant is
/// counted from `start`, so that late wake-ups don't add up. `changed` tells
/// that somebody else put bytes on it.
pub(crate) async fn serve<W: Wire>(
    port: &impl Port,
    wire: &Mutex<W>,
    changed: &Notify,
    start: Instant,
) -> io::Result<()> {
    let mut bytes = [0; READ_BYTES_MAX];
    loop {
        let deadline = lock(wire).next_deadline();
        let wake = sleep_until(start + deadline.unwrap_or_default());
        tokio::select! {
            read = port.read(&mut bytes) => {
                let count = read?;
                if count == 0 {
                    return Ok(());
                }
                let mut wire = lock(wire);
                port.master_speed().into_iter().for_each(|speed| wire.set_master_speed(speed));
                wire.master_sends(bytes.get(..count).unwrap_or_default(), start.elapsed());
            }
            () = changed.notified() => {}
            () = wake, if deadline.is_some() => {
                let mut wire = lock(wire);
                port.master_speed().into_iter().for_each(|speed| wire.set_master_speed(speed));
                let due = wire.take_due(start.elapsed());
                hand_over(port, &mut *wire, &due)?;
            }
        }
    }
}

fn hand_over(port: &impl Port, wire: &mut impl Wire, due: &[u8]) -> io::Result<()> {
    let mut rest = due;
    while !rest.is_empty() {
        match port.try_write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => {
                // A receiver that nobody empties overruns, as a real one does.
                wire.lose(rest.len());
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Calendar, street};
    use tokio::sync::{Mutex as Waiting, mpsc};

    /// A port whose client is a test.
    struct Scripted {
        requests: Waiting<mpsc::Receiver<Vec<u8>>>,
        heard: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
        full: bool,
    }

    impl Port for Scripted {
        async fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
            let Some(request) = self.requests.lock().await.recv().await else { return Ok(0) };
            bytes[..request.len()].copy_from_slice(&request);
            Ok(request.len())
        }

        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            if self.full {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.heard.send((Instant::now(), bytes.to_vec())).unwrap();
            Ok(bytes.len())
        }

        fn master_speed(&self) -> Option<LineSpeed> {
            Some(LineSpeed(2400))
        }
    }

    /// Asks once; gives what was heard, and the line.
    async fn ask(request: &[u8], full: bool) -> (Vec<(Duration, Vec<u8>)>, Shared) {
        let calendar = Calendar { start_unix_s: 1_795_423_325, factor: 1 };
        let line = Shared::new(Mutex::new(Line::new(street(1, 3, LineSpeed(2400), calendar).bus)));
        let (ask, requests) = mpsc::channel(1);
        let (heard, mut hears) = mpsc::unbounded_channel();
        let port = Scripted { requests: Waiting::new(requests), heard, full };
        let start = Instant::now();
        let served = Arc::clone(&line);
        let loop_task = tokio::spawn(async move { serve(&port, &served, &Notify::new(), start).await });
        ask.send(request.to_vec()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        drop(ask);
        loop_task.await.unwrap().unwrap();
        let mut all = Vec::new();
        while let Some((at, bytes)) = hears.recv().await {
            all.push((at - start, bytes));
        }
        (all, line)
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_come_at_their_time_and_delays_do_not_add_up() {
        let (heard, line) = ask(&[0x10, 0x7B, 0x01, 0x7C, 0x16], false).await;
        let count: usize = heard.iter().map(|(_, bytes)| bytes.len()).sum();
        let served = lock(&line).bus.slave(1).unwrap().served().last().unwrap().to_vec();
        let bytes: Vec<u8> = heard.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(bytes, served);
        let (first, last) = (heard[0].0, heard[heard.len() - 1].0);
        let ideal = LineSpeed(2400).bytes(count - 1);
        // The timer ticks in milliseconds, once at either end.
        assert!((last - first).abs_diff(ideal) <= Duration::from_millis(2), "{first:?} {last:?} {ideal:?}");
        assert!(heard.len() > count / 2, "at 2400 baud bytes come singly");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_loses_bytes_not_the_line() {
        let (heard, line) = ask(&[0x10, 0x40, 0x01, 0x41, 0x16], true).await;
        assert!(heard.is_empty());
        assert_eq!(lock(&line).counters().lost_bytes, 1);
    }
}
