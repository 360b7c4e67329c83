//! Mutated frames: whatever arrives, the decoder answers, and what it answers is in bounds.
//!
//! `PLOMB_FUZZ_CASES` sets the number of cases; `PLOMB_CAMPAIGN=1` makes it ten million.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_mbus::{
    Address, FRAME_BYTES_MAX, Frame, Medium, ReadConfig, ReadEvent, ReadMeter, Record, Target, checksum, decode,
};
use plomb_session::{Instant, Session};
use std::fmt::Write;

const CASES_DEFAULT: u32 = 200_000;
const CASES_CAMPAIGN: u32 = 10_000_000;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// Frames of our own, each with other parts of the standard in it.
const SEEDS: &[&str] = &[
    "78 56 34 12 77 04 0E 04 2A 10 00 00 0C 78 78 56 34 12 04 06 0C 00 00 00 42 6C BF 1C 84 10 06 01 00 00 00 05 5B 00 00 26 42 0F 01 02",
    "78 56 34 12 77 04 0E 02 2A 00 00 00 04 83 3C 01 00 00 00 02 FD C8 FC 01 39 09 04 FB 82 F3 3C AD 2F 00 00 06 6D 05 15 0D CD 13 00 0D FD 11 05 6F 6C 6C 65 48 1F",
    "78 56 34 12 77 04 0E 07 2A 00 00 00 02 FC 03 48 52 25 74 D4 11 0D 13 C3 56 34 12 0D 13 F0 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10 01 93 15 07 2F 2F 7F",
    "78 56 34 12 77 04 0E 07 2A 00 00 00 B4 FF FF FF FF FF FF FF FF FF 7F 93 BC BC BC BC BC 3C 01 00 00 00 01 FF 93 00 07 02 BE 5A 10 00 08 13 00 13",
];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        // Codes with meaning come more often than chance would bring them.
        const TELLING: [u8; 16] =
            [0x00, 0xFF, 0x0D, 0x0F, 0x1F, 0x2F, 0x7C, 0xFC, 0xFD, 0xFB, 0x7F, 0x8F, 0xF0, 0x6D, 0x68, 0x80];
        if self.next().is_multiple_of(2) { TELLING[self.below(TELLING.len())] } else { self.next().to_le_bytes()[3] }
    }
}

fn mutate(payload: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(payload.len());
        match random.below(5) {
            0 if !payload.is_empty() => payload[at] = random.byte(),
            1 if !payload.is_empty() => payload[at] ^= 1 << random.below(8),
            2 if !payload.is_empty() => drop(payload.remove(at)),
            3 => payload.truncate(at),
            _ => payload.insert(at.min(payload.len()), random.byte()),
        }
    }
    payload.truncate(252);
}

fn framed(ci: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len() + 3).unwrap();
    let mut frame = vec![0x68, length, length, 0x68, 0x08, 0x01, ci];
    frame.extend(payload);
    frame.extend([checksum(&frame[4..]), 0x16]);
    frame
}

fn cases() -> u32 {
    let usual = if std::env::var_os("PLOMB_CAMPAIGN").is_some() { CASES_CAMPAIGN } else { CASES_DEFAULT };
    std::env::var("PLOMB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

#[test]
fn mutated_frames_are_answered_in_bounds() {
    let cases = cases();
    let seeds = seeds();
    let mut random = Random(SEED);
    let mut line = String::new();
    let (mut read, mut records, mut partial) = (0u32, 0u64, 0u32);
    for _ in 0..cases {
        let mut payload = seeds[random.below(seeds.len())].clone();
        mutate(&mut payload, &mut random);
        let ci = [0x72, 0x72, 0x72, 0x76, 0x73, 0x77, 0x7A, 0x78][random.below(8)];
        let mut frame = framed(ci, &payload);
        if random.below(8) == 0 {
            let at = random.below(frame.len());
            frame[at] = random.byte();
        }
        match decode(&frame) {
            Err(error) => assert!(error.offset() <= FRAME_BYTES_MAX, "{error}"),
            Ok(decoded) => {
                read += 1;
                partial += u32::from(decoded.error.is_some());
                assert!(decoded.error.is_none_or(|error| error.offset() <= frame.len()));
                for record in &decoded.records {
                    records += 1;
                    check(record, &frame);
                    line.clear();
                    write!(line, "{} {} {}", record.value, record.quantity, record.function).unwrap();
                    record.modifiers.for_each(|modifier| write!(line, " {modifier}").unwrap());
                    // The longest is 255 characters of text, or 252 bytes in hexadecimal.
                    assert!(line.len() < 2000, "{line}");
                }
            }
        }
    }
    eprintln!("{cases} cases: {read} telegrams, {partial} of them partial, {records} records");
    assert!(read > cases / 4 && partial > cases / 20, "the mutations are too tame or too wild");
}

/// The parts of a record lie in the frame, in order, without gaps but for a length byte.
fn check(record: &Record<'_>, frame: &[u8]) {
    let parts = [record.dib, record.vib, record.data];
    let length: usize = parts.iter().map(|part| part.len()).sum();
    assert!(record.offset + length <= frame.len());
    if !record.dib.is_empty() {
        assert_eq!(frame[record.offset..record.offset + record.dib.len()], *record.dib);
    }
    for medium in [0x02, 0x03, 0x04, 0x07] {
        if let Some(code) = record.obis(Medium(medium)) {
            assert!(code.0[5] <= 99 || code.0[5] == 255);
        }
    }
}

#[test]
fn a_session_under_mutated_answers_ends_and_tells_only_whole_telegrams() {
    let mut random = Random(SEED);
    let seeds = seeds();
    for _ in 0..2000 {
        let mut session = ReadMeter::new(Target::Primary(Address(1)), ReadConfig::new(9600));
        let mut now = Instant::ORIGIN;
        session.start(now);
        let mut steps = 0;
        while !session.is_finished() {
            steps += 1;
            assert!(steps < 2000, "the session does not end");
            if session.poll_transmit().is_some() {
                session.handle_transmitted(now);
                let mut payload = seeds[random.below(seeds.len())].clone();
                mutate(&mut payload, &mut random);
                let mut answer = if random.below(4) == 0 { vec![0xE5] } else { framed(0x72, &payload) };
                for _ in 0..random.below(3) {
                    let at = random.below(answer.len());
                    answer[at] = random.byte();
                }
                session.handle_input(&answer, now);
            } else if let Some(deadline) = session.poll_timeout() {
                now = now.max(deadline);
                session.handle_timeout(now);
            }
            while let Some(event) = session.poll_event() {
                if let ReadEvent::Telegram(telegram) = event {
                    assert!(Frame::parse_whole(&telegram.bytes).is_ok());
                }
            }
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let hex = |text: &str| text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    SEEDS.iter().map(|seed| hex(seed)).collect()
}
