//! What each byte of an APDU is.

use plomb_dlms::annotate::apdu as annotate;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::apdus::{others, services};
use crate::hex;

fn told(text: &str) -> Vec<String> {
    annotate(&hex(text)).iter().map(|one| format!("{} {}: {}", one.length, one.field, one.meaning)).collect()
}

fn assert_covers(bytes: &[u8]) {
    let mut at = 0;
    for one in annotate(bytes) {
        assert!(one.offset == at && one.length > 0, "{one:?} at {at}");
        at += one.length;
    }
    assert_eq!(at, bytes.len());
}

#[test]
fn a_push_is_told_value_by_value() {
    let expected = [
        "1 tag: data-notification",
        "4 invoke id:   1",
        "1 length:   12",
        "12 time:   2024-01-31T15:30:00+01:00",
        "2 structure:   of 2",
        "8 octet-string:     1-0:1.8.0*255",
        "2 array:     of 1",
        "3 long:       -2",
    ];
    let push = "0f 00000001 0c07e8011f030f1e0000ffc400 02 02 09060100010800ff 01 01 10fffe";
    assert_eq!(told(push), expected);
    let cut = told(&push[..push.len() - 2]);
    assert_eq!(cut.last().unwrap(), "2 not read: the bytes end at 31: 2 needed, 1 left");
}

#[test]
fn an_association_is_told_without_its_password() {
    let aarq = told(
        "6036a1090607608574050801018a0207808b0760857405080201ac0a80083132333435363738be10040e01000000065f1f0400007e1f04b0",
    );
    let text = aarq.join("\n");
    assert!(text.contains("secret: ") && text.contains("initiateRequest"), "{text}");
    assert!(!text.contains("12345678") && !text.contains("3132"));
    let refused = told("611fa109060760857405080101a203020101a305a10302010dbe0604040e010601").join("\n");
    assert!(refused.contains("refused for good"), "{refused}");
    assert!(refused.contains("DLMS version too low"), "{refused}");
}

#[test]
fn secrets_of_objects_are_not_told() {
    let change = told("c1 01 c1 000f 0000280000ff 07 00 09 04 61626364").join("\n");
    assert!(change.contains("secret") && !change.contains("abcd"), "{change}");
    let key = told("c3 01 c1 0048 0001180100ff 07 01 09 04 61626364").join("\n");
    assert!(key.contains("secret") && !key.contains("abcd"), "{key}");
}

#[test]
fn ciphers_are_told_apart() {
    let sealed = told("C81E3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B");
    assert!(sealed[0].contains("glo-get-request"), "{sealed:?}");
    assert!(sealed.iter().any(|one| one.ends_with("19088743")), "{sealed:?}");
    let trailing = told("d801020099").join("\n");
    assert!(trailing.contains("2 bytes follow the end at 3"), "{trailing}");
    let out_of_step = told("d80106 00000007").join("\n");
    assert!(out_of_step.contains("invocation counter out of step, the meter expects 7 or more"), "{out_of_step}");
}

#[test]
fn hostile_nesting_is_covered() {
    let mut long = hex("c40181000184000249f0");
    long.extend([0x11, 0x07].repeat(150_000));
    assert_covers(&long);
    // Structures and associations in each other for ever.
    assert_covers(&[hex("c4018100").as_slice(), &[0x02, 0x01].repeat(200_000)].concat());
    assert_covers(&hex("6084000000ff be84000000f0 0484000000e0 60").repeat(10_000));
}

proptest! {
    #[test]
    fn every_byte_is_told_once(
        apdu in prop_oneof![services(), others()],
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        extra in vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = apdu.emit();
        let whole = annotate(&bytes);
        prop_assert!(!whole.iter().any(|one| one.meaning == "bytes behind the APDU"), "{whole:?}");
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(extra);
        assert_covers(&bytes);
    }

    #[test]
    fn any_bytes_are_told_once(bytes in vec(any::<u8>(), 0..200)) {
        assert_covers(&bytes);
    }
}
