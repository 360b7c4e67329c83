//! Searching a wire.

use std::{future::Future, io, pin::Pin, time::Duration};

use plomb_mbus::{Address, FoundMeter, SPEEDS, Scan, ScanConfig, ScanEvent, SpeedAnswer};

use super::{Found, How, ScanLine, ScanOptions, total::Total};
use crate::{
    ask::mbus::{line_timing, secondary},
    config,
    link::{Link, drive_until},
    normalise::mbus::record,
    poll::telling_value,
};

/// What a USB adapter takes beyond the line's own time. Each silence of a search costs it.
const ADAPTER_LATENCY: Duration = Duration::from_millis(20);

/// Searches a wire over a port that nobody uses.
pub async fn wired(
    bus: &config::Bus,
    options: &ScanOptions,
    stop: impl Future<Output = ()>,
    tell: impl FnMut(ScanLine),
) -> io::Result<()> {
    let mut link = Link::open(&bus.port, bus.baud, bus.parity).await?;
    wired_on(&mut link, bus, options, stop, tell).await
}

/// Searches a wire over an open link. Leaves the link at the line's speed.
pub async fn wired_on(
    link: &mut Link,
    bus: &config::Bus,
    options: &ScanOptions,
    stop: impl Future<Output = ()>,
    mut tell: impl FnMut(ScanLine),
) -> io::Result<()> {
    let mut stop = Stop { coming: Box::pin(stop), came: false };
    let mut total = Total::new(options, bus.port.contains("://"));
    let speeds = match options.speeds {
        false => vec![bus.baud],
        true => {
            let mut answering = Vec::new();
            let mut scan = Scan::speeds(&SPEEDS, config_at(bus, bus.baud));
            drive_until(&mut scan, link, stop.wait(), Scan::cancel, |event| match event {
                ScanEvent::Speed { bits_per_second: baud, answer } => {
                    let word = match answer {
                        SpeedAnswer::Silence => "silence",
                        SpeedAnswer::Clean => "clean",
                        SpeedAnswer::Garbled => "garbled",
                    };
                    if answer != SpeedAnswer::Silence {
                        answering.push(baud);
                    }
                    tell(ScanLine::Speed { baud, answer: word.into() });
                }
                event => total.take(event, bus.baud, &mut tell),
            })
            .await?;
            answering
        }
    };
    for baud in speeds {
        if stop.came || total.is_over() {
            break;
        }
        link.set_speed(baud)?;
        let mut scan = search(options, config_at(bus, baud))?;
        drive_until(&mut scan, link, stop.wait(), Scan::cancel, |event| total.take(event, baud, &mut tell)).await?;
    }
    link.set_speed(bus.baud)?;
    tell(total.done());
    Ok(())
}

/// A wish to stop, for several searches in a row: a future must not be asked again once it has come.
struct Stop<F> {
    coming: Pin<Box<F>>,
    came: bool,
}

impl<F: Future<Output = ()>> Stop<F> {
    async fn wait(&mut self) {
        if self.came {
            return std::future::pending().await;
        }
        self.coming.as_mut().await;
        self.came = true;
    }
}

fn config_at(bus: &config::Bus, baud: u32) -> ScanConfig {
    let mut config = ScanConfig::new(baud);
    config.line = line_timing(bus, baud);
    if !bus.port.contains("://") && bus.latency_ms.is_none() {
        config.line.extra_latency = ADAPTER_LATENCY;
    }
    config
}

fn search(options: &ScanOptions, config: ScanConfig) -> io::Result<Scan> {
    Ok(match &options.how {
        How::Secondary { mask: None } => Scan::secondary(config),
        How::Secondary { mask: Some(mask) } => {
            let within = secondary(mask).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            Scan::within(within, config)
        }
        How::Primary { first, last } => Scan::primary(*first..=*last, config),
    })
}

pub(super) fn found(meter: &FoundMeter, baud: u32) -> Found {
    let Address(address) = meter.address;
    let mut found = Found {
        protocol: "mbus".into(),
        identity: meter.identity.map(|identity| identity.to_string()),
        // 0 is an address that was never set, 253 and above are no addresses of one meter.
        address: (1..=250).contains(&address).then_some(address),
        id: meter.identity.map(|identity| identity.id.to_string()),
        manufacturer: meter.identity.and_then(|identity| identity.manufacturer).map(|letters| letters.to_string()),
        version: meter.identity.and_then(|identity| identity.version),
        medium: meter.identity.and_then(|identity| identity.medium).map(|medium| medium.to_string()),
        baud: Some(baud),
        ..Found::default()
    };
    if let Ok(record) = record(std::slice::from_ref(&meter.telegram)) {
        found.value = telling_value(&record);
    }
    found
}
