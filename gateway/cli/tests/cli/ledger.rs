//! What is sent to the ledger and looked up there, against a hub that is not always honest.

use std::{fs, os::unix::fs::PermissionsExt, process::Output};

use serde_json::Value;

use super::{
    hub::{FakeHub, Mood, text},
    lines, plomb,
};

const CONFIG: &str = "[gateway]\nid = \"gw-1\"\nstate_dir = \"s\"\nkey = \"k\"\n[[bus]]\nname = \"cellar\"\n\
                      protocol = \"mbus\"\nport = \"/dev/ttyUSB0\"\n";

fn run(hub: &FakeHub, id: &str, arguments: &[&str], input: &[u8]) -> Output {
    let arguments = hub.as_party(id, arguments);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    plomb(&arguments, input)
}

/// Runs with `--json`, expects a code, gives the document.
fn json(hub: &FakeHub, id: &str, code: i32, arguments: &[&str]) -> Value {
    let output = run(hub, id, &[arguments, &["--json"]].concat(), b"");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    lines(&output).into_iter().next().unwrap_or_default()
}

fn propose(hub: &FakeHub, code: i32, config: &str, more: &[&str]) -> Value {
    let file = text(&hub.file("plombd.toml", config));
    let arguments =
        ["config", "propose", file.as_str(), "--gateway", "gw-1", "--priority", "urgent", "--reason", "new", "--yes"];
    json(hub, "alice", code, &[&arguments, more].concat())
}

#[test]
fn a_configuration_is_sealed_sent_answered_and_kept() {
    let hub = FakeHub::start();
    let sent = propose(&hub, 0, CONFIG, &["--base", "0", "--wait", "5s"]);
    assert_eq!((sent["version"].as_u64(), sent["admitted"].as_bool()), (Some(1), Some(true)), "{sent}");
    assert_eq!(
        (sent["outcome"]["effect"].as_str(), sent["outcome"]["proved"].as_bool()),
        (Some("applied"), Some(true))
    );
    assert_eq!(hub.town.lock().unwrap().opened, [CONFIG], "what the gateway opens is the file, byte by byte");
    let kept = hub.party("alice").join("sealed").join(format!("{}.json", sent["transaction"].as_str().unwrap()));
    let mode = fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others must not read what was sealed");
    let kept: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert_eq!(kept["content"].as_str(), Some(CONFIG));
    // Without --base the hub's last version is taken.
    let next = propose(&hub, 0, &CONFIG.replace("ttyUSB0", "ttyUSB1"), &[]);
    assert_eq!(next["version"].as_u64(), Some(2));
}

#[test]
fn what_must_not_be_sent_is_not_sent() {
    let hub = FakeHub::start();
    let wrong = propose(&hub, 78, "[gateway]\nid = \"gw-1\"\n", &["--base", "0"]);
    assert_eq!(wrong["error"]["kind"].as_str(), Some("configuration"));
    propose(&hub, 78, &CONFIG.replace("gw-1", "gw-2"), &["--base", "0"]);
    let stale = propose(&hub, 65, CONFIG, &["--base", "7"]);
    assert_eq!(stale["error"]["rule"].as_str(), Some("config-base"), "{stale}");
    let left = fs::read_dir(hub.party("alice").join("sealed")).unwrap().count();
    assert_eq!(left, 0, "what the ledger refused is not kept");
    assert!(hub.town.lock().unwrap().opened.is_empty());
}

#[test]
fn a_rolled_back_configuration_is_no_success() {
    let hub = FakeHub::start();
    hub.mood(Mood::RollsBack);
    let sent = propose(&hub, 1, CONFIG, &["--base", "0", "--wait", "5s"]);
    assert_eq!(
        (sent["outcome"]["effect"].as_str(), sent["outcome"]["rule"].as_str()),
        (Some("rolled-back"), Some("confirm-hub"))
    );
}

#[test]
fn a_hub_that_lies_is_found_out() {
    let hub = FakeHub::start();
    propose(&hub, 0, CONFIG, &["--base", "0", "--wait", "5s"]);
    let opened = hub.town.lock().unwrap().opened.len();
    for mood in [Mood::ForeignKey, Mood::OtherLog] {
        hub.mood(mood);
        let refused = propose(&hub, 1, CONFIG, &["--base", "1"]);
        assert_eq!(refused["error"]["kind"].as_str(), Some("unproved"), "{mood:?}: {refused}");
        assert_eq!(hub.town.lock().unwrap().opened.len(), opened, "{mood:?}: nothing may be sealed to another key");
    }
    json(&hub, "alice", 1, &["ledger", "show", "6"]);
    hub.mood(Mood::OtherWords);
    let lied = json(&hub, "alice", 1, &["ledger", "history", "--kind", "config", "--prove"]);
    assert_eq!(lied["proved"].as_bool(), Some(false), "{lied}");
    hub.mood(Mood::Revoked);
    let shut_out = json(&hub, "alice", 77, &["ledger", "gateways"]);
    assert!(shut_out["error"]["message"].as_str().unwrap().contains("revoked"), "{shut_out}");
}

