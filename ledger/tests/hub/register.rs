//! The register through `plomb-hub`: what others signed is submitted from files, and looked up, with a hub running and
//! without.

use plomb_ledger::state::SEALED_BYTES_MIN;
use plomb_seal::{
    LogProof,
    transaction::{Command as Order, Config, Effect, Outcome, Priority, SealingKey, sealing_key_id},
};

use super::*;
use crate::site::ORIGIN;

impl Site {
    fn lines(&self, args: &[&str]) -> Vec<Value> {
        let out = self.ask(&[&["ledger", "history", "--json"][..], args].concat());
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

fn config(base: u64, key: &[u8; 32]) -> Config {
    Config {
        origin: ORIGIN.into(),
        gateway: name("gw-1"),
        base,
        priority: Priority::Urgent,
        window: None,
        commitment: Hash([1; 32]),
        recipient: sealing_key_id(key),
        sealed: vec![1; SEALED_BYTES_MIN],
        reason: "read more often".into(),
    }
}

#[test]
fn what_was_signed_elsewhere_is_submitted_and_looked_up() {
    let site = Site::new();
    for (role, id) in [("gateway", "gw-1"), ("admin", "boss"), ("operator", "ops")] {
        site.certify(role, id);
    }
    let (gateway, boss, ops) = (site.key_of("gw-1"), site.key_of("boss"), site.key_of("ops"));
    let key = [5; 32];
    let stated = SealingKey { origin: ORIGIN.into(), gateway: name("gw-1"), serial: 1, key };
    site.submit(stated, &gateway).unwrap();
    let (index, of) = site.submit(config(0, &key), &boss).unwrap();
    let refused = site.submit(config(5, &key), &boss).unwrap_err();
    assert!(refused.starts_with("Some(65)") && refused.contains("config-base"), "{refused}");
    let command = |counter| Order {
        origin: ORIGIN.into(),
        gateway: name("gw-1"),
        point: name("water"),
        verb: name("read"),
        counter,
        expires_ms: unix_ms() + 60_000,
        needs: 1,
        commitment: Hash([2; 32]),
        recipient: sealing_key_id(&key),
        sealed: vec![2; SEALED_BYTES_MIN],
        reason: String::new(),
    };

    let (_running, _) = site.start();
    let (_, sent) = site.submit(command(1), &ops).unwrap();
    let due = site.json(&["ledger", "due", "--gateway", "gw-1", "--json"]);
    let transactions: Vec<&str> =
        due["due"].as_array().unwrap().iter().filter_map(|one| one["transaction"].as_str()).collect();
    assert_eq!(transactions, [sent.to_string(), of.to_string()], "{due}");
    assert_eq!((&due["version"], &due["applied"], &due["counter"]), (&1.into(), &Value::Null, &1.into()));
    let outcome = Outcome {
        origin: ORIGIN.into(),
        gateway: name("gw-1"),
        of,
        effect: Effect::RolledBack,
        rule: "confirm-hub".into(),
        detail: "the hub was out of reach".into(),
        epoch: 0,
        seq: 3,
        time_ms: unix_ms(),
    };
    site.submit(outcome, &gateway).unwrap();

    let version = site.lines(&["--gateway", "gw-1", "--version", "1"]);
    assert_eq!(version.iter().map(|line| line["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["config", "outcome"]);
    assert_eq!(
        (&version[0]["status"], &version[0]["author"], &version[0]["priority"]),
        (&"rolled-back".into(), &"boss".into(), &"urgent".into())
    );
    assert_eq!(version[1]["text"], "confirm-hub: the hub was out of reach");
    assert_eq!(site.lines(&["--point", "water"]).len(), 1);
    assert_eq!(site.lines(&["--author", "nobody"]).len(), 0);
    assert_eq!(site.lines(&[]).len(), 8);
    let (proof, bytes) = (site.path("proof"), site.path("bytes"));
    let which = index.to_string();
    let show =
        ["ledger", "show", &which, "--json", "--proof", proof.to_str().unwrap(), "--bytes", bytes.to_str().unwrap()];
    let shown = site.json(&show);
    assert_eq!(shown["statement"]["reason"], "read more often");
    assert_eq!(shown["order"]["answers"][0]["effect"], "rolled-back");
    assert_eq!(site.json(&["ledger", "show", &of.to_string(), "--json"])["index"], index);
    let proof = LogProof::parse(&std::fs::read_to_string(proof).unwrap()).unwrap();
    let leaf = plomb_seal::tree::leaf_hash(&std::fs::read(bytes).unwrap());
    assert_eq!((leaf, proof.verify(leaf, &site.policy()).is_ok()), (of, true), "the proof holds under the policy");
    let text = String::from_utf8(site.ask(&["ledger", "history", "--kind", "config"]).stdout).unwrap();
    assert!(text.contains("gw-1 v1  by boss  [rolled-back]  \"read more often\""), "{text}");
    let members = String::from_utf8(site.ask(&["ledger", "members"]).stdout).unwrap();
    assert!(members.starts_with("1 of these must agree:\n  operator "), "{members}");
    for wrong in [
        &["show", "99"][..],
        &["show", "nonsense"],
        &["history", "--kind", "nonsense"],
        &["history", "--gateway", "No"],
    ] {
        assert_eq!(site.ask(&[&["ledger"], wrong].concat()).status.code(), Some(64), "{wrong:?}");
    }
}

/// A second member joins by a vote, certifies a gateway of its own, and the gateway is heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_joins_and_certifies_a_gateway_that_is_heard() {
    let site = Site::new();
    let retailer = site.path("retailer").display().to_string();
    let made = hub().args(["member", "new", &retailer, "--name", "retailer"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let card = format!("{retailer}/member.json");
    let out = site.path("gw-r").display().to_string();
    let certify = ["certify", "--role", "gateway", "--id", "gw-r", "--out", &out, "--member", &retailer, "--json"];
    let early = site.ask(&certify);
    assert_eq!(early.status.code(), Some(65), "no member yet");
    let vote = |member: &[&str], what: &[&str]| {
        let config = site.config().display().to_string();
        let out =
            hub().args(["member", "vote", "--config", &config, "--json"]).args(member).args(what).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice::<Value>(&out.stdout).unwrap()
    };
    let joined = vote(&[], &["add", &card]);
    assert_eq!((&joined["took_effect"], &joined["quorum"]), (&true.into(), &1.into()));
    assert_eq!(vote(&["--member", &retailer], &["quorum", "2"])["took_effect"], true);
    let undecided = vote(&[], &["quorum", "1"]);
    assert_eq!((&undecided["took_effect"], &undecided["votes"]), (&false.into(), &1.into()));
    let json = site.json(&certify);
    assert_eq!(json["subject"], "gw-r");
    let credential = Credential::parse(&std::fs::read(site.path("gw-r/credential.cbor")).unwrap()).unwrap();
    assert_eq!(credential.certificates.len(), 2, "the vote by which its issuer joined, and the certificate");
    let issues = credential.verify(&site.policy()).unwrap();
    let mut gateway = Gateway::new("gw-r", site.key_of("gw-r"), issues[0].fingerprint());

    let (_running, at) = site.start();
    let mut peer = site.connect("gw-r", "gw-r", at);
    peer.subscribe(topic::receipt(&name("gw-r"))).await;
    peer.send("gw-r", gateway.batch(2).to_bytes()).await;
    peer.receipt("gw-r").await;
    let export = site.path("gw-r.plomb");
    let made = site.ask(&["archive", "export", "--gateway", "gw-r", "-o", export.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let report = verify(&std::fs::read(&export).unwrap(), Trust::Own(&site.policy()), Expect::default());
    assert_eq!(report.verdict, Verdict::Proved, "{:?}", report.first_bad);
}
