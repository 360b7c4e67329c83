//! A-XDR.

use plomb_dlms::axdr::{BitString, CompactArray, DEPTH_MAX, DateTime, TypeDescription, Value, ValueError};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::hex;

pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(Value::DontCare),
        any::<u8>().prop_map(Value::Boolean),
        (0usize..40, any::<[u8; 5]>())
            .prop_map(|(bits, bytes)| Value::BitString(BitString { bytes: bytes[..bits.div_ceil(8)].to_vec(), bits })),
        any::<i32>().prop_map(Value::DoubleLong),
        any::<u32>().prop_map(Value::DoubleLongUnsigned),
        vec(any::<u8>(), 0..200).prop_map(Value::OctetString),
        vec(any::<u8>(), 0..9).prop_map(Value::VisibleString),
        vec(any::<u8>(), 0..9).prop_map(Value::Utf8String),
        any::<u8>().prop_map(Value::Bcd),
        any::<i8>().prop_map(Value::Integer),
        any::<i16>().prop_map(Value::Long),
        any::<u16>().prop_map(Value::LongUnsigned),
        any::<i64>().prop_map(Value::Long64),
        any::<u64>().prop_map(Value::Long64Unsigned),
        any::<u8>().prop_map(Value::Enum),
        any::<u32>().prop_map(Value::Float32),
        any::<u64>().prop_map(Value::Float64),
        any::<[u8; 12]>().prop_map(|bytes| Value::DateTime(DateTime::from_bytes(bytes))),
        any::<i8>().prop_map(Value::DeltaInteger),
        any::<u32>().prop_map(Value::DeltaDoubleLongUnsigned),
        (any::<u16>(), vec(any::<u8>(), 0..30)).prop_map(|(count, content)| {
            let fields =
                vec![TypeDescription::Simple(6), TypeDescription::Array(count, Box::new(TypeDescription::Simple(17)))];
            Value::CompactArray(Box::new(CompactArray { description: TypeDescription::Structure(fields), content }))
        }),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![vec(inner.clone(), 0..8).prop_map(Value::Array), vec(inner, 0..8).prop_map(Value::Structure)]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(value in any_value()) {
        let bytes = value.to_bytes();
        prop_assert_eq!(Value::parse_whole(&bytes), Ok(value.clone()));
        let _ = (value.to_string(), value.as_decimal(), value.as_unsigned(), value.as_text());
        for cut in 0..bytes.len().min(40) {
            prop_assert!(Value::parse_whole(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(value) = Value::parse_whole(&bytes) {
            prop_assert_eq!(Value::parse_whole(&value.to_bytes()), Ok(value));
        }
    }
}

#[test]
fn depth_is_bounded_whatever_the_length() {
    // 400 kB of structures of one element each.
    let deep: Vec<u8> = [0x02, 0x01].repeat(200_000);
    assert_eq!(Value::parse_whole(&deep), Err(ValueError::TooDeep { offset: DEPTH_MAX * 2 }));
    let mut deepest: Vec<u8> = [0x02, 0x01].repeat(DEPTH_MAX);
    deepest.push(0x00);
    assert!(Value::parse_whole(&deepest).is_ok());
}

#[test]
fn a_count_that_cannot_come_true_reserves_nothing() {
    for lie in ["0184ffffffff00", "0984ffffffff00", "0a84ffffffff", "0484ffffffff00", "0284ffffffff"] {
        assert!(matches!(Value::parse_whole(&hex(lie)), Err(ValueError::Truncated(_))), "{lie}");
    }
    // A long array of nothing: a byte each is paid for.
    let mut nulls = hex("0184000f4240");
    nulls.extend(vec![0u8; 1_000_000]);
    assert!(matches!(Value::parse_whole(&nulls), Err(ValueError::TooMany { .. })));
}

#[test]
fn a_compact_array_unpacks_to_its_rows() {
    // Two rows of a double-long-unsigned and an enum.
    let value = Value::parse_whole(&hex("13 02 02 06 16 0a 00000001 0f 00000002 10")).unwrap();
    let Value::CompactArray(array) = &value else { panic!("{value:?}") };
    let rows = array.rows().unwrap();
    assert_eq!(rows[1], Value::Structure(vec![Value::DoubleLongUnsigned(2), Value::Enum(0x10)]));
    // Rows of nothing would never end.
    let endless = Value::parse_whole(&hex("13 00 01 00")).unwrap();
    let Value::CompactArray(array) = &endless else { panic!("{endless:?}") };
    assert_eq!(array.rows().map(|rows| rows.len()), Err(ValueError::Compact { offset: 0 }));
    // Arrays of 65,535 nothings in each other.
    let bomb = Value::parse_whole(&hex("13 01ffff 01ffff 01ffff 00 01 00")).unwrap();
    let Value::CompactArray(array) = &bomb else { panic!("{bomb:?}") };
    assert!(matches!(array.rows(), Err(ValueError::TooMany { .. })));
    // Arrays of 65,535 empty structures, and of empty arrays, in each other: nothing to read, for ever.
    for endless in ["13 01ffff 01ffff 01ffff 0200 01 00", "13 01ffff 01ffff 01ffff 010000 00 01 00"] {
        let bomb = Value::parse_whole(&hex(endless)).unwrap();
        let Value::CompactArray(array) = &bomb else { panic!("{bomb:?}") };
        assert!(matches!(array.rows(), Err(ValueError::TooMany { .. })));
    }
}
