//! Gateways are taken on and renewed, by hand against the real hub.

use rcgen::Issuer;

use plomb_seal::{
    Signed, SigningKey,
    enrol::{self, Confirmation, Grant, Opening, RenewalRequest, Request, Transcript, spaced},
    transaction::Issue,
};

use super::*;
use crate::{
    site::ORIGIN,
    web::{Answered, Line},
};

/// A gateway that made its key itself.
struct Device {
    key: SigningKey,
    nonce: [u8; 32],
    request: Vec<u8>,
}

impl Device {
    fn new(id: &str, seed: u8) -> Self {
        let (key, nonce) = (SigningKey::from_seed(&[seed; 32]), [seed ^ 0xff; 32]);
        let request = Request {
            gateway: name(id),
            key: key.public(),
            commitment: enrol::commitment(&nonce),
            time_s: 1_800_000_000,
        };
        let request = Signed::sign(request, &key).into_bytes();
        Self { key, nonce, request }
    }

    fn path(&self, step: &str) -> String {
        format!("/enrol/requests/{}{step}", Request::ticket(&self.request))
    }

    fn begin(&self, line: &mut Line) -> Answered {
        line.ask("POST", "/enrol/requests", &self.request).unwrap()
    }

    fn reveal(&self, line: &mut Line) -> Answered {
        line.ask("POST", &self.path("/reveal"), &self.nonce).unwrap()
    }

    /// Asks and tells its nonce.
    fn open(&self, line: &mut Line) -> Transcript {
        let begun = self.begin(line);
        assert_eq!(begun.status, 201, "{begun:?}");
        let opening = Opening::parse(&begun.body).unwrap();
        assert_eq!(self.reveal(line).json()["step"], "open");
        let hub_key = rcgen_spki(&line.hub_certificate());
        Transcript::of(&self.request, &opening, &hub_key, &self.nonce)
    }

    fn confirm(&self, line: &mut Line, transcript: Transcript, agreed: bool) -> Answered {
        let word = Signed::sign(Confirmation { transcript: transcript.0, agreed }, &self.key).into_bytes();
        line.ask("POST", &self.path("/confirm"), &word).unwrap()
    }

    fn step(&self, line: &mut Line) -> Value {
        line.ask("GET", &self.path(""), &[]).unwrap().json()["step"].clone()
    }

    fn grant(&self, line: &mut Line) -> Answered {
        line.ask("GET", &self.path("/grant"), &[]).unwrap()
    }

    fn take(&self, line: &mut Line, id: &str) -> (Grant, Issue) {
        let answered = self.grant(line);
        assert_eq!(answered.status, 200, "{answered:?}");
        let grant = Grant::parse(&answered.body).unwrap();
        let issue = grant.check(&Request::ticket(&self.request), &name(id), &self.key.public(), None).unwrap();
        (grant, issue)
    }
}

/// The SHA-256 of the public key, read by another library than the hub's.
fn rcgen_spki(certificate: &CertificateDer<'_>) -> Hash {
    let parsed = rustls::server::ParsedCertificate::try_from(certificate).unwrap();
    Hash::of(parsed.subject_public_key_info().as_ref())
}

impl Site {
    fn approve(&self, id: &str, claim: &str) -> Result<Value, String> {
        let out = self.ask(&["enrol", "approve", id, "--claim", claim, "--json"]);
        if out.status.success() {
            Ok(serde_json::from_slice(&out.stdout).unwrap())
        } else {
            Err(format!("{:?} {}", out.status.code(), String::from_utf8_lossy(&out.stderr)))
        }
    }

    /// Key and certificates as files, for connections.
    fn lay_down(&self, id: &str, grant: &Grant, seed: u8) {
        let dir = self.path(id);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("client.crt"), &grant.certificate).unwrap();
        std::fs::write(dir.join("ca.crt"), &grant.authorities).unwrap();
        let head = hex::decode("302e020100300506032b657004220420").unwrap();
        let der = [head.as_slice(), &[seed; 32]].concat();
        let pem = KeyPair::try_from(der.as_slice()).unwrap().serialize_pem();
        std::fs::write(dir.join("client.key"), pem).unwrap();
    }
}

