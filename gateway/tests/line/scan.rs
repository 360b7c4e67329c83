//! Searches on paced pseudo-terminals: found = fitted, and the time against what the frames need.

use crate::sets::{SETS, Set, identities, line};
use crate::virtual_line;
use plomb_gateway::config::Parity;
use plomb_gateway::link::{Link, drive, drive_until};
use plomb_mbus::{Command, CommandEvent, Identification, ReadConfig, Scan, ScanConfig, ScanEnd, ScanEvent};
use plomb_mbus::{SecondaryAddress, Target};
use plomb_sim::{LineSpeed, PtyLine};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What a busy machine and a pseudo-terminal take.
const LATENCY: Duration = Duration::from_millis(8);

/// More would measure the machine, not the search.
const LINES_AT_ONCE: usize = 16;

struct Row {
    frames: u32,
    took: Duration,
    needed: Duration,
}

fn config(speed: u32) -> ScanConfig {
    let mut config = ScanConfig::new(speed);
    // None of these lines needs as many.
    config.frames_max = 4000;
    config.line.extra_latency = LATENCY;
    config
}

async fn search(set: Set, count: usize, speed: u32, seed: u64) -> Row {
    let meters = identities(set, count, seed);
    let needed = virtual_line::drive(&mut Scan::secondary(ScanConfig::new(speed)), &mut line(&meters, speed)).needed;
    let pty = PtyLine::open(None, line(&meters, speed).bus).unwrap();
    let mut link = Link::open(pty.path().to_str().unwrap(), speed, Parity::Even).await.unwrap();
    let mut events = Vec::new();
    drive(&mut Scan::secondary(config(speed)), &mut link, |event| events.push(event)).await.unwrap();
    let told: Vec<[u8; 8]> = events
        .iter()
        .filter_map(|event| match event {
            ScanEvent::Found(meter) => Some(meter.identity.unwrap().to_bytes()),
            _ => None,
        })
        .collect();
    let fitted: BTreeSet<[u8; 8]> = meters.iter().map(|(identity, _)| identity.bytes()).collect();
    assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), fitted, "{set:?}, {count}, {speed} baud, seed {seed}");
    assert_eq!(told.len(), fitted.len(), "one was told twice");
    let Some(ScanEvent::Done { end: ScanEnd::Complete, frames, took, .. }) = events.last() else {
        panic!("{:?}", events.last())
    };
    Row { frames: *frames, took: *took, needed }
}

fn tell(set: Set, count: usize, speed: u32, row: &Row) {
    let (took, needed) = (row.took.as_secs_f64(), row.needed.as_secs_f64());
    println!(
        "{:<20} {count:>6} {speed:>6} {:>7} {took:>9.2} {needed:>9.2} {:>6.3}",
        format!("{set:?}"),
        row.frames,
        took / needed
    );
}

#[tokio::test]
async fn two_meters_on_a_real_line() {
    let row = search(Set::Random, 2, 9600, 1).await;
    tell(Set::Random, 2, 9600, &row);
    // A blind descent takes 155 frames and 32 s for two meters at this speed.
    assert!(row.frames < 40 && row.took < Duration::from_secs(8), "{} frames, {:?}", row.frames, row.took);
}

#[tokio::test]
async fn a_search_is_stopped_and_the_line_left_clean() {
    let meters = identities(Set::Random, 10, 1);
    let pty = PtyLine::open(None, line(&meters, 9600).bus).unwrap();
    let mut link = Link::open(pty.path().to_str().unwrap(), 9600, Parity::Even).await.unwrap();
    let mut scan = Scan::secondary(config(9600));
    let mut last = None;
    let stop = tokio::time::sleep(Duration::from_millis(400));
    drive_until(&mut scan, &mut link, stop, Scan::cancel, |event| last = Some(event)).await.unwrap();
    assert!(matches!(last, Some(ScanEvent::Done { end: ScanEnd::Cancelled, .. })), "{last:?}");
    assert!(pty.with_bus(|bus| bus.slaves().all(|slave| !slave.is_selected())));
}

#[tokio::test]
async fn the_port_follows_a_meter_to_another_speed() {
    let meters = identities(Set::Random, 1, 1);
    let pty = PtyLine::open(None, line(&meters, 2400).bus).unwrap();
    let mut link = Link::open(pty.path().to_str().unwrap(), 2400, Parity::Even).await.unwrap();
    let target = Target::Secondary(SecondaryAddress::from_id(Identification(meters[0].0.id)));
    let mut read = ReadConfig::new(2400);
    read.extra_latency = LATENCY;
    let mut command = Command::switch_speed(target, 9600, read).unwrap();
    let mut events = Vec::new();
    drive(&mut command, &mut link, |event| events.push(event)).await.unwrap();
    assert_eq!(events, [CommandEvent::Switched { bits_per_second: 9600 }]);
    assert_eq!(pty.with_bus(|bus| bus.speed()), LineSpeed(9600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaign() {
    if std::env::var_os("PLOMB_CAMPAIGN").is_none() {
        println!("skipped: PLOMB_CAMPAIGN=1 searches lines of 2, 10 and 40 meters in real time (some minutes)");
        return;
    }
    println!(
        "{:<20} {:>6} {:>6} {:>7} {:>9} {:>9} {:>6}",
        "set", "meters", "baud", "frames", "time s", "needed s", "ratio"
    );
    let mut lines = Vec::new();
    let room = Arc::new(Semaphore::new(LINES_AT_ONCE));
    for count in [2, 10, 40] {
        for speed in [2400, 9600] {
            // Groups that only these part take a quarter of an hour at forty meters: in virtual time only.
            let long = [Set::EqualByVersion, Set::EqualByRareManufacturer];
            for set in SETS.into_iter().filter(|set| !long.contains(set)) {
                let room = Arc::clone(&room);
                lines.push(tokio::spawn(async move {
                    let _place = room.acquire().await.unwrap();
                    let row = search(set, count, speed, 0).await;
                    tell(set, count, speed, &row);
                    row
                }));
            }
        }
    }
    let mut worst = 0.0f64;
    for line in lines {
        let row = line.await.unwrap();
        worst = worst.max(row.took.as_secs_f64() / row.needed.as_secs_f64());
    }
    println!("worst ratio {worst:.3}");
    assert!(worst < 1.3 + 0.2, "the machine is allowed a fifth: {worst:.3}");
}
