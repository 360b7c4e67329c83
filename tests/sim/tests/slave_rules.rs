//! The slave's rules, in virtual time, against bytes written by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_sim::live::{Kind, Meter};
use plomb_sim::mbus::{Identity, Slave};
use plomb_sim::{Bus, Calendar, Line, LineSpeed};
use proptest::prelude::*;
use std::time::Duration;

const SPEED: LineSpeed = LineSpeed(2400);
/// 2026-11-23 08:42:05 UTC; the meters' clocks stand still.
const NOW: Calendar = Calendar { start_unix_s: 1_795_423_325, factor: 0 };

/// A water meter's frame as recorded at address 1: 00182007, GWF, 12.69 m³ …
const GWF: [u8; 33] = [
    0x68, 0x1B, 0x1B, 0x68, 0x08, 0x01, 0x72, 0x07, 0x20, 0x18, 0x00, 0xE6, 0x1E, 0x35, 0x07, 0x4C, 0x00, 0x00, 0x00,
    0x0C, 0x78, 0x07, 0x20, 0x18, 0x00, 0x0C, 0x16, 0x69, 0x02, 0x00, 0x00, 0x96, 0x16,
];

/// A master on a simulated wire, who waits as long as it takes.
struct Master {
    line: Line,
    now: Duration,
}

impl Master {
    fn with(slaves: Vec<Slave>) -> Self {
        let mut bus = Bus::new(SPEED, NOW);
        slaves.into_iter().for_each(|slave| bus.fit(slave));
        Self { line: Line::new(bus), now: Duration::ZERO }
    }

    /// Sends a frame and hears what comes within two seconds.
    fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.line.master_sends(bytes, self.now);
        self.now += Duration::from_secs(2);
        self.line.take_due(self.now)
    }

    fn slave(&mut self, address: u8) -> &mut Slave {
        self.line.bus.slave_mut(address).unwrap()
    }
}

fn short(control: u8, address: u8) -> [u8; 5] {
    [0x10, control, address, control.wrapping_add(address), 0x16]
}

fn select(id: [u8; 4], rest: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x68, 0x0B, 0x0B, 0x68, 0x73, 0xFD, 0x52];
    frame.extend(id);
    frame.extend(rest);
    let sum = frame[4..].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    frame.extend([sum, 0x16]);
    frame
}

fn heat(address: u8, id: u32) -> Slave {
    let identity = Identity { id, manufacturer: 0x4181, version: 3, medium: 4 };
    Slave::live(address, Meter::new(Kind::Heat, identity, 42))
}

#[test]
fn a_recorded_frame_is_served_at_another_address_with_a_fitting_checksum() {
    let mut master = Master::with(vec![Slave::fixed(9, vec![GWF.to_vec()])]);
    assert_eq!(master.ask(&[0x10, 0x40, 0x09, 0x49, 0x16]), [0xE5]);
    let mut expected = GWF;
    expected[5] = 0x09;
    expected[31] = 0x9E;
    assert_eq!(master.ask(&[0x10, 0x7B, 0x09, 0x84, 0x16]), expected);
    assert!(master.ask(&short(0x7B, 1)).is_empty(), "not its address");
}

#[test]
fn an_unchanged_frame_keeps_every_byte() {
    let mut master = Master::with(vec![Slave::fixed_unchanged(9, vec![GWF.to_vec()])]);
    assert_eq!(master.ask(&short(0x5B, 9)), GWF);
}

#[test]
fn test_address_is_answered_broadcast_is_not() {
    let mut master = Master::with(vec![Slave::fixed(9, vec![GWF.to_vec()])]);
    assert_eq!(master.ask(&short(0x40, 254)), [0xE5]);
    assert_eq!(master.ask(&short(0x7B, 254))[..4], [0x68, 0x1B, 0x1B, 0x68]);
    assert!(master.ask(&short(0x40, 255)).is_empty());
    assert!(master.ask(&short(0x7B, 255)).is_empty());
    assert_eq!(master.ask(&short(0x5A, 9)), [0xE5], "no alarm");
}

