//! Writing a packet: the one canonical encoding of what was understood.

use bytes::{BufMut, BytesMut};
use thiserror::Error;

use super::frame::REMAINING_LENGTH_MAX;
use super::packet::{PROTOCOL_LEVEL, PROTOCOL_NAME, PublishQoS, connect_flag};
use super::{Connect, Packet, PacketId, Publish, QoS, SubscribeCode};

/// A field is longer than its length can say. The caller is at fault: no
/// parsed packet is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a field of {bytes} bytes does not fit into the packet")]
pub struct TooLong {
    /// The field's, or the whole body's, size.
    pub bytes: usize,
}

impl Packet<'_> {
    /// Appends the packet to `out`. On an error `out` is as before.
    pub fn emit(&self, out: &mut BytesMut) -> Result<(), TooLong> {
        let begin = out.len();
        let written = self.try_emit(out);
        if written.is_err() {
            out.truncate(begin);
        }
        written
    }

    fn try_emit(&self, out: &mut BytesMut) -> Result<(), TooLong> {
        let flags = match self {
            Self::Publish(publish) => publish_flags(publish),
            other => other.kind().fixed_flags().unwrap_or(0),
        };
        out.put_u8(self.kind().number() << 4 | flags);
        put_remaining_length(out, self.body_bytes())?;
        match self {
            Self::Connect(connect) => put_connect(out, connect)?,
            Self::ConnAck(ack) => {
                out.put_u8(u8::from(ack.session_present));
                out.put_u8(ack.code.number());
            }
            Self::Publish(publish) => {
                put_binary(out, publish.topic.as_str().as_bytes())?;
                if let Some(id) = publish.id() {
                    out.put_u16(id.get());
                }
                out.put_slice(publish.payload);
            }
            Self::PubAck(id) | Self::PubRec(id) | Self::PubRel(id) | Self::PubComp(id) | Self::UnsubAck(id) => {
                out.put_u16(id.get());
            }
            Self::Subscribe(subscribe) => {
                out.put_u16(subscribe.id.get());
                for wish in &subscribe.subscriptions {
                    put_binary(out, wish.filter.as_str().as_bytes())?;
                    out.put_u8(wish.qos.number());
                }
            }
            Self::SubAck(ack) => {
                out.put_u16(ack.id.get());
                out.extend(ack.codes.iter().map(|code| code.number()));
            }
            Self::Unsubscribe(unsubscribe) => {
                out.put_u16(unsubscribe.id.get());
                for filter in &unsubscribe.filters {
                    put_binary(out, filter.as_str().as_bytes())?;
                }
            }
            Self::PingReq | Self::PingResp | Self::Disconnect => {}
        }
        Ok(())
    }

    fn body_bytes(&self) -> usize {
        match self {
            Self::Connect(connect) => connect_body_bytes(connect),
            Self::Publish(publish) => {
                let id = if publish.id().is_some() { 2 } else { 0 };
                2 + publish.topic.as_str().len() + id + publish.payload.len()
            }
            Self::ConnAck(_)
            | Self::PubAck(_)
            | Self::PubRec(_)
            | Self::PubRel(_)
            | Self::PubComp(_)
            | Self::UnsubAck(_) => 2,
            Self::Subscribe(subscribe) => {
                subscribe.subscriptions.iter().fold(2, |sum, wish| sum + 2 + wish.filter.as_str().len() + 1)
            }
            Self::SubAck(ack) => 2 + ack.codes.len(),
            Self::Unsubscribe(unsubscribe) => {
                unsubscribe.filters.iter().fold(2, |sum, filter| sum + 2 + filter.as_str().len())
            }
            Self::PingReq | Self::PingResp | Self::Disconnect => 0,
        }
    }
}

impl Publish<'_> {
    /// The packet id, which only QoS 1 and 2 have.
    #[must_use]
    pub fn id(&self) -> Option<PacketId> {
        match self.qos {
            PublishQoS::AtMostOnce => None,
            PublishQoS::AtLeastOnce { id, .. } | PublishQoS::ExactlyOnce { id, .. } => Some(id),
        }
    }
}

impl SubscribeCode {
    fn number(self) -> u8 {
        match self {
            Self::Granted(qos) => qos.number(),
            Self::Failure => 0x80,
        }
    }
}

fn publish_flags(publish: &Publish<'_>) -> u8 {
    let (qos, dup) = match publish.qos {
        PublishQoS::AtMostOnce => (QoS::AtMostOnce, false),
        PublishQoS::AtLeastOnce { dup, .. } => (QoS::AtLeastOnce, dup),
        PublishQoS::ExactlyOnce { dup, .. } => (QoS::ExactlyOnce, dup),
    };
    u8::from(dup) << 3 | qos.number() << 1 | u8::from(publish.retain)
}

fn connect_body_bytes(connect: &Connect<'_>) -> usize {
    let fixed = 2 + PROTOCOL_NAME.len() + 1 + 1 + 2;
    let will = connect.will.map_or(0, |w| 2 + w.topic.as_str().len() + 2 + w.payload.len());
    let login = connect.login.map_or(0, |l| 2 + l.username.len() + l.password.map_or(0, |p| 2 + p.len()));
    fixed + 2 + connect.client_id.len() + will + login
}

fn put_connect(out: &mut BytesMut, connect: &Connect<'_>) -> Result<(), TooLong> {
    let mut flags = 0;
    let mut set = |flag, when: bool| flags |= if when { flag } else { 0 };
    set(connect_flag::CLEAN_SESSION, connect.clean_session);
    set(connect_flag::USERNAME, connect.login.is_some());
    set(connect_flag::PASSWORD, connect.login.is_some_and(|l| l.password.is_some()));
    if let Some(will) = connect.will {
        set(connect_flag::WILL, true);
        set(connect_flag::WILL_RETAIN, will.retain);
        set(will.qos.number() << connect_flag::WILL_QOS_SHIFT, true);
    }
    put_binary(out, PROTOCOL_NAME)?;
    out.put_u8(PROTOCOL_LEVEL);
    out.put_u8(flags);
    out.put_u16(connect.keep_alive_s);
    put_binary(out, connect.client_id.as_bytes())?;
    if let Some(will) = connect.will {
        put_binary(out, will.topic.as_str().as_bytes())?;
        put_binary(out, will.payload)?;
    }
    if let Some(login) = connect.login {
        put_binary(out, login.username.as_bytes())?;
        if let Some(password) = login.password {
            put_binary(out, password)?;
        }
    }
    Ok(())
}

fn put_remaining_length(out: &mut BytesMut, bytes: usize) -> Result<(), TooLong> {
    if bytes > REMAINING_LENGTH_MAX {
        return Err(TooLong { bytes });
    }
    let mut left = bytes;
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or(0);
        left >>= 7;
        if left == 0 {
            out.put_u8(low);
            return Ok(());
        }
        out.put_u8(low | 0x80);
    }
}

fn put_binary(out: &mut BytesMut, bytes: &[u8]) -> Result<(), TooLong> {
    let length = u16::try_from(bytes.len()).map_err(|_| TooLong { bytes: bytes.len() })?;
    out.put_u16(length);
    out.put_slice(bytes);
    Ok(())
}
