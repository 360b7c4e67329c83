//! Meters that encrypt on a wire, asked over a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, sync::Arc};

use plomb_mbus::{
    Address, Configuration, Control, Frame, Header, Identification, Manufacturer, Medium, MeterId, Status,
};
use plomb_seal::Reason;
use plomb_sim::{
    Bus, Calendar,
    mbus::Slave,
    tcp::{TcpLine, UNPACED},
};
use plomb_wmbus::{Authentication, Draft, Key, Link, LinkControl, TransportHeader};

use super::{Knowledge, LineMeter, port::Port};
use crate::{config, keys::Keys};

const METER: MeterId = MeterId {
    id: Identification(0x1234_5678),
    manufacturer: Manufacturer(0x4E2D),
    version: 0x1B,
    medium: Medium(0x07),
};
const KEY: &str = "000102030405060708090A0B0C0D0E0F";
/// 54.321 m3.
const RECORDS: [u8; 6] = [0x0C, 0x13, 0x21, 0x43, 0x05, 0x00];

/// A wired answer of this mode under the long header; mode 0 is plain.
fn frame(mode: u16, counter: u32) -> Vec<u8> {
    let configuration = Configuration(mode << 8);
    let header = Header { meter: METER, access: 0x2A, status: Status(0), configuration };
    let draft = Draft {
        link: Link { control: LinkControl::SND_NR, sender: METER },
        ell: None,
        ci: 0x72,
        header: TransportHeader::Long(header),
        payload: &RECORDS,
        counter,
        authentication: Authentication::Cmac(8),
    };
    let upper = draft.upper((mode != 0).then(|| Key::from_hex(KEY).unwrap()).as_ref()).unwrap();
    let (ci, payload) = upper.split_first().unwrap();
    let control = Control::RspUd { acd: false, dfc: false };
    Frame::Long { control, address: Address(1), ci: *ci, payload }.emit().unwrap()
}

fn knowledge(key: Option<&str>, counters: BTreeMap<String, u64>) -> Knowledge {
    let text = key.map(|key| format!("12345678 {key}\n")).unwrap_or_default();
    let keys = Keys::parse("keys", &text).unwrap();
    Knowledge { keys: Arc::new(keys), counters, ..Knowledge::none() }
}

async fn ask(frame: Vec<u8>, knowledge: &Knowledge, security: Option<config::Security>) -> super::Outcome {
    let mut bus = Bus::new(UNPACED, Calendar { start_unix_s: 1_780_000_000, factor: 0 });
    bus.fit(Slave::fixed(1, vec![frame]));
    let line = TcpLine::open("127.0.0.1:0", bus).await.unwrap();
    let bus =
        config::Bus { port: format!("tcp://{}", line.address()), ..config::Bus::new("a", config::Protocol::Mbus) };
    let meter = config::Meter { address: Some(1), security, ..config::Meter::new("flat", "a") };
    LineMeter::new(&meter, &bus, knowledge).unwrap().ask(&mut Port::new(&bus, None), false).await
}

#[tokio::test]
async fn an_encrypted_wired_meter_is_read_with_its_key() {
    for mode in [5, 7] {
        let answer = ask(frame(mode, 1000), &knowledge(Some(KEY), BTreeMap::new()), None).await.unwrap();
        let reading = answer.record.readings.first().unwrap();
        assert_eq!((reading.value.to_string().as_str(), reading.unit.as_str()), ("54.321", "m3"), "mode {mode}");
        assert_eq!((answer.record.meter.protocol.as_str(), answer.record.meter.id.as_str()), ("mbus", "12345678"));
        assert_eq!(answer.counters.len(), usize::from(mode == 7), "mode {mode}");
    }
}

#[tokio::test]
async fn what_must_not_be_recorded_says_why() {
    let reason = |outcome: super::Outcome| outcome.unwrap_err();
    let none = knowledge(None, BTreeMap::new());
    let (why, detail) = reason(ask(frame(5, 1), &none, None).await);
    assert_eq!(why, Reason::Key, "{detail}");
    let wrong = knowledge(Some("FF0102030405060708090A0B0C0D0E0F"), BTreeMap::new());
    let (why, detail) = reason(ask(frame(5, 1), &wrong, None).await);
    assert_eq!(why, Reason::Key, "{detail}");
    // A key makes encryption expected: who answers in clear is not the meter.
    let (why, detail) = reason(ask(frame(0, 1), &knowledge(Some(KEY), BTreeMap::new()), None).await);
    assert_eq!(why, Reason::Refused, "{detail}");
    assert!(ask(frame(0, 1), &knowledge(Some(KEY), BTreeMap::new()), Some(config::Security::Plain)).await.is_ok());
    assert!(ask(frame(0, 1), &none, None).await.is_ok());
}

#[tokio::test]
async fn a_message_counter_counts_once_also_over_a_restart() {
    let answer = ask(frame(7, 1000), &knowledge(Some(KEY), BTreeMap::new()), None).await.unwrap();
    let kept: BTreeMap<String, u64> = answer.counters.into_iter().collect();
    let again = knowledge(Some(KEY), kept);
    assert_eq!(ask(frame(7, 1000), &again, None).await.unwrap_err().0, Reason::Replayed);
    assert!(ask(frame(7, 1001), &again, None).await.is_ok());
}
