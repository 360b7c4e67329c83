//! The ledger as the consortium's register, as real processes: two members, an admin's configurations, two operators'
//! commands at a simulated DLMS meter, a revocation, and an auditor who checks every step offline.

use std::{fs, net::TcpListener, time::Duration};

use plomb_sim::{
    Calendar,
    dlms::{Framing, Mechanism, MeterConfig, MeterServer},
};
use plomb_system_tests::{GATEWAY, Process, Site};
use serde_json::Value;

const POINT: &str = "flat-power";

/// The site, with HTTPS at the hub, parties, and a DLMS meter.
struct Consortium {
    site: Site,
    https: String,
    meter: MeterServer,
    /// Where the meter answers.
    port: String,
}

impl Consortium {
    fn new() -> Self {
        let site = Site::new();
        let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = fs::read_to_string(site.hub_config()).unwrap();
        fs::write(site.hub_config(), format!("{config}\n[http]\nlisten = \"{http}\"\n")).unwrap();
        let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let meter = MeterConfig::new(5, Calendar { start_unix_s: now_s, factor: 1 }, Mechanism::Gmac, 0);
        let secrets = format!(
            "{POINT} encryption {}\n{POINT} authentication {}\n",
            hex(&meter.keys.unicast),
            hex(&meter.keys.authentication)
        );
        fs::write(site.path("secrets"), secrets).unwrap();
        let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(site.path("secrets"), only_us).unwrap();
        fs::write(site.path("synchronized"), "").unwrap();
        let mut meter = MeterServer::new(meter);
        let at = site.runtime().block_on(meter.serve_tcp("127.0.0.1:0", Framing::Wrapper)).unwrap();
        Self { https: format!("https://localhost:{}", http.port()), port: format!("tcp://{at}"), site, meter }
    }

    /// A configuration for this gateway, with the meter asked at this interval, at this port.
    fn configuration(&self, port: &str, interval_s: f64) -> String {
        let (at, own) = (|name: &str| self.site.at(name), self.site.at(GATEWAY));
        format!(
            "[gateway]\nid = \"{GATEWAY}\"\nstate_dir = \"{}\"\nkey = \"{own}/client.key\"\n\
             certificate = \"{own}/client.crt\"\ncredential = \"{own}/credential.cbor\"\nmeter_secrets = \"{}\"\n\
             [hub]\naddress = \"127.0.0.1:{}\"\nca = \"{own}/ca.crt\"\n\
             [journal]\nwindow_s = 0.2\n[batch]\nentries = 64\nage_s = 0.5\n\
             [clock]\nsynced_file = \"{}\"\n[orders]\nconfirm_s = 5\n\
             [[bus]]\nname = \"power\"\nprotocol = \"dlms\"\nport = \"{port}\"\n\
             [[meter]]\npoint = \"{POINT}\"\nbus = \"power\"\nclient = 1\nauthentication = \"hls-gmac\"\n\
             registers = [\"1-0:1.8.0\"]\ninterval_s = {interval_s}\n",
            at("state"),
            at("secrets"),
            self.site.port,
            at("synchronized"),
        )
    }

    /// A verb of `plomb` as a party; gives the document and the exit code.
    fn acts(&self, party: &str, arguments: &[&str]) -> (Value, i32) {
        let folder = self.site.at(party);
        let as_party = [arguments, &["--as", &folder, "--hub", &self.https, "--json"]].concat();
        let output = self.site.run("plomb", &as_party);
        let text = String::from_utf8_lossy(&output.stdout);
        let document = text.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        (document, output.status.code().unwrap_or(-1))
    }

    /// Proposes a configuration as alice and waits for what becomes of it.
    fn proposes(&self, text: &str, why: &str) -> (Value, i32) {
        let file = self.site.at("proposed.toml");
        fs::write(&file, text).unwrap();
        let wish =
            ["config", "propose", &file, "--gateway", GATEWAY, "--yes", "--priority", "immediate", "--wait", "60s"];
        self.acts("alice", &[&wish[..], &["--reason", why]].concat())
    }

