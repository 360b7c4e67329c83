//! The meaning of a packet, and reading it.

use std::fmt;
use std::num::NonZeroU16;

use super::body::Body;
use super::frame::{Frame, Kind, parse_frame};
use super::{Fault, Invalid, TopicFilter, TopicName};

/// A packet identifier (§2.3.1).
pub type PacketId = NonZeroU16;

/// The protocol name of MQTT 3.1.1 (§3.1.2.1).
pub(super) const PROTOCOL_NAME: &[u8] = b"MQTT";
/// The protocol level of MQTT 3.1.1 (§3.1.2.2).
pub(super) const PROTOCOL_LEVEL: u8 = 4;

/// CONNECT flags (§3.1.2.3).
pub(super) mod connect_flag {
    pub(crate) const RESERVED: u8 = 0x01;
    pub(crate) const CLEAN_SESSION: u8 = 0x02;
    pub(crate) const WILL: u8 = 0x04;
    pub(crate) const WILL_QOS_SHIFT: u8 = 3;
    pub(crate) const WILL_QOS: u8 = 0x18;
    pub(crate) const WILL_RETAIN: u8 = 0x20;
    pub(crate) const PASSWORD: u8 = 0x40;
    pub(crate) const USERNAME: u8 = 0x80;
}

/// Quality of service (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
    /// QoS 2.
    ExactlyOnce,
}

impl QoS {
    /// 0, 1 or 2.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    /// The QoS of a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::AtMostOnce, Self::AtLeastOnce, Self::ExactlyOnce].into_iter().find(|qos| qos.number() == number)
    }
}

/// The message that the server publishes when the client vanishes (§3.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it goes.
    pub topic: TopicName<'a>,
    /// What it says.
    pub payload: &'a [u8],
    /// How.
    pub qos: QoS,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

/// The client's first packet (§3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// What the client calls itself; may be empty.
    pub client_id: &'a str,
    /// Whether an earlier session is to be forgotten.
    pub clean_session: bool,
    /// Seconds between two packets; 0 is off (§3.1.2.10).
    pub keep_alive_s: u16,
    /// The will.
    pub will: Option<Will<'a>>,
    /// User name and password.
    pub login: Option<Login<'a>>,
}

/// User name and password; there is no password without a user name (§3.1.2.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    /// The user name.
    pub username: &'a str,
    /// The password.
    pub password: Option<&'a [u8]>,
}

/// The server's answer to CONNECT (§3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // named as in the standard
pub enum ConnectCode {
    Accepted,
    UnacceptableProtocolVersion,
    IdentifierRejected,
    ServerUnavailable,
    BadCredentials,
    NotAuthorized,
}

impl ConnectCode {
    const ALL: [Self; 6] = [
        Self::Accepted,
        Self::UnacceptableProtocolVersion,
        Self::IdentifierRejected,
        Self::ServerUnavailable,
        Self::BadCredentials,
        Self::NotAuthorized,
    ];

    /// 0 to 5.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::UnacceptableProtocolVersion => 1,
            Self::IdentifierRejected => 2,
            Self::ServerUnavailable => 3,
            Self::BadCredentials => 4,
            Self::NotAuthorized => 5,
        }
    }
}

/// CONNACK (§3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server kept state from before. Only with `Accepted`.
    pub session_present: bool,
    /// The answer.
    pub code: ConnectCode,
}

/// A message (§3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where it goes.
    pub topic: TopicName<'a>,
    /// What it says.
    pub payload: &'a [u8],
    /// Its QoS and, above QoS 0, its packet id.
    pub qos: PublishQoS,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

/// How a message is delivered: only above QoS 0 it has an id and may be a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishQoS {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce {
        /// Its id.
        id: PacketId,
        /// Sent before?
        dup: bool,
    },
    /// QoS 2.
    ExactlyOnce {
        /// Its id.
        id: PacketId,
        /// Sent before?
        dup: bool,
    },
}

/// One wish of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// What is wanted.
    pub filter: TopicFilter<'a>,
    /// The greatest QoS that is wanted.
    pub qos: QoS,
}

/// SUBSCRIBE (§3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Its id.
    pub id: PacketId,
    /// At least one.
    pub subscriptions: Vec<Subscription<'a>>,
}

/// The answer to one wish (§3.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeCode {
    /// Granted, with this QoS.
    Granted(QoS),
    /// 0x80.
    Failure,
}

