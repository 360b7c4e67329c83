//! Mutated frames: whatever arrives, it is answered, in bounds, and a telegram that was changed is
//! never taken for the meter's own where the meter authenticates.
//!
//! `PLOMB_FUZZ_CASES` sets the number of cases; `PLOMB_CAMPAIGN=1` makes it ten million.

use crate::{RECORDS, draft, key};
use plomb_session::Instant;
use plomb_wmbus::{
    Content, Draft, Ell, Format, LinkControl, MeterState, OpenOptions, Opener, Reassembly, Security, SessionNumber,
    Telegram, TransportHeader, Upper,
};

const CASES_DEFAULT: u32 = 100_000;
const CASES_CAMPAIGN: u32 = 10_000_000;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

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
        const TELLING: [u8; 16] =
            [0x00, 0xFF, 0x72, 0x7A, 0x78, 0x2F, 0x8C, 0x8D, 0x8F, 0x90, 0x79, 0x05, 0x07, 0x2A, 0x69, 0x40];
        if self.next().is_multiple_of(2) { TELLING[self.below(TELLING.len())] } else { self.next().to_le_bytes()[3] }
    }
}

/// Payloads behind the link's head, of every layer.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [0, 5, 7, 10].iter().map(|mode| draft(*mode).upper(Some(&key())).unwrap()).collect();
    for session in [0x10, 0x2000_0010] {
        let session = Some(SessionNumber(session));
        let ell = Some(Ell { ci: 0x8D, communication: 0x20, access: 7, receiver: None, session });
        let draft = Draft { ell, ci: 0x78, header: TransportHeader::None, ..draft(0) };
        seeds.push(draft.emit(Format::Stripped, Some(&key())).unwrap()[10..].to_vec());
    }
    seeds.push([&[0x90, 2, 1, 0x40][..], &RECORDS].concat());
    seeds.push([&[0x90, 2, 2, 0x00][..], &RECORDS].concat());
    seeds.push(vec![0x79, 0xED, 0xA8, 0x6A, 0xB6, 1, 2, 3, 4, 5, 6, 7, 8]);
    seeds.push(vec![0x69, 6, 1, 2, 0x0C, 0x13, 0x04, 0x6D]);
    seeds
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
    payload.truncate(240);
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
    let mut opener = Opener::with_options(OpenOptions { accept_decrypted_samples: true });
    let mut lax = MeterState::new(Security { key: Some(key()), ..Security::plain() });
    let strict = MeterState::new(Security::authenticated(key()));
    let mut reassembly = Reassembly::default();
    let (mut telegrams, mut opened_count, mut records_count) = (0u32, 0u32, 0u64);
    for _ in 0..cases {
        let seed = &seeds[random.below(seeds.len())];
        let mut payload = seed.clone();
        mutate(&mut payload, &mut random);
        let format = [Format::A, Format::B, Format::Stripped][random.below(3)];
        let link = plomb_wmbus::Link { control: LinkControl(0x44), ..crate::LINK };
        let mut bytes = link.emit(format, &payload).unwrap();
        if random.below(8) == 0 {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
        let mut buffer = Vec::new();
        let Ok(telegram) = Telegram::parse(&bytes, &mut buffer) else { continue };
        telegrams += 1;
        if let Upper::Fragment { .. } = telegram.upper {
            let _ = reassembly.add(&telegram, Instant::ORIGIN);
        }
        // What no MAC covers may change: the link's head and FCL. What is read must not.
        if let Ok(opened) = opener.open(&telegram, &strict) {
            assert_eq!(opened.counter.unwrap().value, 1000);
            let records = opened.plain.strip_prefix(&[0x2F, 0x2F]).unwrap_or(opened.plain);
            assert!(records.starts_with(&RECORDS), "a changed telegram was taken for authentic: {payload:02x?}");
        }
        let Ok(opened) = opener.open(&telegram, &lax) else { continue };
        opened_count += 1;
        assert!(opened.plain_at + opened.plain.len() <= bytes.len());
        if let Content::Records(records) = opened.content {
            for record in records {
                match record {
                    Ok(record) => {
                        records_count += 1;
                        assert!(record.value.to_string().len() < 2000);
                    }
                    Err(error) => assert!(error.offset() <= 1024),
                }
            }
        }
        if random.below(16) == 0 {
            lax.accept(&opened);
            lax.counters = plomb_wmbus::Counters::default();
        }
    }
    eprintln!("{cases} cases: {telegrams} telegrams, {opened_count} opened, {records_count} records");
    assert!(telegrams > cases / 3 && opened_count > cases / 20, "the mutations are too tame or too wild");
}
