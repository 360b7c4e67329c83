//! What works: messages in both directions, wills, takeovers, and noticing a dead broker.

use std::time::Duration;

use plomb_broker::mqtt::{
    ConnectCode, Packet, PacketId, QoS, SubscribeCode, TopicFilter, TopicName, Unsubscribe, Will,
};
use plomb_broker::{Limits, Reason, Role};

use crate::support::{Heard, Peer, World, connect, soon};

const GRANTED: SubscribeCode = SubscribeCode::Granted(QoS::AtLeastOnce);

#[tokio::test]
async fn a_batch_goes_up_and_a_receipt_comes_down() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut ledger = world.inside("ledger").await;
    ledger.subscribe(&["plomb/1/+/up/#"]).await;
    let mut gateway = world.session(&gw).await;
    assert_eq!(gateway.subscribe(&["plomb/1/gw-1/down/receipt", "plomb/1/ledger/checkpoint"]).await, [GRANTED; 2]);
    let batch: Vec<u8> = (0..=255).cycle().take(700_000).collect();
    gateway.publish("plomb/1/gw-1/up/batch", &batch, false).await;
    assert_eq!(ledger.message().await, ("plomb/1/gw-1/up/batch".into(), batch));
    ledger.publish("plomb/1/gw-1/down/receipt", b"receipt", true).await;
    assert_eq!(gateway.message().await, ("plomb/1/gw-1/down/receipt".into(), b"receipt".to_vec()));
    // A later session hears what was retained, and only its own.
    ledger.publish("plomb/1/gw-2/down/receipt", b"another's", true).await;
    drop(gateway);
    let mut again = world.session(&gw).await;
    again.subscribe(&["plomb/1/gw-1/down/receipt"]).await;
    match again.receive().await {
        Some(Heard::Message { topic, retain: true, .. }) => assert_eq!(topic, "plomb/1/gw-1/down/receipt"),
        other => panic!("the retained receipt, not {other:?}"),
    }
    let stats = world.broker.stats();
    assert_eq!((stats.publishes, stats.publish_bytes), (1, 700_000));
    assert_eq!(stats.refusals.values().sum::<u64>(), stats.refused(Reason::TakenOver));
}

#[tokio::test]
async fn packets_sent_behind_connect_without_waiting_are_served() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut ledger = world.inside("ledger").await;
    ledger.subscribe(&["plomb/1/+/up/#"]).await;
    let mut peer = world.tls(Some(&gw)).await.unwrap();
    let mut out = bytes::BytesMut::new();
    Packet::Connect(connect("x")).emit(&mut out).unwrap();
    out.extend_from_slice(b"\x30\x18\x00\x15plomb/1/gw-1/up/batch1");
    Packet::Disconnect.emit(&mut out).unwrap();
    peer.send_bytes(&out).await;
    assert_eq!(ledger.message().await, ("plomb/1/gw-1/up/batch".into(), b"1".to_vec()));
}

#[tokio::test]
async fn a_subscriber_hears_readings_in_its_scope() {
    let world = World::new().await;
    let (gw, utility) = (world.enrol(Role::Gateway, "gw-1"), world.enrol(Role::Subscriber, "utility"));
    let mut subscriber = world.session(&utility).await;
    assert_eq!(subscriber.subscribe(&["plomb/1/+/pub/+/reading", "plomb/1/+/up/status"]).await, [GRANTED; 2]);
    let mut gateway = world.session(&gw).await;
    gateway.publish("plomb/1/gw-1/up/batch", b"not theirs", false).await;
    gateway.publish("plomb/1/gw-1/pub/p1/reading", b"{}", false).await;
    assert_eq!(subscriber.message().await.0, "plomb/1/gw-1/pub/p1/reading");
}

#[tokio::test]
async fn acknowledging_out_of_order_is_allowed() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut gateway = world.session(&gw).await;
    gateway.subscribe(&["plomb/1/gw-1/down/receipt"]).await;
    let mut ledger = world.inside("ledger").await;
    // More than twice what rumqttd lets be in flight.
    for _ in 0..5 {
        for _ in 0..50 {
            ledger.publish("plomb/1/gw-1/down/receipt", b"x", false).await;
        }
        let mut ids = Vec::new();
        while ids.len() < 50 {
            match gateway.receive().await {
                Some(Heard::Message { id: Some(id), .. }) => ids.push(id),
                other => panic!("a message, not {other:?}"),
            }
        }
        for id in ids.into_iter().rev() {
            gateway.send(&Packet::PubAck(id)).await;
        }
        // One that nobody waits for changes nothing.
        gateway.send(&Packet::PubAck(PacketId::MAX)).await;
        gateway.ping().await;
    }
}