/// SUBACK (§3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// The SUBSCRIBE's id.
    pub id: PacketId,
    /// One for each wish, in its order.
    pub codes: Vec<SubscribeCode>,
}

/// UNSUBSCRIBE (§3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Its id.
    pub id: PacketId,
    /// At least one.
    pub filters: Vec<TopicFilter<'a>>,
}

/// Any control packet of MQTT 3.1.1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // named as in the standard
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck),
    Publish(Publish<'a>),
    PubAck(PacketId),
    PubRec(PacketId),
    PubRel(PacketId),
    PubComp(PacketId),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(PacketId),
    PingReq,
    PingResp,
    Disconnect,
}

/// Reads the first packet of `bytes`, of at most `packet_bytes_max` bytes.
///
/// `Err`: the peer broke the protocol. `Ok(None)`: more bytes are needed.
/// `Ok(Some((packet, consumed)))`: a packet, and how many bytes it took.
pub fn parse(bytes: &[u8], packet_bytes_max: usize) -> Result<Option<(Packet<'_>, usize)>, Invalid> {
    let Some(frame) = parse_frame(bytes, packet_bytes_max)? else {
        return Ok(None);
    };
    Ok(Some((Packet::parse(&frame)?, frame.packet_bytes())))
}

impl<'a> Packet<'a> {
    /// Reads the meaning of one frame.
    pub fn parse(frame: &Frame<'a>) -> Result<Self, Invalid> {
        let mut body = Body::new(frame.body, frame.header_bytes);
        let packet = match frame.kind {
            Kind::Connect => Self::Connect(parse_connect(&mut body)?),
            Kind::ConnAck => Self::ConnAck(parse_connack(&mut body)?),
            Kind::Publish => Self::Publish(parse_publish(frame.flags, &mut body)?),
            Kind::PubAck => Self::PubAck(body.packet_id()?),
            Kind::PubRec => Self::PubRec(body.packet_id()?),
            Kind::PubRel => Self::PubRel(body.packet_id()?),
            Kind::PubComp => Self::PubComp(body.packet_id()?),
            Kind::Subscribe => Self::Subscribe(Subscribe {
                id: body.packet_id()?,
                subscriptions: list(&mut body, parse_subscription)?,
            }),
            Kind::SubAck => {
                Self::SubAck(SubAck { id: body.packet_id()?, codes: list(&mut body, parse_subscribe_code)? })
            }
            Kind::Unsubscribe => {
                Self::Unsubscribe(Unsubscribe { id: body.packet_id()?, filters: list(&mut body, Body::topic_filter)? })
            }
            Kind::UnsubAck => Self::UnsubAck(body.packet_id()?),
            Kind::PingReq => Self::PingReq,
            Kind::PingResp => Self::PingResp,
            Kind::Disconnect => Self::Disconnect,
        };
        body.end()?;
        Ok(packet)
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connect(_) => Kind::Connect,
            Self::ConnAck(_) => Kind::ConnAck,
            Self::Publish(_) => Kind::Publish,
            Self::PubAck(_) => Kind::PubAck,
            Self::PubRec(_) => Kind::PubRec,
            Self::PubRel(_) => Kind::PubRel,
            Self::PubComp(_) => Kind::PubComp,
            Self::Subscribe(_) => Kind::Subscribe,
            Self::SubAck(_) => Kind::SubAck,
            Self::Unsubscribe(_) => Kind::Unsubscribe,
            Self::UnsubAck(_) => Kind::UnsubAck,
            Self::PingReq => Kind::PingReq,
            Self::PingResp => Kind::PingResp,
            Self::Disconnect => Kind::Disconnect,
        }
    }
}

/// One line, without payloads and secrets.
impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind())?;
        match self {
            Self::Connect(c) => write!(f, " {:?} keep-alive={}s", c.client_id, c.keep_alive_s),
            Self::ConnAck(a) => write!(f, " {:?}", a.code),
            Self::Publish(p) => write!(f, " {:?} {} bytes", p.topic.as_str(), p.payload.len()),
            Self::Subscribe(s) => write!(f, " {} filters", s.subscriptions.len()),
            Self::Unsubscribe(u) => write!(f, " {} filters", u.filters.len()),
            Self::SubAck(s) => write!(f, " id={}", s.id),
            Self::PubAck(id) | Self::PubRec(id) | Self::PubRel(id) | Self::PubComp(id) | Self::UnsubAck(id) => {
                write!(f, " id={id}")
            }
            Self::PingReq | Self::PingResp | Self::Disconnect => Ok(()),
        }
    }
}