#[test]
fn an_order_is_signed_here_and_carried_there() {
    let hub = FakeHub::start();
    let (recipient, order) = (hub.folder.path().join("gw-1.recipient"), hub.folder.path().join("order.cose"));
    let (recipient, order) = (text(&recipient), text(&order));
    json(&hub, "alice", 0, &["ledger", "recipient", "gw-1", "-o", &recipient]);
    let out = ["--base", "0", "--recipient", &recipient, "--out", &order];
    let signed = propose(&hub, 0, CONFIG, &out);
    assert_eq!((signed["admitted"].as_bool(), hub.town.lock().unwrap().opened.len()), (Some(false), 0));
    let brought = json(&hub, "alice", 0, &["ledger", "submit", &order]);
    assert_eq!(brought["transaction"], signed["transaction"]);
    assert_eq!(hub.town.lock().unwrap().opened, [CONFIG]);
}

#[test]
fn a_command_takes_its_counter_and_a_token_from_standard_input() {
    let hub = FakeHub::start();
    let output = run(
        &hub,
        "otto",
        &["command", "gw-1", "flat-3", "credit", "-", "--yes", "--wait", "5s", "--json"],
        b"12345678\n",
    );
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let sent = &lines(&output)[0];
    assert_eq!((sent["counter"].as_u64(), sent["outcome"]["effect"].as_str()), (Some(1), Some("applied")), "{sent}");
    let sent = json(&hub, "otto", 0, &["command", "gw-1", "flat-3", "valve", "close", "--yes"]);
    assert_eq!(sent["counter"].as_u64(), Some(2));
    assert_eq!(hub.town.lock().unwrap().opened, ["12345678", "close"]);
    // A busy hub is asked again, and where another operator was quicker the next number is taken.
    hub.mood(Mood::Busy);
    let sent = json(&hub, "otto", 0, &["command", "gw-1", "flat-3", "valve", "open", "--yes"]);
    assert_eq!(sent["counter"].as_u64(), Some(4));
    hub.town.lock().unwrap().opened.pop();
    let tariff = text(&hub.file("winter.toml", "name = \"winter\"\nseasons = 3\n"));
    let wrong = [
        &["valve"][..],
        &["valve", "shut"],
        &["credit"],
        &["credit", "12 34"],
        &["read", "now"],
        &["explode"],
        &["set-tariff", &tariff],
    ];
    for wrong in wrong {
        let output = run(&hub, "otto", &[&["command", "gw-1", "flat-3", "--yes"], wrong].concat(), b"");
        assert_eq!(output.status.code(), Some(64), "{wrong:?}");
    }
    assert_eq!(hub.town.lock().unwrap().opened.len(), 2, "what no gateway takes is not sealed");
}

#[test]
fn without_a_terminal_nothing_is_sent_that_nobody_agreed_to() {
    let hub = FakeHub::start();
    let file = text(&hub.file("plombd.toml", CONFIG));
    let propose = ["config", "propose", &file, "--gateway", "gw-1", "--priority", "urgent", "--reason", "new"];
    for (who, arguments) in [("alice", &propose[..]), ("otto", &["command", "gw-1", "flat-3", "disconnect"])] {
        let refused = json(&hub, who, 64, arguments);
        assert!(refused["error"]["message"].as_str().unwrap().contains("give --yes"), "{refused}");
    }
    assert!(hub.town.lock().unwrap().opened.is_empty());
}

