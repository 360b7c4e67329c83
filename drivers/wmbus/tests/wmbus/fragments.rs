//! Messages in several frames.

use crate::{LINK, RECORDS, draft, key};
use plomb_session::Instant;
use plomb_wmbus::{
    Content, Draft, Format, FragmentError, MESSAGE_SECONDS_MAX, MeterState, OpenError, Opener, Protection, Reassembly,
    Security, Telegram,
};
use std::time::Duration;

/// The frames of a profile B message in `count` fragments: the first has MCL, MCR and ML, the last the MAC.
fn frames(count: usize) -> Vec<Vec<u8>> {
    let payload = RECORDS.repeat(12);
    let upper = Draft { payload: &payload, ..draft(7) }.upper(Some(&key())).unwrap();
    // CI, AFLL, FCL, MCL, MCR, MAC, message.
    let (control, counter, message) = (upper[4], &upper[5..9], &upper[17..]);
    let id = 0x1234_5678u32.to_le_bytes();
    let length = u16::try_from(message.len()).unwrap().to_le_bytes();
    let control = control | 0x40;
    let mac = plomb_wmbus_mac(control, counter, length, message, id);
    let size = message.len().div_ceil(count);
    let pieces: Vec<_> = message.chunks(size).collect();
    let mut frames = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let fragment = u8::try_from(at + 1).unwrap();
        let (first, last) = (at == 0, at + 1 == pieces.len());
        let mut fields = vec![];
        let mut bits = if last { 0x00 } else { 0x40 };
        if first {
            bits |= 0x38;
            fields.push(control);
            fields.extend(counter);
        }
        if last {
            bits |= 0x04;
            fields.extend(&mac);
        }
        if first {
            fields.extend(length);
        }
        let mut payload = vec![0x90, u8::try_from(fields.len() + 2).unwrap(), fragment, bits];
        payload.extend(fields);
        payload.extend(*piece);
        frames.push(LINK.emit(Format::A, &payload).unwrap());
    }
    frames
}

/// The MAC of the standard, computed here on its own.
fn plomb_wmbus_mac(control: u8, counter: &[u8], length: [u8; 2], message: &[u8], id: [u8; 4]) -> Vec<u8> {
    use cmac::{Cmac, KeyInit, Mac};
    let code = |key: &[u8], parts: &[&[u8]]| {
        let mut code = Cmac::<aes::Aes128>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| Mac::update(&mut code, part));
        code.finalize().into_bytes().to_vec()
    };
    let kmac = code(b"sixteen bytes, y", &[&[0x01], counter, &id, &[0x07; 7]]);
    code(&kmac, &[&[control], counter, &length, message])[..8].to_vec()
}

fn feed(reassembly: &mut Reassembly, frame: &[u8], now: Instant) -> Result<Option<usize>, FragmentError> {
    let mut buffer = Vec::new();
    let telegram = Telegram::parse(frame, &mut buffer).unwrap();
    let mut opener = Opener::new();
    let state = MeterState::new(Security::authenticated(key()));
    assert_eq!(opener.open(&telegram, &state), Err(OpenError::Fragment));
    let Some(whole) = reassembly.add(&telegram, now)? else { return Ok(None) };
    let opened = opener.open(&whole, &state).unwrap();
    assert_eq!((opened.protection, opened.counter.unwrap().value), (Protection::Authenticated, 1000));
    let Content::Records(records) = opened.content else { panic!() };
    Ok(Some(records.count()))
}

#[test]
fn a_message_is_put_together_and_opened() {
    for count in 2..=5 {
        let mut reassembly = Reassembly::default();
        let frames = frames(count);
        for (at, frame) in frames.iter().enumerate() {
            let got = feed(&mut reassembly, frame, Instant::ORIGIN).unwrap();
            assert_eq!(got, (at + 1 == frames.len()).then_some(24), "{count} fragments");
        }
    }
}

#[test]
fn gaps_repetitions_and_delays_are_told() {
    let frames = frames(3);
    let mut reassembly = Reassembly::default();
    let now = Instant::ORIGIN;
    let missing = |expected, received| Err(FragmentError::Missing { expected, received });
    assert_eq!(feed(&mut reassembly, &frames[1], now), missing(1, 2));
    assert_eq!(feed(&mut reassembly, &frames[0], now), Ok(None));
    assert_eq!(feed(&mut reassembly, &frames[2], now), missing(2, 3));
    // The third may be anybody's: the message goes on, or begins anew.
    assert_eq!(feed(&mut reassembly, &frames[0], now), Ok(None));
    assert_eq!(feed(&mut reassembly, &frames[1], now), Ok(None));
    assert_eq!(feed(&mut reassembly, &frames[1], now), Err(FragmentError::Repeated { fragment: 2 }));
    assert_eq!(feed(&mut reassembly, &frames[2], now), Ok(Some(24)));
    assert_eq!(feed(&mut reassembly, &frames[0], now), Ok(None));
    let late = now + Duration::from_secs(MESSAGE_SECONDS_MAX + 1);
    assert_eq!(feed(&mut reassembly, &frames[1], late), Err(FragmentError::Late));
}

