//! The judgement of one connection's packets. No sockets, no clock.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;

use super::quota::Quotas;
use crate::admission::Identity;
use crate::limits::{Limits, as_usize};
use crate::mqtt::{
    Connect, Packet, PacketId, Publish, PublishQoS, QoS, SubAck, Subscribe, SubscribeCode, TopicFilter, TopicName,
    Unsubscribe, Will,
};
use crate::rights::{Act, Rights, payload_bytes_max};
use crate::stats::Reason;

/// Messages on their way to a peer without its PUBACK. The embedded broker sends at most 100.
const IN_FLIGHT_MAX: usize = 256;

/// Why a connection is closed, or a request refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

impl Objection {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// What follows from a packet that was allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read on.
    Continue,
    /// Read on, and speak of a request that was refused.
    Refused(Objection),
    /// The peer said DISCONNECT: the will is forgotten.
    Goodbye,
}

/// A will that was allowed, kept by the guard. The embedded broker never sees
/// it as such: on a takeover it would publish the newcomer's in place of the
/// leaver's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptWill {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
}

impl KeptWill {
    /// Appends the will as a message.
    pub(super) fn emit(&self, out: &mut BytesMut) -> Result<(), Objection> {
        let malformed = |e: String| Objection::new(Reason::WillRefused, e);
        let qos = match self.qos {
            QoS::AtMostOnce => PublishQoS::AtMostOnce,
            QoS::AtLeastOnce | QoS::ExactlyOnce => PublishQoS::AtLeastOnce { id: PacketId::MIN, dup: false },
        };
        let topic = TopicName::new(&self.topic).map_err(|e| malformed(e.to_string()))?;
        let publish = Publish { topic, payload: &self.payload, qos, retain: self.retain };
        Packet::Publish(publish).emit(out).map_err(|e| malformed(e.to_string()))
    }
}

/// QoS 1 messages that the peer has not acknowledged, in the order they went out.
///
/// The embedded broker disconnects whoever acknowledges out of order, which
/// the standard allows; so acknowledgements are passed on in order.
#[derive(Debug, Default, Clone)]
pub(super) struct InFlight(Arc<Mutex<VecDeque<(PacketId, bool)>>>);

impl InFlight {
    /// Notes a message that goes to the peer. False when there are too many.
    pub(super) fn sent(&self, id: PacketId) -> bool {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back((id, false));
        queue.len() <= IN_FLIGHT_MAX
    }

    /// Notes an acknowledgement, and gives those that are now in order. One
    /// that nobody waits for gives none.
    fn acknowledged(&self, id: PacketId) -> Vec<PacketId> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = queue.iter_mut().find(|(sent, acked)| *sent == id && !acked) {
            entry.1 = true;
        }
        let mut in_order = Vec::new();
        while let Some((id, true)) = queue.front() {
            in_order.push(*id);
            queue.pop_front();
        }
        in_order
    }
}

/// Judges what one identity sends over one connection.
#[derive(Debug)]
pub(super) struct Desk {
    identity: Identity,
    rights: Rights,
    limits: Arc<Limits>,
    quotas: Arc<Quotas>,
    in_flight: InFlight,
    filters: HashSet<String>,
    pub(super) publishes: u64,
    pub(super) publish_bytes: u64,
}

