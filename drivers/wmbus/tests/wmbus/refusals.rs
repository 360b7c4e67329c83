//! What must not be opened, each with its own reason, and that none of it changes the meter's state.

use crate::{ADAPTER, METER, RECORDS, draft, key, long, other_key};
use plomb_wmbus::{
    Authentication, Content, Draft, Ell, Format, Key, MeterState, OpenError, OpenOptions, Opened, Opener, Protection,
    Security, SecurityMode, SessionNumber, Telegram, TelegramError,
};

/// Opens the stripped frame and hands on what can outlive it.
fn open(frame: &[u8], state: &MeterState) -> Result<(Protection, Option<u32>), OpenError> {
    opened(frame, state, |opened| (opened.protection, opened.counter.map(|counter| counter.value)))
}

fn opened<T>(frame: &[u8], state: &MeterState, take: impl Fn(&Opened<'_>) -> T) -> Result<T, OpenError> {
    let mut buffer = Vec::new();
    let telegram = Telegram::parse(frame, &mut buffer).unwrap();
    let mut opener = Opener::new();
    opener.open(&telegram, state).map(|opened| take(&opened))
}

fn emit(draft: &Draft<'_>, key: Option<&Key>) -> Vec<u8> {
    draft.emit(Format::Stripped, key).unwrap()
}

fn encrypted() -> MeterState {
    MeterState::new(Security::encrypted(key()))
}

#[test]
fn each_mode_opens_with_the_right_key_only() {
    for (mode, check) in [(5, "2F2F"), (7, "the MAC, and 2F2F"), (10, "")] {
        let frame = emit(&draft(mode), Some(&key()));
        let protection = if mode == 5 { Protection::Encrypted } else { Protection::Authenticated };
        assert_eq!(open(&frame, &encrypted()), Ok((protection, (mode != 5).then_some(1000))));
        let number = SecurityMode(u8::try_from(mode).unwrap());
        assert_eq!(open(&frame, &MeterState::default()), Err(OpenError::KeyMissing { mode: number }));
        let wrong = open(&frame, &MeterState::new(Security::encrypted(other_key())));
        let expected = match mode {
            5 | 7 => OpenError::KeyWrong { check },
            _ => OpenError::MacFailed { key_fits: None },
        };
        assert_eq!(wrong, Err(expected));
    }
}

#[test]
fn every_length_of_mac_is_checked_in_every_bit() {
    for bytes in [2, 4, 8, 12, 16] {
        let draft = Draft { authentication: Authentication::Cmac(bytes), ..draft(7) };
        let frame = emit(&draft, Some(&key()));
        let protection = if bytes < 8 { Protection::Encrypted } else { Protection::Authenticated };
        assert_eq!(open(&frame, &encrypted()), Ok((protection, Some(1000))));
        let mac_at = 10 + 9;
        for bit in 0..usize::from(bytes) * 8 {
            let mut forged = frame.clone();
            forged[mac_at + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&forged, &encrypted()), Err(OpenError::MacFailed { key_fits: Some(true) }));
        }
    }
}

#[test]
fn what_only_a_short_mac_protects_counts_as_plain() {
    for (code, mac_bytes) in [(3, 2), (4, 4), (5, 8), (6, 12), (7, 16)] {
        // FCL, MCL, KI with derivation 1, MCR and a MAC that is guessed, before a message in clear.
        let mut upper = vec![0x90, 9 + mac_bytes, 0x00, 0x2E, 0x20 | code, 0x10, 0x00];
        upper.extend(2000u32.to_le_bytes());
        upper.extend(vec![0x5A; mac_bytes.into()]);
        upper.extend([0x7A, 0x2A, 0, 0, 0]);
        upper.extend(RECORDS);
        let frame = crate::LINK.emit(Format::Stripped, &upper).unwrap();
        let mac_failed = Err(OpenError::MacFailed { key_fits: None });
        let weaker = Err(OpenError::Weaker { expected: Protection::Encrypted, found: Protection::Plain });
        assert_eq!(open(&frame, &encrypted()), if mac_bytes < 8 { weaker } else { mac_failed }, "{mac_bytes}");
        // Where plain telegrams are taken, a MAC that is there is checked all the same.
        let plain = MeterState::new(Security { key: Some(key()), minimum: Protection::Plain });
        assert_eq!(open(&frame, &plain), mac_failed, "{mac_bytes}");
    }
}

