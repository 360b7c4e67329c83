//! The contracts of the command line, on the real program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "cli/cosem.rs"]
mod cosem;
#[path = "cli/hub.rs"]
mod hub;
#[path = "cli/ledger.rs"]
mod ledger;
#[path = "cli/p1.rs"]
mod p1;

use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;

/// A water meter's answer, made by hand: volume 12.565 m3 and an unknown code behind it.
const WATER: &str = "68 15 15 68 08 01 72 78 56 34 12 82 41 01 07 05 00 00 00 0C 13 65 25 01 00 00 16";

fn plomb(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_plomb"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A frame with its lengths and sum put right.
fn frame(payload: &[u8]) -> String {
    let length = u8::try_from(payload.len()).unwrap();
    let sum = payload.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let bytes = [&[0x68, length, length, 0x68], payload, &[sum, 0x16]].concat();
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn water() -> String {
    let digits: Vec<u8> = WATER.split(' ').map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    frame(&digits[4..digits.len() - 2])
}

#[test]
fn one_line_in_is_one_line_out() {
    let output = plomb(&["decode", "--json", &water()], b"");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded = &lines(&output)[0];
    assert_eq!(decoded["ok"], true);
    assert_eq!(decoded["protocol"], "mbus");
    assert_eq!(decoded["meter"]["id"], "12345678");
    let record = &decoded["records"][0];
    assert_eq!((record["value"].as_str(), record["unit"].as_str()), (Some("12.565"), Some("m3")));
    assert_eq!((record["function"].as_str(), record["storage"].as_u64()), (Some("instantaneous"), Some(0)));
    for key in ["obis", "quantity", "tariff", "subunit", "time"] {
        assert!(record.get(key).is_some(), "{key} is missing");
    }
}

#[test]
fn a_bad_line_is_told_and_the_stream_goes_on() {
    let input = format!("{0}\nnonsense\n{1}\n68\n{0}\n", water(), water().replace("65", "66"));
    let decoded = lines(&plomb(&["decode", "--json", "-"], input.as_bytes()));
    let good: Vec<bool> = decoded.iter().map(|line| line["ok"].as_bool().unwrap()).collect();
    assert_eq!(good, [true, false, false, false, true]);
    for line in decoded.iter().filter(|line| line["ok"] == false) {
        assert!(line["error"]["kind"].is_string() && line["error"]["message"].is_string(), "{line}");
        assert!(line["error"].get("offset").is_some(), "{line}");
    }
    assert_eq!(plomb(&["decode", "--json", "zz"], b"").status.code(), Some(65));
}

#[test]
fn a_hundred_thousand_lines_stream() {
    let line = water() + "\n";
    let output = plomb(&["decode", "--json", "-"], line.repeat(100_000).as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 100_000);
}

#[test]
fn the_vectors_get_the_verdicts_that_their_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors");
    for (file, verdict, code) in [
        ("proved.plomb", "proved", 0),
        ("proved-point.plomb", "proved", 0),
        ("proved-entry.plomb", "proved", 0),
        ("tampered-byte.plomb", "tampered", 1),
        ("tampered-batch-removed.plomb", "tampered", 1),
        ("incomplete-unanchored.plomb", "incomplete", 3),
        ("policy.txt", "tampered", 1),
    ] {
        let output = plomb(&["verify", "--json", &folder.join(file).display().to_string()], b"");
        let report = &lines(&output)[0];
        assert_eq!((report["verdict"].as_str(), output.status.code()), (Some(verdict), Some(code)), "{file}: {report}");
        for key in ["entries", "absent", "gaps", "batches", "anchored", "first_bad"] {
            assert!(report.get(key).is_some(), "{file}: {key} is missing");
        }
    }
    assert_eq!(plomb(&["verify", "--json", "/nowhere"], b"").status.code(), Some(74));
}

#[test]
fn without_a_daemon_the_verbs_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("plombd.toml");
    let state = folder.path().display();
    std::fs::write(&config, format!("[gateway]\nid = \"gw\"\nstate_dir = \"{state}\"\nkey = \"k\"\n")).unwrap();
    let config = config.display().to_string();
    let status = plomb(&["status", "--json", "--config", &config], b"");
    assert_eq!(status.status.code(), Some(2));
    assert_eq!(lines(&status)[0]["points"].as_array().map(Vec::len), Some(0), "the help's jq must find its list");
    let tail = plomb(&["tail", "--config", &config], b"");
    assert_eq!(tail.status.code(), Some(69), "{}", String::from_utf8_lossy(&tail.stderr));
    assert_eq!(plomb(&["frobnicate"], b"").status.code(), Some(64));
}

