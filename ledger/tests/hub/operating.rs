//! What the people who run a hub do with it, and what can be wrong with its files, clock and neighbours.

use super::*;

/// The files that `certify` writes serve whoever links OpenSSL 3.0, as they are.
#[tokio::test(flavor = "multi_thread")]
async fn openssl_and_mosquitto_use_the_issued_files_as_they_are() {
    let site = Site::new();
    let mut gateway = site.gateway("gw-1");
    let billing = site.certify("subscriber", "billing");
    for key in ["hub/ca.key", "hub/server.key", "gw-1/client.key", "billing/client.key"] {
        let Ok(out) = Command::new("openssl").args(["pkey", "-noout", "-in"]).arg(site.path(key)).output() else {
            absent("openssl");
            return;
        };
        assert!(out.status.success(), "{key}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let (_running, at) = site.start();
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    peer.send("gw-1", gateway.batch(1).to_bytes()).await;
    peer.receipt("gw-1").await;
    let file = |name: &str| billing.join(name).display().to_string();
    let out = tokio::process::Command::new("mosquitto_sub")
        .args(["-h", "localhost", "-p", &at.port().to_string(), "-t", topic::CHECKPOINT, "-C", "1", "-W", "60"])
        .args(["--cafile", &file("ca.crt"), "--cert", &file("client.crt"), "--key", &file("client.key")])
        .output()
        .await;
    let Ok(out) = out else {
        absent("mosquitto_sub");
        return;
    };
    assert!(out.stdout.starts_with(b"ledger.example/hub-test"), "{}", String::from_utf8_lossy(&out.stderr));
}

/// A gateway's journal is bound to its key: its certificate is renewed without touching that.
#[test]
fn a_certificate_is_renewed_for_the_key_that_is_there() {
    let site = Site::new();
    let gateway = site.gateway("gw-1");
    let certify = |out: &str, more: &[&str]| {
        let out = site.path(out).display().to_string();
        site.ask(&[&["certify", "--role", "gateway", "--id", "gw-1", "--out", &out][..], more].concat())
    };
    let said = |out: &Output| String::from_utf8_lossy(&out.stderr).into_owned();
    let key = site.path("gw-1/client.key").display().to_string();

    let twice = certify("twice", &[]);
    assert_eq!(twice.status.code(), Some(64));
    assert!(said(&twice).contains("--renew") && !site.path("twice").exists(), "{}", said(&twice));
    for (out, more) in [("renewed", &["--renew", "--days", "900"][..]), ("by-file", &["--key", &key])] {
        let made = certify(out, more);
        assert!(made.status.success(), "{}", said(&made));
        assert!(!site.path(out).join("client.key").exists(), "the key stays where it is");
        let credential = Credential::parse(&std::fs::read(site.path(out).join("credential.cbor")).unwrap()).unwrap();
        let issues = credential.verify(&site.policy()).unwrap();
        assert!(issues.iter().all(|issue| issue.key == gateway.key.public()));
        let newest = CertificateDer::from_pem_file(site.path(out).join("client.crt")).unwrap();
        assert!(issues.iter().any(|issue| issue.x509 == newest.to_vec()), "the newest is proved, too");
    }
    let gateways = site.json(&["status", "--json"])["gateways"].clone();
    assert_eq!(gateways[0]["certificate"]["state"], "valid");
    assert!(certify("anew", &["--new-key"]).status.success());
    let unsure = certify("unsure", &["--renew"]);
    assert!(said(&unsure).contains("gw-1 has 2 keys"), "{}", said(&unsure));
    site.ask(&["revoke", "--id", "gw-1", "--reason", "stolen"]);
    let revoked = certify("revoked", &["--renew"]);
    assert_eq!(revoked.status.code(), Some(64));
    assert!(said(&revoked).contains("no certificate of \"gw-1\" holds"), "{}", said(&revoked));
    // A new box of that name begins with a key of its own.
    assert!(certify("new-box", &[]).status.success());
    // A name that nobody had can't be renewed.
    let dir = site.path("nobody").display().to_string();
    let nobody = site.ask(&["certify", "--role", "subscriber", "--id", "nobody", "--renew", "--out", &dir]);
    assert_eq!(nobody.status.code(), Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_boxes_with_one_key_show_in_the_status() {
    let site = Site::new();
    let _gateway = site.gateway("gw-1");
    let (_running, at) = site.start();
    for _ in 0..4 {
        let mut box_ = site.connect("gw-1", "gw-1", at);
        while !matches!(box_.events.poll().await, Ok(Event::Incoming(Packet::ConnAck(_)))) {}
        // Each stays until the next one has its place.
        tokio::spawn(async move { while box_.events.poll().await.is_ok() {} });
    }
    let taken = loop {
        let status = site.json(&["status", "--json"]);
        if status["gateways"][0]["taken_over"]["count"] == 3 {
            break status["gateways"][0]["taken_over"].clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(taken["contested"], true);
    let text = String::from_utf8(site.ask(&["status"]).stdout).unwrap();
    assert!(text.contains("taken over 3 times since start") && text.contains("two boxes may hold its key"), "{text}");
}

#[test]
fn a_second_hub_and_a_reader_that_has_enough() {
    let site = Site::new();
    site.certify("gateway", "gw-1");
    let (_running, _) = site.start();
    let second = hub().arg("--config").arg(site.config()).stderr(Stdio::piped()).spawn().unwrap();
    let out = second.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(69));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("another plomb-hub runs with this ledger"), "{said}");
    for args in [&["status"][..], &["status", "--json"], &["status", "--certificates"]] {
        // A pipe that nobody reads from, as after `head`.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let out = hub().args(args).arg("--config").arg(site.config()).stdout(writer).output().unwrap();
        assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(0), ""), "{args:?}");
    }
}

impl Site {
    /// Puts a ledger of the same genesis in the place of this one, dated so many days ago.
    fn founded_days_ago(&self, days: i64) {
        let ledger = open_ledger(&HubConfig::load(&self.config()).unwrap()).unwrap();
        let (genesis, signers) = (ledger.transaction(0).unwrap().unwrap(), ledger.signers().clone());
        drop(ledger);
        std::fs::remove_file(self.path("hub/ledger.redb")).unwrap();
        let ledger = Ledger::open(&self.path("hub/ledger.redb"), signers).unwrap();
        let time_ms = unix_ms() - days * 86_400_000;
        ledger.deliver(&Block { height: 1, time_ms, transactions: vec![genesis] }, &[]).unwrap();
    }

    /// Runs the hub until it ends by itself.
    fn start_fails(&self) -> (i32, String) {
        let out = hub().arg("--config").arg(self.config()).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

#[test]
fn a_clock_that_is_far_ahead_is_accepted_by_a_person_alone() {
    let site = Site::new();
    site.founded_days_ago(300);
    let (code, said) = site.start_fails();
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("300 days after the ledger's newest date") && said.contains("--accept-clock"), "{said}");
    // Nothing else dates a block meanwhile.
    let out = site.path("gw-1").display().to_string();
    let certify = site.ask(&["certify", "--role", "gateway", "--id", "gw-1", "--out", &out]);
    assert_eq!(certify.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&certify.stderr).contains("--accept-clock"), "{certify:?}");
    // The hub did stand still so long. Once is enough.
    let accepted = hub().arg("--config").arg(site.config()).arg("--accept-clock").spawn().unwrap();
    let accepted = Running(accepted);
    let begun = std::time::Instant::now();
    while site.json(&["status", "--json"])["running"] != true {
        assert!(begun.elapsed() < PATIENCE);
    }
    assert_eq!(accepted.terminate(), 0);
    let (running, _) = site.start();
    assert_eq!(site.json(&["status", "--json"])["troubles"], serde_json::json!([]));
    assert_eq!(running.terminate(), 0);
}

#[test]
fn a_hub_that_stood_still_for_weeks_starts_and_says_so() {
    let site = Site::new();
    site.founded_days_ago(20);
    let (_running, _) = site.start();
    let text = String::from_utf8(site.ask(&["status"]).stdout).unwrap();
    assert!(text.contains("Trouble") && text.contains("20 days ahead of the ledger's newest date"), "{text}");
}

#[test]
fn keys_that_others_can_read_and_a_file_in_the_sockets_place_stop_a_start() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(site.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for key in ["hub/log.key", "hub/witness.key", "hub/server.key"] {
        mode(key, 0o644);
        let (code, said) = site.start_fails();
        assert_eq!(code, 78, "{key}: {said}");
        assert!(
            said.contains(key.trim_start_matches("hub/")) && said.contains("mode 0644") && said.contains("chmod 600"),
            "{said}"
        );
        mode(key, 0o600);
    }
    for key in ["hub/member.key", "hub/ca.key"] {
        mode(key, 0o640);
        let out = site.ask(&["certify", "--role", "auditor", "--id", "a", "--out", site.path("a").to_str().unwrap()]);
        assert_eq!(out.status.code(), Some(78), "{key}: {out:?}");
        mode(key, 0o600);
    }
    let precious = site.path("hub/control.sock");
    std::fs::write(&precious, "precious").unwrap();
    let (code, said) = site.start_fails();
    assert_eq!((code, std::fs::read_to_string(&precious).unwrap().as_str()), (69, "precious"), "{said}");
    assert!(said.contains("control.sock") && said.contains("no socket"), "{said}");
}

/// Bits turn on a disk. Whatever the ledger then says is true, or it says that its file is damaged: one line,
/// with what to do, and no panic.
#[test]
fn a_damaged_ledger_is_named_and_never_served() {
    let site = Site::new();
    site.gateway("gw-1");
    let file = site.path("hub/ledger.redb");
    let good = std::fs::read(&file).unwrap();
    let truth = site.json(&["status", "--certificates", "--json"]);
    let mut named = 0;
    for n in 0..40 {
        let mut bent = good.clone();
        // Spread over the file, and the first page with its header more densely.
        let at = if n < 10 { n * 29 } else { (n - 10) * good.len() / 30 };
        bent[at] ^= 1 << (n % 8);
        std::fs::write(&file, &bent).unwrap();
        let out = site.ask(&["status", "--certificates", "--json"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        if out.status.success() {
            assert_eq!(serde_json::from_slice::<Value>(&out.stdout).unwrap(), truth, "bit at {at}");
            continue;
        }
        named += 1;
        assert_eq!((out.status.code(), said.lines().count()), (Some(74), 1), "bit at {at}: {said}");
        assert!(said.contains("damaged") && said.contains("operations.md"), "bit at {at}: {said}");
    }
    assert!(named > 0, "no bit was of the ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_ledger_that_was_put_back_is_noticed_and_said_so() {
    let site = Site::new();
    let mut gateway = site.gateway("gw-1");
    let (file, copy) = (site.path("hub/ledger.redb"), site.path("copy.redb"));
    std::fs::copy(&file, &copy).unwrap();
    let (running, at) = site.start();
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    peer.send("gw-1", gateway.batch(1).to_bytes()).await;
    peer.receipt("gw-1").await;
    peer.subscribe(topic::CHECKPOINT).await;
    // The one that counts the batch: the one before it may come first.
    let note = loop {
        let note = String::from_utf8(peer.on(topic::CHECKPOINT).await.payload.to_vec()).unwrap();
        if site.policy().check(&note).unwrap().checkpoint.size == 3 {
            break note;
        }
    };
    gateway.place.checkpoint = Some(note);
    assert_eq!(running.terminate(), 0);
    std::fs::copy(&copy, &file).unwrap();
    let (_running, at) = site.start();
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    peer.send("gw-1", gateway.batch(1).to_bytes()).await;
    let refusal = peer.refusal("gw-1").await;
    assert_eq!(refusal.rule, "anchor-checkpoint");
    assert!(refusal.detail.contains("checkpoint of 3 transactions, this ledger has 2"), "{}", refusal.detail);
    let status = site.json(&["status", "--json"]);
    assert_eq!(status["batches"]["lost"]["seen"], 3);
    let trouble = status["troubles"][0].as_str().unwrap();
    assert!(trouble.contains("older ledger.redb was put back"), "{trouble}");
}

/// What is no batch costs its sender the connection, and the hub a few lines.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_floods_the_hub_with_what_is_no_batch_is_sent_away() {
    let site = Site::new();
    let (_bad, mut good) = (site.gateway("gw-bad"), site.gateway("gw-1"));
    let (_running, at) = site.start();
    let mut bystander = listen(&site, "gw-1", "gw-1", at).await;
    let mut peer = listen(&site, "gw-bad", "gw-bad", at).await;
    for _ in 0..60 {
        peer.send("gw-bad", vec![0]).await;
        while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(1), peer.events.poll()).await {}
    }
    peer.is_cut_off().await;
    let mut again = site.connect("gw-bad", "gw-bad", at);
    let told = again.is_cut_off().await;
    assert!(
        matches!(told, ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable)),
        "it is told to come later: {told:?}"
    );
    bystander.send("gw-1", good.batch(1).to_bytes()).await;
    bystander.receipt("gw-1").await;
}
