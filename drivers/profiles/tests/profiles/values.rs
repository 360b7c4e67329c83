//! What a profile makes of records and payloads, of its own or not.

use crate::{HEAD, hex, meter};
use plomb_mbus::Records;
use plomb_profiles::{Library, Memory, Profile, ReadError};
use plomb_wmbus::{Content, ManufacturerPayload};

fn read(tail: &str, records: &str) -> (Vec<String>, Result<(), ReadError>) {
    let profile = Profile::parse("m.toml", &format!("{HEAD}{tail}")).unwrap();
    let bytes = hex(records);
    let mut found = Vec::new();
    let result =
        profile.apply_records(meter(*b"TST", 1, 7), Records::from_bytes(&bytes, 0), &mut Memory::default(), |named| {
            found.push(format!("{}[{}]={}{}", named.name, named.storage, named.value, named.unit));
        });
    (found, result)
}

#[test]
fn rules_name_records() {
    let rules = "[[record]]\nvib = \"13\"\nstorage = \"any\"\nname = \"volume\"\n[[record]]\nvib = \"FF07\"\nname = \"heat\"\nread = { exponent = -1, unit = \"x\" }\n";
    let (found, result) = read(rules, "0413 01000000 4413 02000000 02FF07 0700 0406 01000000");
    assert_eq!(found, ["volume[0]=0.001m3", "volume[1]=0.002m3", "heat[0]=0.7x"]);
    assert_eq!(result, Ok(()));
}

#[test]
fn fields_of_a_tail() {
    let block = "[[block]]\nin = \"tail\"\nfield = [\n\
        { name = \"a\", at = 0, bytes = 2, read = { coding = \"int\", exponent = -1 } },\n\
        { name = \"b\", at = 2, bytes = 1, read = { flags = { 0 = \"low\", 3 = \"high\" } } },\n\
        { name = \"c\", at = 3, bytes = 1, read = { values = { 1 = \"one\" } } },\n\
        { name = \"d\", at = 4, bytes = 2, read = { coding = \"bcd-be\" } },\n\
        { name = \"e\", at = 6, bytes = 2, read = { absent = [0xFFFF] } },\n\
        { name = \"f\", read = { plus = [\"d\"], minus = [\"a\"] } },\n\
        { name = \"g\", at = 6, bytes = 1, storage = 1, repeat = { count = 9, stride = 1 } },\n]\n";
    let (found, result) = read(block, "0F FEFF 8B 02 1234 FFFF");
    let expected = ["a[0]=-0.2", "b[0]=low, bit 1, high, bit 7", "c[0]=2", "d[0]=1234", "e[0]=", "f[0]=1234.2"];
    assert_eq!(found[..6], expected);
    assert_eq!(found[6..], ["g[1]=255", "g[2]=255"]);
    assert_eq!(result, Ok(()));
}

#[test]
fn a_short_block_gives_what_it_has() {
    let block = "[[block]]\nin = \"tail\"\nfield = [{ name = \"a\", at = 0, bytes = 1 }, { name = \"b\", at = 1, bytes = 4 }]\n";
    let (found, result) = read(block, "0F 07 00");
    assert_eq!(found, ["a[0]=7"]);
    assert_eq!(result, Err(ReadError::Truncated { name: "b".into(), needed: 5, have: 2 }));
}

#[test]
fn what_nobody_reads_is_named() {
    let library = Library::shipped().unwrap();
    for (letters, ci) in [(*b"ZZZ", 0xA5), (*b"TCH", 0xB6)] {
        let meter = meter(letters, 1, 7);
        let content = Content::Manufacturer(ManufacturerPayload { meter, ci, bytes: &[1, 2, 3], offset: 11 });
        let error = library.apply(meter, &content, None, &mut Memory::default(), |_| {}).unwrap_err();
        let manufacturer = meter.manufacturer;
        assert_eq!(error, ReadError::Unsupported { manufacturer, ci });
        assert!(
            error.to_string().contains(&manufacturer.to_string()) && error.to_string().contains(&format!("{ci:02X}"))
        );
    }
}

#[test]
fn a_wrong_key_is_not_a_reading() {
    let library = Library::shipped().unwrap();
    let meter = meter(*b"APA", 0x14, 7);
    let payload = ManufacturerPayload { meter, ci: 0xA0, bytes: &[0x2A; 18], offset: 11 };
    let content = Content::Manufacturer(payload);
    let apply = |key| {
        let result = library.apply(meter, &content, key, &mut Memory::default(), |named| panic!("{named:?}"));
        result.map(|_| ()).unwrap_err()
    };
    assert_eq!(apply(None), ReadError::KeyMissing { manufacturer: meter.manufacturer });
    assert_eq!(apply(Some(&plomb_wmbus::Key::new([7; 16]))), ReadError::Scrambled { what: "AES" });
}

#[test]
fn an_address_in_another_order_is_put_right() {
    let library = Library::shipped().unwrap();
    // As the link reads it: version, medium and identification 12345678 in the wrong places.
    let link = plomb_mbus::MeterId { id: plomb_mbus::Identification(0x5678_0742), ..meter(*b"DME", 0x34, 0x12) };
    assert_eq!(library.identity(link, Some(0xA2)), meter(*b"DME", 0x42, 7));
    assert_eq!(library.identity(link, None), link, "records of a meter that no profile knows");
}