#[test]
fn no_bit_of_an_authenticated_telegram_can_be_changed() {
    for mode in [7, 10] {
        let frame = emit(&draft(mode), Some(&key()));
        let plain = opened(&frame, &encrypted(), |opened| opened.plain.to_vec()).unwrap();
        for bit in 8..frame.len() * 8 {
            let mut forged = frame.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let mut buffer = Vec::new();
            let Ok(telegram) = Telegram::parse(&forged, &mut buffer) else { continue };
            let mut opener = Opener::new();
            let state = MeterState::new(Security::authenticated(key()));
            // The standard's MAC covers neither the link's head, by which a gateway finds meter and
            // key, nor FCL, whose reserved bits and fragment number say nothing here.
            if let Ok(opened) = opener.open(&telegram, &state) {
                let uncovered = bit / 8 < 10 || mode == 7 && matches!(bit / 8, 12 | 13);
                assert!(uncovered, "mode {mode}: bit {bit} changed and accepted");
                assert_eq!((opened.plain, opened.counter.unwrap().value), (&plain[..], 1000));
            }
        }
    }
}

#[test]
fn a_counter_is_accepted_once_and_only_upwards() {
    for mode in [7, 10] {
        let mut state = encrypted();
        let frame = |counter| emit(&Draft { counter, ..draft(mode) }, Some(&key()));
        let accept = |state: &mut MeterState, frame: &[u8]| {
            let mut buffer = Vec::new();
            let telegram = Telegram::parse(frame, &mut buffer).unwrap();
            let mut opener = Opener::new();
            let opened = opener.open(&telegram, state)?;
            state.accept(&opened);
            Ok::<_, OpenError>(())
        };
        assert_eq!(accept(&mut state, &frame(1000)), Ok(()));
        for received in [1000, 999, 0] {
            let expected = OpenError::CounterRepeated { received, last: 1000 };
            assert_eq!(accept(&mut state, &frame(received)), Err(expected));
        }
        // A forged higher counter must not move the mark: the honest meter goes on.
        let mut forged = frame(u32::MAX);
        let last = forged.len() - 1;
        forged[last] ^= 1;
        let refused = accept(&mut state, &forged);
        assert!(matches!(refused, Err(OpenError::MacFailed { .. } | OpenError::KeyWrong { .. })), "{refused:?}");
        assert_eq!(state.counters.last(key().tag()), Some(1000));
        assert_eq!(accept(&mut state, &frame(1001)), Ok(()));
        // A new key begins a new count, and the old one's mark stays.
        state.security.key = Some(other_key());
        assert_eq!(accept(&mut state, &emit(&draft(mode), Some(&other_key()))), Ok(()));
        state.security.key = Some(key());
        let expected = OpenError::CounterRepeated { received: 1001, last: 1001 };
        assert_eq!(accept(&mut state, &frame(1001)), Err(expected));
    }
}

#[test]
fn weaker_protection_than_expected_is_refused_before_any_key_is_tried() {
    let authenticated = MeterState::new(Security::authenticated(key()));
    let weaker = |expected, found| Err(OpenError::Weaker { expected, found });
    let plain = emit(&draft(0), None);
    assert_eq!(open(&plain, &MeterState::default()), Ok((Protection::Plain, None)));
    assert_eq!(open(&plain, &encrypted()), weaker(Protection::Encrypted, Protection::Plain));
    let mode_5 = emit(&draft(5), Some(&key()));
    assert_eq!(open(&mode_5, &authenticated), weaker(Protection::Authenticated, Protection::Encrypted));
    // Mode 5 with no block encrypted is plain, whatever the mode says.
    let mut none = mode_5;
    none[13] &= 0x0F;
    assert_eq!(open(&none, &encrypted()), weaker(Protection::Encrypted, Protection::Plain));
    // So is a telegram without any header.
    let bare = emit(&Draft { ci: 0x78, header: plomb_wmbus::TransportHeader::None, ..draft(0) }, None);
    assert_eq!(open(&bare, &encrypted()), weaker(Protection::Encrypted, Protection::Plain));
}

#[test]
fn a_telegram_without_a_reading_is_no_forgery() {
    let frame = emit(&Draft { ci: 0x8B, header: long(0), payload: &[], ..draft(0) }, None);
    assert_eq!(open(&frame, &MeterState::default()), Ok((Protection::Plain, None)));
    assert_eq!(open(&frame, &encrypted()), Err(OpenError::PresenceOnly));
}

