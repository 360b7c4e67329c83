//! Everything that is turned away, and by which counter it shows.

use plomb_broker::mqtt::{ConnectCode, Packet, PacketId, Publish, PublishQoS, QoS, SubscribeCode, TopicName, Will};
use plomb_broker::{Limits, Reason, Refused, Role};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;

use crate::support::{Authority, Credentials, Heard, World, connect, identity, soon};

/// TLS 1.3 lets a client believe in a finished handshake; it learns of its
/// certificate's refusal when it reads.
async fn never_gets_in(world: &World, credentials: Option<&Credentials>) {
    if let Ok(mut peer) = world.tls(credentials).await {
        peer.send(&Packet::Connect(connect("x"))).await;
        assert_eq!(peer.receive().await, None);
    }
}

/// What the guard itself refuses is answered: whoever is sent away hears why.
async fn is_told(world: &World, credentials: &Credentials, code: ConnectCode) {
    let mut peer = world.tls(Some(credentials)).await.unwrap();
    peer.send(&Packet::Connect(connect("x"))).await;
    assert_eq!(peer.receive().await, Some(Heard::ConnAck(code)));
    assert_eq!(peer.receive().await, None);
}

#[tokio::test]
async fn without_certificate() {
    let world = World::new().await;
    never_gets_in(&world, None).await;
    world.refused(Reason::NoCertificate).await;
}

#[tokio::test]
async fn of_a_foreign_authority() {
    let world = World::new().await;
    let stranger = Authority::new("Another CA").client("gw-1");
    world.book.write(&stranger.der, Ok(identity(Role::Gateway, "gw-1")));
    never_gets_in(&world, Some(&stranger)).await;
    world.refused(Reason::ForeignCertificate).await;
}

#[tokio::test]
async fn of_a_foreign_authority_with_our_authoritys_name() {
    let world = World::new().await;
    let stranger = Authority::new("Plomb test CA").client("gw-1");
    world.book.write(&stranger.der, Ok(identity(Role::Gateway, "gw-1")));
    never_gets_in(&world, Some(&stranger)).await;
    world.refused(Reason::ForeignCertificate).await;
}

#[tokio::test]
async fn expired() {
    let world = World::new().await;
    let old = world.authority.expired_client("gw-1");
    world.book.write(&old.der, Ok(identity(Role::Gateway, "gw-1")));
    never_gets_in(&world, Some(&old)).await;
    world.refused(Reason::ExpiredCertificate).await;
    // And hears so, though it had spoken on before it listened.
    for _ in 0..20 {
        let mut peer = world.tls(Some(&old)).await.unwrap();
        peer.send(&Packet::Connect(connect("x"))).await;
        let error = soon("the alert", peer.fails()).await;
        assert!(error.to_string().contains("CertificateExpired"), "{error}");
    }
}

#[tokio::test]
async fn a_server_certificate_as_a_client() {
    let world = World::new().await;
    let server = world.authority.server();
    world.book.write(&server.der, Ok(identity(Role::Gateway, "gw-1")));
    never_gets_in(&world, Some(&server)).await;
    world.refused(Reason::BadCertificate).await;
}

#[tokio::test]
async fn unknown_to_the_ledger() {
    let world = World::new().await;
    is_told(&world, &world.authority.client("gw-1"), ConnectCode::NotAuthorized).await;
    world.refused(Reason::UnknownToLedger).await;
}

#[tokio::test]
async fn revoked_before() {
    let world = World::new().await;
    let gw = world.authority.client("gw-1");
    world.book.write(&gw.der, Err(Refused::Revoked { reason: "stolen".into() }));
    is_told(&world, &gw, ConnectCode::NotAuthorized).await;
    world.refused(Reason::Revoked).await;
}

#[tokio::test]
async fn outside_the_ledgers_validity_and_while_the_ledger_cannot_say() {
    let world = World::new().await;
    let gw = world.authority.client("gw-1");
    world.book.write(&gw.der, Err(Refused::OutsideValidity));
    is_told(&world, &gw, ConnectCode::NotAuthorized).await;
    world.refused(Reason::ExpiredCertificate).await;
    // To be tried again, not to be mended.
    world.book.write(&gw.der, Err(Refused::Unavailable("it starts".into())));
    is_told(&world, &gw, ConnectCode::ServerUnavailable).await;
    world.refused(Reason::LedgerUnavailable).await;
}

