//! The codec against the standard's rules, and against anything at all.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

const PACKET_BYTES_MAX: usize = 1 << 20;

fn fault(bytes: &[u8]) -> Fault {
    parse(bytes, PACKET_BYTES_MAX).unwrap_err().reason
}

/// A CONNECT with these flags, and a body behind the keep alive.
fn connect(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x10, u8::try_from(10 + payload.len()).unwrap()];
    bytes.extend_from_slice(b"\x00\x04MQTT\x04");
    bytes.extend_from_slice(&[flags, 0, 60]);
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_connect_of_a_real_client_is_read() {
    // mosquitto_pub -V mqttv311 -i me -u user -P pw --will-topic t --will-payload off --will-retain
    let bytes = connect(0xe6, b"\x00\x02me\x00\x01t\x00\x03off\x00\x04user\x00\x02pw");
    let (packet, consumed) = parse(&bytes, PACKET_BYTES_MAX).unwrap().unwrap();
    assert_eq!(consumed, bytes.len());
    let will = Will { topic: TopicName::new("t").unwrap(), payload: b"off", qos: QoS::AtMostOnce, retain: true };
    let expected = Connect {
        client_id: "me",
        clean_session: true,
        keep_alive_s: 60,
        will: Some(will),
        login: Some(Login { username: "user", password: Some(b"pw") }),
    };
    assert_eq!(packet, Packet::Connect(expected));
}

#[test]
fn a_contradictory_connect_is_refused() {
    let id = b"\x00\x00";
    assert_eq!(fault(&connect(0x03, id)), Fault::ConnectFlags(0x03), "reserved bit");
    assert_eq!(fault(&connect(0x42, id)), Fault::ConnectFlags(0x42), "password, no user name");
    assert_eq!(fault(&connect(0x22, id)), Fault::ConnectFlags(0x22), "will retain, no will");
    assert_eq!(fault(&connect(0x0a, id)), Fault::ConnectFlags(0x0a), "will QoS, no will");
    assert_eq!(fault(&connect(0x1e, b"\0\0\0\x01t\0\0")), Fault::QoS(3), "will QoS 3");
    assert_eq!(fault(&connect(0x02, b"\x00\x00x")), Fault::TrailingBytes(1));
    assert_eq!(fault(&connect(0x02, b"\x00\x05x")), Fault::Truncated);
}

