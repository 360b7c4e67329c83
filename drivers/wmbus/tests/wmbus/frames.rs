//! Frames printed in the standards (OMS Volume 2, annex N; EN 13757-4, annex P), and what is no frame.

use crate::{hex, hex_of};
use plomb_wmbus::{
    Bearer, Format, Key, Link, LinkControl, LinkError, LinkFrame, MeterState, OpenError, Opener, Protection, Security,
    Telegram,
};

/// N.2.1: gas meter, profile A.
const PROFILE_A: &str =
    "2E44931578563412330333637A2A0020255923C95AAA26D1B2E7493BC2AD013EC4A6F6D3529B520EDFF0EA6DEFC955B29D6D69EBF3EC8A";
/// N.2.3: the same meter, profile B.
const PROFILE_B: &str = "434493157856341233037AC98C2075900F002C25B30A000021924D4FBA372FB66E017A75002007109058475F4BC9D1281DF878B80A1B0F98B629024AAC7279429398BFC549233C0140829B93BAA1";
/// N.2.4: the same meter behind a radio adapter.
const ADAPTER_B: &str = "53082448443322110337D0468E80753A63665544330A31900F002C25E00AB30A0000AF5D74DF73A600D972785634C027129315330375002007109058475F4BC955CF1DF878B80A1B0F98B629024AAC7279429398BFC549233C0140829B93BAA1";
/// EN 13757-4, annex P: format B.
const FORMAT_B: &str = "1444AE0C7856341201078C2027780B134365877AC5";
/// N.2.2: the gas meter on a wire.
const WIRED: &str = "6820206808FD7278563412931533032A0000000C1427048502046D32371F1502FD1700008916";

const PLAIN: &str = "2f2f0c1427048502046d32371f1502fd1700002f2f2f2f2f2f2f2f2f2f2f2f2f";

fn key_a() -> Key {
    Key::from_hex("0102030405060708090A0B0C0D0E0F11").unwrap()
}

fn key_b() -> Key {
    Key::from_hex("000102030405060708090A0B0C0D0E0F").unwrap()
}

#[test]
fn the_gas_meter_of_annex_n_under_each_profile() {
    for (frame, key, protection, counter) in [
        (PROFILE_A, key_a(), Protection::Encrypted, None),
        (PROFILE_B, key_b(), Protection::Authenticated, Some(0x0AB3)),
        (ADAPTER_B, key_b(), Protection::Authenticated, Some(0x0AB3)),
    ] {
        let bytes = hex(frame);
        let mut buffer = Vec::new();
        let telegram = Telegram::parse(&bytes, &mut buffer).unwrap();
        let Bearer::Radio { format, .. } = telegram.bearer else { panic!() };
        assert_eq!(format, Format::A);
        let meter = telegram.meter().unwrap();
        assert_eq!((meter.id.0, meter.medium.name()), (0x1234_5678, "gas"));
        let mut opener = Opener::new();
        let opened = opener.open(&telegram, &MeterState::new(Security::encrypted(key))).unwrap();
        assert_eq!(hex_of(opened.plain), PLAIN);
        assert_eq!((opened.protection, opened.counter.map(|counter| counter.value)), (protection, counter));
    }
}

#[test]
fn the_gas_meter_of_annex_n_on_a_wire() {
    let bytes = hex(WIRED);
    let telegram = Telegram::parse_wired(&bytes, None).unwrap();
    let mut opener = Opener::new();
    let opened = opener.open(&telegram, &MeterState::default()).unwrap();
    assert_eq!((opened.meter.id.0, opened.protection), (0x1234_5678, Protection::Plain));
    let encrypted = MeterState::new(Security::encrypted(key_a()));
    let expected = OpenError::Weaker { expected: Protection::Encrypted, found: Protection::Plain };
    assert_eq!(opener.open(&telegram, &encrypted), Err(expected));
}

