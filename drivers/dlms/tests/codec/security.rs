//! Ciphers, against printed vectors and against tampering.

use plomb_dlms::apdu::{Apdu, GeneralSigning};
use plomb_dlms::security::signing::{SigningKey, covered, proof_text, verified};
use plomb_dlms::security::{
    CounterRange, Form, Key, Keys, Protection, SecurityContext, SecurityError, Suite, SystemTitle, hls, open_push,
    transfer,
};
use proptest::prelude::*;

use crate::{hex, hex_of};

const TITLE: SystemTitle = SystemTitle([0x4D, 0x4D, 0x4D, 0x00, 0x00, 0xBC, 0x61, 0x4E]);
const METER: SystemTitle = SystemTitle(*b"PLM\x00\x00\x00\x00\x01");

fn key(hex_digits: &str) -> Key {
    Key::new(&hex(hex_digits)).unwrap()
}

fn keys(bytes: usize) -> Keys {
    let digits = |first: u8| {
        (0..bytes).map(|n| format!("{:02x}", first.wrapping_add(u8::try_from(n).unwrap()))).collect::<String>()
    };
    Keys { encryption: key(&digits(0)), authentication: Some(key(&digits(0xD0))), broadcast: None }
}

fn context(suite: Suite, title: SystemTitle, next: u32) -> SecurityContext {
    SecurityContext::new(suite, title, keys(suite.key_bytes()), CounterRange { next, end: next + 1000 }).unwrap()
}

/// Green Book: the three protections of one get-request.
#[test]
fn the_green_book_s_get_request() {
    let plain = hex("C0010000080000010000FF0200");
    for (protection, expected) in [
        (Protection::FULL, "C81E3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B"),
        (Protection { encrypted: true, authenticated: false }, "C8122001234567411312FF935A47566827C467BC"),
        (
            Protection { encrypted: false, authenticated: true },
            "C81E1001234567C0010000080000010000FF020006725D910F9221D263877516",
        ),
    ] {
        let mut client = context(Suite::Zero, TITLE, 0x0123_4567);
        client.set_protection(protection);
        assert_eq!(hex_of(&client.protect(&plain).unwrap()), expected.to_lowercase(), "{protection}");
    }
}

/// Green Book: the proof of HLS-GMAC.
#[test]
fn the_green_book_s_proof() {
    let keys = keys(16);
    let title = SystemTitle(*b"MMM\x00\x00\x00\x00\x01");
    let challenge = hex("503677524A323146");
    let proof = hls::gmac(Suite::Zero, &keys.encryption, keys.authentication.as_ref(), title, 1, &challenge).unwrap();
    assert_eq!(hex_of(&proof), "10000000011a52fe7dd3e72748973c1e28");
    let check = |proof: &[u8]| {
        hls::check_gmac(Suite::Zero, &keys.encryption, keys.authentication.as_ref(), title, proof, &challenge)
    };
    assert_eq!(check(&proof), Ok(1));
    for bit in 0..proof.len() * 8 {
        let mut wrong = proof.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&wrong), Err(SecurityError::TagWrong), "bit {bit}");
    }
    assert_eq!(check(&proof[..16]), Err(SecurityError::TagWrong));
}