#[tokio::test]
async fn revoked_and_silent_or_talking_something_else() {
    let world = World::with(Limits { connect_timeout_ms: 50, ..Limits::default() }).await;
    let gw = world.authority.client("gw-1");
    world.book.write(&gw.der, Err(Refused::Revoked { reason: String::new() }));
    let mut silent = world.tls(Some(&gw)).await.unwrap();
    world.refused(Reason::Revoked).await; // known at once, not when it has been waited for
    assert_eq!(silent.receive().await, None);
    for other in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xc0, 0x00]] {
        let mut peer = world.tls(Some(&gw)).await.unwrap();
        peer.send_bytes(other).await;
        assert_eq!(peer.receive().await, None);
    }
    let stats = world.broker.stats();
    assert_eq!((stats.refused(Reason::Revoked), stats.refused(Reason::ConnectTimeout)), (3, 0));
}

#[tokio::test]
async fn revoked_while_connected() {
    let world = World::new().await;
    let (gw, other) = (world.enrol(Role::Gateway, "gw-1"), world.enrol(Role::Gateway, "gw-2"));
    let (mut peer, mut bystander) = (world.session(&gw).await, world.session(&other).await);
    peer.ping().await;
    world.book.write(&gw.der, Err(Refused::Revoked { reason: String::new() }));
    peer.ends().await;
    world.refused(Reason::Revoked).await;
    bystander.ping().await;
    is_told(&world, &gw, ConnectCode::NotAuthorized).await;
}

#[tokio::test]
async fn an_identity_that_changed_must_come_again() {
    let world = World::new().await;
    let holder = world.enrol(Role::Subscriber, "utility");
    let mut peer = world.session(&holder).await;
    world.book.write(&holder.der, Ok(identity(Role::Auditor, "utility")));
    peer.ends().await;
    world.refused(Reason::IdentityChanged).await;
}

#[tokio::test]
async fn the_ledger_from_outside_and_an_id_that_is_none() {
    let world = World::new().await;
    for (role, id) in [(Role::Ledger, "ledger"), (Role::Gateway, "a/+/#"), (Role::Gateway, "")] {
        let holder = world.authority.client("x");
        world.book.write(&holder.der, Ok(identity(role, id)));
        is_told(&world, &holder, ConnectCode::NotAuthorized).await;
    }
    world.refused(Reason::NotAdmitted).await;
}

#[tokio::test]
async fn tls_1_2() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let config = world.client_config_for(Some(&gw), &[&rustls::version::TLS12]);
    assert!(world.tls_with(config).await.is_err());
    world.refused(Reason::HandshakeFailed).await;
}

#[tokio::test]
async fn plain_mqtt_on_the_tls_port() {
    let world = World::new().await;
    let tcp = TcpStream::connect(world.addr()).await.unwrap();
    tcp.writable().await.unwrap();
    tcp.try_write(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02me").unwrap();
    world.refused(Reason::HandshakeFailed).await;
}

#[tokio::test]
async fn silence_stops_nobody() {
    let world = World::new().await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(world.addr()).await.unwrap());
    }
    let gw = world.enrol(Role::Gateway, "gw-1");
    world.session(&gw).await.ping().await;
    assert_eq!(silent.len(), 50);
}

/// Sockets that say nothing hold every place there is. Whoever speaks gets one of theirs.
#[tokio::test]
async fn silence_gives_way_to_whoever_speaks() {
    let limits = [
        Limits { handshakes_max: 4, ..Limits::default() },
        Limits { handshakes_per_peer_max: 4, ..Limits::default() },
        Limits { connections_per_peer_max: 4, ..Limits::default() },
        Limits { connections_max: 4, ..Limits::default() },
    ];
    for limits in limits {
        // For ever, as far as this test goes.
        let world = World::with(Limits { hello_timeout_ms: 3_600_000, ..limits }).await;
        let mut silent = Vec::new();
        for _ in 0..12 {
            silent.push(TcpStream::connect(world.addr()).await.unwrap());
        }
        let gw = world.enrol(Role::Gateway, "gw-1");
        let mut peer = world.session(&gw).await;
        silent.push(TcpStream::connect(world.addr()).await.unwrap());
        peer.ping().await;
        world.refused(Reason::GaveWay).await;
    }
}