/// Each step again and again, the hub killed after each: the certificate is issued once, and only after the installer's
/// word; and the gateway is heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_taken_on_through_restarts_at_every_step() {
    let site = Site::with_https("");
    let device = Device::new("gw-1", 1);
    let pin = String::from_utf8(site.ask(&["enrol", "pin"]).stdout).unwrap();
    let restarted = || {
        let (running, at) = site.start();
        (running, at, site.line(site.https_port(), None))
    };
    let (running, _, mut line) = restarted();
    assert_eq!(rcgen_spki(&line.hub_certificate()).to_string(), pin.trim());
    assert_eq!(device.begin(&mut line).body, device.begin(&mut line).body, "the same request gets the same nonce");
    let transcript = device.open(&mut line);
    assert_eq!(device.reveal(&mut line).status, 200, "once more does no harm");
    let listed = site.json(&["enrol", "list", "--json"]);
    assert_eq!(
        (&listed["enrolments"][0]["gateway"], &listed["enrolments"][0]["step"]),
        (&"gw-1".into(), &"open".into())
    );
    assert!(!listed.to_string().contains(&transcript.claim_code()), "the code comes from the device alone");
    drop(running);

    let (running, _, mut line) = restarted();
    assert_eq!(device.step(&mut line), "open", "an open enrolment outlives the hub");
    assert_eq!(device.grant(&mut line).rule(), "enrolment-step");
    let early = device.confirm(&mut line, transcript, true);
    assert_eq!((early.status, early.rule().as_str()), (409, "enrolment-step"), "nobody has approved");
    let approved = site.approve("gw-1", &spaced(&transcript.claim_code())).unwrap();
    assert_eq!((&approved["phrase"], &approved["by"]), (&transcript.phrase().into(), &"operator".into()));
    assert_eq!(site.json(&["status", "--certificates", "--json"])["certificates"], Value::Array(Vec::new()));
    drop(running);

    let (running, _, mut line) = restarted();
    assert_eq!(device.step(&mut line), "approved");
    let stranger =
        Signed::sign(Confirmation { transcript: transcript.0, agreed: true }, &SigningKey::from_seed(&[9; 32]));
    let forged = line.ask("POST", &device.path("/confirm"), stranger.bytes()).unwrap();
    assert_eq!(forged.rule(), "enrolment-signature", "only the device says what the installer said");
    let told = device.confirm(&mut line, transcript, true).json();
    assert_eq!((&told["step"], &told["by"]), (&"granted".into(), &"operator".into()), "{told}");
    drop(running);

    let (running, at, mut line) = restarted();
    assert_eq!(device.confirm(&mut line, transcript, true).json()["step"], "granted", "its answer may have got lost");
    let (grant, issue) = device.take(&mut line, "gw-1");
    assert_eq!(device.take(&mut line, "gw-1").0, grant);
    assert_eq!(site.json(&["status", "--certificates", "--json"])["certificates"].as_array().unwrap().len(), 1);
    site.lay_down("gw-1", &grant, 1);
    let mut gateway = Gateway::new("gw-1", device.key.clone(), issue.fingerprint());
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    peer.send("gw-1", gateway.batch(2).to_bytes()).await;
    peer.receipt("gw-1").await;
    // Another device can't have that name any more.
    let thief = Device::new("gw-1", 2);
    let refused = thief.begin(&mut line);
    assert_eq!((refused.status, refused.rule().as_str()), (409, "enrolment-certified"));
    drop(running);
}