#[test]
fn format_b_and_a_are_told_apart() {
    let bytes = hex(FORMAT_B);
    let mut buffer = Vec::new();
    let frame = LinkFrame::parse(&bytes, &mut buffer).unwrap();
    assert_eq!((frame.format, frame.payload.len()), (Format::B, 9));
    assert_eq!(frame.link.emit(Format::B, frame.payload), Ok(bytes.clone()));
    let mut buffer = Vec::new();
    let refused = LinkFrame::parse_as(Format::A, &bytes, &mut buffer);
    assert_eq!(refused, Err(LinkError::Truncated { offset: 21, needed: 4 }));
}

#[test]
fn the_two_parts_of_a_long_frame_of_format_b() {
    let link = Link { control: LinkControl::SND_NR, ..crate::LINK };
    for (payload, bytes) in [(115, 127), (116, 128), (117, 131), (242, 256)] {
        let payload = vec![0xA5; payload];
        let frame = link.emit(Format::B, &payload).unwrap();
        assert_eq!(frame.len(), bytes);
        let mut buffer = Vec::new();
        assert_eq!(LinkFrame::parse(&frame, &mut buffer).unwrap().payload, payload);
    }
    assert_eq!(link.emit(Format::B, &[0; 243]), Err(LinkError::PayloadTooLong { bytes: 243 }));
    assert!(link.emit(Format::A, &[0; plomb_wmbus::PAYLOAD_BYTES_MAX]).is_ok());
    assert!(link.emit(Format::A, &[0; plomb_wmbus::PAYLOAD_BYTES_MAX + 1]).is_err());
}

#[test]
fn what_is_no_frame_is_told_with_its_place() {
    let whole = hex(PROFILE_A);
    let parse = |bytes: &[u8]| {
        let mut buffer = Vec::new();
        LinkFrame::parse(bytes, &mut buffer).map(|frame| frame.format)
    };
    assert_eq!(parse(&[]), Err(LinkError::Truncated { offset: 0, needed: 10 }));
    assert_eq!(parse(&[8, 1, 2]), Err(LinkError::LengthTooShort { length: 8 }));
    assert_eq!(parse(&whole[..20]), Err(LinkError::Truncated { offset: 20, needed: 27 }));
    assert_eq!(parse(&whole[..50]), Err(LinkError::Truncated { offset: 50, needed: 5 }));
    let trailing = [&whole[..], &[0x5A]].concat();
    assert_eq!(parse(&trailing), Err(LinkError::Trailing { offset: 55, left: 1 }));
    for (at, block, offset) in [(3, 0, 10), (10, 0, 10), (12, 1, 28), (54, 3, 53)] {
        let mut wrong = whole.clone();
        wrong[at] ^= 0x10;
        let Err(LinkError::Crc { block: found, offset: place, .. }) = parse(&wrong) else { panic!("{at}") };
        assert_eq!((found, place), (block, offset), "{at}");
    }
}

#[test]
fn encrypted_wired_telegrams_open_with_either_header() {
    use crate::{METER, RECORDS, draft, key, long};
    use plomb_mbus::{Address, Control, Frame};
    let state = MeterState::new(Security::encrypted(key()));
    for mode in [5, 7, 10] {
        for named in [true, false] {
            let configuration = if mode == 10 { 0x2AFF } else { mode << 8 };
            let (ci, header) = if named { (0x72, long(configuration)) } else { (0x7A, draft(mode).header) };
            let upper = plomb_wmbus::Draft { ci, header, ..draft(mode) }.upper(Some(&key())).unwrap();
            let control = Control::RspUd { acd: false, dfc: false };
            let frame = Frame::Long { control, address: Address(1), ci: upper[0], payload: &upper[1..] };
            let bytes = frame.emit().unwrap();
            let mut opener = Opener::new();
            let telegram = Telegram::parse_wired(&bytes, Some(METER)).unwrap();
            let opened = opener.open(&telegram, &state).unwrap();
            assert!(opened.plain.windows(RECORDS.len()).any(|window| window == RECORDS), "mode {mode}");
            let unnamed = Telegram::parse_wired(&bytes, None).unwrap();
            let expected = if named { Ok(()) } else { Err(OpenError::MeterUnknown) };
            assert_eq!(opener.open(&unnamed, &state).map(|_| ()), expected);
        }
    }
}
