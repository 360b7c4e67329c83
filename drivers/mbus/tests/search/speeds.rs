//! The search for speeds.

use crate::cost::end;
use crate::sets::line;
use crate::virtual_line::drive;
use plomb_mbus::{SPEEDS, Scan, ScanConfig, ScanEnd, ScanEvent, SpeedAnswer};
use plomb_sim::LineSpeed;
use plomb_sim::live::{Kind, Meter};
use plomb_sim::mbus::{Identity, Slave};

fn slave(address: u8, id: u32) -> Slave {
    let identity = Identity { id, manufacturer: 0x2C2D, version: 1, medium: 7 };
    Slave::live(address, Meter::new(Kind::Water, identity, u64::from(address)))
}

#[test]
fn each_speed_with_a_meter_answers_and_no_other() {
    let mut line = line(&[], 2400);
    line.bus.fit_at(LineSpeed(300), slave(1, 0x1111_1111));
    line.bus.fit_at(LineSpeed(9600), slave(2, 0x2222_2222));
    let run = drive(&mut Scan::speeds(&SPEEDS, ScanConfig::new(2400)), &mut line);
    let answers: Vec<(u32, SpeedAnswer)> = run
        .events
        .iter()
        .filter_map(|event| match event {
            ScanEvent::Speed { bits_per_second, answer } => Some((*bits_per_second, *answer)),
            _ => None,
        })
        .collect();
    assert_eq!(answers.len(), SPEEDS.len());
    for (speed, answer) in answers {
        let expected = if [300, 9600].contains(&speed) { SpeedAnswer::Clean } else { SpeedAnswer::Silence };
        assert_eq!(answer, expected, "{speed} baud");
    }
    assert_eq!(end(&run), ScanEnd::Complete);
    println!("speeds: {} frames, {:.1} s", run.sent.len(), run.took.as_secs_f64());
}

#[test]
fn nobody_at_any_speed() {
    let run = drive(&mut Scan::speeds(&[2400, 0, 300], ScanConfig::new(2400)), &mut line(&[], 2400));
    assert_eq!(end(&run), ScanEnd::NobodyAnswers);
    assert_eq!(run.events.iter().filter(|event| matches!(event, ScanEvent::Speed { .. })).count(), 2);
}
