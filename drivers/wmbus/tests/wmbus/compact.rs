//! Compact frames: read once the meter has told their format.

use crate::{LINK, RECORDS, draft, key};
use plomb_wmbus::{
    CompactError, Content, Counters, Draft, Format, MeterState, Opener, Protection, Security, Telegram, annotate, crc,
};

/// DIFs and VIFs of [`RECORDS`].
const BLOCKS: [u8; 4] = [0x0C, 0x13, 0x04, 0x6D];
const OTHER_VALUES: [u8; 8] = [0x22, 0x43, 0x05, 0x00, 0x1F, 0x0B, 0x59, 0x2B];

fn full(values: [u8; 8]) -> Vec<u8> {
    let [a, b] = [&values[..4], &values[4..]];
    [&BLOCKS[..2], a, &BLOCKS[2..], b].concat()
}

fn compact(ci: &[u8], values: [u8; 8]) -> Vec<u8> {
    let mut payload = ci.to_vec();
    payload.extend(crc(&BLOCKS).to_le_bytes());
    payload.extend(crc(&full(values)).to_le_bytes());
    payload.extend(values);
    LINK.emit(Format::A, &payload).unwrap()
}

fn open<T>(frame: &[u8], state: &mut MeterState, take: impl Fn(&Content<'_>) -> T) -> T {
    let mut buffer = Vec::new();
    let telegram = Telegram::parse(frame, &mut buffer).unwrap();
    let mut opener = Opener::new();
    let opened = opener.open(&telegram, state).unwrap();
    state.accept(&opened);
    take(&opened.content)
}

fn values(content: &Content<'_>) -> Vec<String> {
    let Content::Records(records) = content else { panic!("{content:?}") };
    records.flatten().map(|record| record.value.to_string()).collect()
}

#[test]
fn a_full_frame_tells_the_format() {
    let mut state = MeterState::default();
    // CI 79; 7B with a short header; 73 with a long one.
    let long = [0x73, 0x78, 0x56, 0x34, 0x12, 0x2D, 0x4E, 0x1B, 0x07, 0x2A, 0, 0, 0];
    let heads: [&[u8]; 3] = [&[0x79], &[0x7B, 0x2A, 0, 0, 0], &long];
    for head in heads {
        let unknown = CompactError::FormatUnknown { signature: crc(&BLOCKS) };
        open(&compact(head, OTHER_VALUES), &mut MeterState::default(), |content| {
            assert!(matches!(content, Content::Compact(_, error) if *error == unknown));
        });
    }
    let frame = LINK.emit(Format::A, &[&[0x78][..], &RECORDS].concat()).unwrap();
    assert_eq!(open(&frame, &mut state, values), ["54.321", "2018-11-25T11:30"]);
    for head in heads {
        assert_eq!(open(&compact(head, OTHER_VALUES), &mut state, values), ["54.322", "2018-11-25T11:31"]);
    }
}

#[test]
fn a_compact_frame_may_be_encrypted() {
    let mut state = MeterState::new(Security::encrypted(key()));
    state.formats.add(&BLOCKS, Protection::Plain);
    let mut payload = crc(&BLOCKS).to_le_bytes().to_vec();
    payload.extend(crc(&full(OTHER_VALUES)).to_le_bytes());
    payload.extend(OTHER_VALUES);
    for mode in [5, 7, 10] {
        let bytes = Draft { ci: 0x7B, payload: &payload, ..draft(mode) }.emit(Format::A, Some(&key())).unwrap();
        assert_eq!(open(&bytes, &mut state, values), ["54.322", "2018-11-25T11:31"]);
        let annotations =
            annotate(&bytes, &mut Opener::new(), &MeterState { counters: Counters::default(), ..state.clone() });
        assert!(annotations.iter().any(|annotation| annotation.meaning.contains("54.322 m3")), "{annotations:#?}");
        state.counters = Counters::default();
    }
}

#[test]
fn a_format_frame_tells_the_format() {
    let mut state = MeterState::default();
    let mut payload = vec![0x69, 2 + 4];
    payload.extend(crc(&BLOCKS).to_le_bytes());
    payload.extend(BLOCKS);
    let frame = LINK.emit(Format::B, &payload).unwrap();
    open(&frame, &mut state, |content| assert_eq!(*content, Content::Format(&BLOCKS)));
    assert_eq!(open(&compact(&[0x79], OTHER_VALUES), &mut state, values).len(), 2);
}

#[test]
fn a_compact_frame_that_does_not_fit_is_not_read() {
    let mut state = MeterState::default();
    state.formats.add(&BLOCKS, Protection::Plain);
    let mut payload = vec![0x79];
    payload.extend(crc(&BLOCKS).to_le_bytes());
    payload.extend(crc(&full(OTHER_VALUES)).to_le_bytes());
    payload.extend(OTHER_VALUES);
    payload[7] ^= 1;
    let frame = LINK.emit(Format::A, &payload).unwrap();
    open(&frame, &mut state, |content| {
        assert!(matches!(content, Content::Compact(_, CompactError::FullCrc { .. })), "{content:?}");
    });
    payload.truncate(9);
    let frame = LINK.emit(Format::A, &payload).unwrap();
    open(&frame, &mut state, |content| {
        assert!(matches!(content, Content::Compact(_, CompactError::Values { .. })), "{content:?}");
    });
}

#[test]
fn formats_are_bounded() {
    let mut state = MeterState::default();
    for vif in 0..100 {
        state.formats.add(&[0x04, vif], Protection::Plain);
    }
    let known = (0..100).filter(|vif| state.formats.get(crc(&[0x04, *vif])).is_some()).count();
    assert_eq!(known, plomb_wmbus::FORMAT_COUNT_MAX);
    state.formats.add(&[0; 241], Protection::Plain);
    assert_eq!(state.formats.get(crc(&[0; 241])), None);
}

#[test]
fn forged_formats_do_not_push_out_those_in_use() {
    let told = |state: &mut MeterState, range: std::ops::Range<u8>, told| {
        range.for_each(|vif| state.formats.add(&[0x04, vif], told));
    };
    // Read by once, the honest format stays.
    let mut state = MeterState::default();
    state.formats.add(&BLOCKS, Protection::Plain);
    assert_eq!(open(&compact(&[0x79], OTHER_VALUES), &mut state, values).len(), 2);
    told(&mut state, 0..100, Protection::Plain);
    assert_eq!(open(&compact(&[0x79], OTHER_VALUES), &mut state, values).len(), 2);
    // What an authenticated telegram told gives way to another such only.
    let mut state = MeterState::default();
    told(&mut state, 0..8, Protection::Authenticated);
    told(&mut state, 8..100, Protection::Encrypted);
    state.formats.add(&BLOCKS, Protection::Plain);
    assert!((0..8).all(|vif| state.formats.get(crc(&[0x04, vif])).is_some()));
    state.formats.add(&BLOCKS, Protection::Authenticated);
    assert!(state.formats.get(crc(&BLOCKS)).is_some());
}