#[test]
fn frame_count_bit_repeats_or_goes_on() {
    let mut master = Master::with(vec![heat(1, 0x1234_5678)]);
    let first = master.ask(&short(0x7B, 1));
    assert_eq!(first[first.len() - 3], 0x1F, "more records follow");
    assert_eq!(master.ask(&short(0x7B, 1)), first, "the same bit: the same telegram");
    let second = master.ask(&short(0x5B, 1));
    assert_ne!(second, first);
    assert_eq!(second[15], first[15].wrapping_add(1), "access number");
    assert_eq!(second[second.len() - 8..second.len() - 2], [0x0F, 0x50, 0x4C, 0x4F, 0x4D, 0x42]);
    assert_eq!(master.ask(&short(0x5B, 1)), second);
    let third = master.ask(&short(0x7B, 1));
    assert_eq!(third[19..third.len() - 2], first[19..first.len() - 2], "a new readout begins with the first");
    assert_eq!(master.ask(&short(0x40, 1)), [0xE5]);
    let after_reset = master.ask(&short(0x7B, 1));
    assert_eq!(after_reset[19..after_reset.len() - 2], first[19..first.len() - 2], "a reset forgets the bit");
}

#[test]
fn a_stale_bit_gives_the_old_telegram() {
    // The trap for masters that don't reset: the last readout ended with 7B.
    let mut master = Master::with(vec![Slave::fixed(
        1,
        vec![GWF.to_vec(), {
            let mut other = GWF;
            other[15] = 0x4D;
            other.to_vec()
        }],
    )]);
    let old = master.ask(&short(0x7B, 1));
    assert_eq!(master.ask(&short(0x7B, 1)), old);
    assert_ne!(master.ask(&short(0x5B, 1)), old);
}

#[test]
fn selection_with_wildcards_finds_one_of_two() {
    let mut master = Master::with(vec![heat(1, 0x1234_5678), heat(2, 0x1234_9999)]);
    let any = [0xFF; 4];
    assert!(master.ask(&short(0x7B, 253)).is_empty(), "nobody is selected");
    assert_eq!(master.ask(&select([0x78, 0xF6, 0xFF, 0xFF], any)), [0xE5]);
    let answer = master.ask(&short(0x7B, 253));
    assert_eq!(answer[5], 0x01, "answers with its primary address");
    assert_eq!(answer[7..15], [0x78, 0x56, 0x34, 0x12, 0x81, 0x41, 0x03, 0x04]);
    assert_eq!(master.ask(&select([0x99, 0x99, 0x34, 0x12], [0x81, 0x41, 0x03, 0x04])), [0xE5]);
    assert!(!master.slave(1).is_selected(), "another selection deselects");
    assert_eq!(master.ask(&short(0x7B, 253))[7..11], [0x99, 0x99, 0x34, 0x12]);
    assert!(master.ask(&select([0x00, 0x00, 0x00, 0x00], any)).is_empty());
    assert!(master.ask(&short(0x7B, 253)).is_empty());
    assert!(master.ask(&select([0x78, 0x56, 0x34, 0x12], [0xFF, 0xFF, 0xFF, 0x07])).is_empty(), "wrong medium");
}

#[test]
fn a_reset_through_the_selection_deselects() {
    let mut master = Master::with(vec![heat(1, 0x1234_5678)]);
    let mut with_53 = select([0x78, 0x56, 0x34, 0x12], [0xFF; 4]);
    with_53[4] = 0x53;
    with_53[15] = with_53[15].wrapping_sub(0x20);
    assert_eq!(master.ask(&with_53), [0xE5], "53 serves as well as 73");
    assert_eq!(master.ask(&[0x10, 0x40, 0xFD, 0x3D, 0x16]), [0xE5]);
    assert!(master.ask(&short(0x7B, 253)).is_empty());
    assert!(master.ask(&[0x10, 0x40, 0xFD, 0x3D, 0x16]).is_empty());
}

