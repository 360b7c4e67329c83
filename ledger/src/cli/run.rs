//! The hub in the foreground.

use std::{io::IsTerminal, time::Duration};

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::{
    config::HubConfig,
    hub::{Hub, HubError},
};

use super::{Failure, exit};

/// How long a stop may take before the process ends anyway; what is durable stays so.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest part of systemd's watchdog time between two signs of life: half of it.
const WATCHDOG_PART: u32 = 2;

pub(super) fn run(config: HubConfig) -> Result<(), Failure> {
    logging();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("runtime", &error))?;
    let outcome = runtime.block_on(serve(config));
    // The embedded broker's threads never end by themselves.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: HubConfig) -> Result<(), Failure> {
    let stopped = |kind| signal(kind).map_err(|error| Failure::io("signals", &error));
    let (mut terminate, mut interrupt) = (stopped(SignalKind::terminate())?, stopped(SignalKind::interrupt())?);
    let hub = tokio::select! {
        started = Hub::start(config) => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    notify(NotifyState::Ready);
    let outcome = tokio::select! {
        () = watchdog(&hub) => Err(()),
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        () = hub.failed() => Err(()),
    };
    notify(NotifyState::Stopping);
    if let Ok(signal) = outcome {
        info!("{signal}: finishing the present block");
    }
    let stopped = tokio::time::timeout(STOP_TIMEOUT, hub.stop()).await;
    match (outcome, stopped) {
        (Ok(_), Ok(Ok(()))) => {
            info!("stopped");
            Ok(())
        }
        (_, Ok(Err(error))) => Err(Failure::new(1, error.to_string())),
        (Err(()), _) => Err(Failure::new(1, HubError::BrokerDied.to_string())),
        (Ok(_), Err(_)) => Err(Failure::new(exit::UNAVAILABLE, "did not stop in time; what is durable stays so")),
    }
}

/// Tells systemd that the hub lives, if it asked to be told, for as long as it does. Never ends.
async fn watchdog(hub: &Hub) {
    let Some(every) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut tick = tokio::time::interval(every / WATCHDOG_PART);
    loop {
        tick.tick().await;
        if hub.is_healthy() {
            notify(NotifyState::Watchdog);
        }
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!("systemd can't be told: {error}");
    }
}

fn logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = match plomb_broker::EMBEDDED_LOG_DIRECTIVE.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).try_init();
}