#[tokio::test]
async fn silence_before_the_handshake_and_before_connect_ends() {
    let limits = Limits { hello_timeout_ms: 50, ..Limits::default() };
    let world = World::with(limits).await;
    let _silent = TcpStream::connect(world.addr()).await.unwrap();
    world.refused(Reason::HandshakeTimeout).await;

    let world = World::with(Limits { connect_timeout_ms: 50, ..Limits::default() }).await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut peer = world.tls(Some(&gw)).await.unwrap();
    assert_eq!(peer.receive().await, None);
    world.refused(Reason::ConnectTimeout).await;
}

#[tokio::test]
async fn silence_beyond_the_keep_alive_ends() {
    let world = World::with(Limits { idle_ms_max: 50, ..Limits::default() }).await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut peer = world.tls(Some(&gw)).await.unwrap();
    let forever = plomb_broker::mqtt::Connect { keep_alive_s: 0, ..connect("x") };
    peer.send(&Packet::Connect(forever)).await;
    assert_eq!(peer.receive().await, Some(Heard::ConnAck(ConnectCode::Accepted)));
    peer.ends().await;
    world.refused(Reason::KeepAlive).await;
}

#[tokio::test]
async fn too_many() {
    let world = World::with(Limits { connections_per_peer_max: 2, ..Limits::default() }).await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let utility = world.enrol(Role::Subscriber, "utility");
    let (_one, mut two) = (world.session(&gw).await, world.session(&utility).await);
    assert!(world.tls(Some(&gw)).await.is_err());
    world.refused(Reason::PeerFull).await;
    two.ping().await;

    let world = World::with(Limits { connections_per_identity_max: 1, ..Limits::default() }).await;
    let utility = world.enrol(Role::Subscriber, "utility");
    let mut first = world.session(&utility).await;
    is_told(&world, &utility, ConnectCode::ServerUnavailable).await;
    world.refused(Reason::IdentityFull).await;
    first.ping().await;
}

#[tokio::test]
async fn garbage_after_the_handshake() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 100], &[0x10, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
        let mut peer = world.tls(Some(&gw)).await.unwrap();
        peer.send_bytes(garbage).await;
        assert_eq!(peer.receive().await, None);
    }
    world.refused(Reason::Malformed).await;
    // A whole, sound packet that is not CONNECT.
    let mut peer = world.tls(Some(&gw)).await.unwrap();
    peer.send(&Packet::PingReq).await;
    assert_eq!(peer.receive().await, None);
    world.refused(Reason::NotConnect).await;
    // Garbage inside a session.
    let mut peer = world.session(&gw).await;
    peer.send_bytes(&[0xc0, 0x01, 0x00]).await;
    peer.ends().await;
}

#[tokio::test]
async fn mqtt_5_is_told_so() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut peer = world.tls(Some(&gw)).await.unwrap();
    peer.send_bytes(b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02me").await;
    let answer = Some(Heard::ConnAck(ConnectCode::UnacceptableProtocolVersion));
    assert_eq!(peer.receive().await, answer);
    assert_eq!(peer.receive().await, None);
    world.refused(Reason::ProtocolVersion).await;
}

#[tokio::test]
async fn a_will_elsewhere() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    for topic in ["plomb/1/gw-2/up/status", "plomb/1/gw-1/up/batch", "$share/g/plomb/1/gw-1/up/status"] {
        let mut peer = world.tls(Some(&gw)).await.unwrap();
        let topic = TopicName::new(topic).unwrap();
        let will = Will { topic, payload: b"off", qos: QoS::AtLeastOnce, retain: true };
        let connect = plomb_broker::mqtt::Connect { will: Some(will), ..connect("x") };
        peer.send(&Packet::Connect(connect)).await;
        assert_eq!(peer.receive().await, Some(Heard::ConnAck(ConnectCode::NotAuthorized)));
        assert_eq!(peer.receive().await, None);
    }
    assert_eq!(world.broker.stats().refused(Reason::WillRefused), 3);
}

/// What is refused must not arrive either: a message that is allowed, sent
/// later by another, must be the first that the ledger hears.
async fn refused_publish(reason: Reason, packet: &[u8]) {
    let world = World::new().await;
    let (gw, other) = (world.enrol(Role::Gateway, "gw-1"), world.enrol(Role::Gateway, "gw-3"));
    let mut ledger = world.inside("ledger").await;
    ledger.subscribe(&["plomb/1/#"]).await;
    let mut peer = world.session(&gw).await;
    peer.send_bytes(packet).await;
    peer.ends().await;
    world.refused(reason).await;
    world.session(&other).await.publish("plomb/1/gw-3/up/batch", b"later", false).await;
    assert_eq!(ledger.message().await, ("plomb/1/gw-3/up/batch".into(), b"later".to_vec()));
}