/// A daemon that is stopping closes the connection without a word, or after its yes; one that has no seat says
/// so before it was asked.
#[test]
fn a_daemon_that_stops_or_is_busy_is_not_taken_for_another_version() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (said, says)) in [
        ("", "plombd stopped before it answered"),
        ("{\"ok\":true}\n", "plombd stopped before it answered"),
        ("{\"error\":\"busy: try again\",\"kind\":\"unavailable\",\"ok\":false}\n", "busy: try again"),
    ]
    .into_iter()
    .enumerate()
    {
        let socket = folder.path().join(format!("ctl-{number}.sock"));
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let daemon = thread::spawn(move || drop(listener.accept().unwrap().0.write_all(said.as_bytes())));
        let status = plomb(&["status", "--socket", &socket.display().to_string()], b"");
        let errors = String::from_utf8_lossy(&status.stderr).into_owned();
        assert_eq!(status.status.code(), Some(69), "{errors}");
        assert!(errors.contains(says) && !errors.contains("version"), "{said:?}: {errors}");
        daemon.join().unwrap();
    }
}

/// With --json a failure is a document on standard output too; the message stays on standard error.
#[test]
fn a_failure_is_a_document_too() {
    for (arguments, kind, code) in [
        (vec!["verify", "--json", "/nowhere"], "io", 74),
        (vec!["read", "--json", "mbus", "/nowhere/tty", "--address", "254"], "unavailable", 69),
        (vec!["read", "--json", "mbus", "/nowhere/tty", "--address", "251"], "usage", 64),
        (vec!["read", "--json", "mbus", "/nowhere/tty", "--secondary", "123"], "usage", 64),
        (vec!["status", "--json", "--config", "/nowhere.toml"], "configuration", 78),
    ] {
        let output = plomb(&arguments, b"");
        let (told, errors) = (lines(&output), String::from_utf8_lossy(&output.stderr).into_owned());
        assert_eq!((told.len(), output.status.code()), (1, Some(code)), "{arguments:?}: {errors}");
        assert_eq!((&told[0]["schema"], &told[0]["ok"]), (&"plomb.error/1".into(), &false.into()), "{}", told[0]);
        assert_eq!(told[0]["error"]["kind"], kind, "{arguments:?}: {}", told[0]);
        assert!(told[0]["error"]["message"].is_string() && !errors.is_empty(), "{}", told[0]);
    }
    // Where standard output is the export itself, nothing else goes there.
    let export = plomb(&["export", "--json", "--config", "/nowhere.toml", "-o", "-"], b"");
    assert_eq!((export.stdout.len(), export.status.code()), (0, Some(78)));
}

/// A gateway's folder with a configuration for one point, and a journal with one entry of it.
fn gateway() -> (tempfile::TempDir, String) {
    let (folder, config) = gateway_without_journal();
    absences(&folder.path().join("journal.redb"), 1).unwrap();
    (folder, config)
}

