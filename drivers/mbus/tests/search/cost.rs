//! Every meter found, none invented, and what that costs.

use crate::sets::{SETS, Set, identities, line};
use crate::virtual_line::{Run, drive};
use plomb_mbus::{Scan, ScanConfig, ScanEnd, ScanEvent};
use std::collections::BTreeSet;
use std::time::Duration;

/// The eight bytes of each meter that was told as found.
pub fn found(run: &Run<ScanEvent>) -> Vec<[u8; 8]> {
    let identities = run.events.iter().filter_map(|event| match event {
        ScanEvent::Found(meter) => meter.identity,
        _ => None,
    });
    identities.map(|identity| identity.to_bytes()).collect()
}

pub fn end(run: &Run<ScanEvent>) -> ScanEnd {
    match run.events.last() {
        Some(ScanEvent::Done { end, .. }) => *end,
        other => panic!("{other:?}"),
    }
}

struct Row {
    frames: usize,
    silent: usize,
    took: Duration,
    needed: Duration,
}

fn search(set: Set, count: usize, speed: u32, seed: u64) -> Row {
    let meters = identities(set, count, seed);
    let run = drive(&mut Scan::secondary(ScanConfig::new(speed)), &mut line(&meters, speed));
    let told = found(&run);
    let fitted: BTreeSet<[u8; 8]> = meters.iter().map(|(identity, _)| identity.bytes()).collect();
    let names = format!("{set:?}, {count} meters, {speed} baud, seed {seed}");
    assert_eq!(
        told.iter().copied().collect::<BTreeSet<_>>(),
        fitted,
        "{names}: {:?}",
        run.events
            .iter()
            .filter(|event| !matches!(event, ScanEvent::Found(_) | ScanEvent::Progress(_)))
            .collect::<Vec<_>>()
    );
    assert_eq!(told.len(), fitted.len(), "{names}: one was told twice");
    assert_eq!(end(&run), ScanEnd::Complete, "{names}");
    Row { frames: run.sent.len(), silent: run.silent, took: run.took, needed: run.needed }
}

#[test]
fn every_meter_is_found_and_none_invented() {
    let seeds = 3;
    println!(
        "{:<24} {:>6} {:>6} {:>7} {:>7} {:>9} {:>9} {:>6}",
        "set", "meters", "baud", "frames", "silent", "time s", "needed s", "ratio"
    );
    for count in [2, 10, 40] {
        for speed in [2400, 9600] {
            for set in SETS {
                let rows: Vec<Row> = (0..seeds).map(|seed| search(set, count, speed, seed)).collect();
                let seconds = |of: fn(&Row) -> Duration| {
                    rows.iter().map(|row| of(row).as_secs_f64()).sum::<f64>()
                        / f64::from(u32::try_from(rows.len()).unwrap())
                };
                let (took, needed) = (seconds(|row| row.took), seconds(|row| row.needed));
                println!(
                    "{:<24} {count:>6} {speed:>6} {:>7} {:>7} {took:>9.2} {needed:>9.2} {:>6.3}",
                    format!("{set:?}"),
                    rows.iter().map(|row| row.frames).sum::<usize>() / rows.len(),
                    rows.iter().map(|row| row.silent).sum::<usize>() / rows.len(),
                    took / needed
                );
                assert!(took <= 1.3 * needed, "{set:?}");
            }
        }
    }
}
