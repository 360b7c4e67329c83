//! Any APDU against the ciphers: nobody guesses a tag, what is protected comes back, and one changed bit is refused.
//! The first byte says what form the bytes take, and which bit changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_dlms::security::agreement::{AgreementKey, AgreementPublicKey};
use plomb_dlms::security::general::{Envelope, GeneralCiphering, KeyChoice, open, protect};
use plomb_dlms::security::{
    CounterRange, Form, GeneralKeys, Key, Keys, Protection, SecurityContext, Suite, SystemTitle, open_push,
};

const OWN: SystemTitle = SystemTitle(*b"PLM\0\0\0\0\x01");
const METER: SystemTitle = SystemTitle(*b"MET\0\0\0\0\x02");
const AUTHENTICATED: Protection = Protection { authenticated: true, encrypted: false };

fn key(filling: u8) -> Key {
    Key::new(&[filling; 16]).expect("16 bytes are a key")
}

fn keys() -> Keys {
    Keys { encryption: key(1), authentication: Some(key(2)), broadcast: Some(key(3)) }
}

fn context(title: SystemTitle) -> SecurityContext {
    let range = CounterRange { next: 1, end: 9 };
    let mut context = SecurityContext::new(Suite::Zero, title, keys(), range).expect("the keys fit the suite");
    context.set_dedicated(key(5));
    context
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let keys = keys();
    let general = GeneralKeys {
        wrapping: Some(key(4)),
        agreement: AgreementKey::new(&[7; 32]).ok(),
        their_agreement: AgreementKey::new(&[9; 32]).ok().map(|key| key.public()),
        their_signing: None,
    };
    let framed = [&[[0xDD, 0xDB, 0xDC, 0xC8, 0xCC, 0x28, 0xD0, 0xDF][usize::from(choice & 7)]], rest].concat();
    for protection in [Protection::FULL, AUTHENTICATED] {
        for suite in [Suite::Zero, Suite::One] {
            let opened = open(&framed, suite, &keys, &general, Some(METER), Some(OWN), protection);
            assert!(opened.is_err(), "nobody guesses a tag");
        }
        assert!(open_push(&framed, Suite::Zero, Some(METER), &keys, protection, None).is_err());
        let mut client = context(OWN);
        client.set_meter(METER);
        client.set_protection(protection);
        client.set_general(general.clone());
        assert!(client.open(&framed).is_err());
    }
    for suite in [Suite::Zero, Suite::One] {
        let _ = open(&framed, suite, &keys, &general, None, None, Protection::NONE);
    }
    if let Ok(apdu) = GeneralCiphering::parse(&framed) {
        assert_eq!(GeneralCiphering::parse(&apdu.emit()), Ok(apdu));
    }
    if let Ok(public) = AgreementPublicKey::new(rest) {
        assert_eq!(AgreementPublicKey::new(&public.bytes()), Ok(public));
    }

    let flip = |sealed: &[u8]| {
        let mut wrong = sealed.to_vec();
        let bit = usize::from(*choice) * 37 % (sealed.len() * 8);
        wrong[bit / 8] ^= 1 << (bit % 8);
        wrong
    };
    let protection = if choice & 8 == 0 { Protection::FULL } else { AUTHENTICATED };
    let form = if choice & 16 == 0 { Form::General } else { Form::Service };
    let (mut meter, mut client) = (context(METER), context(OWN));
    client.set_meter(METER);
    meter.set_form(form);
    for side in [&mut meter, &mut client] {
        side.set_protection(protection);
    }
    if let Ok(sealed) = meter.protect(rest) {
        assert!(client.clone().open(&flip(&sealed)).is_err());
        assert_eq!(client.open(&sealed).expect("what one side protects the other opens").apdu, rest);
        assert!(client.open(&sealed).is_err(), "repeated");
    }
    let (kek, session) = (key(4), key(6));
    let envelope = Envelope { originator: METER, recipient: OWN, transaction: &[1; 8], counter: 1 };
    for choice in [KeyChoice::Global, KeyChoice::Broadcast, KeyChoice::Wrapped { kek: &kek, key: &session }] {
        let sealed = protect(Suite::Zero, &keys, choice, &envelope, protection, rest).expect("every key is there");
        let open = |sealed: &[u8]| open(sealed, Suite::Zero, &keys, &general, Some(METER), Some(OWN), protection);
        assert!(open(&flip(&sealed)).is_err());
        assert_eq!(open(&sealed).expect("what one side protects the other opens").apdu, rest);
    }
});