#[tokio::test]
async fn unsubscribing_is_answered_once_whatever_was_subscribed() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut gateway = world.session(&gw).await;
    gateway.subscribe(&["plomb/1/gw-1/down/receipt", "plomb/1/gw-1/down/refusal"]).await;
    let filter = |f| TopicFilter::new(f).unwrap();
    for filters in [
        vec![filter("plomb/1/gw-1/down/receipt"), filter("plomb/1/gw-1/down/refusal"), filter("never/asked")],
        vec![filter("plomb/1/gw-1/down/receipt")],
    ] {
        gateway.send(&Packet::Unsubscribe(Unsubscribe { id: PacketId::MIN, filters })).await;
        assert_eq!(gateway.receive().await, Some(Heard::UnsubAck(1)));
        gateway.ping().await;
    }
    let mut ledger = world.inside("ledger").await;
    ledger.publish("plomb/1/gw-1/down/receipt", b"x", false).await;
    assert_eq!(ledger.receive().await, Some(Heard::PubAck(1)));
    gateway.ping().await;
}

const STATUS: &str = "plomb/1/gw-1/up/status";

async fn with_will(world: &World, credentials: &crate::support::Credentials, payload: &[u8]) -> Peer {
    let mut peer = world.tls(Some(credentials)).await.unwrap();
    let topic = TopicName::new(STATUS).unwrap();
    peer.connect("me", Some(Will { topic, payload, qos: QoS::AtLeastOnce, retain: true })).await;
    peer
}

#[tokio::test]
async fn a_will_speaks_for_whoever_vanished() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut ledger = world.inside("ledger").await;
    ledger.subscribe(&["plomb/1/+/up/status"]).await;
    drop(with_will(&world, &gw, b"lost").await);
    assert_eq!(ledger.message().await.1, b"lost");
    // A goodbye forgets the will.
    let mut polite = with_will(&world, &gw, b"never said").await;
    polite.send(&Packet::Disconnect).await;
    polite.ends().await;
    // What breaks the protocol is as lost as what breaks the line.
    let mut rude = with_will(&world, &gw, b"rude").await;
    rude.send_bytes(&[0]).await;
    rude.ends().await;
    assert_eq!(ledger.message().await.1, b"rude");
}

#[tokio::test]
async fn the_newer_connection_takes_over_and_the_wills_keep_their_order() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut ledger = world.inside("ledger").await;
    ledger.subscribe(&["plomb/1/+/up/status"]).await;
    let mut peers = Vec::new();
    for n in 0u8..10 {
        let mut peer = with_will(&world, &gw, &[n, b'-']).await;
        peer.publish(STATUS, &[n, b'+'], true).await;
        peers.push(peer);
    }
    // Each leaver's "offline" comes before its successor's "online": the last word is the truth.
    for n in 0u8..10 {
        if n > 0 {
            assert_eq!(ledger.message().await.1, [n - 1, b'-']);
        }
        assert_eq!(ledger.message().await.1, [n, b'+']);
    }
    let mut last = peers.pop().unwrap();
    for mut older in peers {
        older.ends().await;
    }
    assert_eq!(last.receive().await, Some(Heard::PubAck(1)));
    last.ping().await;
    // It is known whose they were, and that so many in so short a time are a quarrel.
    let taken_over = world.broker.stats().taken_over;
    assert_eq!(taken_over.keys().collect::<Vec<_>>(), ["gw-1"]);
    assert_eq!(taken_over["gw-1"].count, 9);
    assert!(taken_over["gw-1"].is_contested());
}

#[tokio::test]
async fn sessions_of_one_subscriber_live_side_by_side() {
    let world = World::new().await;
    let utility = world.enrol(Role::Subscriber, "utility");
    let mut peers = Vec::new();
    for name in ["billing", "display", "", ""] {
        let mut peer = world.tls(Some(&utility)).await.unwrap();
        peer.connect(name, None).await;
        peers.push(peer);
    }
    for peer in &mut peers {
        peer.ping().await;
    }
}

