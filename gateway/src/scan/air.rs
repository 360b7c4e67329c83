//! Listening for whoever sends.

use std::{collections::HashSet, future::Future, io, sync::Arc, time::Duration};

use plomb_mbus::{MeterId, SecondaryAddress};
use plomb_profiles::{Library, Memory};
use plomb_receivers::{Modes, Receiver, ReceiverEvent};
use plomb_wmbus::{MeterState, Opener, Security, Telegram};

use super::{Found, STOPPED, ScanLine};
use crate::{
    ask::port::advice,
    config,
    link::{Link, drive},
    normalise::wmbus::{Aids, own_ci, record},
    poll::telling_value,
    radio::{
        find, listen_config,
        strangers::{STRANGERS_MAX, protection},
    },
};

/// Listens through a receiver that nobody uses, for `lasts`, and tells each sender once.
pub async fn air(
    bus: &config::Bus,
    lasts: Duration,
    stop: impl Future<Output = ()>,
    mut tell: impl FnMut(ScanLine),
) -> Result<(), String> {
    let port = |error: io::Error| format!("{}: {error}; {}", bus.port, advice(&error));
    let kind = match bus.receiver_kind()? {
        Some(kind) => kind,
        None => find(&bus.port).await?,
    };
    let listening = listen_config(bus, Some(kind))?;
    let modes = listening.modes;
    let mut session = Receiver::new(kind, listening);
    let mut link = Link::open_receiver(&bus.port, kind.bits_per_second()).await.map_err(port)?;
    let begun = tokio::time::Instant::now();
    let library = crate::models::library(None)?;
    let mut ear = Ear::new(Arc::new(library));
    let mut failure = None;
    let driven = drive(&mut session, &mut link, |event| match event {
        ReceiverEvent::Heard(heard) => {
            if let Some((_, line)) = ear.hear(&heard.bytes, heard.rssi_dbm) {
                tell(line);
            }
            tell(ear.progress(begun.elapsed(), lasts));
        }
        ReceiverEvent::Failed(why) => failure = Some(why.to_string()),
        _ => {}
    });
    let end = tokio::select! {
        driven = driven => match driven {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && Link::is_pipe(&bus.port) => "ended",
            driven => {
                driven.map_err(port)?;
                "failed"
            }
        },
        () = tokio::time::sleep(lasts) => "complete",
        () = stop => "cancelled",
    };
    if let Some(failure) = failure {
        return Err(format!("{}: {failure}", bus.port));
    }
    tell(ear.done(end, begun.elapsed(), Some(modes)));
    Ok(())
}

/// Knows who was heard.
pub(crate) struct Ear {
    known: HashSet<MeterId>,
    telegrams: u64,
    link: Vec<u8>,
    library: Arc<Library>,
    memory: Memory,
}

impl Ear {
    pub(crate) fn new(library: Arc<Library>) -> Self {
        Self { known: HashSet::new(), telegrams: 0, link: Vec::new(), library, memory: Memory::default() }
    }

    /// A sender that was not heard before.
    pub(crate) fn hear(&mut self, bytes: &[u8], rssi_dbm: Option<i16>) -> Option<(MeterId, ScanLine)> {
        let telegram = Telegram::parse(bytes, &mut self.link).ok()?;
        let meter = self.library.identity(telegram.meter()?, own_ci(&telegram));
        self.telegrams += 1;
        if self.known.len() >= STRANGERS_MAX || !self.known.insert(meter) {
            return None;
        }
        // One that sends in clear shows its value; the others need their key.
        let state = MeterState::new(Security::plain());
        let mut opener = Opener::new();
        let opened = opener.open(&telegram, &state).ok();
        let aids = Aids { library: &self.library, key: None, memory: &mut self.memory };
        let said = opened.and_then(|opened| record(&opened, bytes, None, aids).ok());
        let found = Found {
            protocol: "wmbus".into(),
            identity: Some(SecondaryAddress::from(meter).to_string()),
            id: Some(meter.id.to_string()),
            manufacturer: Some(meter.manufacturer.to_string()),
            version: Some(meter.version),
            medium: Some(meter.medium.to_string()),
            value: said.as_ref().and_then(|(record, _)| telling_value(record)),
            protection: Some(protection(&telegram)),
            rssi_dbm,
            ..Found::default()
        };
        Some((meter, ScanLine::Found(found)))
    }

    pub(crate) fn progress(&self, passed: Duration, lasts: Duration) -> ScanLine {
        let done = passed.as_millis().saturating_mul(1000) / lasts.as_millis().max(1);
        ScanLine::Progress {
            frames: self.telegrams,
            found: self.known.len() as u64,
            done_per_mille: u16::try_from(done.min(1000)).unwrap_or(1000),
            remaining_s: Some(super::seconds(lasts.saturating_sub(passed))),
        }
    }

    /// The end. `modes` are what the receiver could hear, if it is told.
    pub(crate) fn done(&self, end: &str, took: Duration, modes: Option<Modes>) -> ScanLine {
        let what = match (end, self.known.len()) {
            ("complete", 0) => {
                "nothing was heard: check the antenna and the modes; many meters send only every few minutes"
            }
            ("ended", 0) => "the input ended, and no telegram was in it: see whether rtl_wmbus says why",
            ("ended", _) => "heard to the end of the input",
            ("complete", _) => "heard for as long as asked; meters that send rarely may be missing: listen longer",
            // Only plombd's own receiver ends so.
            ("failed", _) => STOPPED,
            _ => "ended early: there may be more meters",
        };
        let detail = match modes {
            Some(modes) => format!("{what}; this was mode {modes}, `--modes` chooses others"),
            None => what.to_string(),
        };
        ScanLine::Done {
            end: match (end, self.known.is_empty()) {
                ("complete" | "ended", true) => "nobody-answers".into(),
                ("ended", false) => "complete".into(),
                _ => end.into(),
            },
            detail,
            frames: self.telegrams,
            found: self.known.len() as u64,
            took_s: super::seconds(took),
        }
    }
}