impl Desk {
    pub(super) fn new(identity: Identity, limits: Arc<Limits>, quotas: Arc<Quotas>) -> Self {
        let rights = Rights::of(&identity);
        Self {
            identity,
            rights,
            limits,
            quotas,
            in_flight: InFlight::default(),
            filters: HashSet::new(),
            publishes: 0,
            publish_bytes: 0,
        }
    }

    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.clone()
    }

    /// Judges the will of a CONNECT.
    pub(super) fn judge_connect(&self, connect: &Connect<'_>) -> Result<Option<KeptWill>, Objection> {
        let Some(Will { topic, payload, qos, retain }) = connect.will else {
            return Ok(None);
        };
        let name = topic.as_str();
        if !self.rights.may_will(topic) {
            let allowed = self.rights.in_words(Act::Will);
            return Err(self.no(Reason::WillRefused, name, &format!("allowed: {allowed}")));
        }
        if qos == QoS::ExactlyOnce {
            return Err(self.no(Reason::QosTwo, name, "use QoS 1 for the will"));
        }
        self.judge_payload(topic, payload, retain)?;
        Ok(Some(KeptWill { topic: name.to_owned(), payload: payload.to_vec(), qos, retain }))
    }

    /// Judges one packet after CONNECT. What goes on to the broker is appended
    /// to `up`, what goes back to the peer to `back`.
    pub(super) fn judge(
        &mut self,
        packet: &Packet<'_>,
        up: &mut BytesMut,
        back: &mut BytesMut,
    ) -> Result<Next, Objection> {
        match packet {
            Packet::Publish(publish) => {
                self.judge_publish(publish)?;
                emit(packet, up)?;
                Ok(Next::Continue)
            }
            Packet::Subscribe(subscribe) => self.judge_subscribe(subscribe, up, back),
            Packet::Unsubscribe(unsubscribe) => self.judge_unsubscribe(unsubscribe, up, back),
            Packet::PubAck(id) => {
                for id in self.in_flight.acknowledged(*id) {
                    emit(&Packet::PubAck(id), up)?;
                }
                Ok(Next::Continue)
            }
            // Goes the whole way, so that the answer proves the whole way.
            Packet::PingReq => {
                emit(packet, up)?;
                Ok(Next::Continue)
            }
            Packet::Disconnect => Ok(Next::Goodbye),
            Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) => {
                Err(Objection::new(Reason::QosTwo, packet.to_string()))
            }
            Packet::Connect(_) => Err(Objection::new(Reason::Unexpected, "a second CONNECT")),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(Objection::new(Reason::Unexpected, packet.to_string()))
            }
        }
    }

    fn judge_publish(&mut self, publish: &Publish<'_>) -> Result<(), Objection> {
        let name = publish.topic.as_str();
        if !self.rights.may_publish(publish.topic) {
            let allowed = self.rights.in_words(Act::Publish);
            return Err(self.no(Reason::PublishRefused, name, &format!("allowed: {allowed}")));
        }
        if matches!(publish.qos, PublishQoS::ExactlyOnce { .. }) {
            return Err(self.no(Reason::QosTwo, name, "publish with QoS 0 or 1"));
        }
        self.judge_payload(publish.topic, publish.payload, publish.retain)?;
        self.publishes += 1;
        self.publish_bytes += u64::try_from(publish.payload.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    fn judge_payload(&self, topic: TopicName<'_>, payload: &[u8], retain: bool) -> Result<(), Objection> {
        let topic_bytes_max = as_usize(self.limits.topic_bytes_max);
        let of_all = as_usize(self.limits.payload_bytes_max);
        let payload_bytes_max = payload_bytes_max(topic).map_or(of_all, |own| own.min(of_all));
        let topic = topic.as_str();
        if topic.len() > topic_bytes_max {
            let detail = format!("topic of {} bytes, at most {topic_bytes_max}", topic.len());
            return Err(Objection::new(Reason::TooLarge, detail));
        }
        if payload.len() > payload_bytes_max {
            let detail = format!("payload of {} bytes, at most {payload_bytes_max}", payload.len());
            return Err(self.no(Reason::TooLarge, topic, &detail));
        }
        if payload.is_empty() && !retain {
            return Err(self.no(Reason::EmptyPayload, topic, "set the retain flag to delete"));
        }
        let retained = retain.then_some(payload.len());
        self.quotas
            .admit_publish(&self.identity.id, topic, retained)
            .map_err(|reason| self.no(reason, topic, "raise the hub's limit if this is meant"))
    }

    fn judge_subscribe(
        &mut self,
        subscribe: &Subscribe<'_>,
        up: &mut BytesMut,
        back: &mut BytesMut,
    ) -> Result<Next, Objection> {
        if let Err(objection) = self.may_subscribe(subscribe) {
            let codes = vec![SubscribeCode::Failure; subscribe.subscriptions.len()];
            emit(&Packet::SubAck(SubAck { id: subscribe.id, codes }), back)?;
            return Ok(Next::Refused(objection));
        }
        let mut granted = subscribe.clone();
        for wish in &mut granted.subscriptions {
            wish.qos = wish.qos.min(QoS::AtLeastOnce);
            self.filters.insert(wish.filter.as_str().to_owned());
        }
        emit(&Packet::Subscribe(granted), up)?;
        Ok(Next::Continue)
    }

    fn may_subscribe(&self, subscribe: &Subscribe<'_>) -> Result<(), Objection> {
        let filters = || subscribe.subscriptions.iter().map(|wish| wish.filter);
        if let Some(foreign) = filters().find(|filter| !self.rights.may_subscribe(*filter)) {
            let allowed = self.rights.in_words(Act::Subscribe);
            let rule = format!("allowed: {allowed}");
            return Err(self.no(Reason::SubscribeRefused, foreign.as_str(), &rule));
        }
        let topic_bytes_max = as_usize(self.limits.topic_bytes_max);
        if let Some(long) = filters().find(|filter| filter.as_str().len() > topic_bytes_max) {
            let detail = format!("filter of {} bytes, at most {topic_bytes_max}", long.as_str().len());
            return Err(Objection::new(Reason::TooLarge, detail));
        }
        let fresh: HashSet<_> = filters().map(TopicFilter::as_str).filter(|f| !self.filters.contains(*f)).collect();
        let held = self.filters.len() + fresh.len();
        let held_max = as_usize(self.limits.filters_per_connection_max);
        if held > held_max || subscribe.subscriptions.len() > held_max {
            let detail = format!("{held} filters on this connection, at most {held_max}");
            return Err(Objection::new(Reason::FiltersFull, detail));
        }
        let chosen = filters().filter(|filter| !self.rights.names(*filter)).map(TopicFilter::as_str);
        self.quotas
            .admit_filters(&self.identity.id, chosen)
            .map_err(|detail| Objection::new(Reason::FiltersFull, detail))
    }

    /// The embedded broker answers once for each filter that it knew, and
    /// never for others. The guard answers once, and swallows its answers.
    fn judge_unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe<'_>,
        up: &mut BytesMut,
        back: &mut BytesMut,
    ) -> Result<Next, Objection> {
        let filters: Vec<_> =
            unsubscribe.filters.iter().copied().filter(|filter| self.filters.remove(filter.as_str())).collect();
        if !filters.is_empty() {
            emit(&Packet::Unsubscribe(Unsubscribe { id: unsubscribe.id, filters }), up)?;
        }
        emit(&Packet::UnsubAck(unsubscribe.id), back)?;
        Ok(Next::Continue)
    }

    /// An objection that names topic and rule; the log line adds the identity.
    fn no(&self, reason: Reason, topic: &str, rule: &str) -> Objection {
        Objection::new(reason, format!("{:?}; {rule}", shortened(topic)))
    }
}

