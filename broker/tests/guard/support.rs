//! Certificates, a ledger that says what it is told, and clients that read every byte.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use plomb_broker::mqtt::{self, ConnectCode, Packet, PacketId, Publish, PublishQoS, QoS};
use plomb_broker::{Admission, Broker, BrokerConfig, Identity, Limits, Reason, Refused, Role, Scope};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

/// Against a hang only; nothing is measured with it.
pub(crate) const HANG: Duration = Duration::from_secs(120);

/// Fails the test when `what` never happens.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}

pub(crate) struct Authority {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
    key_der: Vec<u8>,
}

impl Credentials {
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key_der.clone().into())
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    pub(crate) fn client(&self, id: &str) -> Credentials {
        self.issue(id, ExtendedKeyUsagePurpose::ClientAuth, false)
    }

    pub(crate) fn expired_client(&self, id: &str) -> Credentials {
        self.issue(id, ExtendedKeyUsagePurpose::ClientAuth, true)
    }

    pub(crate) fn server(&self) -> Credentials {
        self.issue("hub", ExtendedKeyUsagePurpose::ServerAuth, false)
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose, expired: bool) -> Credentials {
        let key = KeyPair::generate().unwrap();
        let sans = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(sans).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        if expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Credentials {
            der: certificate.der().clone(),
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }
}

/// A ledger that answers what the test wrote into it.
#[derive(Default)]
pub(crate) struct Book {
    answers: Mutex<HashMap<Vec<u8>, Result<Identity, Refused>>>,
    tick: watch::Sender<u64>,
}

impl Book {
    pub(crate) fn write(&self, certificate: &CertificateDer<'_>, answer: Result<Identity, Refused>) {
        self.answers.lock().unwrap().insert(certificate.to_vec(), answer);
        self.tick.send_modify(|n| *n += 1);
    }
}

impl Admission for Book {
    fn identify(&self, certificate_der: &[u8]) -> Result<Identity, Refused> {
        let answers = self.answers.lock().unwrap();
        answers.get(certificate_der).cloned().unwrap_or(Err(Refused::Unknown))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.tick.subscribe()
    }
}

pub(crate) fn identity(role: Role, id: &str) -> Identity {
    Identity { id: id.into(), role, scope: Scope::All, fingerprint: [0; 32] }
}

/// A broker, its authority and its ledger.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) book: Arc<Book>,
    pub(crate) broker: Broker,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let authority = Authority::new("Plomb test CA");
        let book = Arc::new(Book::default());
        let server = authority.server();
        let config = BrokerConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate_chain: vec![server.der.clone()],
            private_key: server.key(),
            client_roots: vec![authority.der.clone()],
            limits,
        };
        let broker = soon("the broker starts", Broker::start(config, book.clone())).await.unwrap();
        Self { authority, book, broker }
    }

    /// Issues and records a certificate.
    pub(crate) fn enrol(&self, role: Role, id: &str) -> Credentials {
        let credentials = self.authority.client(id);
        self.book.write(&credentials.der, Ok(identity(role, id)));
        credentials
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.broker.local_addr()
    }

    pub(crate) fn client_config(&self, credentials: Option<&Credentials>) -> ClientConfig {
        self.client_config_for(credentials, &[&rustls::version::TLS13])
    }

    pub(crate) fn client_config_for(
        &self,
        credentials: Option<&Credentials>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match credentials {
            Some(own) => builder.with_client_auth_cert(vec![own.der.clone()], own.key()).unwrap(),
            None => builder.with_no_client_auth(),
        }
    }

    /// A TLS connection, with nothing said on it yet.
    pub(crate) async fn tls(&self, credentials: Option<&Credentials>) -> std::io::Result<Peer> {
        self.tls_with(self.client_config(credentials)).await
    }

    pub(crate) async fn tls_with(&self, config: ClientConfig) -> std::io::Result<Peer> {
        let tcp = TcpStream::connect(self.addr()).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        Ok(Peer::over(stream))
    }

    /// A session through the guard.
    pub(crate) async fn session(&self, credentials: &Credentials) -> Peer {
        let mut peer = soon("TLS", self.tls(Some(credentials))).await.unwrap();
        peer.connect("someone", None).await;
        peer
    }

    /// A session of the process's own, past the guard.
    pub(crate) async fn inside(&self, client_id: &str) -> Peer {
        let inside = self.broker.inside();
        let mut peer = Peer::over(TcpStream::connect(inside.addr).await.unwrap());
        let login = mqtt::Login { username: &inside.username, password: Some(inside.password.as_bytes()) };
        let connect = mqtt::Connect { login: Some(login), ..connect(client_id) };
        peer.send(&Packet::Connect(connect)).await;
        assert_eq!(peer.receive().await, Some(Heard::ConnAck(ConnectCode::Accepted)));
        peer
    }

    /// Waits until a refusal was counted.
    pub(crate) async fn refused(&self, reason: Reason) {
        let counted = async {
            while self.broker.stats().refused(reason) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(&format!("{} is counted; {:?}", reason.name(), self.broker.stats().refusals), counted).await;
    }
}