#[test]
fn a_second_device_a_wrong_code_and_a_forged_request_come_to_nothing() {
    let site = Site::with_https("");
    let (_running, _) = site.start();
    let mut line = site.line(site.https_port(), None);
    let device = Device::new("gw-1", 1);
    let transcript = device.open(&mut line);
    let second = Device::new("gw-1", 2);
    let refused = second.begin(&mut line);
    assert_eq!((refused.status, refused.rule().as_str()), (409, "enrolment-taken"));

    let mut bent = Device::new("gw-2", 3);
    *bent.request.last_mut().unwrap() ^= 1;
    assert_eq!(bent.begin(&mut line).rule(), "enrolment-signature");
    assert_eq!(line.ask("POST", "/enrol/requests", b"noise").unwrap().rule(), "enrolment-form");
    let mut liar = Device::new("gw-3", 4);
    assert_eq!(liar.begin(&mut line).status, 201);
    liar.nonce = [0; 32];
    assert_eq!(liar.reveal(&mut line).rule(), "enrolment-commitment", "it is bound to its nonce");
    assert_eq!(device.confirm(&mut line, Transcript(Hash([1; 32])), true).rule(), "enrolment-transcript");

    assert!(site.approve("gw-9", "0000-0000").unwrap_err().contains("enrolment-unknown"));
    assert!(site.approve("gw-1", "no code").unwrap_err().contains("enrolment-claim"));
    for left in [4, 3, 2, 1] {
        let told = site.approve("gw-1", "0000-0000").unwrap_err();
        assert!(told.starts_with("Some(65)") && told.contains(&format!("{left} tries left")), "{told}");
    }
    assert!(site.approve("gw-1", "0000-0000").unwrap_err().contains("enrolment-claims-max"));
    let told = site.approve("gw-1", &transcript.claim_code()).unwrap_err();
    assert!(told.contains("enrolment-unknown"), "the right code comes too late: {told}");
    assert_eq!(device.step(&mut line), "refused");
    assert_eq!(device.confirm(&mut line, transcript, true).rule(), "enrolment-step");
    // The name is free again: for whom the operator finds by its code.
    let transcript = second.open(&mut line);
    assert!(site.approve("gw-1", &transcript.claim_code()).is_ok());
    // The installer sees other words: no certificate, whoever says yes afterwards.
    assert_eq!(second.confirm(&mut line, transcript, false).json()["rule"], "enrolment-phrase");
    assert_eq!(second.confirm(&mut line, transcript, true).rule(), "enrolment-step");
    assert_eq!(second.grant(&mut line).rule(), "enrolment-step");
    let third = Device::new("gw-1", 5);
    third.open(&mut line);
    assert!(site.ask(&["enrol", "refuse", "gw-1", "--reason", "not ours"]).status.success());
    let told = line.ask("GET", &third.path(""), &[]).unwrap().json();
    assert_eq!((&told["rule"], &told["reason"]), (&"enrolment-refused".into(), &"not ours".into()));
    assert_eq!(site.json(&["status", "--certificates", "--json"])["certificates"], Value::Array(Vec::new()));
}

/// Somebody between gateway and hub, who answers with a key of his own and asks the hub in turn. Whatever he passes on
/// or makes up, the code that the device shows is refused at the hub, and the phrases differ.
#[test]
fn whoever_stands_in_the_middle_is_seen_by_code_and_phrase() {
    let site = Site::with_https("");
    let (_running, _) = site.start();
    let mut line = site.line(site.https_port(), None);
    let device = Device::new("gw-1", 1);
    let between = Hash([0xbb; 32]);
    // He passes everything on: only his TLS key differs.
    let opening = Opening::parse(&device.begin(&mut line).body).unwrap();
    let shown = Transcript::of(&device.request, &opening, &between, &device.nonce);
    device.reveal(&mut line);
    let told = site.approve("gw-1", &shown.claim_code()).unwrap_err();
    assert!(told.contains("enrolment-claim"), "{told}");
    let hub_key = rcgen_spki(&line.hub_certificate());
    let honest = Transcript::of(&device.request, &opening, &hub_key, &device.nonce);
    assert_ne!(shown.phrase(), honest.phrase());
    // What the device confirms of his transcript the hub does not take, even if its operator was talked into it.
    site.approve("gw-1", &honest.claim_code()).unwrap();
    assert_eq!(device.confirm(&mut line, shown, true).rule(), "enrolment-transcript");
    // He asks with a key of his own under that name; the device gets an opening that he made up.
    let own = Device::new("gw-2", 7);
    let at_hub = own.open(&mut line);
    let victim = Device::new("gw-2", 8);
    let made_up = Opening { ticket: Request::ticket(&victim.request), origin: ORIGIN.into(), nonce: [1; 32] };
    let at_device = Transcript::of(&victim.request, &made_up, &between, &victim.nonce);
    assert!(site.approve("gw-2", &at_device.claim_code()).is_err());
    assert_ne!(at_device.phrase(), at_hub.phrase());
}