#[test]
fn a_command_that_two_must_sign_is_waited_for() {
    let hub = FakeHub::start();
    let command = ["command", "gw-1", "water", "read", "--needs", "2", "--yes", "--wait"];
    let began = std::time::Instant::now();
    let alone = json(&hub, "otto", 3, &[&command[..], &["1s"]].concat());
    assert!(began.elapsed() >= std::time::Duration::from_secs(1), "it was not waited");
    assert_eq!((alone["status"].as_str(), alone["known"].as_bool()), (Some("awaits-approval"), Some(false)), "{alone}");
    let done = std::thread::scope(|scope| {
        let waits = scope.spawn(|| run(&hub, "otto", &[&command[..], &["20s"]].concat(), b""));
        let second = || hub.town.lock().unwrap().opened.len() == 2;
        while !second() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let index = hub.town.lock().unwrap().last_index().to_string();
        json(&hub, "olga", 0, &["approve", &index, "--yes"]);
        waits.join().unwrap()
    });
    let (told, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{told}{errors}");
    assert!(errors.contains("plomb approve "), "the other operator must know what to approve: {errors}");
    assert!(told.contains("Done") && told.contains("The reading") && told.contains("plomb ledger show "), "{told}");
}

#[test]
fn a_second_operator_sees_what_is_approved_and_the_whole_is_exported() {
    let hub = FakeHub::start();
    let command = ["command", "gw-1", "water", "valve", "close", "--needs", "2", "--reason", "burst pipe", "--yes"];
    let sent = json(&hub, "otto", 0, &command);
    let leaf = sent["transaction"].as_str().unwrap();
    assert_eq!((sent["status"].as_str(), sent["outcome"].is_null()), (Some("awaits-approval"), true), "{sent}");
    let blind = run(&hub, "olga", &["approve", leaf], b"");
    assert_eq!(blind.status.code(), Some(64), "nobody approves what nobody could see");
    let approved = json(&hub, "olga", 0, &["approve", leaf, "--yes", "--wait", "5s"]);
    assert_eq!((approved["author"].as_str(), approved["outcome"]["effect"].as_str()), (Some("otto"), Some("applied")));
    let output = run(&hub, "olga", &["ledger", "show", leaf], b"");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = |start: &str| shown.lines().any(|line| line.starts_with(start) && line.contains("plomb ledger show "));
    assert!(told("  approved     by olga 2026-05-2") && told("  answered     applied 2026-05-2"), "{shown}");
    let story = text(&hub.folder.path().join("order.story"));
    let exported = json(&hub, "otto", 0, &["ledger", "export", leaf, "--content", "-o", &story]);
    assert_eq!(exported["outcomes"].as_u64(), Some(1), "{exported}");
    let policy = text(&hub.party("otto").join("policy.txt"));
    let output = plomb(&["verify", &story, "--policy", &policy, "--json"], b"");
    let verified = &lines(&output)[0];
    assert_eq!((verified["verdict"].as_str(), output.status.code()), (Some("proved"), Some(0)), "{verified}");
    assert_eq!((verified["approved_by"].as_str(), verified["content"].as_str()), (Some("olga"), Some("close")));
    let mut bent = fs::read(&story).unwrap();
    let middle = bent.len() - 20;
    bent[middle] ^= 1;
    fs::write(&story, bent).unwrap();
    assert_eq!(plomb(&["verify", &story, "--policy", &policy], b"").status.code(), Some(1));
}

#[test]
fn history_and_one_transaction_are_proved() {
    let hub = FakeHub::start();
    let sent = propose(&hub, 0, CONFIG, &["--base", "0"]);
    let output = run(&hub, "alice", &["ledger", "history", "--gateway", "gw-1", "--prove", "--json"], b"");
    let told = lines(&output);
    let kinds: Vec<&str> = told.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["certificate", "sealing-key", "config", "outcome"]);
    assert!(told.iter().all(|line| line["proved"] == true), "{told:?}");
    let (bytes, proof) = (hub.folder.path().join("order.cose"), hub.folder.path().join("order.proof"));
    let (bytes, proof) = (text(&bytes), text(&proof));
    let leaf = sent["transaction"].as_str().unwrap();
    let shown = json(&hub, "alice", 0, &["ledger", "show", leaf, "--bytes", &bytes, "--proof", &proof]);
    assert_eq!((shown["signer"]["name"].as_str(), shown["signer"]["role"].as_str()), (Some("alice"), Some("admin")));
    let certificate = text(&hub.folder.path().join("alice.cose"));
    json(&hub, "alice", 0, &["ledger", "show", "1", "--bytes", &certificate]);
    let policy = text(&hub.party("alice").join("policy.txt"));
    let verify = ["verify", &bytes, "--proof", &proof, "--policy", &policy, "--certificate", &certificate, "--json"];
    let output = plomb(&verify, b"");
    let verified = &lines(&output)[0];
    assert_eq!((output.status.code(), verified["signed_by"]["name"].as_str()), (Some(0), Some("alice")), "{verified}");
    let other = text(&hub.folder.path().join("otto.cose"));
    json(&hub, "alice", 0, &["ledger", "show", "2", "--bytes", &other]);
    let verify = ["verify", &bytes, "--proof", &proof, "--policy", &policy, "--certificate", &other];
    assert_eq!(plomb(&verify, b"").status.code(), Some(1), "signed by alice, not by otto");
}