/// Opens a gateway's journal, and enters absences in it.
fn absences(journal: &Path, count: usize) -> Result<(), plomb_gateway::journal::JournalError> {
    use plomb_gateway::journal::{Journal, Options};
    use plomb_seal::{Absent, Clock, Occurrence, Reason, SigningKey, Stamp};
    let stamp = || Stamp { unix_ms: 1_780_000_000_000, clock: Clock::Unset };
    let (name, key) = ("gw-1".parse().unwrap(), SigningKey::from_seed(&[3; 32]));
    let (journal, _) = Journal::open(journal, name, key, Options::default(), stamp)?;
    let mut last = None;
    for _ in 0..count {
        let absent = Absent { due_ms: 0, reason: Reason::NotAsked, detail: "x".repeat(400) };
        let entry = Occurrence::Absent("old".parse().unwrap(), absent);
        last = Some(journal.append_blocking(entry, Vec::new())?);
    }
    last.map_or(Ok(()), |last| last.wait().map(drop))
}

fn gateway_without_journal() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().display();
    let credential = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors/credential.cbor");
    let text = format!(
        "[gateway]\nid = \"gw-1\"\nstate_dir = \"{state}\"\nkey = \"k\"\ncredential = \"{}\"\n\
         [[bus]]\nname = \"cellar\"\nprotocol = \"mbus\"\nport = \"/nowhere/tty\"\n\
         [[meter]]\npoint = \"flat\"\nbus = \"cellar\"\naddress = 1\n",
        credential.display()
    );
    let config = folder.path().join("plombd.toml");
    std::fs::write(&config, text).unwrap();
    (folder, config.display().to_string())
}

