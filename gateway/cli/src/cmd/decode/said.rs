//! What an APDU says, for people and for programs. Passwords, challenges and keys are told by their length.

use plomb_dlms::{
    apdu::{
        Aare, Aarq, ActionRequest, ActionResponse, ActionReturn, Apdu, AttributeDescriptor, AuthenticationValue,
        Conformance, DataAccessResult, DataBlock, GetRequest, GetResponse, InvokeId, Mechanism, MethodDescriptor,
        SelectiveAccess, SetRequest, SetResponse,
    },
    axdr::Value,
    object::{is_secret_attribute, is_secret_method},
};
use serde::{Serialize, Serializer};

/// How long the one line is that sums an APDU up, in characters.
const SUMMARY_CHARS_MAX: usize = 160;

/// Something said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Number(i64),
    Text(String),
    List(Vec<Self>),
    /// By name, in their order.
    Fields(Vec<(&'static str, Self)>),
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => serializer.collect_seq(list),
            Self::Fields(fields) => serializer.collect_map(fields.iter().map(|(name, said)| (name, said))),
        }
    }
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A code, of up to 32 bits.
fn number(code: impl Into<i64>) -> Said {
    Said::Number(code.into())
}

/// How many bytes.
fn count(bytes: &[u8]) -> Said {
    Said::Number(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
}

impl Said {
    /// All of it, a line for each item.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self {
            Self::Fields(fields) => fields.iter().for_each(|(name, said)| match said {
                Self::Fields(_) => {
                    lines.push(format!("{name}:"));
                    lines.extend(said.lines().into_iter().map(|line| format!("  {line}")));
                }
                Self::List(list) if list.iter().any(|one| matches!(one, Self::Fields(_))) => {
                    lines.push(format!("{name}:"));
                    lines.extend(list.iter().map(|one| format!("  {}", one.flat())));
                }
                said => lines.push(format!("{name}: {}", said.flat())),
            }),
            said => lines.push(said.flat()),
        }
        lines
    }

    /// All of it on one line.
    fn flat(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(list) => list.iter().map(Self::flat).collect::<Vec<_>>().join(", "),
            Self::Fields(fields) => {
                fields.iter().map(|(name, said)| format!("{name} {}", said.flat())).collect::<Vec<_>>().join("  ")
            }
        }
    }

    /// The beginning of it on one line.
    pub(super) fn summary(&self) -> String {
        let line = match self {
            Self::Fields(fields) => match fields.split_first() {
                Some((("name", name), rest)) if !rest.is_empty() => {
                    format!("{}: {}", name.flat(), Self::Fields(rest.to_vec()).flat())
                }
                _ => self.lines().join(", "),
            },
            said => said.flat(),
        };
        match line.char_indices().nth(SUMMARY_CHARS_MAX) {
            Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
            None => line,
        }
    }
}

/// What a value that stands alone says.
pub(super) fn value(value: &Value) -> Said {
    Said::Fields(vec![("name", "data".into()), ("type", value.type_name().into()), ("value", plain(value))])
}