pub(crate) fn connect(client_id: &str) -> mqtt::Connect<'_> {
    mqtt::Connect { client_id, clean_session: true, keep_alive_s: 3600, will: None, login: None }
}

/// What a peer heard, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    ConnAck(ConnectCode),
    Message { topic: String, payload: Vec<u8>, id: Option<PacketId>, retain: bool },
    PubAck(u16),
    SubAck(Vec<mqtt::SubscribeCode>),
    UnsubAck(u16),
    Pong,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A client that says exactly what the test wants, and hears everything.
pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    heard: BytesMut,
}

impl Peer {
    fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self { stream: Box::new(stream), heard: BytesMut::new() }
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // A guard that has closed already is what some tests want to see next.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    pub(crate) async fn send(&mut self, packet: &Packet<'_>) {
        let mut out = BytesMut::new();
        packet.emit(&mut out).unwrap();
        self.send_bytes(&out).await;
    }

    pub(crate) async fn connect(&mut self, client_id: &str, will: Option<mqtt::Will<'_>>) {
        self.send(&Packet::Connect(mqtt::Connect { will, ..connect(client_id) })).await;
        assert_eq!(self.receive().await, Some(Heard::ConnAck(ConnectCode::Accepted)));
    }

    /// `None` when the connection has ended.
    pub(crate) async fn receive(&mut self) -> Option<Heard> {
        soon("a packet or the end", self.try_receive()).await
    }

    async fn try_receive(&mut self) -> Option<Heard> {
        loop {
            let parsed = mqtt::parse(&self.heard, mqtt::REMAINING_LENGTH_MAX).unwrap();
            if let Some((packet, consumed)) = parsed {
                let heard = own(&packet);
                self.heard.advance(consumed);
                return Some(heard);
            }
            match self.stream.read_buf(&mut self.heard).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// The error that ends the connection.
    pub(crate) async fn fails(&mut self) -> std::io::Error {
        loop {
            match self.stream.read_buf(&mut self.heard).await {
                Ok(0) => panic!("the connection ended without an error"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) {
        let qos = PublishQoS::AtLeastOnce { id: PacketId::MIN, dup: false };
        let topic = mqtt::TopicName::new(topic).unwrap();
        self.send(&Packet::Publish(Publish { topic, payload, qos, retain })).await;
    }

    pub(crate) async fn subscribe(&mut self, filters: &[&str]) -> Vec<mqtt::SubscribeCode> {
        let subscriptions = filters
            .iter()
            .map(|f| mqtt::Subscription { filter: mqtt::TopicFilter::new(f).unwrap(), qos: QoS::AtLeastOnce })
            .collect();
        let id = PacketId::MIN;
        self.send(&Packet::Subscribe(mqtt::Subscribe { id, subscriptions })).await;
        match self.receive().await {
            Some(Heard::SubAck(codes)) => codes,
            other => panic!("SUBACK expected, not {other:?}"),
        }
    }

    /// The next message, acknowledged. PUBACKs on the way are skipped.
    pub(crate) async fn message(&mut self) -> (String, Vec<u8>) {
        loop {
            match self.receive().await {
                Some(Heard::Message { topic, payload, id, .. }) => {
                    if let Some(id) = id {
                        self.send(&Packet::PubAck(id)).await;
                    }
                    return (topic, payload);
                }
                Some(Heard::PubAck(_)) => {}
                other => panic!("message expected, not {other:?}"),
            }
        }
    }

    /// Proves that the session is whole: there and back through the router.
    pub(crate) async fn ping(&mut self) {
        self.send(&Packet::PingReq).await;
        assert_eq!(self.receive().await, Some(Heard::Pong));
    }

    pub(crate) async fn ends(&mut self) {
        while let Some(heard) = self.receive().await {
            assert!(matches!(heard, Heard::PubAck(_)), "{heard:?} before the end");
        }
    }
}

fn own(packet: &Packet<'_>) -> Heard {
    match packet {
        Packet::ConnAck(ack) => Heard::ConnAck(ack.code),
        Packet::Publish(publish) => Heard::Message {
            topic: publish.topic.as_str().to_owned(),
            payload: publish.payload.to_vec(),
            id: publish.id(),
            retain: publish.retain,
        },
        Packet::PubAck(id) => Heard::PubAck(id.get()),
        Packet::SubAck(ack) => Heard::SubAck(ack.codes.clone()),
        Packet::UnsubAck(id) => Heard::UnsubAck(id.get()),
        Packet::PingResp => Heard::Pong,
        other => panic!("a server does not say {other}"),
    }
}