/// A topic as a log line shows it.
fn shortened(topic: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 128;
    topic.chars().take(SHOWN_CHARS_MAX).collect()
}

fn emit(packet: &Packet<'_>, out: &mut BytesMut) -> Result<(), Objection> {
    packet.emit(out).map_err(|e| Objection::new(Reason::TooLarge, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::{Role, Scope};
    use crate::mqtt::Subscription;

    fn desk() -> Desk {
        let identity = Identity {
            id: "gw-1".into(),
            role: Role::Gateway,
            scope: Scope::Gateways([].into()),
            fingerprint: [0; 32],
        };
        let limits = Arc::new(Limits { filters_per_connection_max: 2, ..Limits::default() });
        let quotas = Arc::new(Quotas::new(&limits));
        Desk::new(identity, limits, quotas)
    }

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn subscribe<'a>(filters: &[&'a str], qos: QoS) -> Packet<'a> {
        let subscriptions =
            filters.iter().map(|f| Subscription { filter: TopicFilter::new(f).unwrap(), qos }).collect();
        Packet::Subscribe(Subscribe { id: id(7), subscriptions })
    }

    fn judged(desk: &mut Desk, packet: &Packet<'_>) -> (Result<Next, Objection>, BytesMut, BytesMut) {
        let (mut up, mut back) = (BytesMut::new(), BytesMut::new());
        let next = desk.judge(packet, &mut up, &mut back);
        (next, up, back)
    }

    #[test]
    fn a_refused_publish_names_topic_and_rule_and_leaves_no_byte() {
        let topic = TopicName::new("plomb/1/gw-2/up/batch").unwrap();
        let publish = Publish { topic, payload: b"x", qos: PublishQoS::AtMostOnce, retain: false };
        let (next, up, back) = judged(&mut desk(), &Packet::Publish(publish));
        let objection = next.unwrap_err();
        assert_eq!(objection.reason, Reason::PublishRefused);
        assert_eq!(objection.detail, "\"plomb/1/gw-2/up/batch\"; allowed: plomb/1/gw-1/up/#, plomb/1/gw-1/pub/#");
        assert!(up.is_empty() && back.is_empty());
    }

    #[test]
    fn an_outcome_is_no_larger_than_a_transaction() {
        let publish = |topic, bytes: &[u8]| {
            let topic = TopicName::new(topic).unwrap();
            let publish = Publish { topic, payload: bytes, qos: PublishQoS::AtMostOnce, retain: false };
            judged(&mut desk(), &Packet::Publish(publish)).0.map_err(|objection| objection.reason)
        };
        let outcome = "plomb/1/gw-1/up/outcome";
        assert_eq!(publish(outcome, &[7; 65_535]), Ok(Next::Continue));
        assert_eq!(publish(outcome, &[7; 65_536]), Err(Reason::TooLarge));
        assert_eq!(publish("plomb/1/gw-1/up/batch", &[7; 65_536]), Ok(Next::Continue));
    }

    #[test]
    fn a_subscription_is_granted_at_most_qos_1() {
        let (next, up, back) = judged(&mut desk(), &subscribe(&["plomb/1/gw-1/down/receipt"], QoS::ExactlyOnce));
        assert_eq!(next, Ok(Next::Continue));
        assert!(back.is_empty());
        let passed = crate::mqtt::parse(&up, 100).unwrap().unwrap().0;
        assert_eq!(passed, subscribe(&["plomb/1/gw-1/down/receipt"], QoS::AtLeastOnce));
    }

    #[test]
    fn one_refused_filter_refuses_all_and_none_is_passed_on() {
        let (next, up, back) = judged(&mut desk(), &subscribe(&["plomb/1/gw-1/down/receipt", "#"], QoS::AtMostOnce));
        assert!(matches!(next, Ok(Next::Refused(o)) if o.reason == Reason::SubscribeRefused));
        assert!(up.is_empty());
        assert_eq!(&back[..], [0x90, 4, 0, 7, 0x80, 0x80]);
    }

    #[test]
    fn filters_of_a_connection_are_bounded_and_given_back() {
        let mut desk = desk();
        let both = ["plomb/1/gw-1/down/receipt", "plomb/1/gw-1/down/refusal"];
        assert_eq!(judged(&mut desk, &subscribe(&both, QoS::AtMostOnce)).0, Ok(Next::Continue));
        let third = subscribe(&["plomb/1/gw-1/down/config"], QoS::AtMostOnce);
        let full = judged(&mut desk, &third).0;
        assert!(matches!(full, Ok(Next::Refused(o)) if o.reason == Reason::FiltersFull));
        let filters = vec![TopicFilter::new(both[0]).unwrap()];
        judged(&mut desk, &Packet::Unsubscribe(Unsubscribe { id: id(8), filters })).0.unwrap();
        assert_eq!(judged(&mut desk, &third).0, Ok(Next::Continue));
    }

    #[test]
    fn acknowledgements_go_on_in_the_order_of_the_messages() {
        let mut desk = desk();
        for number in [1, 2, 3] {
            assert!(desk.in_flight().sent(id(number)));
        }
        let mut ack = |number| judged(&mut desk, &Packet::PubAck(id(number))).1.to_vec();
        assert_eq!(ack(3), b"");
        assert_eq!(ack(9), b"", "nobody waits for it");
        assert_eq!(ack(1), [0x40, 2, 0, 1]);
        assert_eq!(ack(1), b"", "once is enough");
        assert_eq!(ack(2), [0x40, 2, 0, 2, 0x40, 2, 0, 3]);
    }

    #[test]
    fn what_only_a_server_says_is_refused() {
        for packet in [Packet::PingResp, Packet::UnsubAck(id(1)), Packet::PubRel(id(1))] {
            assert!(judged(&mut desk(), &packet).0.is_err(), "{packet}");
        }
    }

    #[test]
    fn an_in_flight_queue_is_bounded() {
        let desk = desk();
        let sent = (1..=1000).take_while(|n| desk.in_flight().sent(id(*n))).count();
        assert_eq!(sent, IN_FLIGHT_MAX);
    }
}