#[test]
fn a_new_primary_address_holds_at_once() {
    let mut master = Master::with(vec![heat(0, 0x1234_5678)]);
    assert_eq!(master.ask(&[0x68, 0x06, 0x06, 0x68, 0x53, 0x00, 0x51, 0x01, 0x7A, 0x05, 0x24, 0x16]), [0xE5]);
    assert_eq!(master.ask(&short(0x40, 5)), [0xE5]);
    assert!(master.ask(&short(0x40, 0)).is_empty());
}

#[test]
fn two_slaves_on_one_address_collide() {
    let mut master = Master::with(vec![heat(1, 0x1234_5678), heat(1, 0x1234_9999)]);
    let answer = master.ask(&short(0x7B, 1));
    assert!(!answer.is_empty());
    let sum = answer.get(4..answer.len().saturating_sub(2)).unwrap_or_default();
    let sum = sum.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let whole = answer.starts_with(&[0x68]) && answer.ends_with(&[sum, 0x16]);
    assert!(!whole, "a collision is no telegram: {answer:02X?}");
    assert_eq!(master.line.counters().collisions, 1);
}

#[test]
fn faults_are_what_they_say() {
    let healthy = Master::with(vec![heat(1, 0x1234_5679)]).ask(&short(0x7B, 1));
    let with = |set: &dyn Fn(&mut Slave)| {
        let mut master = Master::with(vec![heat(1, 0x1234_5679)]);
        set(master.slave(1));
        master
    };
    assert!(with(&|slave| slave.faults.silent = true).ask(&short(0x7B, 1)).is_empty());
    let damaged = with(&|slave| slave.faults.wrong_checksum = true).ask(&short(0x7B, 1));
    assert_eq!(damaged[..damaged.len() - 2], healthy[..healthy.len() - 2]);
    assert_ne!(damaged, healthy);
    let half = with(&|slave| slave.faults.half_frame = true).ask(&short(0x7B, 1));
    assert_eq!(half, healthy[..healthy.len() / 2]);
    let noisy = with(&|slave| slave.faults.noise_before = vec![0x00, 0xFE]).ask(&short(0x7B, 1));
    assert_eq!(noisy[..2], [0x00, 0xFE]);
    assert_eq!(noisy[2..], healthy);
    let stranger = with(&|slave| slave.faults.wrong_identity = true).ask(&short(0x7B, 1));
    assert_eq!(stranger[7], 0x78);
    assert_eq!(stranger[stranger.len() - 2], healthy[healthy.len() - 2].wrapping_sub(1), "the checksum fits");
    let busy = with(&|slave| slave.faults.busy = true).ask(&short(0x7B, 1));
    assert_eq!(busy, [0x68, 0x04, 0x04, 0x68, 0x08, 0x01, 0x70, 0x08, 0x81, 0x16]);
}

#[test]
fn counted_faults_count() {
    let mut master = Master::with(vec![heat(1, 0x1234_5678)]);
    master.slave(1).faults.drop_every = Some(3);
    let heard: Vec<bool> = (0..6).map(|_| !master.ask(&short(0x40, 1)).is_empty()).collect();
    assert_eq!(heard, [true, true, false, true, true, false]);
    let mut master = Master::with(vec![heat(1, 0x1234_5678)]);
    master.slave(1).faults.dies_after = Some(2);
    let heard: Vec<bool> = (0..4).map(|_| !master.ask(&short(0x40, 1)).is_empty()).collect();
    assert_eq!(heard, [true, true, false, false]);
}

#[test]
fn always_more_never_ends() {
    let mut recorded = Slave::fixed(1, vec![GWF.to_vec()]);
    recorded.faults.always_more = true;
    let mut master = Master::with(vec![recorded]);
    for control in [0x7B, 0x5B, 0x7B, 0x5B] {
        let answer = master.ask(&short(control, 1));
        let sum = answer[4..answer.len() - 2].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!(answer[1..3], [0x1C, 0x1C]);
        assert_eq!(answer[answer.len() - 3..], [0x1F, sum, 0x16]);
    }
}

