//! Rules of this tree that the compiler can't hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Our own crates, and which of our own crates each uses outside its tests.
fn arrows() -> BTreeMap<String, Vec<String>> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.split("members = [").nth(1).unwrap().split("]\n").next().unwrap();
    members
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split('"').next())
        .map(|member| {
            let text = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
            let name =
                text.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"').to_string();
            let used = text.split("\n[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap();
            let used = used.lines().filter(|line| line.starts_with("plomb-"));
            (name, used.map(|line| line.split(['.', ' ']).next().unwrap().to_string()).collect())
        })
        .collect()
}

#[test]
fn the_arrows_between_crates_point_as_the_design_says() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("plomb-seal", [].as_slice()),
        ("plomb-session", &[]),
        ("plomb-settings", &[]),
        ("plomb-mbus", &["plomb-session"]),
        ("plomb-wmbus", &["plomb-mbus", "plomb-session"]),
        ("plomb-receivers", &["plomb-session"]),
        ("plomb-dlms", &["plomb-session"]),
        ("plomb-iec62056", &["plomb-session"]),
        ("plomb-modbus", &["plomb-session"]),
        ("plomb-profiles", &["plomb-mbus", "plomb-session", "plomb-wmbus"]),
        ("plomb-keys", &["plomb-mbus", "plomb-wmbus"]),
        ("plomb-broker", &[]),
        // Names media by the driver's table; what gateway and ledger show must not differ.
        ("plomb-view", &["plomb-mbus", "plomb-seal"]),
        (
            "plomb-gateway",
            &[
                "plomb-dlms",
                "plomb-iec62056",
                "plomb-keys",
                "plomb-mbus",
                "plomb-modbus",
                "plomb-profiles",
                "plomb-receivers",
                "plomb-seal",
                "plomb-session",
                "plomb-settings",
                "plomb-view",
                "plomb-wmbus",
            ],
        ),
        ("plomb-ledger", &["plomb-broker", "plomb-seal", "plomb-settings", "plomb-view"]),
        (
            "plomb-cli",
            &[
                "plomb-dlms",
                "plomb-gateway",
                "plomb-iec62056",
                "plomb-keys",
                "plomb-mbus",
                "plomb-modbus",
                "plomb-profiles",
                "plomb-seal",
                "plomb-session",
                "plomb-settings",
                "plomb-sim",
                "plomb-view",
                "plomb-wmbus",
            ],
        ),
        // The simulator knows none of our codecs: it must not share their mistakes.
        ("plomb-sim", &[]),
        ("plomb-system-tests", &["plomb-seal", "plomb-sim"]),
        (
            "plomb-bench",
            &[
                "plomb-dlms",
                "plomb-gateway",
                "plomb-iec62056",
                "plomb-mbus",
                "plomb-profiles",
                "plomb-seal",
                "plomb-session",
                "plomb-sim",
                "plomb-wmbus",
            ],
        ),
    ]);
    for (name, used) in arrows() {
        let allowed =
            allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no place in the design: give it one here"));
        for other in used {
            assert!(allowed.contains(&other.as_str()), "{name} must not use {other}");
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_and_words_keep_to_the_rules() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 80, "the tree was not found");
    let mut wrong = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let short = path.strip_prefix(root()).unwrap().display().to_string();
        let code = text.split("#[cfg(test)]").next().unwrap().lines().count();
        if code > 600 {
            wrong.push(format!("{short}: {code} lines"));
        }
        if !short.starts_with("tests/") && !short.contains("/tests/") {
            // Two crates of hyper's are called so.
            let own = text.replace("hyper_util", "").replace("http_body_util", "");
            for word in ["_manager", "_helper", "_util", "Manager", "Helper", "Util"] {
                if own.contains(word) {
                    wrong.push(format!("{short}: the word {word}"));
                }
            }
        }
        let driver = short.starts_with("drivers/") || short.starts_with("seal/src");
        if driver && (text.contains("tokio") || text.contains("std::time::Instant") || text.contains("SystemTime")) {
            wrong.push(format!("{short}: a runtime or a clock"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_manifest_says_what_each_member_is() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.split("members = [").nth(1).unwrap().split("]\n").next().unwrap();
    for line in members.lines().filter(|line| line.contains('"')) {
        assert!(line.contains("# "), "no word on what it is: {line}");
    }
}