/// Nothing is never an export: a typo, a range turned round, a range in which nothing is.
#[test]
fn an_export_of_nothing_is_refused_with_its_reason() {
    let (folder, config) = gateway();
    let out = folder.path().join("out.plomb").display().to_string();
    let export = |more: &[&str]| {
        let output = plomb(&[["export", "--config", &config, "-o", &out].as_slice(), more].concat(), b"");
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (more, code, says) in [
        (["--point", "nope"].as_slice(), 64, "no point \"nope\" is configured"),
        (&["--point", "flat"], 69, "no entry that fits"),
        (&["--since", "2026-02-01", "--until", "2026-01-01"], 64, "not before --until"),
        (&["--since", "2100-01-01"], 69, "no entry that fits"),
        (&["--until", "2020-01-01"], 69, "no entry that fits"),
        (&["--receipted"], 69, "no entry that fits"),
    ] {
        let (found, errors) = export(more);
        assert_eq!(found, code, "{more:?}: {errors}");
        assert!(errors.contains(says), "{more:?}: {errors}");
        assert!(!Path::new(&out).exists(), "{more:?}");
    }
    let stdout = plomb(&["export", "--config", &config, "-o", "-", "--point", "nope"], b"");
    assert!(stdout.stdout.is_empty());
    let nowhere = plomb(&["export", "--config", &config, "-o", "/nowhere/x.plomb"], b"");
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nowhere/x.plomb: "), "and not a temporary name");
    // What is there is exported, a point that is configured no more too; and its lack of a receipt is told.
    for more in [[].as_slice(), &["--point", "old"], &["--since", "2026-01-01"]] {
        let (code, errors) = export(more);
        assert_eq!(code, 0, "{more:?}: {errors}");
        assert!(errors.contains("1 entry in it has no receipt") && errors.contains("--receipted"), "{errors}");
    }
}

/// Whoever reads an export from a pipe may take its time: plombd can start meanwhile.
#[test]
fn a_slow_reader_of_an_export_does_not_hold_the_journal() {
    let (folder, config) = gateway_without_journal();
    let journal = folder.path().join("journal.redb");
    absences(&journal, 1000).unwrap();
    let mut export = Command::new(env!("CARGO_BIN_EXE_plomb"))
        .args(["export", "--config", &config, "-o", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = export.stdout.take().unwrap();
    let mut bytes = vec![0];
    stdout.read_exact(&mut bytes).unwrap();
    // The export is under way, and far more than a pipe holds is still to come.
    absences(&journal, 1).expect("the file is free");
    stdout.read_to_end(&mut bytes).unwrap();
    assert!(export.wait().unwrap().success());
    assert!(bytes.len() > 4 * 65_536, "{} bytes would fit into pipe and buffers", bytes.len());
    let file = folder.path().join("out.plomb");
    std::fs::write(&file, bytes).unwrap();
    let report = &lines(&plomb(&["verify", "--json", &file.display().to_string()], b""))[0];
    assert_eq!((report["verdict"].as_str(), report["entries"].as_u64()), (Some("incomplete"), Some(1000)), "{report}");
}

/// What a master writes to a meter is said; that a meter has more to say is said too.
#[test]
fn frames_of_the_master_and_the_announcement_of_more_are_told() {
    let written = frame(&[0x53, 0xfe, 0x51, 0x01, 0x7a, 0x08]);
    let told = &lines(&plomb(&["decode", "--json", &written], b""))[0];
    assert_eq!((&told["control"], &told["records"][0]["value"]), (&"SND_UD".into(), &"8".into()), "{told}");
    assert!(told.get("more").is_none());
    let more = frame(&[0x08, 0x01, 0x78, 0x0c, 0x13, 0x65, 0x25, 0x01, 0x00, 0x1f]);
    assert_eq!(lines(&plomb(&["decode", "--json", &more], b""))[0]["more"], true, "{more}");
    let text = plomb(&["decode", &more], b"");
    assert!(String::from_utf8_lossy(&text.stdout).contains("more records follow"));
}

/// The example of OMS Vol. 2, Annex N.2.1: a gas meter, security mode 5, link layer without CRCs.
const GAS: &str = "2E4493157856341233037A2A0020255923C95AAA26D1B2E7493B013EC4A6F6D3529B520EDFF0EA6DEFC99D6D69EBF3";
/// The same with its CRCs.
const GAS_WITH_CRCS: &str =
    "2E44931578563412330333637A2A0020255923C95AAA26D1B2E7493BC2AD013EC4A6F6D3529B520EDFF0EA6DEFC955B29D6D69EBF3EC8A";
const GAS_KEY: &str = "12345678 0102030405060708090A0B0C0D0E0F11\n";

fn key_file(folder: &Path, text: &str, mode: u32) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("keys");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

#[test]
fn wired_and_wireless_are_told_apart_and_keys_open_what_is_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let keys = key_file(folder.path(), GAS_KEY, 0o600);
    let input = format!("{GAS}\n{}\n{GAS_WITH_CRCS}\n", water());
    let output = plomb(&["decode", "--json", "--keys", &keys, "-"], input.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told = lines(&output);
    assert_eq!([&told[0], &told[1], &told[2]].map(|one| one["protocol"].as_str().unwrap()), ["wmbus", "mbus", "wmbus"]);
    assert_eq!((told[0]["format"].as_str(), told[2]["format"].as_str()), (Some("stripped"), Some("A")));
    for gas in [&told[0], &told[2]] {
        assert_eq!(
            (gas["meter"]["id"].as_str(), gas["meter"]["manufacturer"].as_str()),
            (Some("12345678"), Some("ELS"))
        );
        assert_eq!(
            (gas["records"][0]["value"].as_str(), gas["records"][0]["unit"].as_str()),
            (Some("28504.27"), Some("m3"))
        );
        assert_eq!(gas["security"]["mode"], 5);
    }
    // The same telegram twice is no replay here: it was captured, not heard.
    let twice = plomb(&["decode", "--json", "--keys", &keys, GAS, GAS], b"");
    assert!(lines(&twice).iter().all(|one| one["ok"] == true));
}

#[test]
fn each_trouble_with_a_key_has_its_own_kind_and_code() {
    let folder = tempfile::tempdir().unwrap();
    let kind = |output: &Output| lines(output)[0]["error"]["kind"].as_str().unwrap_or_default().to_string();
    let without = plomb(&["decode", "--json", GAS], b"");
    assert_eq!((without.status.code(), kind(&without).as_str()), (Some(66), "key missing"));
    assert_eq!(lines(&without)[0]["sender"], "12345678.ELS.33.03");
    let keys = key_file(folder.path(), &GAS_KEY.replace("0F11", "0F12"), 0o600);
    let wrong = plomb(&["decode", "--json", "--keys", &keys, GAS], b"");
    assert_eq!((wrong.status.code(), kind(&wrong).as_str()), (Some(66), "key wrong"));
    let open = key_file(folder.path(), GAS_KEY, 0o644);
    let refused = plomb(&["decode", "--keys", &open, GAS], b"");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(78) && text.contains("chmod 600"), "{text}");
    let bad = key_file(folder.path(), "12345678 0102\n", 0o600);
    let refused = plomb(&["keys", "check", &bad], b"");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(78) && text.contains("keys:1:10") && !text.contains("0102"), "{text}");
}

/// A payload in clear under a header that says encrypted is what anyone can make.
#[test]
fn a_decrypted_sample_is_refused_unless_it_is_asked_for() {
    let sample = GAS.replace(
        "5923C95AAA26D1B2E7493B013EC4A6F6D3529B520EDFF0EA6DEFC99D6D69EBF3",
        "2F2F0C1427048502046D32371F1502FD1700002F2F2F2F2F2F2F2F2F2F2F2F2F",
    );
    let refused = plomb(&["decode", "--json", &sample], b"");
    assert_eq!(lines(&refused)[0]["error"]["kind"], "plain under encryption");
    let accepted = plomb(&["decode", "--json", "--accept-decrypted-samples", &sample], b"");
    let told = &lines(&accepted)[0];
    assert_eq!((told["ok"].as_bool(), told["security"]["decrypted_sample"].as_bool()), (Some(true), Some(true)));
    assert_eq!(told["records"][0]["value"], "28504.27");
}

#[test]
fn every_byte_is_annotated_once() {
    let folder = tempfile::tempdir().unwrap();
    let keys = key_file(folder.path(), GAS_KEY, 0o600);
    for telegram in [GAS.to_string(), GAS_WITH_CRCS.into(), water(), "68".into()] {
        let output = plomb(&["decode", "--json", "--annotate", "--keys", &keys, &telegram], b"");
        let told = &lines(&output)[0];
        let mut bytes = String::new();
        for one in told["annotations"].as_array().unwrap() {
            assert_eq!(one["offset"], bytes.len() / 2, "{one}");
            bytes += one["bytes"].as_str().unwrap();
        }
        // What is encrypted is shown as what it says, else nobody could compare it with its meaning.
        assert_eq!(bytes.len(), telegram.len());
        let encrypted = [GAS, GAS_WITH_CRCS].contains(&telegram.as_str());
        assert_eq!(bytes == telegram.to_lowercase(), !encrypted, "{bytes}");
        assert_eq!(bytes.contains("0c1427048502"), encrypted, "{bytes}");
    }
}

#[test]
fn a_key_on_its_way_to_a_meter_is_not_shown() {
    // The key of an M-Bus meter, and the password of an association.
    for apdu in ["c301c100480001180100ff0701090461626364", "c101c1000f0000280000ff0700090461626364"] {
        for format in [&["decode", "--annotate", apdu][..], &["decode", "--annotate", "--json", apdu]] {
            let output = plomb(format, b"");
            assert_eq!(output.status.code(), Some(0));
            let shown = String::from_utf8_lossy(&output.stdout).to_string();
            assert!(!shown.contains("abcd") && !shown.contains("61626364"), "{shown}");
        }
    }
}

#[test]
fn a_vendors_list_becomes_a_key_file_and_no_key_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.csv");
    std::fs::write(&list, "serial;key\n12345678;0102030405060708090A0B0C0D0E0F11\n").unwrap();
    let keys = folder.path().join("made").display().to_string();
    let import = ["keys", "import", list.to_str().unwrap(), "-o", &keys];
    let output = plomb(&import, b"");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&shown).contains("0102030405"));
    assert_eq!(lines(&plomb(&["decode", "--json", "--keys", &keys, GAS], b""))[0]["ok"], true);
    let check = plomb(&["keys", "check", "--json", &keys], b"");
    assert_eq!(lines(&check)[0]["meters"][0].as_str().map(|meter| &meter[..8]), Some("12345678"));
    // The same list once more changes nothing; another key for the same meter is refused.
    let again = plomb(&import, b"");
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    std::fs::write(&list, "serial;key\n12345678;0102030405060708090A0B0C0D0E0F12\n").unwrap();
    let other = plomb(&import, b"");
    assert_ne!(other.status.code(), Some(0));
    assert_eq!(lines(&plomb(&["keys", "check", "--json", &keys], b""))[0]["keys"], 1);
}