/// Whoever hears the first fragment can send others; the honest message is put together all the same.
#[test]
fn forged_fragments_do_not_spoil_a_message() {
    let honest = frames(3);
    let forged = |fragment: u8, bits: u8, byte: u8| {
        LINK.emit(Format::A, &[&[0x90, 2, fragment, bits][..], &[byte; 8]].concat()).unwrap()
    };
    let (first, middle) = (forged(1, 0x40, 0xAA), forged(2, 0x40, 0xBB));
    let (last, lone) = (forged(3, 0x00, 0xCC), forged(2, 0x00, 0xDD));
    // As the honest ones but for the counter, or the flags.
    let link = |frame: &[u8], change: fn(&mut [u8])| {
        let mut buffer = Vec::new();
        let mut payload = plomb_wmbus::LinkFrame::parse(frame, &mut buffer).unwrap().payload.to_vec();
        change(&mut payload);
        LINK.emit(Format::A, &payload).unwrap()
    };
    let other_counter = link(&honest[0], |payload| payload[5] ^= 1);
    let other_flags = link(&honest[1], |payload| payload[3] ^= 0x40);
    for between in [
        vec![&other_counter],
        vec![&other_flags],
        vec![&first],
        vec![&middle],
        vec![&lone, &last],
        vec![&last, &first],
        vec![&middle, &last],
    ] {
        let mut reassembly = Reassembly::default();
        let state = MeterState::new(Security::authenticated(key()));
        let mut taken = 0;
        for frame in
            [&honest[0]].into_iter().chain(between.clone()).chain([&honest[1]]).chain(between).chain([&honest[2]])
        {
            let (mut buffer, mut opener) = (Vec::new(), Opener::new());
            let telegram = Telegram::parse(frame, &mut buffer).unwrap();
            let opens = |whole: &Telegram<'_>| Opener::new().open(whole, &state).is_ok();
            if let Ok(Some(whole)) = reassembly.add_where(&telegram, Instant::ORIGIN, opens) {
                taken += usize::from(opener.open(&whole, &state).is_ok());
            }
        }
        assert_eq!(taken, 1);
    }
}

#[test]
fn a_mac_cut_short_in_the_last_fragment_is_refused() {
    let mut whole = frames(2);
    // AFLL, FID, FCL and one byte of MAC: it would be guessed after 256 tries.
    let mut buffer = Vec::new();
    let last = plomb_wmbus::LinkFrame::parse(&whole[1], &mut buffer).unwrap();
    let (head, rest) = last.payload.split_at(4);
    let cut = [&[head[0], 3, head[2], head[3]], &rest[..1], &rest[8..]].concat();
    whole[1] = LINK.emit(Format::A, &cut).unwrap();
    let mut reassembly = Reassembly::default();
    assert_eq!(feed(&mut reassembly, &whole[0], Instant::ORIGIN), Ok(None));
    let mut buffer = Vec::new();
    let telegram = Telegram::parse(&whole[1], &mut buffer).unwrap();
    let message = reassembly.add(&telegram, Instant::ORIGIN).unwrap().unwrap();
    let state = MeterState::new(Security { key: Some(key()), ..Security::plain() });
    let refused = Opener::new().open(&message, &state).map(|_| ());
    assert_eq!(refused, Err(OpenError::MacFailed { key_fits: None }));
}

#[test]
fn a_message_without_end_is_bounded() {
    let mut reassembly = Reassembly::default();
    let mut refused = false;
    for fragment in 1..=200u8 {
        let mut payload = vec![0x90, 2, fragment, 0x40];
        payload.extend([0x2F; 200]);
        let frame = LINK.emit(Format::Stripped, &payload).unwrap();
        let mut buffer = Vec::new();
        let telegram = Telegram::parse(&frame, &mut buffer).unwrap();
        refused |= reassembly.add(&telegram, Instant::ORIGIN) == Err(FragmentError::TooLong);
    }
    assert!(refused);
}