#[test]
fn clear_payloads_under_an_encrypting_header_are_refused() {
    for mode in [5u16, 7] {
        let mut frame = emit(&draft(0), None);
        // Announce one block and put check bytes in front, as decrypted samples have them.
        frame[13] = 0x10;
        frame[14] = u8::try_from(mode).unwrap();
        let mut payload = if mode == 7 { vec![0x10] } else { vec![] };
        payload.extend([0x2F, 0x2F]);
        payload.extend(RECORDS);
        payload.extend([0x2F, 0x2F]);
        frame.truncate(15);
        frame.extend(payload);
        frame[0] = u8::try_from(frame.len() - 1).unwrap();
        let number = SecurityMode(u8::try_from(mode).unwrap());
        for state in [MeterState::default(), encrypted()] {
            let mut buffer = Vec::new();
            let telegram = Telegram::parse(&frame, &mut buffer).unwrap();
            let mut opener = Opener::new();
            let expected = match (mode, state.security.key.is_some()) {
                (7, true) => OpenError::MacMissing { mode: number },
                _ => OpenError::PlainUnderEncryption { mode: number },
            };
            assert_eq!(opener.open(&telegram, &state), Err(expected), "mode {mode}");
            let mut opener = Opener::with_options(OpenOptions { accept_decrypted_samples: true });
            if let Ok(opened) = opener.open(&telegram, &state) {
                assert!(opened.sample && opened.protection == Protection::Plain);
            } else {
                assert_eq!((mode, state.security.key.is_some()), (7, true));
            }
        }
    }
}

#[test]
fn modes_that_are_not_opened_are_refused_by_name() {
    for (mode, name) in [
        (1u8, "manufacturer's own"),
        (2, "DES-CBC, IV 0"),
        (3, "DES-CBC"),
        (4, "AES-128-CBC, IV 0"),
        (8, "AES-128-CTR and CMAC"),
        (9, "AES-128-GCM"),
        (13, "TLS"),
        (6, "reserved"),
        (31, "reserved"),
    ] {
        let mut frame = emit(&draft(0), None);
        frame[14] = mode;
        for state in [MeterState::default(), encrypted()] {
            let error = open(&frame, &state).unwrap_err();
            assert_eq!(error, OpenError::ModeUnsupported(SecurityMode(mode)));
            assert_eq!(error.to_string(), format!("security mode {mode} ({name}) is not supported"));
        }
    }
}

#[test]
fn a_cut_telegram_is_told_from_a_wrong_key() {
    let mut frame = emit(&draft(5), Some(&key()));
    frame.truncate(frame.len() - 3);
    frame[0] -= 3;
    assert_eq!(open(&frame, &encrypted()), Err(OpenError::Truncated { offset: 15, needed: 16, left: 13 }));
}

#[test]
fn what_mode_5_leaves_in_clear_is_told() {
    let mut frame = emit(&draft(5), Some(&key()));
    frame.extend([0x01, 0x13, 0x07]);
    frame[0] += 3;
    let clear = |opened: &Opened<'_>| (opened.clear_bytes, opened.clear_at);
    assert_eq!(opened(&frame, &encrypted(), clear), Ok((3, Some(15 + 16))));
    // Filler says nothing, and behind a MAC nobody can put anything.
    let end = frame.len() - 3;
    frame[end..].fill(0x2F);
    assert_eq!(opened(&frame, &encrypted(), clear), Ok((3, None)));
    let whole = emit(&draft(7), Some(&key()));
    assert_eq!(opened(&whole, &encrypted(), clear), Ok((0, None)));
}

#[test]
fn the_key_belongs_to_the_meter_of_the_long_header_not_to_its_radio() {
    for mode in [5, 7, 10] {
        let configuration = if mode == 10 { 0x2AFF } else { mode << 8 };
        let link = plomb_wmbus::Link { sender: ADAPTER, ..crate::LINK };
        let frame = emit(&Draft { link, ci: 0x72, header: long(configuration), ..draft(mode) }, Some(&key()));
        let mut buffer = Vec::new();
        assert_eq!(Telegram::parse(&frame, &mut buffer).unwrap().meter(), Some(METER));
        assert_eq!(opened(&frame, &encrypted(), |opened| opened.meter), Ok(METER));
    }
}