/// What an APDU in clear says. `initiate` is what the one inside an AARQ, an AARE or a release says.
pub(super) fn apdu(apdu: &Apdu, initiate: Option<Said>) -> Said {
    let mut fields = vec![("name", apdu.name().into())];
    match apdu {
        Apdu::InitiateRequest(request) => {
            fields.push(("version", number(request.version)));
            fields.push(("conformance", conformance(request.conformance)));
            fields.push(("max_pdu_bytes", number(request.max_pdu_bytes)));
            fields.extend(request.dedicated_key.as_ref().map(|key| ("dedicated_key", hidden(key))));
            fields.extend(request.response_allowed.map(|allowed| ("response_allowed", number(allowed))));
            fields.extend(request.quality_of_service.map(|quality| ("quality_of_service", number(quality))));
        }
        Apdu::InitiateResponse(response) => {
            fields.push(("version", number(response.version)));
            fields.push(("conformance", conformance(response.conformance)));
            fields.push(("max_pdu_bytes", number(response.max_pdu_bytes)));
            fields.push(("vaa_name", number(response.vaa_name)));
            fields.extend(response.quality_of_service.map(|quality| ("quality_of_service", number(quality))));
        }
        Apdu::ConfirmedServiceError(error) => fields.push(("reason", error.to_string().into())),
        Apdu::DataNotification(push) => {
            fields.push(("id", number(push.id)));
            fields.extend(push.date_time().map(|time| ("time", time.to_string().into())));
            fields.push(("value", plain(&push.body)));
        }
        Apdu::EventNotification(event) => {
            fields.push(("attribute", attribute(&event.attribute)));
            fields.push(("value", of_attribute(&event.attribute, &event.value)));
        }
        Apdu::Aarq(aarq) => associate_request(aarq, &mut fields),
        Apdu::Aare(aare) => associate_response(aare, &mut fields),
        Apdu::Release(release) => fields.extend(release.reason.map(|reason| ("reason", number(reason)))),
        Apdu::GetRequest(request) => get_request(request, &mut fields),
        Apdu::GetResponse(response) => get_response(response, &mut fields),
        Apdu::SetRequest(request) => set_request(request, &mut fields),
        Apdu::SetResponse(response) => set_response(response, &mut fields),
        Apdu::ActionRequest(request) => action_request(request, &mut fields),
        Apdu::ActionResponse(response) => action_response(response, &mut fields),
        Apdu::ExceptionResponse(exception) => fields.push(("reason", exception.to_string().into())),
        Apdu::GeneralBlock(general) => {
            let block = DataBlock { last: general.last, number: general.number.into(), bytes: general.bytes.clone() };
            fields.push(("block", self::block(&block)));
        }
        Apdu::GeneralSigning(signed) => fields.push(("originator", hex::encode(&signed.originator).into())),
        Apdu::Ciphered(ciphered) => {
            fields.push(("bytes", count(&ciphered.bytes)));
        }
    }
    fields.extend(initiate.map(|initiate| ("initiate", initiate)));
    Said::Fields(fields)
}

fn plain(value: &Value) -> Said {
    value.to_string().into()
}

fn hidden(bytes: &[u8]) -> Said {
    format!("{} bytes, not shown", bytes.len()).into()
}

fn conformance(conformance: Conformance) -> Said {
    Said::List(conformance.names().map(Said::from).collect())
}