#[test]
fn that_nothing_is_there_is_told() {
    let hub = FakeHub::start();
    let output = run(&hub, "alice", &["ledger", "history", "--gateway", "nosuch"], b"");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Nothing on the ledger fits"));
}

#[test]
fn what_changed_is_shown_to_who_sealed_it_and_to_nobody_else() {
    let hub = FakeHub::start();
    propose(&hub, 0, CONFIG, &["--base", "0"]);
    let sent = propose(&hub, 0, &CONFIG.replace("ttyUSB0", "ttyUSB1"), &["--base", "1"]);
    let output = run(&hub, "alice", &["ledger", "diff", "1", "2", "--gateway", "gw-1", "--color", "never"], b"");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("-port = \"/dev/ttyUSB0\"\n+port = \"/dev/ttyUSB1\"\n"), "{shown}");
    let other = run(&hub, "otto", &["ledger", "diff", "1", "2", "--gateway", "gw-1"], b"");
    assert_eq!(other.status.code(), Some(69), "{}", String::from_utf8_lossy(&other.stdout));
    let kept = hub.party("alice").join("sealed").join(format!("{}.json", sent["transaction"].as_str().unwrap()));
    fs::write(&kept, fs::read_to_string(&kept).unwrap().replace("ttyUSB1", "ttyUSB9")).unwrap();
    let bent = run(&hub, "alice", &["ledger", "diff", "1", "2", "--gateway", "gw-1"], b"");
    assert_eq!(bent.status.code(), Some(1), "what was changed since is not what was sealed");
}

#[test]
fn a_hub_that_is_not_there_or_is_another_is_told_with_what_to_do() {
    let hub = FakeHub::start();
    let gateways = |url: &str| {
        let output = plomb(&["ledger", "gateways", "--as", &text(&hub.party("alice")), "--hub", url], b"");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, told) = gateways(&format!("https://127.0.0.1:{free}"));
    assert_eq!(code, Some(69));
    assert!(told.contains("[http]"), "{told}");
    let other = FakeHub::start();
    let (code, told) = gateways(&other.url);
    assert_eq!(code, Some(69));
    assert!(told.contains("ca.crt"), "{told}");
    assert_eq!(gateways("http://hub").0, Some(64));
    // The right hub, but a certificate of another authority.
    for file in ["client.key", "client.crt"] {
        fs::copy(other.party("alice").join(file), hub.party("alice").join(file)).unwrap();
    }
    let (code, told) = gateways(&hub.url);
    assert_eq!(code, Some(77), "{told}");
    assert!(told.contains("does not recognise your certificate"), "{told}");
    let nobody = plomb(&["ledger", "gateways", "--hub", &hub.url], b"");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("--as FOLDER"));
}

#[test]
fn every_mistake_of_a_configuration_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plombd.toml");
    let text = format!("{CONFIG}baud = 1\n[[meter]]\npoint = \"a\"\nbus = \"celar\"\nadress = 1\n");
    fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let output = plomb(&["config", "check", "--json", &file], b"");
    let told = &lines(&output)[0];
    assert_eq!((output.status.code(), told["ok"].as_bool()), (Some(78), Some(false)));
    let places: Vec<(u64, u64)> = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["line"].as_u64().unwrap(), one["column"].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [(9, 8), (12, 7), (13, 1)], "{told}");
    fs::write(&file, CONFIG).unwrap();
    assert_eq!(plomb(&["config", "check", &file], b"").status.code(), Some(0));
    let on_gateway = plomb(&["config", "check", "--on-gateway", &file], b"");
    assert_eq!(on_gateway.status.code(), Some(78), "its key is not there");
    let dlms = "[[bus]]\nname = \"grid\"\nprotocol = \"dlms\"\nport = \"tcp://h:4059\"\n[[meter]]\npoint = \"power\"\n\
                bus = \"grid\"\nregisters = [\"1-0:1.8.0\"]\nauthentication = \"lls\"\n";
    fs::write(&file, format!("{CONFIG}{dlms}")).unwrap();
    let on_gateway = plomb(&["config", "check", "--on-gateway", "--json", &file], b"");
    let told = lines(&on_gateway)[0]["files"].to_string();
    assert!(told.contains("power") && told.contains("no password"), "{told}");
    assert_eq!(plomb(&["config", "check", "/nowhere"], b"").status.code(), Some(74));
}
