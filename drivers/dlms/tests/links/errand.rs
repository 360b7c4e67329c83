//! A change over scripted links in virtual time: what goes over the wire, association by association.

use plomb_dlms::apdu::{
    Aare, ActionResponse, ActionResult, Apdu, AssociateDiagnostic, AssociateResult, AttributeDescriptor, Conformance,
    ContextName, GetResponse, InitiateResponse, MethodDescriptor, Release, ReleaseKind,
};
use plomb_dlms::axdr::Value;
use plomb_dlms::client::{AssociationConfig, Client, ClientEvent, Errand, Fate, Request};
use plomb_dlms::link::DataLink;
use plomb_dlms::wrapper::{ClientLink, Transport, Wrapped, WrapperConfig};
use plomb_session::{Instant, Obis, Session};

const SWITCH: Obis = Obis([0, 0, 96, 3, 10, 255]);

/// What a meter does with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Answer,
    BeSilent,
    /// Answers so that it can't be read.
    Babble,
}

struct Meter {
    to_changes: To,
    on: bool,
    changes: u32,
}

impl Meter {
    fn hear(&mut self, apdu: &[u8]) -> Option<Vec<u8>> {
        let answer = match Apdu::parse(apdu).unwrap() {
            Apdu::Aarq(_) => {
                let initiate = InitiateResponse {
                    quality_of_service: None,
                    version: 6,
                    conformance: Conformance::of_client(),
                    max_pdu_bytes: 0,
                    vaa_name: 7,
                };
                Apdu::Aare(Box::new(Aare {
                    context: ContextName::LOGICAL_NAMES,
                    result: AssociateResult(0),
                    diagnostic: AssociateDiagnostic::User(0),
                    title: None,
                    mechanism: None,
                    authentication: None,
                    initiate: Apdu::InitiateResponse(initiate).emit(),
                    other: Vec::new(),
                }))
            }
            Apdu::ActionRequest(plomb_dlms::apdu::ActionRequest::Normal(id, method, _)) => {
                self.changes += 1;
                self.on = method.method == 2;
                match self.to_changes {
                    To::Answer => Apdu::ActionResponse(ActionResponse::Normal(id, (ActionResult::SUCCESS, None))),
                    To::BeSilent => return None,
                    To::Babble => return Some(vec![0xC7, 0x01, id.0]),
                }
            }
            Apdu::GetRequest(plomb_dlms::apdu::GetRequest::Normal(id, _)) => {
                Apdu::GetResponse(GetResponse::Normal(id, Ok(Value::Boolean(u8::from(self.on)))))
            }
            Apdu::Release(_) => Apdu::Release(Release { kind: ReleaseKind::Response, reason: Some(0), initiate: None }),
            other => panic!("{other:?}"),
        };
        Some(answer.emit())
    }
}

/// One association, to its end.
fn associate(meter: &mut Meter, errand: Errand, transport: Transport) -> (Errand, bool) {
    let link = DataLink::from(ClientLink::new(WrapperConfig::new(16, 1, transport)));
    let mut client = Client::new(link, AssociationConfig::public(), errand);
    let (mut now, mut done) = (Instant::ORIGIN, false);
    client.start(now);
    while !client.is_finished() {
        while let Some(event) = client.poll_event() {
            done |= event == ClientEvent::Done;
        }
        if let Some(sent) = client.poll_transmit() {
            client.handle_transmitted(now);
            let heard = Wrapped::parse_whole(&sent.bytes).unwrap();
            if let Some(apdu) = meter.hear(heard.apdu) {
                let answer = Wrapped { source: 1, destination: 16, apdu: &apdu }.emit().unwrap();
                client.handle_input(&answer, now);
            }
            continue;
        }
        match client.poll_timeout() {
            Some(at) => now = at,
            None => break,
        }
        client.handle_timeout(now);
    }
    while let Some(event) = client.poll_event() {
        done |= event == ClientEvent::Done;
    }
    (client.into_conversation(), done)
}

fn disconnect() -> Errand {
    let call = Request::Action(MethodDescriptor::new(70, SWITCH, 1), Some(Value::Integer(0)));
    Errand::new(Vec::new(), Box::new(|_| Ok(vec![call])), vec![AttributeDescriptor::new(70, SWITCH, 2)])
}

#[test]
fn a_change_goes_over_the_wire_once_whatever_becomes_of_its_answer() {
    for transport in [Transport::Tcp, Transport::Udp] {
        for to_changes in [To::Answer, To::BeSilent, To::Babble] {
            let what = format!("{transport:?} {to_changes:?}");
            let mut meter = Meter { to_changes, on: true, changes: 0 };
            let (mut errand, mut done) = associate(&mut meter, disconnect(), transport);
            assert_eq!(done, to_changes == To::Answer, "{what}");
            let fate = if done { Fate::Accepted } else { Fate::Lost { change: 0 } };
            assert_eq!(errand.fate(), fate, "{what}");
            for _ in 0..3 {
                // In whatever associations it goes on, it looks only.
                (errand, done) = associate(&mut meter, errand, transport);
                assert!(done, "{what}");
            }
            assert_eq!(errand.fate(), fate, "{what}");
            assert_eq!(errand.shown(), [Ok(Value::Boolean(0))], "{what}");
            assert_eq!(meter.changes, 1, "{what}");
        }
    }
}