fn publish(topic: &str, payload: &[u8], qos: PublishQoS) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    let topic = TopicName::new(topic).unwrap();
    Packet::Publish(Publish { topic, payload, qos, retain: false }).emit(&mut out).unwrap();
    out.to_vec()
}

const ONCE: PublishQoS = PublishQoS::AtLeastOnce { id: PacketId::MIN, dup: false };

#[tokio::test]
async fn publishing_for_another_gateway() {
    refused_publish(Reason::PublishRefused, &publish("plomb/1/gw-2/up/batch", b"x", ONCE)).await;
}

#[tokio::test]
async fn publishing_a_receipt_to_itself() {
    refused_publish(Reason::PublishRefused, &publish("plomb/1/gw-1/down/receipt", b"x", ONCE)).await;
}

#[tokio::test]
async fn publishing_to_a_dollar_topic() {
    refused_publish(Reason::PublishRefused, &publish("$SYS/plomb", b"x", ONCE)).await;
}

#[tokio::test]
async fn publishing_with_qos_2() {
    let twice = PublishQoS::ExactlyOnce { id: PacketId::MIN, dup: false };
    refused_publish(Reason::QosTwo, &publish("plomb/1/gw-1/up/batch", b"x", twice)).await;
}

#[tokio::test]
async fn publishing_nothing_without_retain() {
    refused_publish(Reason::EmptyPayload, &publish("plomb/1/gw-1/up/status", b"", ONCE)).await;
}

#[tokio::test]
async fn publishing_more_than_the_bound() {
    // The header alone is enough to be refused.
    refused_publish(Reason::TooLarge, &[0x30, 0xff, 0xff, 0xff, 0x7f]).await;
}

#[tokio::test]
async fn publishing_a_payload_just_above_the_bound() {
    let payload = vec![7; 1024 * 1024 + 1];
    refused_publish(Reason::TooLarge, &publish("plomb/1/gw-1/up/batch", &payload, ONCE)).await;
}

#[tokio::test]
async fn subscribing_elsewhere_is_answered_and_survived() {
    let world = World::new().await;
    let (gw, utility) = (world.enrol(Role::Gateway, "gw-1"), world.enrol(Role::Subscriber, "utility"));
    let no = SubscribeCode::Failure;
    let mut peer = world.session(&gw).await;
    for foreign in ["#", "plomb/1/gw-2/down/#", "$share/g/plomb/1/gw-1/down/#", "$SYS/#", "plomb/1/gw-1/down/#"] {
        assert_eq!(peer.subscribe(&[foreign]).await, [no], "{foreign}");
    }
    // One that is not allowed takes the others down with it.
    assert_eq!(peer.subscribe(&["plomb/1/gw-1/down/receipt", "#"]).await, [no, no]);
    let mut other = world.session(&utility).await;
    assert_eq!(other.subscribe(&["plomb/1/+/up/batch"]).await, [no]);
    assert_eq!(other.subscribe(&["$share/billing/plomb/1/+/pub/#"]).await, [no]);
    assert_eq!(world.broker.stats().refused(Reason::SubscribeRefused), 8);
    // Nothing was subscribed behind the refusal, and both sessions live.
    let mut ledger = world.inside("ledger").await;
    ledger.publish("plomb/1/gw-1/down/receipt", b"r", false).await;
    assert_eq!(ledger.receive().await, Some(Heard::PubAck(1)));
    peer.ping().await;
    other.ping().await;
}

#[tokio::test]
async fn filters_and_topics_are_bounded() {
    let limits =
        Limits { filters_max: 4, filters_per_identity_max: 3, topics_per_identity_max: 1, ..Limits::default() };
    let world = World::with(limits).await;
    let (gw, utility) = (world.enrol(Role::Gateway, "gw-1"), world.enrol(Role::Subscriber, "utility"));
    let granted = SubscribeCode::Granted(QoS::AtLeastOnce);
    let mut subscriber = world.session(&utility).await;
    let filters = ["plomb/1/gw-1/pub/#", "plomb/1/gw-2/pub/#", "plomb/1/gw-3/pub/#"];
    assert_eq!(subscriber.subscribe(&filters).await, [granted; 3]);
    assert_eq!(subscriber.subscribe(&["plomb/1/gw-4/pub/#"]).await, [SubscribeCode::Failure]);
    // What the table of rights names is there for it all the same, and on a new connection too.
    assert_eq!(subscriber.subscribe(&["plomb/1/+/pub/#"]).await, [granted]);
    let mut again = world.session(&utility).await;
    assert_eq!(again.subscribe(&["plomb/1/gw-4/pub/#"]).await, [SubscribeCode::Failure], "it counts for the identity");
    let mut peer = world.session(&gw).await;
    peer.publish("plomb/1/gw-1/up/a", b"x", false).await;
    assert_eq!(peer.receive().await, Some(Heard::PubAck(1)));
    peer.publish("plomb/1/gw-1/up/b", b"x", false).await;
    peer.ends().await;
    world.refused(Reason::TopicsFull).await;
    world.refused(Reason::FiltersFull).await;
}

