use crate::amber::message;
use crate::im871a::hci;
use crate::line::Line;
use plomb_receivers::{Failure, Kind, PROBE_ORDER, Probe, ProbeEvent};

fn found(events: &[ProbeEvent]) -> String {
    let [ProbeEvent::Found(identity)] = events else { panic!("{events:?}") };
    identity.to_string()
}

#[test]
fn each_probe_only_reads() {
    let mut line = Line::start(Probe::new(Kind::Im871a));
    line.exchange(&hci(0x81, 0x01, &[], &[]), &hci(0x81, 0x02, &[], &[]));
    line.exchange(&hci(0x81, 0x0F, &[], &[]), &hci(0x81, 0x10, &[0x36, 0, 0x14, 0x17, 1, 0, 0, 0], &[]));
    assert_eq!(found(&line.events()), "im871a, iM170A, serial 00000001, firmware 1.4");

    let mut line = Line::start(Probe::new(Kind::Amb8465));
    line.exchange(&message(0x0B, &[]), &message(0x8B, &[1, 2, 3, 4]));
    line.exchange(&message(0x0C, &[]), &message(0x8C, &[1, 0, 0]));
    assert_eq!(found(&line.events()), "amb8465, product 01, serial 01020304, firmware 1.0.0");

    let mut line = Line::start(Probe::new(Kind::Cul));
    line.exchange(b"\r\nV\r\n", b"V 1.26.08 a-culfw Build: 322 (2019-01-01) nanoCUL868 (F-Band: 868MHz)\r\n");
    assert!(found(&line.events()).starts_with("cul, a-culfw Build: 322"));

    let mut line = Line::start(Probe::new(Kind::Rc1180));
    line.exchange(&[0x00], b">");
    line.wait();
    for position in 0x19..=0x20 {
        line.exchange(&[b'Y', position], &[position, b'>']);
    }
    line.expect(b"X");
    line.wait();
    assert_eq!(found(&line.events()), "rc1180, serial 191A1B1C1D1E1F20");
}

#[test]
fn an_empty_port_gets_one_verdict_from_each() {
    for kind in PROBE_ORDER {
        let mut line = Line::start(Probe::new(kind));
        while !plomb_session::Session::is_finished(&line.session) {
            while line.sent().is_some() {}
            line.hear(b"\x5A");
            line.wait();
        }
        assert_eq!(line.events(), [ProbeEvent::NotFound(Failure::NoAnswer { kind })]);
    }
}