#[test]
fn always_more_hides_in_the_tail_of_a_live_meter() {
    let mut live = heat(1, 0x1234_5678);
    live.faults.always_more = true;
    let mut master = Master::with(vec![live]);
    master.ask(&short(0x7B, 1));
    let second = master.ask(&short(0x5B, 1));
    assert_eq!(second[second.len() - 8..second.len() - 2], [0x1F, 0x50, 0x4C, 0x4F, 0x4D, 0x42]);
}

#[test]
fn an_echo_comes_before_the_answer() {
    let mut master = Master::with(vec![heat(1, 0x1234_5678)]);
    master.line.bus.echo = true;
    assert_eq!(master.ask(&short(0x40, 1)), [0x10, 0x40, 0x01, 0x41, 0x16, 0xE5]);
}

#[test]
fn a_late_slave_is_deaf_until_it_has_answered() {
    let mut master = Master::with(vec![heat(1, 0x1234_5678)]);
    master.slave(1).faults.late_ms = 500;
    master.line.master_sends(&short(0x40, 1), Duration::ZERO);
    assert!(master.line.take_due(Duration::from_millis(400)).is_empty());
    master.line.master_sends(&short(0x40, 1), Duration::from_millis(400));
    assert_eq!(master.line.take_due(Duration::from_secs(5)), [0xE5], "the retry was not heard");
}

#[test]
fn a_live_heat_telegram_is_this_one_byte_for_byte() {
    let mut master = Master::with(vec![heat(7, 0x1234_5678)]);
    let answer = master.ask(&short(0x7B, 7));
    let meter = Meter::new(Kind::Heat, Identity { id: 0x1234_5678, manufacturer: 0x4181, version: 3, medium: 4 }, 42);
    let expected = meter.expected(NOW.start_unix_s);
    let le =
        |at: usize, size: usize| answer[at..at + size].iter().rev().fold(0i64, |sum, byte| sum << 8 | i64::from(*byte));
    // C A CI, header, then DIF 04 VIF 06 and its four bytes, and so on.
    assert_eq!(answer[4..7], [0x08, 0x07, 0x72]);
    assert_eq!(answer[7..19], [0x78, 0x56, 0x34, 0x12, 0x81, 0x41, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00]);
    let places = [(19, [0x04, 0x06], 4), (25, [0x04, 0x14], 4), (31, [0x04, 0x2B], 4), (37, [0x02, 0x3B], 2)];
    for ((at, head, size), expected) in places.into_iter().zip(&expected) {
        assert_eq!(answer[at..at + 2], head);
        assert_eq!(le(at + 2, size), expected.mantissa, "{}", expected.register);
    }
    // 08:42 on 23 November 2026: year 26 is 0b0011010.
    assert!(answer.windows(6).any(|window| window == [0x04, 0x6D, 0x2A, 0x08, 0x57, 0x3B]), "{answer:02X?}");
}

proptest! {
    #[test]
    fn no_request_breaks_a_slave(
        requests in proptest::collection::vec((any::<u8>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
        more: bool,
        busy: bool,
    ) {
        let mut master = Master::with(vec![heat(1, 0x1234_5678), Slave::fixed(1, vec![GWF.to_vec()])]);
        for slave in master.line.bus.slaves_mut() {
            slave.faults.always_more = more;
            slave.faults.busy = busy;
        }
        for (control, address, user) in requests {
            master.ask(&short(control, address % 3));
            if let Some(frame) = plomb_sim::mbus::long_frame(control, address, &user) {
                master.ask(&frame);
            }
            master.ask(&user);
        }
    }

    #[test]
    fn whatever_the_access_number_and_time_a_live_telegram_fits(unix_s in 0u64..4_102_444_800, access: u8) {
        for kind in [Kind::Heat, Kind::Water, Kind::WarmWater, Kind::Electricity, Kind::Gas] {
            let meter = Meter::new(kind, Identity { id: 1, manufacturer: 0x4181, version: 3, medium: 0 }, 42);
            for telegram in meter.telegrams(unix_s, access) {
                prop_assert!(plomb_sim::mbus::long_frame(0x08, 1, &telegram).is_some());
            }
        }
    }
}
