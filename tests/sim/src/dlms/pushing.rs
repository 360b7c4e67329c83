//! Notifications on their way: over TCP, over UDP, and on the meter's own serial lines.

use super::link::wrapped;
use super::serial::SerialWire;
use super::server::Shared;
use crate::serve::lock;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long a listener has to take a notification.
const DELIVERY_MAX: Duration = Duration::from_secs(5);
/// What stands for "never" where a period is needed.
const NEVER: Duration = Duration::from_secs(1 << 30);

/// Where a meter's notifications go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushRoute {
    /// A connection for each, in the wrapper, to `HOST:PORT`.
    Tcp(String),
    /// A datagram for each, in the wrapper, to `HOST:PORT`.
    Udp(String),
    /// Unnumbered information frames on every serial line that is open.
    Serial,
}

/// A serial line that takes notifications.
pub(super) type PushLine = (Arc<Mutex<SerialWire>>, Arc<Notify>);

/// Pushes when asked, and every so often, until it is aborted.
pub(super) async fn push(shared: Shared, routes: Vec<PushRoute>, lines: Vec<PushLine>, every: Option<Duration>) {
    let mut ticks = interval(every.unwrap_or(NEVER));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first tick is at once.
    if every.is_none() {
        ticks.tick().await;
    }
    loop {
        tokio::select! {
            _ = ticks.tick() => lock(&shared.meter).push(shared.elapsed()),
            () = shared.pushed.notified() => {}
        }
        let waiting = std::mem::take(&mut lock(&shared.meter).outbox);
        for notification in waiting {
            for route in &routes {
                // A listener that isn't there misses it.
                let _delivered = timeout(DELIVERY_MAX, deliver(&shared, route, &lines, &notification)).await;
            }
        }
    }
}

async fn deliver(shared: &Shared, route: &PushRoute, lines: &[PushLine], notification: &[u8]) -> std::io::Result<()> {
    let (device, client) = {
        let meter = lock(&shared.meter);
        (meter.config.logical_device, meter.config.push_client)
    };
    match route {
        PushRoute::Tcp(address) => {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&wrapped(device, client, notification)).await?;
            stream.shutdown().await
        }
        PushRoute::Udp(address) => {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            socket.send_to(&wrapped(device, client, notification), address).await.map(|_| ())
        }
        PushRoute::Serial => {
            for (wire, changed) in lines {
                lock(wire).push(notification, shared.elapsed());
                changed.notify_one();
            }
            Ok(())
        }
    }
}