/// rumqttd gives a leaver's number to the next comer; an order mistaken there
/// would disconnect the innocent.
#[tokio::test]
async fn comers_and_goers_do_not_disturb_those_who_stay() {
    let world = World::with(Limits { connections_per_identity_max: 64, ..Limits::default() }).await;
    let (stays, moves) = (world.enrol(Role::Gateway, "stays"), world.enrol(Role::Subscriber, "moves"));
    let mut staying = world.session(&stays).await;
    for round in 0..40 {
        let mut peers = Vec::new();
        for n in 0..3 {
            let mut peer = world.tls(Some(&moves)).await.unwrap();
            peer.connect(&format!("c{n}"), None).await;
            peers.push(peer);
        }
        if round % 2 == 0 {
            for peer in &mut peers {
                peer.send(&Packet::Disconnect).await;
            }
        }
        drop(peers);
        staying.ping().await;
    }
    let mut fresh = world.session(&moves).await;
    fresh.ping().await;
}

/// The known way to kill rumqttd's router: a persistent shared subscriber
/// that drops a message. From outside the guard refuses it; from inside it
/// must at least be noticed.
#[tokio::test]
async fn a_dead_router_is_noticed() {
    let limits = Limits { probe_interval_ms: 20, ..Limits::default() };
    let world = World::with(limits).await;
    assert!(world.broker.healthy());
    let inside = world.broker.inside();
    let mut victim = world.inside("publisher").await;
    let mut tcp = tokio::net::TcpStream::connect(inside.addr).await.unwrap();
    let login = plomb_broker::mqtt::Login { username: &inside.username, password: Some(inside.password.as_bytes()) };
    let mut out = bytes::BytesMut::new();
    let connect = plomb_broker::mqtt::Connect { clean_session: false, login: Some(login), ..connect("shared") };
    Packet::Connect(connect).emit(&mut out).unwrap();
    let subscriptions = vec![plomb_broker::mqtt::Subscription {
        filter: TopicFilter::new("$share/g/t").unwrap(),
        qos: QoS::AtLeastOnce,
    }];
    let subscribe = plomb_broker::mqtt::Subscribe { id: PacketId::MIN, subscriptions };
    Packet::Subscribe(subscribe).emit(&mut out).unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut tcp, &out).await.unwrap();
    // CONNACK, SUBACK, then the first byte of the message.
    let mut heard = [0; 4 + 5];
    soon("SUBACK", tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut heard)).await.unwrap();
    victim.publish("t", b"x", false).await;
    soon("message", tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut [0])).await.unwrap();
    drop(tcp);
    soon("the death is noticed", world.broker.died()).await;
    assert!(!world.broker.healthy());
    soon("and heard of by those who ask late", world.broker.died()).await;
}

#[tokio::test]
async fn stopping_ends_every_session() {
    let world = World::new().await;
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut peer = world.session(&gw).await;
    let addr = world.addr();
    let inside = world.broker.inside().addr;
    soon("stop", world.broker.stop()).await;
    peer.ends().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    let closed = async {
        while tokio::net::TcpStream::connect(inside).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("the loopback closes", closed).await;
}

#[tokio::test]
async fn a_slow_reader_is_let_go_and_others_go_on() {
    let world = World::with(Limits { write_stall_ms_max: 50, ..Limits::default() }).await;
    let (slow, quick) = (world.enrol(Role::Gateway, "slow"), world.enrol(Role::Gateway, "quick"));
    let mut deaf = world.session(&slow).await;
    deaf.subscribe(&["plomb/1/slow/down/config"]).await;
    let mut ledger = world.inside("ledger").await;
    // Until the sockets on the way hold no more.
    let stalled = async {
        while world.broker.stats().refused(Reason::WriteStall) == 0 {
            ledger.publish("plomb/1/slow/down/config", &vec![1; 900_000], false).await;
            assert_eq!(ledger.receive().await, Some(Heard::PubAck(1)));
        }
    };
    soon("the stall is noticed", stalled).await;
    world.refused(Reason::WriteStall).await;
    world.session(&quick).await.ping().await;
}

#[tokio::test]
async fn whoever_is_expelled_goes_at_once_and_is_told_to_come_later() {
    let world = World::new().await;
    let (gw, other) = (world.enrol(Role::Gateway, "gw-1"), world.enrol(Role::Gateway, "gw-2"));
    let (mut peer, mut bystander) = (world.session(&gw).await, world.session(&other).await);
    world.broker.expel("gw-1", Duration::from_secs(3600));
    peer.ends().await;
    bystander.ping().await;
    let mut again = world.tls(Some(&gw)).await.unwrap();
    again.send(&Packet::Connect(connect("x"))).await;
    assert_eq!(again.receive().await, Some(Heard::ConnAck(ConnectCode::ServerUnavailable)));
    assert_eq!(world.broker.stats().refused(Reason::Expelled), 2);
    world.broker.expel("gw-1", Duration::ZERO);
    world.session(&gw).await.ping().await;
}