/// RFC 3394 §4.1 and §4.6.
#[test]
fn keys_are_wrapped_as_the_rfc_says() {
    let wrapped = transfer::wrap(&key("000102030405060708090A0B0C0D0E0F"), &key("00112233445566778899AABBCCDDEEFF"));
    assert_eq!(hex_of(&wrapped.unwrap()), "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
    let kek = key("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
    let wrapped =
        transfer::wrap(&kek, &key("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")).unwrap();
    assert_eq!(hex_of(&wrapped), "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
    assert_eq!(transfer::unwrap(&kek, &wrapped).unwrap().len(), 32);
    let other = key("FF0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
    assert!(matches!(transfer::unwrap(&other, &wrapped), Err(SecurityError::TagWrong)));
}

#[test]
fn what_one_side_protects_the_other_opens_and_nothing_else() {
    for suite in [Suite::Zero, Suite::One, Suite::Two] {
        for form in [Form::Service, Form::General] {
            for dedicated in [false, true] {
                let plain = hex("C401C1000600000001");
                let (mut meter, mut client) = (context(suite, METER, 7), context(suite, TITLE, 1));
                meter.set_form(form);
                client.set_meter(METER);
                if dedicated {
                    let key = Key::new(&vec![9; suite.key_bytes()]).unwrap();
                    meter.set_dedicated(key.clone());
                    client.set_dedicated(key);
                }
                let sealed = meter.protect(&plain).unwrap();
                assert_eq!(client.clone().open(&sealed).unwrap().apdu, plain);
                for bit in 0..sealed.len() * 8 {
                    let mut wrong = sealed.clone();
                    wrong[bit / 8] ^= 1 << (bit % 8);
                    assert!(client.clone().open(&wrong).is_err(), "{suite:?} {form:?} {dedicated} bit {bit}");
                }
                let mut strange = client.clone();
                strange.set_meter(TITLE);
                assert!(strange.open(&sealed).is_err(), "another meter's");
            }
        }
    }
}

#[test]
fn each_trouble_has_its_own_name() {
    let plain = hex("C401C1000600000001");
    let mut meter = context(Suite::Zero, METER, 7);
    let mut client = context(Suite::Zero, TITLE, 1);
    assert_eq!(client.open(&meter.protect(&plain).unwrap()), Err(SecurityError::TitleMissing));
    client.set_meter(METER);
    let sealed = meter.protect(&plain).unwrap();
    assert!(client.open(&sealed).is_ok());
    assert_eq!(client.open(&sealed), Err(SecurityError::Repeated { got: 8, last: 8 }));
    meter.set_protection(Protection { authenticated: true, encrypted: false });
    let weaker = meter.protect(&plain).unwrap();
    assert!(matches!(client.open(&weaker), Err(SecurityError::Weaker { .. })));
    let mut other = keys(16);
    other.encryption = key("FF0102030405060708090A0B0C0D0E0F");
    let range = CounterRange { next: 1, end: 2 };
    let mut wrong = SecurityContext::new(Suite::Zero, TITLE, other, range).unwrap();
    wrong.set_meter(METER);
    assert_eq!(wrong.open(&sealed), Err(SecurityError::TagWrong));
    assert!(wrong.protect(&plain).is_ok());
    assert_eq!(wrong.protect(&plain), Err(SecurityError::CountersUsedUp));
    let mut second = context(Suite::One, METER, 9);
    let other_suite = SecurityError::OtherSuite { got: 1, expected: 0 };
    assert_eq!(client.open(&second.protect(&plain).unwrap()), Err(other_suite));
    assert!(SecurityContext::new(Suite::Two, TITLE, keys(16), range).is_err());
    assert!(!format!("{client:?}").contains("0d0e0f"), "no key is shown");
}

#[test]
fn signatures_of_both_curves() {
    for secret in [vec![7; 32], vec![7; 48]] {
        let key = SigningKey::new(&secret).unwrap();
        let text = proof_text(TITLE, METER, b"challenge of the meter", b"challenge of the client");
        let signature = key.sign(&text);
        assert_eq!(signature.len(), secret.len() * 2);
        assert_eq!(key.public().verify(&text, &signature), Ok(()));
        assert!(key.public().verify(&text[1..], &signature).is_err());
        let mut signed = GeneralSigning {
            transaction: vec![1],
            originator: TITLE.0.to_vec(),
            recipient: METER.0.to_vec(),
            time: vec![],
            other: vec![],
            content: hex("C401C1000600000001"),
            signature: vec![],
        };
        signed.signature = key.sign(&covered(&signed));
        assert_eq!(verified(&signed, &key.public()).unwrap(), signed.content);
        signed.content[3] ^= 1;
        assert!(verified(&signed, &key.public()).is_err());
    }
    assert!(SigningKey::new(&[0; 32]).is_err() && SigningKey::new(&[1; 31]).is_err());
}

/// Pushed frames from outside, with their keys.
#[test]
fn recorded_pushes_open_with_their_keys() {
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS").map(std::path::PathBuf::from) else {
        eprintln!("corpus absent: set PLOMB_CORPUS");
        return;
    };
    let text = std::fs::read_to_string(corpus.join("dlms/apdus.jsonl")).unwrap();
    let mut opened = 0;
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let bytes = hex(row["hex"].as_str().unwrap());
        if row["keys"].is_null() || row["transport"] != "raw" || bytes[0] != 0xDB {
            continue;
        }
        eprintln!("{} {}", row["name"], row["keys"]);
        let keys_of = &row["keys"];
        let find = |names: [&str; 4]| {
            names.iter().find_map(|name| keys_of[*name].as_str()).map(|digits| Key::new(&hex(digits)).unwrap())
        };
        let encryption = find(["gek", "encryption", "ek", "guek"]).unwrap();
        let keys = Keys { encryption, authentication: find(["gak", "authentication", "ak", "auth"]), broadcast: None };
        let plain = open_push(&bytes, Suite::Zero, None, &keys, Protection::NONE, None).unwrap();
        assert!(Apdu::parse(&plain.apdu).is_ok(), "{}", hex_of(&plain.apdu));
        opened += 1;
    }
    eprintln!("{opened} opened");
}

proptest! {
    #[test]
    fn any_bytes_are_opened_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), tag: u8) {
        if let Some(first) = bytes.first_mut() {
            *first = [0xDB, 0xDC, 0xC8, 0xCC, 0x28, tag][usize::from(tag) % 6];
        }
        let mut client = context(Suite::Zero, TITLE, 1);
        client.set_meter(METER);
        let _ = client.open(&bytes);
    }
}