fn associate_request(aarq: &Aarq, fields: &mut Vec<(&'static str, Said)>) {
    fields.push(("context", context(aarq.context.0)));
    fields.extend(aarq.title.as_ref().map(|title| ("title", hex::encode_upper(title).into())));
    fields.extend(aarq.user.map(|user| ("user", number(user))));
    authentication(aarq.mechanism, aarq.authentication.as_ref(), fields);
}

fn associate_response(aare: &Aare, fields: &mut Vec<(&'static str, Said)>) {
    fields.push(("context", context(aare.context.0)));
    let result = match aare.result.0 {
        0 => "accepted".into(),
        1 => "refused for good".into(),
        2 => "refused for now".into(),
        code => format!("result {code}").into(),
    };
    fields.push(("result", result));
    fields.push(("diagnostic", aare.diagnostic.to_string().into()));
    fields.extend(aare.title.as_ref().map(|title| ("title", hex::encode_upper(title).into())));
    authentication(aare.mechanism, aare.authentication.as_ref(), fields);
}

fn authentication(
    mechanism: Option<Mechanism>,
    value: Option<&AuthenticationValue>,
    fields: &mut Vec<(&'static str, Said)>,
) {
    let name = |mechanism: Mechanism| match mechanism.0 {
        0 => "none".into(),
        1 => "LLS: a password".into(),
        2 => "HLS: the maker's own".into(),
        3 => "HLS: MD5".into(),
        4 => "HLS: SHA-1".into(),
        5 => "HLS: GMAC".into(),
        6 => "HLS: SHA-256".into(),
        7 => "HLS: ECDSA".into(),
        code => Said::from(format!("mechanism {code}")),
    };
    fields.extend(mechanism.map(|mechanism| ("mechanism", name(mechanism))));
    fields.extend(value.map(|value| ("authentication", hidden(value.bytes()))));
}

fn context(code: u8) -> Said {
    match code {
        1 => "logical names".into(),
        2 => "short names".into(),
        3 => "logical names, ciphered".into(),
        4 => "short names, ciphered".into(),
        code => format!("context {code}").into(),
    }
}

fn attribute(attribute: &AttributeDescriptor) -> Said {
    Said::Fields(vec![
        ("class", number(attribute.class)),
        ("obis", attribute.instance.to_string().into()),
        ("attribute", number(attribute.attribute)),
    ])
}

fn method(method: &MethodDescriptor) -> Said {
    Said::Fields(vec![
        ("class", number(method.class)),
        ("obis", method.instance.to_string().into()),
        ("method", number(method.method)),
    ])
}

fn wanted((descriptor, access): &(AttributeDescriptor, Option<Box<SelectiveAccess>>)) -> Said {
    let mut said = attribute(descriptor);
    if let (Said::Fields(fields), Some(access)) = (&mut said, access) {
        fields.push(("selector", number(access.selector)));
        fields.push(("parameters", plain(&access.parameters)));
    }
    said
}

/// An attribute's value; the secret of an association is told by its length.
fn of_attribute(attribute: &AttributeDescriptor, value: &Value) -> Said {
    plain_or_secret(is_secret_attribute(attribute.class, attribute.attribute), value)
}

/// A method's parameters; proofs, new secrets and keys are told by their length.
fn of_method(method: &MethodDescriptor, value: &Value) -> Said {
    plain_or_secret(is_secret_method(method.class, method.method), value)
}

/// A secret of another shape than the standard's is one all the same.
fn plain_or_secret(is_secret: bool, value: &Value) -> Said {
    match value.as_octets() {
        _ if !is_secret => plain(value),
        Some(bytes) => hidden(bytes),
        None => format!("{}, not shown", value.type_name()).into(),
    }
}

fn block(block: &DataBlock) -> Said {
    Said::Fields(vec![
        ("number", number(block.number)),
        ("last", if block.last { "yes" } else { "no" }.into()),
        ("bytes", count(&block.bytes)),
    ])
}

fn invoke(id: InvokeId) -> (&'static str, Said) {
    ("invoke_id", number(id.number()))
}

fn result(result: &Result<Value, DataAccessResult>) -> Said {
    match result {
        Ok(value) => Said::Fields(vec![("value", plain(value)), ("type", value.type_name().into())]),
        Err(error) => Said::Fields(vec![("result", error.to_string().into())]),
    }
}

fn list<T>(list: &[T], said: impl FnMut(&T) -> Said) -> Said {
    Said::List(list.iter().map(said).collect())
}

fn get_request(request: &GetRequest, fields: &mut Vec<(&'static str, Said)>) {
    match request {
        GetRequest::Normal(id, one) => fields.extend([invoke(*id), ("attributes", Said::List(vec![wanted(one)]))]),
        GetRequest::Next(id, block) => fields.extend([invoke(*id), ("next_after_block", number(*block))]),
        GetRequest::WithList(id, all) => fields.extend([invoke(*id), ("attributes", list(all, wanted))]),
    }
}

fn get_response(response: &GetResponse, fields: &mut Vec<(&'static str, Said)>) {
    match response {
        GetResponse::Normal(id, one) => fields.extend([invoke(*id), ("results", Said::List(vec![result(one)]))]),
        GetResponse::Block(id, part, error) => {
            fields.extend([invoke(*id), ("block", block(part))]);
            fields.extend(error.map(|error| ("result", error.to_string().into())));
        }
        GetResponse::WithList(id, all) => fields.extend([invoke(*id), ("results", list(all, result))]),
    }
}

fn set_request(request: &SetRequest, fields: &mut Vec<(&'static str, Said)>) {
    match request {
        SetRequest::Normal(id, one, value) => fields.extend([
            invoke(*id),
            ("attributes", Said::List(vec![wanted(one)])),
            ("values", Said::List(vec![of_attribute(&one.0, value)])),
        ]),
        SetRequest::FirstBlock(id, one, part) => {
            fields.extend([invoke(*id), ("attributes", Said::List(vec![wanted(one)])), ("block", block(part))]);
        }
        SetRequest::Block(id, part) => fields.extend([invoke(*id), ("block", block(part))]),
        SetRequest::WithList(id, all, values) => {
            let values = all.iter().zip(values).map(|(one, value)| of_attribute(&one.0, value)).collect();
            fields.extend([invoke(*id), ("attributes", list(all, wanted)), ("values", Said::List(values))]);
        }
        SetRequest::ListAndFirstBlock(id, all, part) => {
            fields.extend([invoke(*id), ("attributes", list(all, wanted)), ("block", block(part))]);
        }
    }
}

fn set_response(response: &SetResponse, fields: &mut Vec<(&'static str, Said)>) {
    let result = |result: &DataAccessResult| Said::from(result.to_string());
    match response {
        SetResponse::Normal(id, one) => fields.extend([invoke(*id), ("results", Said::List(vec![result(one)]))]),
        SetResponse::Block(id, block) => fields.extend([invoke(*id), ("taken_block", number(*block))]),
        SetResponse::LastBlock(id, one, block) => {
            fields.extend([invoke(*id), ("taken_block", number(*block)), ("results", Said::List(vec![result(one)]))]);
        }
        SetResponse::LastBlockWithList(id, all, block) => {
            fields.extend([invoke(*id), ("taken_block", number(*block)), ("results", list(all, result))]);
        }
        SetResponse::WithList(id, all) => fields.extend([invoke(*id), ("results", list(all, result))]),
    }
}

fn action_request(request: &ActionRequest, fields: &mut Vec<(&'static str, Said)>) {
    match request {
        ActionRequest::Normal(id, one, parameters) => {
            fields.extend([invoke(*id), ("methods", Said::List(vec![method(one)]))]);
            let said = parameters.iter().map(|value| of_method(one, value)).collect::<Vec<_>>();
            fields.extend((!said.is_empty()).then_some(("parameters", Said::List(said))));
        }
        ActionRequest::Next(id, block) => fields.extend([invoke(*id), ("next_after_block", number(*block))]),
        ActionRequest::WithList(id, all, parameters) => {
            let said = all.iter().zip(parameters).map(|(one, value)| of_method(one, value)).collect();
            fields.extend([invoke(*id), ("methods", list(all, method)), ("parameters", Said::List(said))]);
        }
        ActionRequest::FirstBlock(id, one, part) => {
            fields.extend([invoke(*id), ("methods", Said::List(vec![method(one)])), ("block", block(part))]);
        }
        ActionRequest::ListAndFirstBlock(id, all, part) => {
            fields.extend([invoke(*id), ("methods", list(all, method)), ("block", block(part))]);
        }
        ActionRequest::Block(id, part) => fields.extend([invoke(*id), ("block", block(part))]),
    }
}

fn action_response(response: &ActionResponse, fields: &mut Vec<(&'static str, Said)>) {
    let returned = |(code, value): &ActionReturn| {
        let mut fields = vec![("result", Said::from(code.to_string()))];
        match value {
            Some(Ok(value)) => fields.extend([("value", plain(value)), ("type", value.type_name().into())]),
            Some(Err(error)) => fields.push(("returned", error.to_string().into())),
            None => {}
        }
        Said::Fields(fields)
    };
    match response {
        ActionResponse::Normal(id, one) => fields.extend([invoke(*id), ("results", Said::List(vec![returned(one)]))]),
        ActionResponse::Block(id, part) => fields.extend([invoke(*id), ("block", block(part))]),
        ActionResponse::WithList(id, all) => fields.extend([invoke(*id), ("results", list(all, returned))]),
        ActionResponse::Next(id, block) => fields.extend([invoke(*id), ("taken_block", number(*block))]),
    }
}