/// The embedded broker forgets no filter: whoever could use them up would shut out everyone who comes later.
#[tokio::test]
async fn one_identity_cannot_use_up_the_filters_of_others() {
    let world = World::with(Limits { filters_max: 6, ..Limits::default() }).await;
    let (bad, worse) = (world.enrol(Role::Gateway, "gw-2"), world.enrol(Role::Subscriber, "utility"));
    let (mut bad, mut worse) = (world.session(&bad).await, world.session(&worse).await);
    for n in 0..10 {
        let code = bad.subscribe(&[&format!("plomb/1/gw-2/down/x{n}")]).await;
        assert_eq!(code, [SubscribeCode::Failure], "a gateway has no names to make up");
        worse.subscribe(&[&format!("plomb/1/x{n}/pub/#")]).await;
    }
    world.refused(Reason::FiltersFull).await;
    for id in ["gw-3", "gw-4", "gw-5"] {
        let mut honest = world.session(&world.enrol(Role::Gateway, id)).await;
        let [receipt, refusal] = ["receipt", "refusal"].map(|name| format!("plomb/1/{id}/down/{name}"));
        let filters = [receipt.as_str(), &refusal, "plomb/1/ledger/checkpoint"];
        assert_eq!(honest.subscribe(&filters).await, [SubscribeCode::Granted(QoS::AtLeastOnce); 3], "{id}");
    }
}

#[tokio::test]
async fn rumqttd_itself_wants_the_secret_of_this_start() {
    let world = World::new().await;
    let addr = world.broker.inside().addr;
    assert!(addr.ip().is_loopback());
    for login in [None, Some(("inside", "guess")), Some(("guard", ""))] {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        let login = login
            .map(|(username, password)| plomb_broker::mqtt::Login { username, password: Some(password.as_bytes()) });
        let mut out = bytes::BytesMut::new();
        Packet::Connect(plomb_broker::mqtt::Connect { login, ..connect("x") }).emit(&mut out).unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, &out).await.unwrap();
        let mut heard = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut tcp, &mut heard);
        let _ = soon("rumqttd closes", read).await;
        assert!(heard.is_empty(), "{heard:?}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work() {
    use plomb_broker::{Broker, BrokerConfig, BrokerError, TlsError};
    let authority = Authority::new("CA");
    let (server, other) = (authority.server(), authority.server());
    let config = |key, roots: Vec<CertificateDer<'static>>, limits| BrokerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate_chain: vec![server.der.clone()],
        private_key: key,
        client_roots: roots,
        limits,
    };
    let book = std::sync::Arc::new(crate::support::Book::default());
    let start = |config| Broker::start(config, book.clone());
    let good = || vec![authority.der.clone()];
    let wrong_key = start(config(other.key(), good(), Limits::default())).await.unwrap_err();
    assert!(matches!(wrong_key, BrokerError::Tls(TlsError::Key(_))), "{wrong_key}");
    let no_roots = start(config(server.key(), vec![], Limits::default())).await.unwrap_err();
    assert!(matches!(no_roots, BrokerError::Tls(TlsError::NoRoots)), "{no_roots}");
    let bad_root = start(config(server.key(), vec![vec![1, 2].into()], Limits::default())).await.unwrap_err();
    assert!(matches!(bad_root, BrokerError::Tls(TlsError::Root { index: 0, .. })), "{bad_root}");
    let tiny = Limits { segment_bytes_max: 10, ..Limits::default() };
    let small = start(config(server.key(), good(), tiny)).await.unwrap_err();
    assert!(small.to_string().contains("segment_bytes_max = 10"), "{small}");
}