#[test]
fn a_site_without_a_network_is_taken_on_by_two_files() {
    let site = Site::new();
    let device = Device::new("gw-8", 1);
    let file = site.path("request.cbor");
    std::fs::write(&file, &device.request).unwrap();
    let claim = Request::claim_code(&device.request);
    let approve = |id: &str, claim: &str, out: &str| {
        let (file, out) = (file.display().to_string(), site.path(out).display().to_string());
        site.ask(&["enrol", "approve", id, "--claim", claim, "--file", &file, "--out", &out, "--json"])
    };
    for (id, claim) in [("gw-8", "0000-0000-0000-0000"), ("gw-8", &claim[..8]), ("gw-9", claim.as_str())] {
        assert_eq!(approve(id, claim, "wrong").status.code(), Some(65), "{id} {claim}");
    }
    assert!(!site.path("wrong").exists());
    let done = approve("gw-8", &spaced(&claim), "grant.cbor");
    assert!(done.status.success(), "{done:?}");
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    let bytes = std::fs::read(site.path("grant.cbor")).unwrap();
    assert_eq!(told["phrase"].as_str().unwrap(), Grant::phrase(&bytes));
    assert_eq!(told["phrase"].as_str().unwrap().split(' ').count(), 8);
    let grant = Grant::parse(&bytes).unwrap();
    let ticket = Request::ticket(&device.request);
    grant.check(&ticket, &name("gw-8"), &device.key.public(), Some(&site.policy())).unwrap();
    for (ticket, id, key) in [(Hash([0; 32]), "gw-8", 1), (ticket, "gw-9", 1), (ticket, "gw-8", 2)] {
        let key = SigningKey::from_seed(&[key; 32]).public();
        assert!(grant.check(&ticket, &name(id), &key, None).is_err(), "it is for one device and one request");
    }
    // A grant that got lost is made again, without a second certificate; another device's request is refused.
    assert!(approve("gw-8", &claim, "again.cbor").status.success());
    assert_eq!(std::fs::read(site.path("again.cbor")).unwrap(), bytes);
    let other = Device::new("gw-8", 2);
    std::fs::write(&file, &other.request).unwrap();
    let refused = approve("gw-8", &Request::claim_code(&other.request), "other.cbor");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("enrolment-certified"), "{refused:?}");
}

