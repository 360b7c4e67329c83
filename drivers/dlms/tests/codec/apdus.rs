//! APDUs.

use plomb_dlms::apdu::{
    Aare, Aarq, ActionRequest, ActionResponse, ActionResult, Apdu, AssociateDiagnostic, AssociateResult,
    AttributeDescriptor, AuthenticationValue, Conformance, ContextName, DataAccessResult, DataBlock, DataNotification,
    ExceptionResponse, GeneralBlock, GeneralSigning, GetRequest, GetResponse, InitiateRequest, InitiateResponse,
    InvokeId, Mechanism, MethodDescriptor, Release, ReleaseKind, SelectiveAccess, ServiceException, SetRequest,
    SetResponse, StateError,
};
use plomb_dlms::axdr::Value;
use plomb_session::Obis;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::values::any_value;
use crate::{hex, hex_of};

fn attribute() -> impl Strategy<Value = AttributeDescriptor> {
    (any::<u16>(), any::<[u8; 6]>(), any::<i8>())
        .prop_map(|(class, instance, attribute)| AttributeDescriptor::new(class, Obis(instance), attribute))
}

fn method() -> impl Strategy<Value = MethodDescriptor> {
    (any::<u16>(), any::<[u8; 6]>(), any::<i8>())
        .prop_map(|(class, instance, method)| MethodDescriptor::new(class, Obis(instance), method))
}

fn wanted() -> impl Strategy<Value = (AttributeDescriptor, Option<Box<SelectiveAccess>>)> {
    let access = (any::<u8>(), any_value())
        .prop_map(|(selector, parameters)| Box::new(SelectiveAccess { selector, parameters }));
    (attribute(), option::of(access))
}

fn block() -> impl Strategy<Value = DataBlock> {
    (any::<bool>(), any::<u32>(), vec(any::<u8>(), 0..200)).prop_map(|(last, number, bytes)| DataBlock {
        last,
        number,
        bytes,
    })
}

fn result() -> impl Strategy<Value = Result<Value, DataAccessResult>> {
    prop_oneof![any_value().prop_map(Ok), any::<u8>().prop_map(|code| Err(DataAccessResult(code)))]
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..70)
}

