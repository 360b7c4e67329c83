//! Mutated APDUs: whatever arrives, it is read or refused, and told byte by byte.
//!
//! `PLOMB_FUZZ_CASES` sets the number of cases; `PLOMB_CAMPAIGN=1` makes it ten million.

use plomb_dlms::annotate;
use plomb_dlms::apdu::{Apdu, GetResponse};
use plomb_dlms::axdr::Value;
use plomb_dlms::object::{SortMethod, capture_objects, object_list, pushed, rows_in_order};

use crate::hex;

const CASES_DEFAULT: u32 = 60_000;
const CASES_CAMPAIGN: u32 = 10_000_000;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// APDUs of our own, each with other parts of the standard in it.
const SEEDS: &[&str] = &[
    "6036a1090607608574050801018a0207808b0760857405080201ac0a80083132333435363738be10040e01000000065f1f0400007e1f04b0",
    "614ea109060760857405080103a203020100a305a103020100a40a0408504c4d0000000001880207808907608574050802\
     05aa0a80083132333435363738be10040e0800065f1f040000501f01f40007",
    "c001c1000701006301 00ff0201 01020402041200080906 0000010000ff0f02120000 090c07e8011f03000000008000ff\
     090c07e8020103000000008000ff0100",
    "c0 03 c1 02 0003 0100010800ff 02 00 0008 0000010000ff 02 00",
    "c40181 00 0102 02020906 0100010800ff 0600003039 0202 0906 0000600100ff 0a04504c4d31",
    "c4 01 81 00 13 02 03 06 11 01 0003 12 16 00000001 05 000100020003 00000002 06 000100020004",
    "c4 03 81 02 00 06 00000001 01 04",
    "c4 02 81 00 00000001 00 05 0102030405",
    "c1 04 c1 01 0008 0000010000ff 02 00 01 090c07e8011f03000000008000ff",
    "c3 01 c1 0046 0000600300ff 01 01 0f00",
    "c7 01 81 00 01 00 0905 0102030405",
    "0f 00000001 0c07e8011f030f1e0000ffc400 02 03 0906 0100010700ff 10fffe 02020f00161b",
    "e0 c1 0001 0000 05 c401810000",
    "df 01 01 08 504c4d0000000001 08 504c4d0000000002 00 00 03 c40181 04 01020304",
    "d8 01 06 00000007",
    "0e 01 06 02",
    "db 08504c4d0000000001 1530 00000001 0102030405060708090a0b0c0d0e0f10",
    "c4 01 81 00 01 01 02 04 12 0008 11 00 0906 0000010000ff 02 02 01 01 02 03 0f 01 16 01 00 01 00",
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
        const TELLING: [u8; 16] = [0, 1, 2, 3, 6, 9, 0x12, 0x13, 0x7F, 0x81, 0x82, 0x84, 0xBE, 0xC4, 0x0F, 0xFF];
        if self.next().is_multiple_of(2) { TELLING[self.below(TELLING.len())] } else { self.next().to_le_bytes()[3] }
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] = random.byte(),
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 if at > 0 => bytes.truncate(at),
            // A part of the APDU once more.
            4 if !bytes.is_empty() => {
                let piece = bytes[at..(at + random.below(12)).min(bytes.len())].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => bytes.insert(at.min(bytes.len()), random.byte()),
        }
    }
}

fn cases() -> u32 {
    let usual = if std::env::var_os("PLOMB_CAMPAIGN").is_some() { CASES_CAMPAIGN } else { CASES_DEFAULT };
    std::env::var("PLOMB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

/// What a client does with a value that it has been given.
fn interpret(value: &Value) {
    let columns = capture_objects(value).unwrap_or_default();
    let _ = (object_list(value), pushed(value), rows_in_order(value, &columns, 900, SortMethod::LIFO));
    let _ = value.to_string();
}

#[test]
fn mutated_apdus_are_read_or_refused() {
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|text| hex(text)).collect();
    for seed in &seeds {
        let apdu = Apdu::parse(seed).unwrap_or_else(|error| panic!("{error}: {seed:02x?}"));
        assert_eq!(apdu.emit(), *seed);
    }
    let mut random = Random(SEED);
    let cases = cases();
    let mut read = 0u32;
    for _ in 0..cases {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        mutate(&mut bytes, &mut random);
        match Apdu::parse(&bytes) {
            Ok(apdu) => {
                read += 1;
                match &apdu {
                    Apdu::GetResponse(GetResponse::Normal(_, Ok(value))) => interpret(value),
                    Apdu::DataNotification(push) => interpret(&push.body),
                    _ => {}
                }
                assert_eq!(Apdu::parse(&apdu.emit()).as_ref(), Ok(&apdu), "{bytes:02x?}");
            }
            Err(error) => assert!(error.offset() <= bytes.len(), "{error} {bytes:02x?}"),
        }
        let told: usize = annotate::apdu(&bytes).iter().map(|one| one.length).sum();
        assert_eq!(told, bytes.len(), "{bytes:02x?}");
    }
    eprintln!("{cases} cases: {read} read, {} refused", cases - read);
    assert!(read > cases / 20, "the mutations no longer reach the parsers");
}