/// The telegrams in the help texts are telegrams.
#[test]
fn the_examples_of_decode_can_be_run() {
    let mut run = 0;
    for help in [["--help"].as_slice(), &["decode", "--help"]] {
        let text = String::from_utf8(plomb(help, b"").stdout).unwrap();
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("plomb decode ")) {
            let telegram: Vec<&str> =
                line.split(' ').take_while(|word| word.chars().all(|c| c.is_ascii_hexdigit())).collect();
            if telegram.iter().any(|word| !word.is_empty()) {
                let words: Vec<&str> = telegram.into_iter().filter(|word| !word.is_empty()).collect();
                let output = plomb(&[["decode"].as_slice(), &words].concat(), b"");
                assert_eq!(output.status.code(), Some(0), "{line}");
                run += 1;
            }
        }
    }
    assert_eq!(run, 3);
}

#[test]
fn every_verb_has_help_with_examples() {
    for verb in ["demo", "status", "tail", "read", "decode", "export", "verify"] {
        let help = plomb(&[verb, "--help"], b"");
        assert_eq!(help.status.code(), Some(0));
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        assert!(text.contains("Example"), "{verb}: {text}");
    }
}

#[test]
fn a_list_is_imported_again_and_another_key_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("keys").display().to_string();
    let list = |name: &str, rows: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("serial;key\n{rows}")).unwrap();
        path.display().to_string()
    };
    let (one, other) = ("00112233445566778899AABBCCDDEEFF", "FFEEDDCCBBAA99887766554433221100");
    let first = list("first.csv", &format!("12345678;{one}\n"));
    let grown = list("grown.csv", &format!("12345678;{one}\n12345679;{one}\n12345679;{one}\n"));
    for (file, told) in
        [(&first, "1 key added, 0 there"), (&first, "0 keys added, 1 there"), (&grown, "1 key added, 2 there")]
    {
        let output = plomb(&["keys", "import", file, "-o", &out], b"");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(0) && text.contains(told), "{told}: {text}");
    }
    let kept = std::fs::read_to_string(&out).unwrap();
    let output = plomb(&["keys", "import", &list("changed.csv", &format!("12345678;{other}\n")), "-o", &out], b"");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(78) && text.contains("meter 12345678 has another key in"), "{text}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), kept);
    assert_eq!(plomb(&["keys", "import", &first, "-o", "-"], b"").status.code(), Some(64));
}

