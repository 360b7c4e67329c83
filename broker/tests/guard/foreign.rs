//! Clients that know nothing of this project: rumqttc, and mosquitto's from Debian.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use plomb_broker::Role;
use plomb_broker::rights::mosquitto_acl;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS, TlsConfiguration, Transport};
use tokio::process::Command;

use crate::support::{Authority, Credentials, World, identity, soon};

async fn rumqttc_next(events: &mut EventLoop) -> Incoming {
    loop {
        if let Event::Incoming(packet) = soon("an event", events.poll()).await.unwrap() {
            return packet;
        }
    }
}

fn rumqttc_guarded(world: &World, id: &str, credentials: &Credentials) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", world.addr().port());
    let config = Arc::new(world.client_config(Some(credentials)));
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
    options.set_max_packet_size(2_000_000, 2_000_000);
    AsyncClient::new(options, 10)
}

#[tokio::test]
async fn rumqttc_on_both_sides() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let inside = world.broker.inside();
    let mut options = MqttOptions::new("hub", inside.addr.ip().to_string(), inside.addr.port());
    options.set_credentials(inside.username, inside.password);
    options.set_keep_alive(Duration::from_secs(30));
    let (hub, mut hub_events) = AsyncClient::new(options, 10);
    hub.subscribe("plomb/1/+/up/#", QoS::AtLeastOnce).await.unwrap();
    while !matches!(rumqttc_next(&mut hub_events).await, Incoming::SubAck(_)) {}
    let (gateway, mut events) = rumqttc_guarded(&world, "gw-1", &gw);
    gateway.publish("plomb/1/gw-1/up/batch", QoS::AtLeastOnce, false, "batch").await.unwrap();
    while !matches!(rumqttc_next(&mut events).await, Incoming::PubAck(_)) {}
    loop {
        if let Incoming::Publish(publish) = rumqttc_next(&mut hub_events).await {
            assert_eq!(publish.topic, "plomb/1/gw-1/up/batch");
            assert_eq!(&publish.payload[..], b"batch");
            break;
        }
    }
}

struct Mosquitto {
    folder: tempfile::TempDir,
    port: String,
}

impl Mosquitto {
    fn new(world: &World, credentials: &Credentials) -> Self {
        Self::at(world.addr().port(), &world.authority, credentials)
    }

    fn at(port: u16, authority: &Authority, credentials: &Credentials) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &authority.pem);
        write("cert.pem", &credentials.cert_pem);
        write("key.pem", &credentials.key_pem);
        Self { port: port.to_string(), folder }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .args(["-h", "localhost", "-p", &self.port, "-V", "mqttv311"])
            .args(["--cafile", "ca.pem", "--cert", "cert.pem", "--key", "key.pem"])
            .args(arguments)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

async fn mosquitto_is_here() -> bool {
    let found = Command::new("mosquitto_pub").arg("--help").output().await.is_ok();
    if !found {
        eprintln!("mosquitto_pub absent: apt-get install mosquitto-clients");
    }
    found
}

#[tokio::test]
async fn mosquitto_publishes_and_subscribes() {
    if !mosquitto_is_here().await {
        return;
    }
    let world = World::new().await;
    let (gw, utility) = (world.enrol(Role::Gateway, "gw-1"), world.enrol(Role::Subscriber, "utility"));
    let publisher = Mosquitto::new(&world, &gw);
    let subscriber = Mosquitto::new(&world, &utility);
    let topic = "plomb/1/gw-1/pub/p1/info";
    let publish = |arguments: &[&str]| publisher.command("mosquitto_pub", arguments).output();
    let done = soon("mosquitto_pub", publish(&["-t", topic, "-m", "42", "-q", "1", "-r"])).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // Retained, so that nothing depends on who is first.
    let filter = ["-t", "plomb/1/+/pub/#", "-q", "1", "-C", "1", "-v"];
    let heard = subscriber.command("mosquitto_sub", &filter).output();
    let heard = soon("mosquitto_sub", heard).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&heard.stdout), format!("{topic} 42\n"), "{heard:?}");
    // Not allowed: mosquitto_sub says so, mosquitto_pub loses its connection.
    let refused = subscriber.command("mosquitto_sub", &["-t", "#", "-C", "1"]).output();
    let refused = soon("mosquitto_sub is refused", refused).await.unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("denied"), "{refused:?}");
    let lost = soon("mosquitto_pub is refused", publish(&["-t", "plomb/1/gw-2/up/x", "-m", "1", "-q", "1"]));
    assert!(!lost.await.unwrap().status.success());
}

/// The access list is for deployments where mosquitto takes rumqttd's place:
/// it must mean the same there.
#[tokio::test]
async fn mosquitto_keeps_the_same_rights() {
    if Command::new("mosquitto").arg("-h").output().await.is_err() {
        eprintln!("mosquitto absent: apt-get install mosquitto");
        return;
    }
    let authority = Authority::new("Plomb test CA");
    let (server, gw, utility) = (authority.server(), authority.client("gw-1"), authority.client("utility"));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("ca.pem", &authority.pem);
    write("cert.pem", &server.cert_pem);
    write("key.pem", &server.key_pem);
    write("acl", &mosquitto_acl(&[identity(Role::Subscriber, "utility")]));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    write(
        "mosquitto.conf",
        &format!(
            "user root\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\nacl_file {}\n",
            free.port(),
            path("ca.pem"),
            path("cert.pem"),
            path("key.pem"),
            path("acl"),
        ),
    );
    let _broker = Command::new("mosquitto")
        .args(["-c", &path("mosquitto.conf")])
        .kill_on_drop(true)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let up = async {
        while tokio::net::TcpStream::connect(free).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("mosquitto listens", up).await;
    let gateway = Mosquitto::at(free.port(), &authority, &gw);
    let subscriber = Mosquitto::at(free.port(), &authority, &utility);
    // mosquitto acknowledges what it throws away; so retain, and see what is there.
    for (topic, payload) in [
        ("plomb/1/gw-2/pub/p1/info", "another's"),
        ("plomb/1/gw-1/down/receipt", "its own receipt"),
        ("plomb/1/gw-1/up/batch", "not for subscribers"),
        ("plomb/1/gw-1/pub/p1/info", "42"),
    ] {
        let arguments = ["-t", topic, "-m", payload, "-q", "1", "-r"];
        let done = soon("publish", gateway.command("mosquitto_pub", &arguments).output()).await.unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    // Everything that the subscriber can hear, up to the one that it must hear.
    let arguments = ["-t", "plomb/1/#", "-t", "plomb/1/gw-1/pub/#", "-q", "1", "-C", "1", "-v"];
    let heard = soon("subscribe", subscriber.command("mosquitto_sub", &arguments).output()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&heard.stdout), "plomb/1/gw-1/pub/p1/info 42\n", "{heard:?}");
    // The gateway hears nothing of what it wrote to itself: only what comes now from nobody.
    let arguments = ["-t", "plomb/1/gw-1/down/#", "-t", "plomb/1/ledger/checkpoint", "-W", "1"];
    let silent = soon("listen", gateway.command("mosquitto_sub", &arguments).output()).await.unwrap();
    assert!(silent.stdout.is_empty(), "{silent:?}");
}
