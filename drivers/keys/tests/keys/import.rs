//! Vendors' lists. `two-meters.kem` was made for this test, with another implementation of the cipher.

use plomb_keys::KeyFile;
use plomb_keys::import::{ImportError, Skipped, csv, kem};
use proptest::prelude::*;

const A: &str = "00112233445566778899AABBCCDDEEFF";
const B: &str = "0123456789ABCDEF0123456789ABCDEF";
const KEM: &[u8] = include_bytes!("two-meters.kem");

#[test]
fn columns_are_found_by_their_heads() {
    for text in [
        format!("Serial No.;Type;AES-Key\n12345678;water;{A}\n87654321;heat;{B}\n"),
        format!("key,\"meter id\"\n{A},12345678\n\"{}\",87654321\n", B.to_lowercase()),
        format!("\u{FEFF}Zählernummer\tSchlüssel\r\n12345678\t0x{A}\r\n87654321\t{B}\r\n"),
        format!("# no heads\n12345678,{A}\n87654321,{B}"),
        format!("id;key\n12345678;{}\n8765-4321;{}\n", spaced(A, " "), spaced(B, ":")),
    ] {
        let imported = csv("list", &text).unwrap();
        assert_eq!(*imported.lines, format!("12345678 {A}\n87654321 {B}\n"), "{text}");
        assert_eq!((imported.count, imported.skipped.len()), (2, 0));
        assert_eq!(KeyFile::parse("keys", &imported.lines).unwrap().len(), 2);
    }
}

fn spaced(key: &str, between: &str) -> String {
    key.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect::<Vec<_>>().join(between)
}

#[test]
fn numbers_of_din_43863_5_name_their_maker() {
    let imported = csv("list", &format!("serial,key\n6KAM0012345678,{A}\n")).unwrap();
    assert_eq!(*imported.lines, format!("12345678 KAM {A}\n"));
    let imported = csv("list", &format!("serial,manufacturer,key\n345678,QDS,{A}\n")).unwrap();
    assert_eq!(*imported.lines, format!("00345678 QDS {A}\n"));
}

#[test]
fn wrong_entries_are_skipped_with_their_line() {
    let imported = csv("list", &format!("id;key\n12345678;0011\n;{A}\n123456789;{A}\n1;{A}\n")).unwrap();
    assert_eq!(*imported.lines, format!("00000001 {A}\n"));
    let (key, id) = ("not a key of 32 hexadecimal digits", "not an identification of up to eight digits");
    let skipped = [(2, key), (3, id), (4, id)].map(|(entry, why)| Skipped { entry, why });
    assert_eq!(imported.skipped, skipped);
}

#[test]
fn a_list_without_keys_is_refused() {
    for (text, what) in [
        ("serial,type\n12345678,x\n", "column of keys"),
        ("type,key\n", "column of identifications"),
        ("a,b\n", "column of keys"),
    ] {
        let error = csv("list", text).map(|_| ()).unwrap_err();
        assert_eq!(error, ImportError::NotFound { file: "list".into(), what });
    }
}

#[test]
fn a_kem_file_opens_with_its_password() {
    let imported = kem("two-meters.kem", KEM, "street 5").unwrap();
    assert_eq!(*imported.lines, format!("81234567 {A}\n07654321 {B}\n"));
    assert_eq!(imported.skipped, [Skipped { entry: 3, why: "not a key of 32 hexadecimal digits" }]);
}

#[test]
fn a_kem_file_that_does_not_open_says_why() {
    let error = |bytes: &[u8], password: &str| kem("f", bytes, password).map(|_| ()).unwrap_err();
    assert_eq!(error(KEM, "street 6"), ImportError::Password { file: "f".into() });
    assert_eq!(error(KEM, "a password of more than 16"), ImportError::PasswordTooLong);
    assert_eq!(error(b"PK\x03\x04....", "x"), ImportError::Archive { file: "f".into() });
    let what = "no CipherValue: not a KEM file";
    assert_eq!(error(b"<a/>", "x"), ImportError::Malformed { file: "f".into(), line: 1, what });
}

proptest! {
    #[test]
    fn any_list_is_read_or_refused(text in "(id|key|serial|[0-9A-F]{8}|[0-9A-F]{32}|[,;\t\n\"# x]){0,40}") {
        if let Ok(imported) = csv("list", &text) {
            // What was imported is a key file, but for meters that the list names twice.
            if let Err(error) = KeyFile::parse("keys", &imported.lines) {
                let duplicate = matches!(error.problem, plomb_keys::Problem::Duplicate { .. });
                prop_assert!(duplicate, "{}", error);
            }
        }
    }

    #[test]
    fn a_changed_kem_file_is_read_or_refused(at in 0..KEM.len(), byte: u8) {
        let mut bytes = KEM.to_vec();
        bytes[at] = byte;
        let _ = kem("f", &bytes, "street 5");
    }
}
