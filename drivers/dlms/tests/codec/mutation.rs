//! Mutated ciphered APDUs: none opens to anything but what was protected.
//!
//! `PLOMB_FUZZ_CASES` sets the number of cases; `PLOMB_CAMPAIGN=1` makes it ten million.

use plomb_dlms::security::general::{Envelope, GeneralCiphering, KeyChoice, open, protect};
use plomb_dlms::security::{
    CounterRange, Form, GeneralKeys, Key, Keys, Protection, SecurityContext, SecurityError, Suite, SystemTitle,
};

use crate::hex;
use crate::peer::Random;

const CASES_DEFAULT: u32 = 100_000;
const CASES_CAMPAIGN: u32 = 10_000_000;
const OWN: SystemTitle = SystemTitle(*b"PLM\0\0\0\0\x01");
const METER: SystemTitle = SystemTitle(*b"MET\0\0\0\0\x02");

fn cases() -> u32 {
    let usual = if std::env::var_os("PLOMB_CAMPAIGN").is_some() { CASES_CAMPAIGN } else { CASES_DEFAULT };
    std::env::var("PLOMB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const TELLING: [u8; 10] = [0x00, 0x01, 0x08, 0x10, 0x20, 0x30, 0x81, 0x82, 0xDD, 0xFF];
    for _ in 0..=random.below(3) {
        // The head is where most is decided.
        let end = if random.below(2) == 0 { bytes.len().min(50) } else { bytes.len() };
        let at = random.below(end.max(1) as u64);
        let byte = if random.below(2) == 0 { TELLING[random.below(10)] } else { random.bytes(1)[0] };
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[at] = byte,
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 if random.below(4) == 0 => bytes.truncate(at),
            _ => bytes.insert(at.min(bytes.len()), byte),
        }
    }
}

#[test]
fn no_mutated_apdu_opens_to_anything_else() {
    let key = |filling: u8| Key::new(&[filling; 16]).unwrap();
    let keys = Keys { encryption: key(1), authentication: Some(key(2)), broadcast: Some(key(3)) };
    let general = GeneralKeys { wrapping: Some(key(4)), ..GeneralKeys::default() };
    let plain = hex("C401C1000600000001");
    let authenticated = Protection { authenticated: true, encrypted: false };
    let mut sealed = Vec::new();
    for protection in [Protection::FULL, authenticated] {
        for form in [Form::Service, Form::General] {
            let range = CounterRange { next: 1, end: 2 };
            let mut meter = SecurityContext::new(Suite::Zero, METER, keys.clone(), range).unwrap();
            meter.set_form(form);
            meter.set_protection(protection);
            sealed.push(meter.protect(&plain).unwrap());
        }
        let envelope = Envelope { originator: METER, recipient: OWN, transaction: &[1; 8], counter: 1 };
        let (kek, session) = (key(4), key(6));
        for choice in [KeyChoice::Global, KeyChoice::Broadcast, KeyChoice::Wrapped { kek: &kek, key: &session }] {
            sealed.push(protect(Suite::Zero, &keys, choice, &envelope, protection, &plain).unwrap());
        }
    }
    let mut random = Random(1);
    let (mut same, mut malformed, mut wrong, mut other) = (0u32, 0u32, 0u32, 0u32);
    for _ in 0..cases() {
        let mut bytes = sealed[random.below(10)].clone();
        mutate(&mut bytes, &mut random);
        if let Ok(apdu) = GeneralCiphering::parse(&bytes) {
            assert_eq!(GeneralCiphering::parse(&apdu.emit()), Ok(apdu));
        }
        match open(&bytes, Suite::Zero, &keys, &general, Some(METER), Some(OWN), authenticated) {
            // A length has more than one form, and a field that nothing authenticates may be put another way.
            Ok(opened) => {
                assert_eq!((opened.apdu, opened.counter, opened.title), (plain.clone(), 1, METER));
                same += 1;
            }
            Err(SecurityError::Malformed(error)) => {
                assert!(error.offset() <= bytes.len() + 1 && error.to_string().len() < 200);
                malformed += 1;
            }
            Err(SecurityError::TagWrong) => wrong += 1,
            Err(_) => other += 1,
        }
    }
    eprintln!("{same} the same, {malformed} malformed, {wrong} with a wrong tag, {other} refused else");
    let least = cases() / 50;
    assert!(malformed > least && wrong > least && other > least, "the mutations are too tame or too wild");
}
