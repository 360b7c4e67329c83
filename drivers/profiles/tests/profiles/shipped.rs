//! The profiles that come with the program: each reads its own telegrams, and none is forgotten.

use crate::meter;
use plomb_profiles::{Library, LibraryError, Profile};
use std::path::Path;

#[test]
fn every_profile_reads_its_own_telegrams() {
    let library = Library::shipped().unwrap();
    let (mut profiles, mut values) = (0, 0);
    let mut wrong = Vec::new();
    for profile in library.profiles() {
        profiles += 1;
        match profile.check() {
            Ok(0) => wrong.push(format!("{}.toml: no test telegram", profile.name)),
            Ok(compared) => values += compared,
            Err(error) => wrong.push(format!("{}.toml: {error}", profile.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(profiles >= 30, "{profiles}");
    eprintln!("{profiles} profiles, {values} values of their own telegrams");
}

#[test]
fn every_file_is_shipped_under_its_name() {
    let library = Library::shipped().unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|found| found == "toml") && name != "Cargo" {
            files += 1;
            assert!(library.by_name(&name).is_some(), "{name}.toml is not in src/shipped.rs, or has another name");
        }
    }
    assert_eq!(files, library.profiles().count());
}

#[test]
fn no_profile_hides_another() {
    let library = Library::shipped().unwrap();
    for profile in library.profiles() {
        for of in &profile.matches {
            for version in if of.versions.is_empty() { &[0xEE][..] } else { &of.versions } {
                for medium in of.media.iter().copied().chain(of.media.is_empty().then_some(plomb_mbus::Medium(0xEE))) {
                    if of.swapped {
                        continue;
                    }
                    let meter = plomb_mbus::MeterId {
                        manufacturer: of.manufacturer,
                        version: *version,
                        medium,
                        ..meter(*b"AAA", 0, 0)
                    };
                    let found = library.find(meter, of.cis.first().copied()).map(|found| &found.name);
                    assert_eq!(found, Some(&profile.name), "{meter:?}");
                }
            }
        }
    }
}

#[test]
fn what_an_installation_adds_goes_first() {
    let mut library = Library::shipped().unwrap();
    let meter = meter(*b"SEN", 0x68, 7);
    assert_eq!(library.find(meter, None).unwrap().name, "sensus-iperl");
    let text = crate::HEAD.replace("TST", "SEN").replace("[1]", "[0x68]");
    library.add(Profile::parse("own.toml", &text).unwrap()).unwrap();
    assert_eq!(library.find(meter, None).unwrap().name, "test");
    let again = Profile::parse("own.toml", &text).unwrap();
    assert_eq!(library.add(again), Err(LibraryError::Name("test".into())));
    let count = library.profiles().count();
    let newer = text.replace("version = 1\n", "version = 2\n");
    library.replace(Profile::parse("own.toml", &newer).unwrap()).unwrap();
    assert_eq!(library.find(meter, None).unwrap().version, 2);
    assert_eq!(library.profiles().count(), count);
}