/// A certificate that ends soon, for a key of our own.
fn certify(site: &Site, id: &str, seed: u8, days_left: i64, days: u32) {
    let config = HubConfig::load(&site.config()).unwrap();
    let ledger = open_ledger(&config).unwrap();
    let member = plomb_ledger::files::read_seed(&config.file("member.key")).unwrap();
    let authority = std::fs::read_to_string(config.file("ca.crt")).unwrap();
    let pair = plomb_ledger::files::read_pair(&config.file("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&authority, pair).unwrap();
    let wish = plomb_ledger::pki::Wish {
        origin: ORIGIN.into(),
        subject: name(id),
        role: plomb_seal::transaction::Role::Gateway,
        scope: Vec::new(),
        points: Vec::new(),
        days,
    };
    let now_s = unix_ms().div_euclid(1000);
    let key = SigningKey::from_seed(&[seed; 32]).public();
    let begun_s = now_s - (i64::from(days) - days_left) * 86_400;
    let subject = plomb_ledger::pki::SubjectKey::Known(&key);
    let (issue, certificate) = plomb_ledger::pki::issue(&wish, &subject, &issuer, begun_s).unwrap();
    let transaction = Signed::sign(plomb_seal::transaction::Certificate::Issue(Box::new(issue)), &member).into_bytes();
    let block = Block { height: ledger.height() + 1, time_ms: unix_ms(), transactions: vec![transaction] };
    assert!(!matches!(ledger.deliver(&block, &[]).unwrap()[0], plomb_ledger::ledger::Answer::Refused(_)));
    let grant = Grant {
        ticket: Hash::ZERO,
        gateway: name(id),
        certificate: format!("{}{authority}", certificate.pem()),
        authorities: authority.clone(),
        policy: String::new(),
        credential: Vec::new(),
    };
    site.lay_down(id, &grant, seed);
}

#[test]
fn a_certificate_is_renewed_in_time_once_and_a_new_key_needs_both_signatures() {
    let site = Site::with_https("");
    certify(&site, "gw-old", 1, 5, 30);
    certify(&site, "gw-new", 2, 20, 30);
    site.certify("auditor", "aud");
    let (_running, _) = site.start();
    let port = site.https_port();
    let key = |seed: u8| SigningKey::from_seed(&[seed; 32]);
    let renew = |party: &str, request: &RenewalRequest| {
        site.line(port, Some(party)).ask("POST", "/enrol/renew", &request.to_bytes()).unwrap()
    };
    let of = |id: &str, seed: u8| RenewalRequest::renew(ORIGIN.into(), name(id), &key(seed), 5);
    assert_eq!(renew("gw-new", &of("gw-new", 2)).rule(), "renewal-early");
    assert_eq!(renew("gw-old", &of("gw-new", 1)).rule(), "renewal-gateway", "for another's name");
    assert_eq!(renew("gw-old", &of("gw-old", 2)).rule(), "renewal-signature", "with another's key");
    assert_eq!(renew("aud", &of("aud", 1)).rule(), "renewal-gateway");
    let answered = renew("gw-old", &of("gw-old", 1));
    assert_eq!(answered.status, 200, "{answered:?}");
    let grant = Grant::parse(&answered.body).unwrap();
    let ticket = Hash::of(&of("gw-old", 1).to_bytes());
    let issue = grant.check(&ticket, &name("gw-old"), &key(1).public(), Some(&site.policy())).unwrap();
    assert!(issue.not_after_s - unix_ms() / 1000 > 25 * 86_400);
    assert_eq!(renew("gw-old", &of("gw-old", 1)).body, answered.body, "an answer that got lost comes again");
    let count = || {
        let all = site.json(&["status", "--certificates", "--json"])["certificates"].clone();
        all.as_array().unwrap().iter().filter(|one| one["subject"] == "gw-old").count()
    };
    assert_eq!(count(), 2);

    let both = |old: u8, new: u8| RenewalRequest::rotate(ORIGIN.into(), name("gw-old"), (&key(old), &key(new)), 5);
    let unsigned = RenewalRequest { by_new: None, ..both(1, 3) };
    assert_eq!(renew("gw-old", &unsigned).rule(), "renewal-signature", "the new key did not sign");
    assert_eq!(renew("gw-old", &both(4, 3)).rule(), "renewal-signature", "the present key did not sign");
    assert_eq!(renew("gw-old", &both(1, 2)).rule(), "certificate-unique", "that key is gw-new's");
    let answered = renew("gw-old", &both(1, 3));
    let grant = Grant::parse(&answered.body).unwrap();
    let ticket = Hash::of(&both(1, 3).to_bytes());
    assert_eq!(grant.check(&ticket, &name("gw-old"), &key(3).public(), None).unwrap().key, key(3).public());
    let credential = Credential::parse(&grant.credential).unwrap().verify(&site.policy()).unwrap();
    assert!(credential.iter().any(|issue| issue.key == key(1).public()), "what the old key signed stays proved");
    assert_eq!(renew("gw-old", &both(1, 3)).body, answered.body);
    for seed in [5, 6] {
        assert_eq!(renew("gw-old", &both(1, seed)).status, 200);
    }
    assert_eq!(renew("gw-old", &both(1, 7)).rule(), "renewal-keys-max", "keys are bounded");
    // A stolen gateway's certificate renews nothing.
    site.json(&["revoke", "--id", "gw-old", "--reason", "stolen", "--json"]);
    assert_eq!(renew("gw-old", &of("gw-old", 1)).rule(), "certificate");
}

#[test]
fn what_the_configuration_turns_off_is_off() {
    let site = Site::with_https("enrol = false\nrenew = false");
    certify(&site, "gw-old", 1, 5, 30);
    let (_running, _) = site.start();
    let port = site.https_port();
    let device = Device::new("gw-1", 1);
    assert_eq!(device.begin(&mut site.line(port, None)).rule(), "enrolment-off");
    let renewal = RenewalRequest::renew(ORIGIN.into(), name("gw-old"), &SigningKey::from_seed(&[1; 32]), 5);
    let answered = site.line(port, Some("gw-old")).ask("POST", "/enrol/renew", &renewal.to_bytes()).unwrap();
    assert_eq!(answered.rule(), "enrolment-off");
}

#[test]
fn the_operator_clears_away_all_that_wait_but_the_approved() {
    let site = Site::with_https("");
    let (_running, _) = site.start();
    let mut line = site.line(site.https_port(), None);
    let devices = [1, 2, 3].map(|n| Device::new(&format!("gw-{n}"), n));
    let [_, _, approved] = devices.each_ref().map(|device| device.open(&mut line));
    site.approve("gw-3", &approved.claim_code()).unwrap();
    let refuse = |with: &[&str]| site.ask(&[&["enrol", "refuse", "--reason", "a flood"], with].concat());
    assert_eq!(refuse(&[]).status.code(), Some(64), "nobody is named");
    assert_eq!(refuse(&["gw-1", "--all-open"]).status.code(), Some(64), "one or all");
    let done = refuse(&["--all-open", "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&done.stdout).unwrap()["refused"], 2);
    assert_eq!(devices.each_ref().map(|device| device.step(&mut line)), ["refused", "refused", "approved"]);
}