#[test]
fn a_scan_refuses_what_it_would_not_do_before_it_opens_anything() {
    for (arguments, what) in [
        (["scan", "/dev/nix", "--mask", "123"].as_slice(), "no secondary address"),
        (&["scan", "/dev/nix", "--wmbus", "--receiver", "foo"], "no receiver of this name"),
        (&["scan", "/dev/nix", "--wmbus", "--modes", "X"], "--modes"),
        (&["scan", "/dev/nix", "--modes", "C"], "add --wmbus"),
        (&["scan", "/dev/nix", "--for", "3s"], "add --wmbus"),
        (&["scan", "/dev/nix", "--receiver", "cul", "--primary", "1-2"], "add --wmbus"),
        (&["scan", "/dev/nix", "--wmbus", "--primary", "1-2"], "for a wire"),
        (&["scan", "/dev/nix", "--wmbus", "--for", "0s"], "no time"),
        (&["scan", "/dev/nix", "--baud", "1"], "300..=115200"),
        (&["scan", "/dev/nix", "--timeout-ms", "70000"], "1 to 60000"),
        (&["scan", "tcp://192.0.2.1:1", "--speeds"], "serial server sets the speed"),
    ] {
        let output = plomb(arguments, b"");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {told}");
        assert!(told.contains(what) && !told.contains("bus \"scan\""), "{arguments:?}: {told}");
    }
}