fn parse_connect<'a>(body: &mut Body<'a>) -> Result<Connect<'a>, Invalid> {
    if body.binary()? != PROTOCOL_NAME {
        return Err(body.invalid(Fault::ProtocolName));
    }
    let level = body.u8()?;
    if level != PROTOCOL_LEVEL {
        return Err(body.invalid(Fault::ProtocolLevel(level)));
    }
    let flags = body.u8()?;
    let has = |flag| flags & flag != 0;
    let contradictory = has(connect_flag::RESERVED)
        || (!has(connect_flag::WILL) && has(connect_flag::WILL_QOS | connect_flag::WILL_RETAIN))
        || (has(connect_flag::PASSWORD) && !has(connect_flag::USERNAME));
    if contradictory {
        return Err(body.invalid(Fault::ConnectFlags(flags)));
    }
    let will_qos = parse_qos((flags & connect_flag::WILL_QOS) >> connect_flag::WILL_QOS_SHIFT, body)?;
    let keep_alive_s = body.u16()?;
    let client_id = body.string()?;
    let will = if has(connect_flag::WILL) {
        Some(Will {
            topic: body.topic_name()?,
            payload: body.binary()?,
            qos: will_qos,
            retain: has(connect_flag::WILL_RETAIN),
        })
    } else {
        None
    };
    let login = if has(connect_flag::USERNAME) {
        let username = body.string()?;
        let password = if has(connect_flag::PASSWORD) { Some(body.binary()?) } else { None };
        Some(Login { username, password })
    } else {
        None
    };
    let clean_session = has(connect_flag::CLEAN_SESSION);
    Ok(Connect { client_id, clean_session, keep_alive_s, will, login })
}

fn parse_connack(body: &mut Body<'_>) -> Result<ConnAck, Invalid> {
    let flags = body.u8()?;
    if flags & !1 != 0 {
        return Err(body.invalid(Fault::ReturnCode(flags)));
    }
    let number = body.u8()?;
    let code = ConnectCode::ALL
        .into_iter()
        .find(|code| code.number() == number)
        .ok_or(body.invalid(Fault::ReturnCode(number)))?;
    let session_present = flags == 1;
    if session_present && code != ConnectCode::Accepted {
        return Err(body.invalid(Fault::ReturnCode(number)));
    }
    Ok(ConnAck { session_present, code })
}

fn parse_publish<'a>(flags: u8, body: &mut Body<'a>) -> Result<Publish<'a>, Invalid> {
    let dup = flags & 0b1000 != 0;
    let qos = parse_qos((flags & 0b0110) >> 1, body)?;
    if dup && qos == QoS::AtMostOnce {
        return Err(body.invalid(Fault::Dup));
    }
    let topic = body.topic_name()?;
    let qos = match qos {
        QoS::AtMostOnce => PublishQoS::AtMostOnce,
        QoS::AtLeastOnce => PublishQoS::AtLeastOnce { id: body.packet_id()?, dup },
        QoS::ExactlyOnce => PublishQoS::ExactlyOnce { id: body.packet_id()?, dup },
    };
    Ok(Publish { topic, payload: body.rest(), qos, retain: flags & 1 != 0 })
}

fn parse_subscription<'a>(body: &mut Body<'a>) -> Result<Subscription<'a>, Invalid> {
    let filter = body.topic_filter()?;
    let number = body.u8()?;
    Ok(Subscription { filter, qos: parse_qos(number, body)? })
}

fn parse_subscribe_code(body: &mut Body<'_>) -> Result<SubscribeCode, Invalid> {
    match body.u8()? {
        0x80 => Ok(SubscribeCode::Failure),
        number => QoS::from_number(number).map(SubscribeCode::Granted).ok_or(body.invalid(Fault::ReturnCode(number))),
    }
}

fn parse_qos(number: u8, body: &Body<'_>) -> Result<QoS, Invalid> {
    QoS::from_number(number).ok_or(body.invalid(Fault::QoS(number)))
}

/// At least one item, to the body's end.
fn list<'a, T>(body: &mut Body<'a>, item: fn(&mut Body<'a>) -> Result<T, Invalid>) -> Result<Vec<T>, Invalid> {
    if body.is_empty() {
        return Err(body.invalid(Fault::EmptyList));
    }
    let mut items = Vec::new();
    while !body.is_empty() {
        items.push(item(body)?);
    }
    Ok(items)
}
