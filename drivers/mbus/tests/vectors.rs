//! Telegrams made by hand after the standards: each coding, each extension, each header.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_mbus::{
    Address, ApplicationError, Body, Control, DecodeError, Decoded, Frame, Function, InvalidValue, Medium, Modifier,
    Quantity, Record, RecordError, RecordStatus, Telegram, TelegramError, Value, decode, decode_strict,
};
use proptest::prelude::*;

const HEAT: u8 = 0x04;
const ELECTRICITY: u8 = 0x02;

fn frame(ci: u8, payload: &[u8]) -> Vec<u8> {
    let control = Control::RspUd { acd: false, dfc: false };
    Frame::Long { control, address: Address(1), ci, payload }.emit().unwrap()
}

/// A frame of the long header (CI 72) with these records.
fn long(medium: u8, configuration: [u8; 2], records: &[u8]) -> Vec<u8> {
    let [low, high] = configuration;
    let header = [0x78, 0x56, 0x34, 0x12, 0x77, 0x04, 0x0E, medium, 0x2A, 0x10, low, high];
    frame(0x72, &[&header[..], records].concat())
}

/// The one record of a heat meter with these bytes, as text: `value unit quantity`.
fn shown(records: &[u8]) -> String {
    with_record(HEAT, records, |record| format!("{} {} {}", record.value, record.unit, record.quantity))
}