/// Two telegrams of one meter and one of another, as rtl_wmbus prints them.
fn heard() -> String {
    let line = |id: u32| {
        let mut frame = vec![0x44, 0x93, 0x15];
        frame.extend(id.to_le_bytes());
        frame.extend([0x33, 0x07, 0x7A, 0x01, 0x00, 0x00, 0x00, 0x0C, 0x13, 0x65, 0x25, 0x01, 0x00]);
        frame.insert(0, u8::try_from(frame.len()).unwrap());
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("T1;1;1;2026-11-25 09:00:00.000;50;60;{id:08X};0x{hex}\n")
    };
    [line(0x1234_5678), line(0x1234_5678), line(0x1234_5679)].concat()
}

#[test]
fn a_scan_of_a_pipe_ends_with_it_and_misses_nothing() {
    let output = plomb(&["scan", "-", "--wmbus", "--for", "30s"], heard().as_bytes());
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{told}");
    assert!(out.contains("id = \"12345678") && out.contains("id = \"12345679"), "{out}");
    assert!(told.contains("2 meters found; heard to the end of the input"), "{told}");
    let done = lines(&plomb(&["scan", "-", "--wmbus", "--json"], heard().as_bytes())).pop().unwrap();
    assert_eq!((done["event"].as_str(), done["end"].as_str()), (Some("done"), Some("complete")), "{done}");
    assert_eq!(plomb(&["scan", "-", "--wmbus"], b"").status.code(), Some(4));
}

#[test]
fn a_closed_standard_error_is_no_reason_to_die() {
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let mut command = Command::new(env!("CARGO_BIN_EXE_plomb"));
    let status = command.args(["decode", "zz"]).stdout(Stdio::null()).stderr(write).status().unwrap();
    assert_eq!(status.code(), Some(65));
}

/// As long as a hub was told nothing, a pin that was mistyped is just given again.
#[test]
fn a_mistyped_pin_is_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, pending) = (folder.path().display().to_string(), folder.path().join("enrolment.json"));
    let user = Command::new("id").arg("-un").output().unwrap();
    let user = String::from_utf8(user.stdout).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hub = format!("https://127.0.0.1:{port}");
    for pin in ["11", "22"].map(|two| two.repeat(32)) {
        let enrol = ["enrol", "--hub", &hub, "--hub-pin", &pin, "--id", "gw-7", "--dir", &dir, "--owner", user.trim()];
        let output = plomb(&enrol, b"");
        assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read_to_string(&pending).unwrap().contains(&pin));
    }
    // Once the nonce was told there is no other hub.
    let told = std::fs::read_to_string(&pending).unwrap().replace("\"revealed\": false", "\"revealed\": true");
    std::fs::write(&pending, told).unwrap();
    let pin = "33".repeat(32);
    let output = plomb(&["enrol", "--hub", &hub, "--hub-pin", &pin, "--dir", &dir, "--owner", user.trim()], b"");
    assert_eq!(output.status.code(), Some(64));
}

/// Entries are printed of what is proved, and of nothing else.
#[test]
fn only_proved_entries_are_printed() {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vectors");
    let output = plomb(&["verify", "--entries", "--json", &format!("{vectors}/proved.plomb")], b"");
    let printed = lines(&output);
    assert_eq!((output.status.code(), printed.len()), (Some(0), 7), "{printed:?}");
    let seqs: Vec<Option<u64>> = printed.iter().map(|entry| entry["seq"].as_u64()).collect();
    assert_eq!(seqs, (0..7).map(Some).collect::<Vec<_>>());
    assert!(String::from_utf8_lossy(&output.stderr).contains("PROVED"));
    let output = plomb(&["verify", "--entries", "--json", &format!("{vectors}/tampered-byte.plomb")], b"");
    assert_eq!((output.status.code(), lines(&output)[0]["verdict"].as_str()), (Some(1), Some("tampered")));
}
