//! What is made is read again, whatever it is.

use crate::{METER, key, long, short};
use plomb_mbus::{Configuration, Identification, Manufacturer, Medium, MeterId};
use plomb_wmbus::{
    Authentication, Bearer, Draft, DraftError, Ell, Format, Link, LinkControl, LinkError, LinkFrame, MeterState,
    Opener, Security, SessionNumber, Telegram, TransportHeader,
};
use proptest::prelude::*;

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::A), Just(Format::B), Just(Format::Stripped)]
}

fn meter() -> impl Strategy<Value = MeterId> {
    (any::<u32>(), any::<u16>(), any::<u8>(), any::<u8>()).prop_map(|(id, manufacturer, version, medium)| MeterId {
        id: Identification(id),
        manufacturer: Manufacturer(manufacturer),
        version,
        medium: Medium(medium),
    })
}

proptest! {
    #[test]
    fn a_frame_of_any_format_comes_back(
        format in format(), control: u8, sender in meter(), payload in proptest::collection::vec(any::<u8>(), 1..250),
    ) {
        let link = Link { control: LinkControl(control), sender };
        let bytes = match link.emit(format, &payload) {
            Ok(bytes) => bytes,
            Err(error) => {
                prop_assert!(payload.len() > 242);
                prop_assert_eq!(error, LinkError::PayloadTooLong { bytes: payload.len() });
                return Ok(());
            }
        };
        let mut buffer = Vec::new();
        let frame = LinkFrame::parse_as(format, &bytes, &mut buffer).unwrap();
        prop_assert_eq!((frame.format, frame.link, frame.payload), (format, link, &payload[..]));
        prop_assert_eq!(&link.emit(format, &payload).unwrap(), &bytes);
        // Found out alone, but for a stripped frame that passes for format B by chance.
        let mut buffer = Vec::new();
        let found = LinkFrame::parse(&bytes, &mut buffer).unwrap();
        prop_assert!(found.format == format || format == Format::Stripped && found.format == Format::B);
    }

    #[test]
    fn one_wrong_bit_in_a_frame_with_crcs_is_noticed(
        format in prop_oneof![Just(Format::A), Just(Format::B)],
        payload in proptest::collection::vec(any::<u8>(), 1..200), bit: prop::sample::Index,
    ) {
        let mut bytes = crate::LINK.emit(format, &payload).unwrap();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut buffer = Vec::new();
        prop_assert!(LinkFrame::parse_as(format, &bytes, &mut buffer).is_err());
    }

    #[test]
    fn every_protection_opens_to_what_was_put_in(
        format in format(), mode in prop_oneof![Just(0u16), Just(5), Just(7), Just(10)], sealed: bool, named: bool,
        counter: u32, sender in meter(), payload in proptest::collection::vec(any::<u8>(), 0..180), session: u32,
        mac in prop_oneof![Just(2u8), Just(4), Just(8), Just(12), Just(16)],
    ) {
        let configuration = if mode == 10 { 0x2AFF } else { mode << 8 };
        let session = SessionNumber(session & 0x1FFF_FFFF | if sealed { 0x2000_0000 } else { 0 });
        let ell = Ell { ci: 0x8F, communication: 0x20, access: 1, receiver: Some(METER), session: Some(session) };
        // Sealed by the link, a telegram speaks for its sender only.
        let sender = if named && sealed { METER } else { sender };
        let header = if named { long(configuration) } else { short(configuration) };
        let draft = Draft {
            link: Link { control: LinkControl::SND_NR, sender },
            ell: Some(ell).filter(|_| sealed || counter & 1 == 0),
            ci: if named { 0x72 } else { 0x7A },
            header,
            payload: &payload,
            counter,
            authentication: Authentication::Cmac(mac),
        };
        let bytes = match draft.emit(format, Some(&key())) {
            Ok(bytes) => bytes,
            Err(DraftError::Link(LinkError::PayloadTooLong { .. })) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let mut buffer = Vec::new();
        let frame = LinkFrame::parse_as(format, &bytes, &mut buffer).unwrap();
        let telegram = Telegram::from_link(&frame).unwrap();
        prop_assert_eq!(telegram.bearer, Bearer::Radio { format, link: draft.link });
        prop_assert_eq!(telegram.ell, draft.ell);
        let mut state = MeterState::new(Security::plain());
        state.security.key = Some(key());
        let mut opener = Opener::new();
        let opened = opener.open(&telegram, &state).unwrap();
        let meter = if named { METER } else { sender };
        prop_assert_eq!(opened.meter, meter);
        prop_assert_eq!(opened.counter.map(|counter| counter.value), (mode >= 7).then_some(counter));
        let plain = match mode {
            5 | 7 => &opened.plain[2..2 + payload.len()],
            _ => opened.plain,
        };
        prop_assert_eq!(plain, &payload[..]);
        if matches!(mode, 5 | 7) {
            prop_assert!(opened.plain[2 + payload.len()..].iter().all(|byte| *byte == 0x2F));
        }
        let TransportHeader::Short(_) = header else { return Ok(()) };
        prop_assert_eq!(Configuration(configuration).mode(), u8::try_from(mode).unwrap());
    }
}