    /// The auditor takes an order with its answer from the hub, and checks it without any network.
    fn audits(&self, transaction: &str) -> String {
        let (file, policy) = (self.site.at("order.story"), self.site.at("anna/policy.txt"));
        let (told, code) = self.acts("anna", &["ledger", "export", transaction, "-o", &file]);
        assert_eq!(code, 0, "{told:#}");
        let verdict = self.site.good("plomb", &["verify", &file, "--policy", &policy]);
        let mut bent = fs::read(&file).unwrap();
        let middle = bent.len() / 2;
        bent[middle] ^= 1;
        fs::write(&file, bent).unwrap();
        assert_eq!(self.site.run("plomb", &["verify", &file, "--policy", &policy]).status.code(), Some(1));
        verdict
    }

    fn is_connected(&self) -> bool {
        self.meter.with_meter(|meter, _| meter.is_connected())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn transaction(document: &Value) -> &str {
    document["transaction"].as_str().unwrap_or_else(|| panic!("{document:#}"))
}

#[test]
fn two_members_configure_command_and_audit_a_gateway() {
    let town = Consortium::new();
    let site = &town.site;
    let config = site.hub_config();
    for (role, id) in [("admin", "alice"), ("operator", "oscar"), ("auditor", "anna")] {
        site.certify(role, id, id);
    }
    let (out, scope) = (site.at("eve"), "gw-9");
    let eve = ["certify", "--config", &config, "--role", "auditor", "--id", "eve", "--out", &out, "--scope", scope];
    site.good("plomb-hub", &eve);
    let hub = site.start_hub();
    fs::write(site.gateway_config(), town.configuration(&town.port, 1.0)).unwrap();
    let gateway = site.start_gateway();

    // Another member joins by a vote, and certifies an operator of its own, while the hub runs.
    site.good("plomb-hub", &["member", "new", &site.at("retailer"), "--name", "retailer"]);
    let vote = ["member", "vote", "--config", &config, "add", &site.at("retailer/member.json")];
    site.good("plomb-hub", &vote);
    let (out, member) = (site.at("olga"), site.at("retailer"));
    let certify = ["certify", "--config", &config, "--role", "operator", "--id", "olga", "--out", &out];
    site.good("plomb-hub", &[&certify[..], &["--member", &member]].concat());
    site.wait_status("the sealing key and a reading", |status| {
        status["hub"]["receipts"].as_u64() > Some(0) && status["points"][0]["answered"].as_u64() > Some(0)
    });

    // A configuration is proposed, applied and looked up; the same again is no change.
    let better = town.configuration(&town.port, 0.5);
    let (applied, code) = town.proposes(&better, "read it more often");
    assert_eq!((code, &applied["status"], &applied["version"]), (0, &"applied".into(), &1.into()), "{applied:#}");
    site.wait_status("the new interval", |status| status["points"][0]["interval_s"] == 0.5);
    let (again, code) = town.proposes(&better, "the same again");
    assert_eq!((code, &again["outcome"]["detail"]), (0, &"no change".into()), "{again:#}");
    let verdict = town.audits(transaction(&applied));
    assert!(verdict.contains("Version 1 of gw-1") && verdict.contains("ordered by alice"), "{verdict}");

    // One that cannot work is taken back by the gateway itself.
    let (bad, code) = town.proposes(&town.configuration("tcp://127.0.0.1:9", 0.5), "a wrong port");
    assert_eq!((code, &bad["status"]), (1, &"rolled-back".into()), "{bad:#}");
    assert_eq!(bad["outcome"]["rule"], "confirm-no-meter");
    town.audits(transaction(&bad));
    let answered = site.status().unwrap()["points"][0]["answered"].as_u64();
    site.wait_status("readings after the rollback", |status| status["points"][0]["answered"].as_u64() > answered);

    // The supply is cut by one operator, and given back by two.
    assert!(town.is_connected());
    let cut = ["command", GATEWAY, POINT, "disconnect", "--reason", "unpaid", "--yes", "--wait", "60s"];
    let (cut, code) = town.acts("oscar", &cut);
    assert_eq!((code, &cut["status"]), (0, &"applied".into()), "{cut:#}");
    assert!(!town.is_connected());
    let back = ["command", GATEWAY, POINT, "reconnect", "--reason", "paid", "--needs", "2", "--yes"];
    let (back, code) = town.acts("oscar", &back);
    assert_eq!(code, 0, "{back:#}");
    let (alone, code) = town.acts("oscar", &["approve", transaction(&back), "--yes"]);
    assert_ne!(code, 0, "nobody approves a command of its own: {alone:#}");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!town.is_connected(), "one word is not enough");
    let (approved, code) = town.acts("olga", &["approve", transaction(&back), "--yes", "--wait", "60s"]);
    assert_eq!((code, &approved["status"]), (0, &"applied".into()), "{approved:#}");
    assert!(town.is_connected());
    // Command, outcome and the reading taken after it, in one look-up, once its batch has come.
    plomb_system_tests::wait_for("the reading after the command", || {
        let (shown, code) = town.acts("anna", &["ledger", "show", transaction(&cut)]);
        assert_eq!(code, 0, "{shown:#}");
        shown["reading"]["point"] == POINT && shown["reading"]["records"][0]["unit"] == "Wh"
    });
    // Consumption is not everybody's to know: whose scope does not reach the point sees the command, and no reading.
    let (elsewhere, code) = town.acts("eve", &["ledger", "show", transaction(&cut)]);
    assert_eq!((code, &elsewhere["reading"]), (0, &Value::Null), "{elsewhere:#}");
    let verdict = town.audits(transaction(&back));
    assert!(verdict.contains("Approved by olga"), "{verdict}");

    // An admin is revoked: nothing more of hers is admitted, and what she did before stays proved.
    site.good("plomb-hub", &["revoke", "--config", &config, "--id", "alice", "--reason", "left"]);
    let (refused, code) = town.proposes(&town.configuration(&town.port, 0.7), "after all");
    assert_eq!(code, 77, "{refused:#}");
    town.audits(transaction(&applied));

    // What was said and done stands in the gateway's journal too, and the journal proves itself.
    let status = site.status().unwrap();
    assert_eq!(status["points"][0]["interval_s"], 0.5);
    for name in ["configuration", "command"] {
        plomb_system_tests::wait_for(name, || {
            site.archive().iter().any(|entry| entry["event"].as_str().is_some_and(|event| event.starts_with(name)))
        });
    }
    gateway_survives(&town, gateway);
    let (report, code) = site.verify(&site.export(&["--receipted"]));
    assert_eq!((report["verdict"].as_str(), code), (Some("proved"), 0), "{report:#}");
    assert_eq!(hub.stop(), 0, "{}", site.log("hub.log"));
}

/// Killed and started anew, it goes on with the ledger's configuration, not with its file's.
fn gateway_survives(town: &Consortium, gateway: Process) {
    gateway.kill();
    let again = town.site.start_gateway();
    let status = town.site.wait_status("the ledger's configuration after a kill", |status| {
        status["points"][0]["interval_s"] == 0.5 && status["points"][0]["answered"].as_u64() > Some(0)
    });
    assert!(town.is_connected(), "no command is carried out again: {status:#}");
    town.site.wait_status("everything is receipted", |status| {
        status["journal"]["receipted"] == status["journal"]["anchored"] && status["hub"]["receipts"].as_u64() > Some(0)
    });
    assert_eq!(again.stop(), 0, "{}", town.site.log("plombd.log"));
}