#[test]
fn the_extended_link_layer_opens_and_refuses() {
    let session = SessionNumber(0x2000_0010);
    let ell = Ell { ci: 0x8D, communication: 0x20, access: 7, receiver: None, session: Some(session) };
    let draft = Draft { ell: Some(ell), ci: 0x78, header: plomb_wmbus::TransportHeader::None, ..draft(0) };
    let frame = emit(&draft, Some(&key()));
    let taken = opened(&frame, &encrypted(), |opened| (opened.protection, opened.session, opened.plain.to_vec()));
    assert_eq!(taken, Ok((Protection::Encrypted, Some(session), RECORDS.to_vec())));
    assert_eq!(open(&frame, &MeterState::default()), Err(OpenError::KeyMissing { mode: SecurityMode::LINK }));
    let wrong = open(&frame, &MeterState::new(Security::encrypted(other_key())));
    assert_eq!(wrong, Err(OpenError::KeyWrong { check: "the payload's CRC" }));
    // A repeater sets bits of CC, which are not part of the counter.
    let mut repeated = frame.clone();
    repeated[11] |= 0x12;
    assert!(open(&repeated, &encrypted()).is_ok());
    // Under this meter's key another one is named.
    let meter = plomb_mbus::MeterId { version: 99, ..METER };
    let plomb_wmbus::TransportHeader::Long(header) = long(0) else { panic!() };
    let header = plomb_wmbus::TransportHeader::Long(plomb_mbus::Header { meter, ..header });
    let stranger = emit(&Draft { ci: 0x72, header, ..draft }, Some(&key()));
    assert_eq!(open(&stranger, &encrypted()), Err(OpenError::OtherMeter { sender: METER, named: meter }));
    // Another kind of encryption.
    let mut other = frame;
    other[16] = 0x40;
    assert_eq!(open(&other, &encrypted()), Err(OpenError::LinkEncryptionUnsupported { encryption: 2 }));
    // The same layer without encryption: its CRC is checked when it is read.
    let plain = Draft { ell: Some(Ell { session: Some(SessionNumber(16)), ..ell }), ..draft };
    let mut frame = emit(&plain, None);
    assert_eq!(open(&frame, &MeterState::default()), Ok((Protection::Plain, None)));
    *frame.last_mut().unwrap() ^= 1;
    let mut buffer = Vec::new();
    assert!(matches!(Telegram::parse(&frame, &mut buffer), Err(TelegramError::PayloadCrc { offset: 17, .. })));
}

#[test]
fn layers_of_unknown_length_are_refused_by_name() {
    for (ci, name) in [(0x81, "network layer"), (0x86, "extended link layer in this place")] {
        let frame = crate::LINK.emit(Format::Stripped, &[ci, 1, 2, 3]).unwrap();
        let mut buffer = Vec::new();
        let error = Telegram::parse(&frame, &mut buffer).unwrap_err();
        assert_eq!(error, TelegramError::Layer { ci, name, offset: 10 });
    }
}

#[test]
fn a_manufacturers_payload_is_handed_on_whole() {
    let frame = crate::LINK.emit(Format::Stripped, &[0xA2, 1, 2, 3]).unwrap();
    let mut buffer = Vec::new();
    let telegram = Telegram::parse(&frame, &mut buffer).unwrap();
    let (mut opener, state) = (Opener::new(), MeterState::default());
    let Content::Manufacturer(payload) = opener.open(&telegram, &state).unwrap().content else { panic!() };
    assert_eq!((payload.meter, payload.ci, payload.bytes, payload.offset), (METER, 0xA2, &[1, 2, 3][..], 11));
}

#[test]
fn keys_are_not_shown() {
    let shown = format!("{:?} {:?}", key(), encrypted());
    assert!(!shown.contains("sixteen") && shown.contains("Key(…)"), "{shown}");
    assert_eq!(Key::from_hex("000102030405060708090A0B0C0D0E0F").map(|key| key.tag().0.len()), Ok(8));
    for text in ["", "00", "000102030405060708090A0B0C0D0E0", "000102030405060708090A0B0C0D0E0G", "é"] {
        assert!(!Key::from_hex(text).unwrap_err().to_string().contains("0E0"));
    }
}
