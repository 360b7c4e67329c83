//! Keeps a receiver listening: opens its port, finds out what it is, sets it up, and begins anew when it fails.

use std::{io, time::Duration};

use plomb_receivers::{
    Kind, ListenConfig, Modes, PROBE_ORDER, PROBE_PAUSE, Probe, ProbeEvent, Receiver, ReceiverEvent,
};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use crate::{
    ask::port::advice,
    config,
    link::{Link, drive},
};

/// The most events of a receiver that wait; more are counted as lost.
pub(super) const EVENTS_MAX: usize = 512;
/// How long a receiver or port that failed is left alone at least, and at most.
const AGAIN_MIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// What the task that holds the port tells.
#[derive(Debug)]
pub(super) enum FromReceiver {
    /// The port or the receiver failed; it is tried again.
    Port(String),
    /// What the receiver tells.
    Receiver(ReceiverEvent),
}

/// A task that ends with its handle.
pub(super) struct Task(pub(super) JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens until nobody takes the events any more.
pub(super) async fn keep(bus: config::Bus, events: mpsc::Sender<FromReceiver>) {
    let mut again = AGAIN_MIN;
    loop {
        let mut heard = false;
        let failure = match listen(&bus, &events, &mut heard).await {
            Ok(()) => "the receiver stopped".to_string(),
            Err(failure) => failure,
        };
        if heard {
            again = AGAIN_MIN;
        }
        if events.send(FromReceiver::Port(failure)).await.is_err() {
            return;
        }
        sleep(again).await;
        again = (again * 2).min(AGAIN_MAX);
    }
}

/// One session, from the open port to its failure.
async fn listen(bus: &config::Bus, events: &mpsc::Sender<FromReceiver>, heard: &mut bool) -> Result<(), String> {
    let port = |error: io::Error| format!("{}: {error}; {}", bus.port, advice(&error));
    let kind = match bus.receiver_kind()? {
        Some(kind) => kind,
        None => find(&bus.port).await?,
    };
    let mut session = Receiver::new(kind, listen_config(bus, Some(kind))?);
    let mut link = Link::open_receiver(&bus.port, kind.bits_per_second()).await.map_err(port)?;
    let (mut failure, mut lost) = (None, 0u32);
    let driven = drive(&mut session, &mut link, |event| {
        if lost > 0 && events.try_send(FromReceiver::Receiver(ReceiverEvent::Lost(lost))).is_ok() {
            lost = 0;
        }
        match event {
            ReceiverEvent::Failed(why) => failure = Some(why.to_string()),
            event => {
                *heard |= matches!(event, ReceiverEvent::Heard(_));
                // A journal that is slow for so long has told so; the air does not wait.
                lost = lost.saturating_add(u32::from(events.try_send(FromReceiver::Receiver(event)).is_err()));
            }
        }
    });
    driven.await.map_err(port)?;
    match failure {
        Some(failure) => Err(format!("{}: {failure}", bus.port)),
        None => Ok(()),
    }
}

/// Finds out which receiver is on a port, in an order that does no harm. Into a pipe only a program writes.
pub async fn find(port: &str) -> Result<Kind, String> {
    if Link::is_pipe(port) {
        return Ok(Kind::RtlWmbus);
    }
    let mut reasons = Vec::new();
    for kind in PROBE_ORDER {
        let opened = Link::open_receiver(port, kind.bits_per_second()).await;
        let mut link = opened.map_err(|error| format!("{port}: {error}; {}", advice(&error)))?;
        let mut probe = Probe::new(kind);
        let mut found = None;
        let driven = drive(&mut probe, &mut link, |event| match event {
            ProbeEvent::Found(identity) => found = Some(identity.kind),
            ProbeEvent::NotFound(failure) => reasons.push(failure.to_string()),
        });
        driven.await.map_err(|error| format!("{port}: {error}; {}", advice(&error)))?;
        if let Some(kind) = found {
            return Ok(kind);
        }
        sleep(PROBE_PAUSE).await;
    }
    reasons.dedup();
    Err(format!("{port}: no known receiver answers; if it is one, name it with `receiver` ({})", reasons.join("; ")))
}

/// How the receiver of a bus is to listen. Without configured modes: T and C where it can hear both.
pub fn listen_config(bus: &config::Bus, kind: Option<Kind>) -> Result<ListenConfig, String> {
    let usual = |kind: Kind| {
        let preferred = [Modes::T_AND_C, Modes::T].into_iter().find(|modes| kind.can_hear(*modes));
        preferred.or(kind.combinations().first().copied()).unwrap_or(Modes::T)
    };
    let modes = match &bus.modes {
        None => kind.map_or(Modes::T, usual),
        Some(text) => text.parse().map_err(|error| format!("bus \"{}\": modes: {error}", bus.name))?,
    };
    let mut config = ListenConfig::new(modes);
    if let Some(format) = bus.c_format {
        config.c_format = match format {
            config::CFormat::A => plomb_receivers::CFormat::A,
            config::CFormat::B => plomb_receivers::CFormat::B,
        };
    }
    if let Some(seconds) = bus.silence_s {
        config.silence = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
    }
    Ok(config)
}