pub(crate) fn services() -> impl Strategy<Value = Apdu> {
    let id = || any::<u8>().prop_map(InvokeId);
    let returned = || (any::<u8>().prop_map(ActionResult), option::of(result()));
    let code = || any::<u8>().prop_map(DataAccessResult);
    prop_oneof![
        (id(), wanted()).prop_map(|(id, one)| Apdu::GetRequest(GetRequest::Normal(id, one))),
        (id(), any::<u32>()).prop_map(|(id, number)| Apdu::GetRequest(GetRequest::Next(id, number))),
        (id(), vec(wanted(), 0..5)).prop_map(|(id, list)| Apdu::GetRequest(GetRequest::WithList(id, list))),
        (id(), result()).prop_map(|(id, one)| Apdu::GetResponse(GetResponse::Normal(id, one))),
        (id(), block()).prop_map(|(id, block)| Apdu::GetResponse(GetResponse::Block(id, block, None))),
        (id(), vec(result(), 0..5)).prop_map(|(id, list)| Apdu::GetResponse(GetResponse::WithList(id, list))),
        (id(), wanted(), any_value()).prop_map(|(id, one, value)| Apdu::SetRequest(SetRequest::Normal(id, one, value))),
        (id(), wanted(), block()).prop_map(|(id, one, b)| Apdu::SetRequest(SetRequest::FirstBlock(id, one, b))),
        (id(), block()).prop_map(|(id, block)| Apdu::SetRequest(SetRequest::Block(id, block))),
        (id(), vec(wanted(), 0..3), vec(any_value(), 0..3))
            .prop_map(|(id, list, values)| Apdu::SetRequest(SetRequest::WithList(id, list, values))),
        (id(), vec(wanted(), 0..3), block())
            .prop_map(|(id, list, b)| Apdu::SetRequest(SetRequest::ListAndFirstBlock(id, list, b))),
        (id(), code()).prop_map(|(id, code)| Apdu::SetResponse(SetResponse::Normal(id, code))),
        (id(), any::<u32>()).prop_map(|(id, number)| Apdu::SetResponse(SetResponse::Block(id, number))),
        (id(), code(), any::<u32>()).prop_map(|(id, c, n)| Apdu::SetResponse(SetResponse::LastBlock(id, c, n))),
        (id(), vec(code(), 0..4)).prop_map(|(id, list)| Apdu::SetResponse(SetResponse::WithList(id, list))),
        (id(), method(), option::of(any_value()))
            .prop_map(|(i, m, v)| Apdu::ActionRequest(ActionRequest::Normal(i, m, v))),
        (id(), any::<u32>()).prop_map(|(id, number)| Apdu::ActionRequest(ActionRequest::Next(id, number))),
        (id(), method(), block()).prop_map(|(i, m, b)| Apdu::ActionRequest(ActionRequest::FirstBlock(i, m, b))),
        (id(), block()).prop_map(|(id, block)| Apdu::ActionRequest(ActionRequest::Block(id, block))),
        (id(), vec(method(), 0..3), vec(any_value(), 0..3))
            .prop_map(|(i, m, v)| Apdu::ActionRequest(ActionRequest::WithList(i, m, v))),
        (id(), returned()).prop_map(|(id, one)| Apdu::ActionResponse(ActionResponse::Normal(id, one))),
        (id(), vec(returned(), 0..3)).prop_map(|(id, list)| Apdu::ActionResponse(ActionResponse::WithList(id, list))),
        (id(), block()).prop_map(|(id, block)| Apdu::ActionResponse(ActionResponse::Block(id, block))),
        (id(), any::<u32>()).prop_map(|(id, number)| Apdu::ActionResponse(ActionResponse::Next(id, number))),
    ]
}

