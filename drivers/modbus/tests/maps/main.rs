//! Register maps as files: those that are shipped, what is refused and where, and what holds for any map.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod any;

use plomb_modbus::{Maps, RegisterMap, Wanted, decode, plan};

const SMALL: &str = r#"format = 1
name = "acme"
version = 1
model = "Acme"
table = "input"
address_base = 1
order = "CDAB"

[[register]]
name = "energy"
address = 73
type = "u32"
multiplier = "0.01"
obis = "1-0:1.8.0"
billing = true

[[test]]
input = { 73 = "1D85 0001" }
expect = [{ name = "energy", value = "730.93" }]
"#;

#[test]
fn shipped_maps_read_their_own_dumps() {
    let maps = Maps::shipped().unwrap();
    let compared: Vec<(&str, usize)> = maps.iter().map(|map| (map.name.as_str(), map.check().unwrap())).collect();
    assert_eq!(compared.len(), 5);
    assert!(compared.iter().all(|(_, values)| *values >= 7), "{compared:?}");
    // Each says what is billed on, and tells its model from others.
    assert!(maps.iter().all(|map| map.registers.iter().any(|register| register.billing)));
    assert!(maps.iter().all(|map| !map.identity.is_empty() && map.serial.is_some()));
}

#[test]
fn a_dump_of_one_model_is_no_other() {
    let maps = Maps::shipped().unwrap();
    for (map, other) in maps.iter().flat_map(|map| maps.iter().map(move |other| (map, other))) {
        for dump in other.dumps() {
            let told = plomb_modbus::identify(map, &dump);
            // A chain's identity is relative, and only found after a walk.
            if map.chain.is_none() {
                assert_eq!(told.is_ok(), map.name == other.name, "{} as {}: {told:?}", other.name, map.name);
            }
        }
    }
}

#[test]
fn a_wrong_file_names_line_and_remedy() {
    RegisterMap::parse("acme.toml", SMALL).unwrap().check().unwrap();
    for (old, new, line, what) in [
        ("address = 73", "adress = 73", 11, "adress"),
        ("address = 73", "address = 0", 9, "an address is 1 to 65536"),
        ("type = \"u32\"", "type = \"u31\"", 12, "u31"),
        ("type = \"u32\"", "type = \"bcd\"", 9, "`words`, 1 to 4"),
        ("\"0.01\"", "0.01", 13, "an exact decimal is text"),
        ("\"0.01\"", "\"1e-2\"", 13, "not a decimal number"),
        ("1-0:1.8.0", "1.8.0", 14, "OBIS"),
        ("obis = \"1-0:1.8.0\"", "", 9, "billed on"),
        ("format = 1", "format = 2", 1, "format = 1"),
        ("\"acme\"", "\"Acme!\"", 2, "small letters"),
        ("\"CDAB\"", "\"ACDB\"", 7, "ACDB"),
        ("order = \"CDAB\"", "max_block = 126", 7, "1 to 125"),
        ("order = \"CDAB\"", "max_block = 1", 9, "longer than max_block"),
        ("1D85 0001", "1D85 001", 18, "four hexadecimal digits"),
        ("table = \"input\"", "table = \"coil\"", 5, "coil"),
    ] {
        let error = RegisterMap::parse("acme.toml", &SMALL.replace(old, new)).unwrap_err();
        assert_eq!((error.place.line, error.to_string().contains(what)), (line, true), "{error}");
    }
    let error = Maps::empty().add("acme.toml", &SMALL.replace("730.93", "731.02")).unwrap_err().to_string();
    assert!(error.contains("line 17") && error.contains("730.93"), "{error}");
}

#[test]
fn only_what_is_wanted_is_asked() {
    let maps = Maps::shipped().unwrap();
    let map = maps.by_name("eastron-sdm630").unwrap();
    let wanted = Wanted::Obis(vec!["1-0:1.8.0".parse().unwrap()]);
    let blocks = plan(map, &wanted);
    assert_eq!(blocks.len(), 1);
    assert_eq!((blocks[0].address, blocks[0].words), (0x48, 2));
    assert_eq!(decode(map, &wanted, &map.dumps()[0]).len(), 1);
    let all = plan(map, &Wanted::All);
    assert_eq!(all.iter().map(|block| (block.address, block.words)).collect::<Vec<_>>(), [(0, 12), (0x34, 28)]);
}