#[test]
fn other_versions_are_named() {
    // MQTT 5 by rumqttc, MQTT 3.1 by old libraries.
    assert_eq!(fault(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"), Fault::ProtocolLevel(5));
    assert_eq!(fault(b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00"), Fault::ProtocolName);
}

#[test]
fn a_publish_is_strict() {
    assert_eq!(fault(b"\x36\x05\x00\x01a\x00\x01"), Fault::QoS(3));
    assert_eq!(fault(b"\x38\x03\x00\x01a"), Fault::Dup);
    assert_eq!(fault(b"\x32\x05\x00\x01a\x00\x00"), Fault::PacketIdZero);
    assert_eq!(fault(b"\x30\x03\x00\x01+"), Fault::Topic(TopicError::Wildcard));
    assert_eq!(fault(b"\x30\x02\x00\x00"), Fault::Topic(TopicError::Empty));
    assert_eq!(fault(b"\x30\x03\x00\x01\xff"), Fault::String);
    assert_eq!(fault(b"\x30\x03\x00\x01\x00"), Fault::String, "U+0000");
    assert_eq!(fault(b"\x30\x05\x00\x03\xed\xa0\x80"), Fault::String, "a surrogate");
}

#[test]
fn lists_hold_at_least_one() {
    assert_eq!(fault(b"\x82\x02\x00\x01"), Fault::EmptyList);
    assert_eq!(fault(b"\xa2\x02\x00\x01"), Fault::EmptyList);
    assert_eq!(fault(b"\x82\x06\x00\x01\x00\x01a\x03"), Fault::QoS(3));
    assert_eq!(fault(b"\x82\x05\x00\x01\x00\x01a"), Fault::Truncated);
}

#[test]
fn an_error_says_where() {
    let refused = parse(b"\x82\x0a\x00\x01\x00\x01a\x01\x00\x01b\x07", 100).unwrap_err();
    assert_eq!(refused, Invalid { offset: 12, reason: Fault::QoS(7) });
}

#[test]
fn a_field_too_long_leaves_the_buffer_as_it_was() {
    let client_id = "x".repeat(70_000);
    let packet = Packet::Connect(Connect {
        client_id: &client_id,
        clean_session: true,
        keep_alive_s: 0,
        will: None,
        login: None,
    });
    let mut out = BytesMut::from(&b"before"[..]);
    assert_eq!(packet.emit(&mut out), Err(TooLong { bytes: 70_000 }));
    assert_eq!(&out[..], b"before");
}

/// The owned parts that a packet borrows.
#[derive(Debug, Clone)]
struct Parts {
    kind: u8,
    id: PacketId,
    texts: Vec<String>,
    binary: Vec<u8>,
    flags: [bool; 5],
    number: u16,
    qos: QoS,
}

fn parts() -> impl Strategy<Value = Parts> {
    (
        1u8..=14,
        1u16..,
        proptest::collection::vec("[a-zé/$]{1,12}", 1..4),
        proptest::collection::vec(any::<u8>(), 0..300),
        any::<[bool; 5]>(),
        any::<u16>(),
        0u8..3,
    )
        .prop_map(|(kind, id, texts, binary, flags, number, qos)| Parts {
            kind,
            id: PacketId::new(id).unwrap(),
            texts,
            binary,
            flags,
            number,
            qos: QoS::from_number(qos).unwrap(),
        })
}

impl Parts {
    fn packet(&self) -> Packet<'_> {
        let topic = TopicName::new(&self.texts[0]).unwrap();
        let filters = || self.texts.iter().map(|t| TopicFilter::new(t).unwrap());
        let [clean_session, retain, dup, has_will, has_password] = self.flags;
        let id = self.id;
        match Kind::from_number(self.kind).unwrap() {
            Kind::Connect => Packet::Connect(Connect {
                client_id: &self.texts[0],
                clean_session,
                keep_alive_s: self.number,
                will: has_will.then_some(Will { topic, payload: &self.binary, qos: self.qos, retain }),
                login: self
                    .texts
                    .get(1)
                    .map(|username| Login { username, password: has_password.then_some(&self.binary[..]) }),
            }),
            Kind::ConnAck => Packet::ConnAck(if retain {
                ConnAck { session_present: dup, code: ConnectCode::Accepted }
            } else {
                ConnAck { session_present: false, code: ConnectCode::NotAuthorized }
            }),
            Kind::Publish => {
                let qos = match self.qos {
                    QoS::AtMostOnce => PublishQoS::AtMostOnce,
                    QoS::AtLeastOnce => PublishQoS::AtLeastOnce { id, dup },
                    QoS::ExactlyOnce => PublishQoS::ExactlyOnce { id, dup },
                };
                Packet::Publish(Publish { topic, payload: &self.binary, qos, retain })
            }
            Kind::PubAck => Packet::PubAck(id),
            Kind::PubRec => Packet::PubRec(id),
            Kind::PubRel => Packet::PubRel(id),
            Kind::PubComp => Packet::PubComp(id),
            Kind::Subscribe => Packet::Subscribe(Subscribe {
                id,
                subscriptions: filters().map(|filter| Subscription { filter, qos: self.qos }).collect(),
            }),
            Kind::SubAck => {
                Packet::SubAck(SubAck { id, codes: vec![SubscribeCode::Failure, SubscribeCode::Granted(self.qos)] })
            }
            Kind::Unsubscribe => Packet::Unsubscribe(Unsubscribe { id, filters: filters().collect() }),
            Kind::UnsubAck => Packet::UnsubAck(id),
            Kind::PingReq => Packet::PingReq,
            Kind::PingResp => Packet::PingResp,
            Kind::Disconnect => Packet::Disconnect,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn what_is_emitted_is_read_again(parts in parts(), behind in proptest::collection::vec(any::<u8>(), 0..8)) {
        let packet = parts.packet();
        let mut out = BytesMut::new();
        packet.emit(&mut out).unwrap();
        let packet_bytes = out.len();
        for cut in 0..packet_bytes {
            prop_assert_eq!(parse(&out[..cut], PACKET_BYTES_MAX), Ok(None), "cut to {}", cut);
        }
        out.extend_from_slice(&behind);
        prop_assert_eq!(parse(&out, PACKET_BYTES_MAX), Ok(Some((packet, packet_bytes))));
    }

    #[test]
    fn what_is_read_is_emitted_to_the_byte(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        reads_to_the_byte_or_not_at_all(&bytes)?;
    }

    /// Arbitrary bytes rarely get far: damaged packets do.
    #[test]
    fn a_damaged_packet_never_panics(
        parts in parts(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut out = BytesMut::new();
        parts.packet().emit(&mut out).unwrap();
        let at = at.index(out.len());
        out[at] = byte;
        reads_to_the_byte_or_not_at_all(&out)?;
    }

    #[test]
    fn no_packet_is_larger_than_the_bound(parts in parts(), bytes_max in 0usize..64) {
        let mut out = BytesMut::new();
        parts.packet().emit(&mut out).unwrap();
        match parse(&out, bytes_max) {
            Ok(Some((_, packet_bytes))) => prop_assert!(packet_bytes <= bytes_max),
            Err(invalid) => {
                let too_large = matches!(invalid.reason, Fault::TooLarge { .. });
                prop_assert!(too_large && out.len() > bytes_max);
            },
            Ok(None) => prop_assert!(false, "a whole packet was there"),
        }
    }
}

/// One meaning has one encoding: what was read comes out as it went in.
fn reads_to_the_byte_or_not_at_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(Some((packet, packet_bytes))) = parse(bytes, PACKET_BYTES_MAX) {
        let mut out = BytesMut::new();
        packet.emit(&mut out).unwrap();
        prop_assert_eq!(&out[..], &bytes[..packet_bytes]);
    }
    Ok(())
}