pub(crate) fn others() -> impl Strategy<Value = Apdu> {
    let authentication =
        || prop_oneof![octets().prop_map(AuthenticationValue::Text), octets().prop_map(AuthenticationValue::Bits)];
    let conformance = || (0u32..1 << 24).prop_map(Conformance);
    prop_oneof![
        (any::<u32>(), prop_oneof![Just(vec![]), vec(any::<u8>(), 12)], any_value())
            .prop_map(|(id, time, body)| Apdu::DataNotification(DataNotification { id, time, body })),
        (any::<bool>(), any::<bool>(), 0u8..64, any::<u16>(), any::<u16>(), vec(any::<u8>(), 0..200)).prop_map(
            |(last, streaming, window, number, acknowledged, bytes)| Apdu::GeneralBlock(GeneralBlock {
                last,
                streaming,
                window,
                number,
                acknowledged,
                bytes
            })
        ),
        (any::<u8>(), any::<u32>()).prop_map(|(state, counter)| Apdu::ExceptionResponse(ExceptionResponse {
            state: StateError(state),
            service: ServiceException::InvocationCounter(counter)
        })),
        (option::of(vec(any::<u8>(), 16)), conformance(), any::<u16>()).prop_map(|(key, conformance, size)| {
            Apdu::InitiateRequest(InitiateRequest { dedicated_key: key, ..InitiateRequest::new(conformance, size) })
        }),
        (conformance(), any::<u16>())
            .prop_map(|(conformance, size)| Apdu::InitiateResponse(InitiateResponse::new(conformance, size))),
        (
            any::<u8>(),
            option::of(octets()),
            option::of(any::<u8>()),
            option::of(any::<u8>()),
            option::of(authentication()),
            octets()
        )
            .prop_map(|(context, title, user, mechanism, authentication, initiate)| Apdu::Aarq(Box::new(
                Aarq {
                    context: ContextName(context),
                    title,
                    user,
                    mechanism: mechanism.map(Mechanism),
                    authentication,
                    initiate,
                    other: vec![]
                }
            ))),
        (any::<u8>(), any::<u8>(), any::<bool>(), option::of(octets()), option::of(authentication()), octets())
            .prop_map(|(result, code, user, title, authentication, initiate)| Apdu::Aare(Box::new(Aare {
                context: ContextName(3),
                result: AssociateResult(result),
                diagnostic: if user { AssociateDiagnostic::User(code) } else { AssociateDiagnostic::Provider(code) },
                title,
                mechanism: Some(Mechanism::GMAC),
                authentication,
                initiate,
                other: vec![]
            }))),
        (any::<bool>(), option::of(any::<u8>()), option::of(octets())).prop_map(|(request, reason, initiate)| {
            let kind = if request { ReleaseKind::Request } else { ReleaseKind::Response };
            Apdu::Release(Release { kind, reason, initiate })
        }),
        vec(octets(), 7).prop_map(|fields| {
            let [transaction, originator, recipient, time, other, content, signature] = fields.try_into().unwrap();
            Apdu::GeneralSigning(Box::new(GeneralSigning {
                transaction,
                originator,
                recipient,
                time,
                other,
                content,
                signature,
            }))
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(apdu in prop_oneof![services(), others()]) {
        let bytes = apdu.emit();
        prop_assert_eq!(Apdu::parse(&bytes), Ok(apdu), "{}", hex_of(&bytes));
    }

    /// Whatever is done to an APDU, it is read or refused, and what is read is written as it is read.
    #[test]
    fn a_changed_apdu_is_read_or_refused(
        apdu in prop_oneof![services(), others()],
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = apdu.emit();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(apdu) = Apdu::parse(&bytes) {
            prop_assert_eq!(Apdu::parse(&apdu.emit()), Ok(apdu));
        }
    }
}

#[test]
fn the_green_book_s_example_of_an_aarq_with_a_password() {
    // AARQ of low level security with the password "12345678".
    let bytes = hex(
        "6036a1090607608574050801018a0207808b0760857405080201ac0a80083132333435363738be10040e01000000065f1f0400007e1f04b0",
    );
    let Ok(Apdu::Aarq(aarq)) = Apdu::parse(&bytes) else { panic!("no AARQ") };
    assert_eq!((aarq.context, aarq.mechanism), (ContextName::LOGICAL_NAMES, Some(Mechanism::LLS)));
    assert_eq!(aarq.authentication.as_ref().unwrap().bytes(), b"12345678");
    assert!(!format!("{aarq:?}").contains("3132"), "a password is never shown");
    let Ok(Apdu::InitiateRequest(initiate)) = Apdu::parse(&aarq.initiate) else { panic!("no initiate") };
    assert_eq!((initiate.conformance, initiate.max_pdu_bytes), (Conformance(0x7E1F), 0x04B0));
    assert_eq!(Apdu::Aarq(aarq).emit(), bytes);
}

#[test]
fn conformance_has_names() {
    let names: Vec<_> = Conformance(0x00_1E1D).names().collect();
    let expected = [
        "block-transfer-with-get",
        "block-transfer-with-set",
        "block-transfer-with-action",
        "multiple-references",
        "get",
        "set",
        "selective-access",
        "action",
    ];
    assert_eq!(names, expected);
}

#[test]
fn selective_access_is_laid_out_as_the_blue_book_says() {
    let entries = SelectiveAccess::entries(1, 0, 1, 0);
    assert_eq!(hex_of(&entries.parameters.to_bytes()), "0204060000000106000000001200011 20000".replace(' ', ""));
    let clock = AttributeDescriptor::new(8, "0-0:1.0.0".parse().unwrap(), 2);
    let range = SelectiveAccess::range(clock, Value::Null, Value::Null, &[]);
    assert_eq!(
        hex_of(&range.parameters.to_bytes()),
        "020402041200080906000001 0000ff0f021200000000 0100".replace(' ', "")
    );
}
