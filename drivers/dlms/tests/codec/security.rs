//! Ciphers, against printed vectors and against tampering.

use plomb_dlms::apdu::{Apdu, GeneralSigning};
use plomb_dlms::push::{PushConfig, PushEvent, PushFraming, PushReceiver};
use plomb_dlms::security::signing::{SigningKey, covered, proof_text, verified};
use plomb_dlms::security::{
    CounterRange, Form, Key, Keys, Protection, SecurityContext, SecurityError, Suite, SystemTitle, decipher_unchecked,
    hls, open_push, transfer,
};
use plomb_session::Instant;
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

/// Green Book: the initiate-request of an association with ciphering.
#[test]
fn the_green_book_s_initiate_request() {
    let plain = hex("01011000112233445566778899AABBCCDDEEFF0000065F1F0400007E1F04B0");
    let sealed = "21303001234567801302FF8A7874133D414CED25B42534D28DB0047720606B175BD52211BE6841DB204D39EE6FDB8E356855";
    let mut client = context(Suite::Zero, TITLE, 0x0123_4567);
    // The association is asked for in its own form, under the global key.
    client.set_form(Form::General);
    client.set_dedicated(key("00112233445566778899AABBCCDDEEFF"));
    assert_eq!(hex_of(&client.protect(&plain).unwrap()), sealed.to_lowercase());
    let mut meter = context(Suite::Zero, METER, 1);
    meter.set_meter(TITLE);
    assert_eq!(meter.open(&hex(sealed)).unwrap().apdu, plain);
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
    assert_eq!((METER.maker(), SystemTitle([0; 8]).maker()), (Some("PLM"), None));
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

/// Pushed frames from outside, with their keys: over HDLC in general blocks, over M-Bus, and as they are.
#[test]
fn recorded_pushes_open_with_their_keys() {
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS").map(std::path::PathBuf::from) else {
        eprintln!("corpus absent: set PLOMB_CORPUS");
        return;
    };
    let text = std::fs::read_to_string(corpus.join("dlms/apdus.jsonl")).unwrap();
    let (mut opened, mut looked_at) = (0, 0);
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let (Some(keys), Some(expected)) = (row["keys"].as_object(), row["plain"].as_str()) else { continue };
        // Rows name their keys each in its way.
        let find = |authenticates: bool| {
            let is_it = |name: &str| (name.contains("auth") || name == "ak") == authenticates;
            keys.iter().find(|(name, _)| is_it(name)).map(|(_, digits)| key(digits.as_str().unwrap()))
        };
        let keys = Keys { encryption: find(false).unwrap(), authentication: find(true), broadcast: None };
        let sealed = carried(&hex(row["hex"].as_str().unwrap()), row["transport"] == "raw");
        // Some expectations end with the first block.
        let looked = hex_of(&decipher_unchecked(&sealed, None, &keys.encryption).unwrap());
        assert!(looked.starts_with(expected), "{} {looked}", row["name"]);
        let mut other = keys.clone();
        other.encryption = key("000102030405060708090A0B0C0D0EFF");
        let wrong = decipher_unchecked(&sealed, None, &other.encryption);
        assert!(matches!(wrong, Err(SecurityError::Nonsense(_))), "{wrong:?}");
        let open = |keys: &Keys| open_push(&sealed, Suite::Zero, None, keys, Protection::NONE, None);
        match open(&keys) {
            Ok(plain) => {
                assert_eq!(hex_of(&plain.apdu), looked, "{}", row["name"]);
                let wrong = open(&other);
                assert!(matches!(wrong, Err(SecurityError::TagWrong | SecurityError::Nonsense(_))), "{wrong:?}");
                opened += 1;
            }
            Err(error) => {
                assert_eq!(error, SecurityError::KeyMissing("authentication"), "{}", row["name"]);
                assert!(keys.authentication.is_none());
                looked_at += 1;
            }
        }
    }
    eprintln!("{opened} opened, {looked_at} looked at without their authentication key");
    assert!(opened >= 3 && looked_at >= 1, "the corpus has such rows");
}

/// The ciphered APDU in what came over a line.
fn carried(bytes: &[u8], raw: bool) -> Vec<u8> {
    if raw {
        return bytes.to_vec();
    }
    let mut receiver = PushReceiver::new(PushConfig::new(PushFraming::Serial));
    receiver.handle_input(bytes, Instant::ORIGIN);
    let mut whole = Vec::new();
    while let Some(event) = receiver.poll_event() {
        let PushEvent::Apdu { apdu, .. } = event else { panic!("{event:?}") };
        match Apdu::parse(&apdu).unwrap() {
            Apdu::GeneralBlock(block) => whole.extend(block.bytes),
            _ => whole.extend(apdu),
        }
    }
    whole
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
