//! Whatever a telegram or a file holds: an answer, and no panic.

use crate::{HEAD, meter};
use plomb_mbus::{Function, Manufacturer, Medium, MeterId, Records};
use plomb_profiles::{Library, Memory, NamedValue, Profile};
use plomb_wmbus::{Key, ManufacturerPayload};
use proptest::prelude::*;

const CASES_DEFAULT: u32 = 20_000;

fn cases() -> u32 {
    std::env::var("PLOMB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES_DEFAULT)
}

/// A small generator: the cases are the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

#[test]
fn any_bytes_under_every_profile() {
    let library = Library::shipped().unwrap();
    let profiles: Vec<_> = library.profiles().collect();
    let key = Key::new([1; 16]);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut memory = Memory::default();
    let (mut named, mut read) = (0u64, 0u64);
    for case in 0..cases() as usize {
        let profile = profiles[case % profiles.len()];
        let of = &profile.matches[0];
        let meter = MeterId {
            manufacturer: of.manufacturer,
            version: of.versions.first().copied().unwrap_or_else(|| random.byte()),
            medium: of.media.first().copied().unwrap_or(Medium(7)),
            ..meter(*b"AAA", 0, 0)
        };
        let length = usize::from(random.byte()) % 90;
        let mut bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        if random.byte() < 128
            && let Some(first) = bytes.first_mut()
        {
            *first = 0x0F;
        }
        let each = |value: &plomb_profiles::Named<'_>| {
            named += 1;
            let _ = value.value.to_string();
        };
        if profile.reads_payload(0xA2) {
            let payload = ManufacturerPayload { meter, ci: 0xA2, bytes: &bytes, offset: 11 };
            read += u64::from(profile.apply_payload(&payload, Some(&key), &mut memory, each).is_ok());
        } else {
            let records = Records::from_bytes(&bytes, 15);
            read += u64::from(profile.apply_records(meter, records, &mut memory, each).is_ok());
        }
    }
    eprintln!("{} cases, {read} without error, {named} values", cases());
    assert!(named > 0);
}

/// One byte of a profile's text changed: refused, or another profile, and its tests still give an answer.
#[test]
fn changed_files_are_refused_or_read() {
    let texts: Vec<String> = std::fs::read_dir(env!("CARGO_MANIFEST_DIR"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == "toml") && !path.ends_with("Cargo.toml"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut random = Random(42);
    let mut refused = 0;
    let count = cases() / 10;
    for _ in 0..count {
        let mut text = texts[usize::try_from(random.next() % 1000).unwrap() % texts.len()].clone().into_bytes();
        let at = usize::try_from(random.next() % text.len() as u64).unwrap();
        text[at] = b"0123456789abcdefFF[]{}=\"\n.-_ "[usize::from(random.byte()) % 29];
        let Ok(text) = String::from_utf8(text) else { continue };
        match Profile::parse("m.toml", &text) {
            Ok(profile) => drop(profile.check()),
            Err(error) => {
                refused += 1;
                assert!(error.place.line >= 1 && error.place.column >= 1);
            }
        }
    }
    eprintln!("{refused} of {count} changed files refused");
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read(text: String) {
        let _ = Profile::parse("m.toml", &text);
        let _ = Profile::parse("m.toml", &format!("{HEAD}{text}"));
    }

    /// A number through a field is the number again, in every width and order.
    #[test]
    fn numbers_come_back(number in 0u64..=0x7FFF_FFFF_FFFF_FFFF, bytes in 1usize..=8, be: bool, exponent in -9i8..9) {
        let number = if bytes == 8 { number } else { number & ((1 << (8 * bytes)) - 1) };
        let mut tail = vec![0x0F];
        let le = number.to_le_bytes();
        if be { tail.extend(le[..bytes].iter().rev()) } else { tail.extend(&le[..bytes]) }
        let coding = if be { "uint-be" } else { "uint" };
        let text = format!("{HEAD}[[block]]\nin = \"tail\"\nfield = [{{ name = \"x\", at = 0, bytes = {bytes}, \
            read = {{ coding = \"{coding}\", exponent = {exponent} }} }}]\n");
        let profile = Profile::parse("m.toml", &text).unwrap();
        let mut found = None;
        profile.apply_records(meter(*b"TST", 1, 7), Records::from_bytes(&tail, 0), &mut Memory::default(), |named| {
            assert_eq!(named.function, Function::Instantaneous);
            if let NamedValue::Number(number) = named.value { found = Some(number); }
        }).unwrap();
        let expected = plomb_session::Decimal::new(i64::try_from(number).unwrap(), exponent);
        prop_assert_eq!(found, Some(expected));
    }

    #[test]
    fn identities_keep_every_byte(id: u32, version: u8, medium: u8) {
        let library = Library::shipped().unwrap();
        let manufacturer = Manufacturer::from_letters(*b"DME").unwrap();
        let meter = MeterId { id: plomb_mbus::Identification(id), manufacturer, version, medium: Medium(medium) };
        // An address that is a model's as it stands is not turned round.
        prop_assume!(!library.profiles().flat_map(|profile| &profile.matches).any(|of| {
            !of.swapped && of.manufacturer == manufacturer
                && (of.versions.is_empty() || of.versions.contains(&version))
                && (of.media.is_empty() || of.media.contains(&Medium(medium)))
        }));
        let put = library.identity(meter, Some(0xA0));
        let [a, b, c, d] = id.to_le_bytes();
        prop_assert_eq!([put.version, put.medium.0], [a, b]);
        prop_assert_eq!(put.id.0.to_le_bytes(), [c, d, version, medium]);
    }
}