fn with_record<T>(medium: u8, records: &[u8], look: impl FnOnce(&Record<'_>) -> T) -> T {
    let bytes = long(medium, [0, 0], records);
    let decoded = decode(&bytes).unwrap();
    assert_eq!(decoded.error, None, "{records:02x?}");
    assert_eq!(decoded.records.len(), 1, "{records:02x?}");
    look(&decoded.records[0])
}

fn obis(medium: u8, records: &[u8]) -> Option<String> {
    with_record(medium, records, |record| record.obis(Medium(medium)).map(|code| code.to_string()))
}

#[test]
fn every_coding_of_a_number() {
    for (records, expected) in [
        (&[0x01, 0x13, 0xFE][..], "-0.002 m3 volume"),
        (&[0x02, 0x13, 0x39, 0x30], "12.345 m3 volume"),
        (&[0x03, 0x13, 0x00, 0x00, 0x80], "-8388.608 m3 volume"),
        (&[0x04, 0x06, 0x0C, 0x00, 0x00, 0x00], "12000 Wh energy"),
        (&[0x05, 0x5B, 0x00, 0x00, 0x26, 0x42], "41.5 °C flow temperature"),
        (&[0x06, 0x13, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "-0.001 m3 volume"),
        (&[0x07, 0x13, 0x01, 0, 0, 0, 0, 0, 0, 0x40], "4611686018427387.905 m3 volume"),
        (&[0x09, 0x13, 0x42], "0.042 m3 volume"),
        (&[0x0A, 0x5A, 0x21, 0xF3], "-32.1 °C flow temperature"),
        (&[0x0B, 0x2B, 0x56, 0x34, 0x12], "123456 W power"),
        (&[0x0C, 0x13, 0x78, 0x56, 0x34, 0x12], "12345.678 m3 volume"),
        (&[0x0E, 0x00, 0x12, 0x90, 0x78, 0x56, 0x34, 0x12], "123456789.012 Wh energy"),
        (&[0x0D, 0x13, 0xC3, 0x56, 0x34, 0x12], "123.456 m3 volume"),
        (&[0x0D, 0x13, 0xD3, 0x56, 0x34, 0x12], "-123.456 m3 volume"),
        (&[0x0D, 0x13, 0xE3, 0x01, 0x00, 0x00], "0.001 m3 volume"),
        (&[0x00, 0x13], " m3 volume"),
        (&[0x08, 0x13], " m3 volume"),
    ] {
        assert_eq!(shown(records), expected, "{records:02x?}");
    }
}

#[test]
fn values_longer_than_a_number_stay_bytes() {
    let mut records = vec![0x0D, 0x13, 0xF0];
    records.extend(1..=16);
    assert_eq!(shown(&records), "0102030405060708090a0b0c0d0e0f10 m3 volume");
    let records = [0x0D, 0x13, 0xE9, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(shown(&records), "010203040506070809 m3 volume");
}

#[test]
fn texts_are_in_reading_order() {
    let records = [&[0x0D, 0xFD, 0x11, 0x05][..], b"olleH"].concat();
    assert_eq!(shown(&records), "Hello  customer");
    with_record(HEAT, &records, |record| assert!(matches!(record.value, Value::Text(_))));
}

#[test]
fn what_a_coding_does_not_allow_is_kept_and_marked() {
    for (records, reason) in [
        (&[0x0C, 0x13, 0x0A, 0x00, 0x00, 0x00][..], InvalidValue::NotDecimal),
        (&[0x0A, 0x5A, 0xFF, 0xFF], InvalidValue::NotDecimal),
        (&[0x0D, 0x13, 0xC1, 0xF1], InvalidValue::NotDecimal),
        (&[0x05, 0x5B, 0x00, 0x00, 0xC0, 0x7F], InvalidValue::NotFinite),
        (&[0x04, 0x6D, 0xFF, 0xFF, 0xFF, 0xFF], InvalidValue::NoDate),
    ] {
        with_record(HEAT, records, |record| match record.value {
            Value::Invalid { reason: found, bytes } => {
                assert_eq!(found, reason);
                assert_eq!(bytes.0, record.data);
            }
            other => panic!("{records:02x?}: {other:?}"),
        });
    }
}

#[test]
fn dates_of_every_width() {
    for (records, expected) in [
        (&[0x42, 0x6C, 0xBF, 0x1C][..], "2013-12-31  date"),
        (&[0x04, 0x6D, 0x15, 0x0D, 0xCD, 0x13], "2014-03-13T13:21  date time"),
        (&[0x06, 0x6D, 0x05, 0x15, 0x0D, 0xCD, 0x13, 0x00], "2014-03-13T13:21:05  date time"),
        (&[0x03, 0x6D, 0x05, 0x15, 0x0D], "13:21:05  date time"),
        (&[0x02, 0xFD, 0x70, 0xBF, 0x1C], "2013-12-31  battery change"),
        (&[0x04, 0xFD, 0x30, 0x15, 0x0D, 0xCD, 0x13], "2014-03-13T13:21  tariff start"),
        (&[0x04, 0xFD, 0x72, 0x01, 0x02, 0x03, 0x04], "04030201  daylight saving"),
        (&[0x02, 0x93, 0x39, 0xBF, 0x1C], "2013-12-31  volume"),
        (&[0x12, 0xAB, 0x6E, 0xBF, 0x1C], "2013-12-31  power"),
        (&[0x02, 0xBB, 0x4A, 0xBF, 0x1C], "2013-12-31  volume flow"),
        (&[0x02, 0xBE, 0x58, 0x10, 0x00], "16 s volume flow"),
        (&[0x02, 0xBE, 0x5A, 0x10, 0x00], "16 h volume flow"),
        (&[0x02, 0xBE, 0x49, 0x10, 0x00], "16  volume flow"),
    ] {
        assert_eq!(shown(records), expected, "{records:02x?}");
    }
}

#[test]
fn a_value_has_the_time_point_of_its_storage_and_function() {
    let records = [
        &[0x01, 0x13, 5][..],
        &[0x41, 0x13, 4],
        &[0x12, 0x3B, 9, 0],
        &[0x81, 0x01, 0x13, 3],
        &[0x42, 0x6C, 0xBF, 0x1C],
        &[0x42, 0xEC, 0x7E, 0xDF, 0x1C],
        &[0x04, 0x6D, 0x15, 0x0D, 0xCD, 0x13],
        &[0x14, 0x6D, 0x16, 0x0D, 0xCD, 0x13],
        &[0x82, 0x01, 0x6C, 0x00, 0x00],
    ];
    let bytes = long(HEAT, [0, 0], &records.concat());
    let decoded = decode(&bytes).unwrap();
    let times: Vec<_> =
        decoded.records[..4].iter().map(|record| decoded.time_of(record).map(|t| t.to_string())).collect();
    let expected = ["2014-03-13T13:21", "2013-12-31", "2014-03-13T13:22"].map(|time| Some(time.to_owned()));
    assert_eq!(times[..3], expected);
    assert_eq!(times[3], None, "an unset clock gives no time");
}

#[test]
fn extension_tables_and_corrections() {
    for (records, expected) in [
        (&[0x04, 0xFB, 0x01, 0x36, 0x01, 0x00, 0x00][..], "310000000 Wh energy"),
        (&[0x04, 0xFB, 0x08, 0x05, 0x00, 0x00, 0x00], "500000000 J energy"),
        (&[0x02, 0xFB, 0x1A, 0x2C, 0x01], "30.0 % relative humidity"),
        (&[0x02, 0xFB, 0x2E, 0xF3, 0x01], "49.9 Hz frequency"),
        (&[0x02, 0xFD, 0x48, 0x39, 0x09], "236.1 V voltage"),
        (&[0x04, 0xFD, 0x59, 0xC1, 0x01, 0x00, 0x00], "0.449 A current"),
        (&[0x04, 0xFB, 0x82, 0x73, 0xAD, 0x2F, 0x00, 0x00], "12205 varh reactive energy"),
        (&[0x04, 0xFB, 0x97, 0x72, 0x62, 0xFE, 0xFF, 0xFF], "-41.4 var reactive power"),
        (&[0x02, 0x93, 0x77, 0x05, 0x00], "0.05 m3 volume"),
        (&[0x02, 0x93, 0x7D, 0x05, 0x00], "5 m3 volume"),
        (&[0x02, 0x96, 0x7B, 0x05, 0x00], "6 m3 volume"),
        (&[0x02, 0x96, 0x78, 0x05, 0x00], "5.001 m3 volume"),
        (&[0x01, 0xFD, 0xFD, 0x02, 0x0C], "12 month remaining battery life time"),
        (&[0x01, 0xFD, 0x17, 0xFF], "255  error flags"),
        (&[0x01, 0xAB, 0xFC, 0x11, 0xFF], "255 W power"),
        (&[0x01, 0x6F, 0x07], "7  unknown"),
        (&[0x01, 0xEF, 0x01, 0x07], "7  unknown"),
        (&[0x01, 0x7E, 0x07], "7  any value"),
        (&[0x01, 0xFF, 0x93, 0x01, 0x07], "7  manufacturer specific"),
    ] {
        assert_eq!(shown(records), expected, "{records:02x?}");
    }
}

#[test]
fn plain_text_units_stand_in_the_value_information() {
    let check = |records: &[u8], value: &str, text: &str, modifiers: &[Modifier]| {
        with_record(HEAT, records, |record| {
            assert_eq!(record.value.to_string(), value);
            assert_eq!(record.text.unwrap().to_string(), text);
            assert_eq!(record.modifiers.collect::<Vec<_>>(), modifiers);
            assert_eq!(record.quantity, Quantity::PlainText);
        });
    };
    check(&[0x02, 0x7C, 0x03, 0x48, 0x52, 0x25, 0x2A, 0x00], "42", "%RH", &[]);
    check(&[0x02, 0xFC, 0x03, 0x48, 0x52, 0x25, 0x74, 0xD4, 0x11], "45.64", "%RH", &[Modifier::Scale(-2)]);
    // A field variant: the text stands behind the extensions.
    check(&[0x02, 0xFC, 0x74, 0x03, 0x48, 0x52, 0x25, 0xD4, 0x11], "45.64", "%RH", &[Modifier::Scale(-2)]);
}

#[test]
fn storage_tariff_and_subunit_reach_their_last_bit() {
    let records = [0xB4, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x13, 1, 0, 0, 0];
    with_record(HEAT, &records, |record| {
        assert_eq!(record.function, Function::Error);
        assert_eq!(record.storage, (1 << 41) - 2);
        assert_eq!((record.tariff, record.subunit), ((1 << 20) - 1, (1 << 10) - 1));
        assert_eq!((record.dib, record.vib, record.data), (&records[..11], &records[11..12], &records[12..]));
    });
}

#[test]
fn special_blocks() {
    let bytes = long(HEAT, [0, 0], &[0x2F, 0x2F, 0x01, 0x13, 0x05, 0x2F, 0x7F, 0x1F, 0xAA, 0xBB]);
    let Decoded { telegram, records, error } = decode(&bytes).unwrap();
    assert_eq!(error, None);
    assert!(telegram.more_follows());
    let kinds: Vec<_> = records.iter().map(|record| (record.function, record.value.to_string())).collect();
    assert_eq!(
        kinds,
        [
            (Function::Instantaneous, "0.005".to_owned()),
            (Function::GlobalReadout, String::new()),
            (Function::MoreRecordsFollow, "aabb".to_owned()),
        ]
    );
    let plain = long(HEAT, [0, 0], &[0x01, 0x13, 0x1F, 0x0F, 0x1F]);
    assert!(!Telegram::parse(&plain).unwrap().more_follows());
}

/// What a master writes to a slave has no header. From a slave the same CI is none that is known.
#[test]
fn what_a_master_writes_is_read() {
    let write = |control, ci, payload: &[u8]| {
        let bytes = Frame::Long { control, address: Address(254), ci, payload }.emit().unwrap();
        let decoded = decode(&bytes).unwrap();
        assert_eq!(decoded.error, None);
        decoded.records.iter().map(|record| format!("{} {}", record.value, record.quantity)).collect::<Vec<_>>()
    };
    let master = Control::SndUd { fcb: false };
    // A new bus address; a new identification and a volume.
    assert_eq!(write(master, 0x51, &[0x01, 0x7A, 0x08]), ["8 bus address"]);
    assert_eq!(
        write(master, 0x51, &[0x0C, 0x79, 0x78, 0x56, 0x34, 0x12, 0x02, 0x13, 0x05, 0x00]),
        ["12345678 enhanced identification", "0.005 volume"]
    );
    assert_eq!(write(master, 0x55, &[0x02, 0x13, 0x00, 0x05]), ["0.005 volume"]);
    let slave = Control::RspUd { acd: false, dfc: false };
    assert_eq!(write(slave, 0x51, &[0x01, 0x7A, 0x08]), Vec::<String>::new());
}

#[test]
fn a_record_in_error_gives_no_number() {
    with_record(HEAT, &[0x01, 0x93, 0x15, 0x07], |record| {
        assert_eq!(record.status, RecordStatus::NoDataAvailable);
        assert_eq!(record.number(), None);
        assert!(record.value.number().is_some());
        assert_eq!(record.obis(Medium(HEAT)), None);
    });
    with_record(HEAT, &[0x01, 0x93, 0x00, 0x07], |record| assert!(record.number().is_some()));
}

#[test]
fn the_records_before_an_error_are_kept() {
    let good = [0x01, 0x13, 0x05];
    for (bad, offset) in [
        (&[0x04, 0x13, 0x01][..], 25),
        (&[0x84], 23),
        (&[0x04], 23),
        (&[0x04, 0xFD], 24),
        (&[0x3F], 22),
        (&[0x8F, 0x01], 22),
        (&[0x0D, 0x13, 0xFA], 24),
        (&[0x02, 0x7C, 0x20, 0x41], 26),
        (&[0x84, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x13], 33),
        (&[0x04, 0x93, 0xBC, 0xBC, 0xBC, 0xBC, 0xBC, 0xBC, 0xBC, 0xBC, 0xBC, 0xBC, 0x3C, 0x01], 34),
    ] {
        let bytes = long(HEAT, [0, 0], &[&good[..], bad].concat());
        let decoded = decode(&bytes).unwrap();
        assert_eq!(decoded.records.len(), 1, "{bad:02x?}");
        assert_eq!(decoded.error.unwrap().offset(), offset, "{bad:02x?}: {}", decoded.error.unwrap());
        assert!(matches!(decode_strict(&bytes), Err(DecodeError::Record(_))));
    }
    let bytes = long(HEAT, [0, 0], &[0x3F]);
    assert_eq!(decode(&bytes).unwrap().error, Some(RecordError::ReservedDif { offset: 19, dif: 0x3F }));
}

#[test]
fn mode_2_is_mode_1_turned_round() {
    let one = long(HEAT, [0, 0], &[0x04, 0x13, 0x39, 0x30, 0x00, 0x00, 0x42, 0x6C, 0xBF, 0x1C]);
    let header = [0x12, 0x34, 0x56, 0x78, 0x04, 0x77, 0x0E, HEAT, 0x2A, 0x10, 0x00, 0x00];
    let two = [&header[..], &[0x04, 0x13, 0x00, 0x00, 0x30, 0x39, 0x42, 0x6C, 0x1C, 0xBF]].concat();
    let two = frame(0x76, &two);
    let [one, two] = [&one, &two].map(|bytes| decode(bytes).unwrap());
    assert_eq!(one.telegram.meter(), two.telegram.meter());
    let values = |decoded: &Decoded<'_>| decoded.records.iter().map(|r| r.value.to_string()).collect::<Vec<_>>();
    assert_eq!(values(&one), ["12.345", "2013-12-31"]);
    assert_eq!(values(&one), values(&two));
}

#[test]
fn the_fixed_structure_gives_two_records() {
    let payload = [0x78, 0x56, 0x34, 0x12, 0x0A, 0x00, 0xE9, 0x7E, 0x01, 0, 0, 0, 0x35, 0x01, 0, 0];
    let bytes = frame(0x73, &payload);
    let decoded = decode(&bytes).unwrap();
    let values: Vec<_> = decoded.records.iter().map(|r| (r.value.to_string(), r.unit, r.storage)).collect();
    assert_eq!(values, [("0.001".to_owned(), "m3", 0), ("0.135".to_owned(), "m3", 1)]);
    assert_eq!(decoded.telegram.id().unwrap().to_string(), "12345678");
    assert_eq!(decoded.telegram.medium(), Some(Medium(0x07)));
    assert_eq!(decoded.records[1].offset, 19);
    let turned = [0x12, 0x34, 0x56, 0x78, 0x0A, 0x00, 0x7E, 0xE9, 0, 0, 0, 0x01, 0, 0, 0x01, 0x35];
    let turned = frame(0x77, &turned);
    let turned = decode(&turned).unwrap();
    assert_eq!(turned.telegram.id(), decoded.telegram.id());
    assert_eq!(turned.records[1].value, decoded.records[1].value);
    let longer = frame(0x73, &[&payload[..], &[0]].concat());
    assert_eq!(decode(&longer).unwrap_err().kind(), "trailing");
}

#[test]
fn headers_of_every_length() {
    let records = [0x01, 0x13, 0x05];
    let short = frame(0x7A, &[&[0x2A, 0x04, 0x00, 0x00][..], &records].concat());
    let decoded = decode(&short).unwrap();
    assert_eq!((decoded.telegram.access(), decoded.records.len()), (Some(0x2A), 1));
    assert_eq!(decoded.telegram.status().unwrap().to_string(), "power low");
    let none = frame(0x78, &records);
    let decoded = decode(&none).unwrap();
    assert_eq!((decoded.telegram.meter(), decoded.records.len()), (None, 1));
    let cut = frame(0x72, &[0x78, 0x56]);
    assert_eq!(decode(&cut).unwrap_err().offset(), 7);
}

#[test]
fn refusals_and_alarms_are_values() {
    let body = |ci, payload: &[u8]| {
        let bytes = frame(ci, payload);
        format!("{:?}", Telegram::parse(&bytes).unwrap().body)
    };
    assert_eq!(body(0x70, &[8]), format!("{:?}", Body::ApplicationError(ApplicationError::Busy)));
    assert_eq!(body(0x70, &[]), format!("{:?}", Body::ApplicationError(ApplicationError::Unspecified)));
    assert_eq!(body(0x71, &[0x81]), format!("{:?}", Body::Alarm(0x81)));
    assert_eq!(body(0xA5, &[1, 2]), format!("{:?}", Body::Unknown(&[1, 2])));
}

#[test]
fn encrypted_records_are_refused_and_noise_is_not_encryption() {
    let records = [&[0x01, 0x13, 0x05][..], &[0x2F; 13]].concat();
    let bytes = long(HEAT, [0x10, 0x05], &records);
    assert_eq!(decode(&bytes).unwrap_err(), TelegramError::Encrypted { mode: 5, offset: 19 });
    assert_eq!(decode(&bytes).unwrap_err().kind(), "encrypted");
    for noise in [[0x27, 0xB6], [0xFF, 0xFF], [0x20, 0x05], [0x10, 0x01]] {
        let bytes = long(HEAT, noise, &records);
        assert_eq!(decode(&bytes).unwrap().records.len(), 1, "{noise:02x?}");
    }
}

#[test]
fn obis_codes_of_annex_a() {
    for (medium, records, code) in [
        (HEAT, &[0x01, 0x06, 1][..], Some("6-0:1.0.0*255")),
        (HEAT, &[0x41, 0x06, 1], Some("6-0:1.2.0*255")),
        (HEAT, &[0x81, 0x10, 0x06, 1], Some("6-0:1.0.1*255")),
        (HEAT, &[0x81, 0x01, 0x06, 1], Some("6-0:1.2.0*2")),
        (HEAT, &[0x01, 0x13, 1], Some("6-0:2.0.0*255")),
        (HEAT, &[0x01, 0x2B, 1], Some("6-0:8.0.0*255")),
        (HEAT, &[0x11, 0x2B, 1], None),
        (HEAT, &[0x01, 0x3B, 1], Some("6-0:9.0.0*255")),
        (HEAT, &[0x01, 0x59, 1], Some("6-0:10.0.0*255")),
        (HEAT, &[0x01, 0x5D, 1], Some("6-0:11.0.0*255")),
        (HEAT, &[0x01, 0x61, 1], Some("6-0:12.0.0*255")),
        (HEAT, &[0x81, 0x40, 0x13, 1], None),
        (0x0A, &[0x01, 0x06, 1], Some("5-0:1.0.0*255")),
        (0x08, &[0x01, 0x6E, 1], Some("4-0:1.0.0*255")),
        (0x16, &[0x01, 0x13, 1], Some("8-0:1.0.0*255")),
        (0x16, &[0x41, 0x13, 1], Some("8-0:1.2.0*255")),
        (0x06, &[0x01, 0x3B, 1], Some("9-0:2.0.0*255")),
        (0x03, &[0x01, 0x13, 1], Some("7-0:3.1.0*255")),
        (0x03, &[0x01, 0x93, 0x3A, 1], Some("7-0:3.0.0*255")),
        (ELECTRICITY, &[0x01, 0x03, 1], Some("1-0:1.8.0*255")),
        (ELECTRICITY, &[0x81, 0x20, 0x03, 1], Some("1-0:1.8.2*255")),
        (ELECTRICITY, &[0x01, 0x83, 0x3C, 1], Some("1-0:2.8.0*255")),
        (ELECTRICITY, &[0x01, 0xFB, 0x82, 0xF3, 0x3C, 1], Some("1-0:4.8.0*255")),
        (ELECTRICITY, &[0x01, 0xFD, 0xC8, 0xFC, 0x02, 1], Some("1-0:52.7.0*255")),
        (ELECTRICITY, &[0x01, 0xFD, 0xC8, 0xFF, 0x02, 1], None),
        (ELECTRICITY, &[0x41, 0x03, 1], Some("1-0:1.8.0*1")),
        (0x0E, &[0x01, 0x03, 1], None),
        (0x0E, &[0x01, 0x78, 1], Some("0-0:96.1.0*255")),
    ] {
        assert_eq!(obis(medium, records).as_deref(), code, "medium {medium:02x}, {records:02x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What an encoder of our own writes, the decoder reads back: DIB, VIF and value.
    #[test]
    fn records_read_back(storage in 0u64..1 << 41, tariff in 0u32..1 << 20, subunit in 0u16..1 << 10, function in 0u8..4, value: i32, vif in 0u8..0x08) {
        let mut records = vec![0x04 | function << 4 | u8::try_from(storage & 1).unwrap() << 6];
        let (mut storage_left, mut tariff_left, mut subunit_left) = (storage >> 1, tariff, subunit);
        while storage_left != 0 || tariff_left != 0 || subunit_left != 0 {
            *records.last_mut().unwrap() |= 0x80;
            let low = u8::try_from(storage_left & 0x0F).unwrap();
            records.push(low | u8::try_from(tariff_left & 3).unwrap() << 4 | u8::try_from(subunit_left & 1).unwrap() << 6);
            (storage_left, tariff_left, subunit_left) = (storage_left >> 4, tariff_left >> 2, subunit_left >> 1);
        }
        records.push(vif);
        records.extend(value.to_le_bytes());
        with_record(ELECTRICITY, &records, |record| {
            assert_eq!((record.storage, record.tariff, record.subunit), (storage, tariff, subunit));
            let number = record.value.number().unwrap();
            assert_eq!((number.mantissa, number.exponent), (i64::from(value), i8::try_from(vif).unwrap() - 3));
        });
    }

    #[test]
    fn any_payload_is_read_or_refused(ci: u8, payload in prop::collection::vec(any::<u8>(), 0..=252)) {
        let bytes = frame(ci, &payload);
        if let Ok(decoded) = decode(&bytes) {
            prop_assert!(decoded.records.len() <= bytes.len());
            for record in decoded.records {
                prop_assert!(record.offset < bytes.len());
                let _ = (record.value.to_string(), record.obis(Medium(ELECTRICITY)));
            }
        }
    }
}
