//! `plomb demo`: a whole street in one command, and the proof of it.
//!
//! ```text
//! meters on a wire ─ pseudo-terminal ─▶ plombd ─ MQTT, mTLS ─▶ plomb-hub ─ MQTT, mTLS ─▶ the subscriber here
//! radio meters ─ receiver, the same ──────┤
//! an electricity meter ─ DLMS over TCP ───┤
//!                                          └─ journal ─▶ export ─▶ verify ◀─ archive of the hub
//! ```
//!
//! Both programs are real processes, started, stopped and waited for here.

mod air;
mod grid;
mod listen;
mod program;
mod prove;
mod refusals;
mod tell;
mod town;

use std::time::Duration;

use plomb_gateway::{control::Request, status::Snapshot};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{Instant, interval, sleep, timeout},
};

use crate::{
    args::DemoArgs,
    ask,
    exit::{BAD, Failure, INTERRUPTED, OK},
    show::Show,
};

use listen::{Heard, Listener};
use tell::Teller;
use town::Town;

/// How often the gateway is asked for its receipts.
const LOOK_PERIOD: Duration = Duration::from_millis(500);
/// After the gateway has stopped, its last messages may take so long.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// How much longer than one round of the line the demo goes on beyond its time.
const ROUND_GRACE: Duration = Duration::from_secs(15);
/// Threads for the simulated line and the subscriber; the rest happens on the main one.
const THREADS: usize = 2;

pub(super) fn demo(args: &DemoArgs, show: &Show) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("the runtime", error))?;
    program::kill_on_panic();
    let outcome = runtime.block_on(async {
        let mut interrupts = Interrupts::new()?;
        let (stop, stopped) = watch::channel(false);
        let ended_by_hand = async {
            interrupts.next().await;
            stop.send_replace(true);
            interrupts.next().await;
        };
        tokio::select! {
            // Dropping the play ends its processes.
            outcome = play(args, show, stopped) => outcome,
            () = ended_by_hand => Ok(INTERRUPTED),
        }
    });
    runtime.shutdown_background();
    outcome
}

struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::io("signals", error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn play(args: &DemoArgs, show: &Show, stopped: watch::Receiver<bool>) -> Result<u8, Failure> {
    let mut teller = Teller::new(show);
    let mut town = Town::found(args, &mut teller).await?;
    let mut listener = Listener::start(&town)?;
    let mut heard = Heard::default();
    listener.subscribed(&mut heard).await?;
    town.start_gateway()?;
    teller.begin(&town, args.lasts)?;
    watch_street(args, &mut town, &mut listener, &mut heard, &mut teller, stopped).await?;
    teller.step("stopping plombd: its last window is committed and anchored")?;
    stop_gateway(&mut town, &mut listener, &mut heard, &mut teller).await?;
    let proof = prove::prove(&town, &heard)?;
    town.stop_hub().await?;
    teller.proof(&town, &proof)?;
    Ok(if proof.holds() { OK } else { BAD })
}

/// Shows what arrives until the time is over and each meter was asked, or heard, once, or until told to stop.
async fn watch_street(
    args: &DemoArgs,
    town: &mut Town,
    listener: &mut Listener,
    heard: &mut Heard,
    teller: &mut Teller<'_>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let end = args.lasts.map(|lasts| Instant::now() + lasts);
    let give_up = end.map(|end| end + Duration::from_secs_f64(town.interval_s) + ROUND_GRACE);
    let mut told = false;
    let mut look = interval(LOOK_PERIOD);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
            message = listener.next() => teller.message(&heard.take(message?))?,
            _ = look.tick() => {
                town.still_run()?;
                let snapshot = state(town);
                if let Some(snapshot) = &snapshot {
                    teller.receipts(snapshot)?;
                    teller.refusals(snapshot)?;
                }
                let (now, past) = (Instant::now(), |limit: Option<Instant>, now| limit.is_some_and(|limit| limit <= now));
                if past(give_up, now) || (past(end, now) && snapshot.is_some_and(|snapshot| went_round(&snapshot) && town.antenna.is_told(&snapshot))) {
                    return Ok(());
                }
                if past(end, now) && !std::mem::replace(&mut told, true) {
                    teller.step("the time is over; going on until each meter was asked, or heard, or refused as it should be")?;
                }
            }
        }
    }
}

/// Whether each meter was asked at least once: sooner there is nothing to prove.
fn went_round(snapshot: &Snapshot) -> bool {
    !snapshot.points.is_empty() && snapshot.points.iter().all(|point| point.answered + point.absent > 0)
}

/// The gateway's state; nothing while it is starting.
fn state(town: &Town) -> Option<Snapshot> {
    let mut answer = town.place().ok()?.ask(&Request::Status {}).ok()?;
    serde_json::from_str(&ask::line(&mut answer).ok()?).ok()
}

/// Stops the gateway, and goes on listening until nothing more comes.
async fn stop_gateway(
    town: &mut Town,
    listener: &mut Listener,
    heard: &mut Heard,
    teller: &mut Teller<'_>,
) -> Result<(), Failure> {
    let mut stopping = Box::pin(town.stop_gateway());
    loop {
        tokio::select! {
            done = &mut stopping => {
                done?;
                break;
            }
            message = listener.next() => teller.message(&heard.take(message?))?,
        }
    }
    while let Ok(message) = timeout(STRAGGLERS, listener.next()).await {
        teller.message(&heard.take(message?))?;
    }
    sleep(Duration::ZERO).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_round_is_over_when_each_meter_was_asked() {
        let snapshot = |answered: [u64; 2]| -> Snapshot {
            let point = |answered: u64| {
                json!({
                    "point": "p", "bus": "b", "interval_s": 5.0, "answered": answered, "absent": 0,
                    "failures_in_a_row": 0, "status": [],
                })
            };
            let document = json!({
                "schema": "plomb.status/1", "version": "1", "gateway": "demo", "verdict": "ok", "troubles": [],
                "time": "", "clock": "unset", "started": "", "buses": [], "points": answered.map(point),
                "hub": plomb_gateway::status::Hub::default(), "journal": plomb_gateway::status::Journal::default(),
            });
            serde_json::from_value(document).unwrap()
        };
        assert!(!went_round(&snapshot([1, 0])));
        assert!(went_round(&snapshot([1, 1])));
    }
}
