//! Each error as the libraries really wrap it: over real sockets where one can be had that way.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{sync::Arc, time::Duration};

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rumqttc::{
    AsyncClient, EventLoop, MqttOptions, TlsConfiguration, Transport,
    tokio_rustls::{
        TlsAcceptor,
        rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, version::TLS13},
    },
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Against a hang only.
const HANG: Duration = Duration::from_secs(60);
const WELCOME: [u8; 4] = [0x20, 2, 0, 0];
const NOT_AUTHORIZED: [u8; 4] = [0x20, 2, 0, 5];
/// Words of libraries that say nothing to whoever mounts a box.
const FOREIGN: [&str; 9] = [
    "Mqtt state",
    "deserialization",
    "docs.rs",
    "close_notify",
    "I/O",
    "lookup address",
    "BadSignature",
    "UnknownIssuer",
    "abruptly",
];

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    /// A server with a certificate for this name, changed as told.
    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.certificate.der().to_vec())).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

fn event_loop(address: &str, config: Arc<ClientConfig>) -> EventLoop {
    let (host, port) = address.rsplit_once(':').unwrap();
    let mut options = MqttOptions::new("gw-1", host, port.parse().unwrap());
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
    AsyncClient::new(options, 4).1
}

/// Connects until it ends, and says what the gateway would say.
async fn ends(address: &str, config: Arc<ClientConfig>) -> Trouble {
    let mut events = event_loop(address, config);
    let ended = async {
        loop {
            if let Err(error) = events.poll().await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(HANG, ended).await.unwrap();
    let trouble = trouble(&error, address);
    for foreign in FOREIGN {
        assert!(!trouble.text.contains(foreign), "{foreign} in {:?}, of {error:?}", trouble.text);
    }
    trouble
}

/// A server that answers the first bytes with these, and closes without a TLS goodbye.
async fn answering(tls: TlsAcceptor, answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(mut stream) = tls.accept(tcp).await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.flush().await;
            }
        }
    });
    address
}

#[tokio::test]
async fn whoever_is_not_there() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let client = Authority::new().client();
    let said = ends(&free, client.clone()).await.text;
    assert_eq!(said, format!("nothing listens on {free}: is the hub running, and [hub] address right?"));
    let said = ends("no..name:8883", client).await.text;
    assert_eq!(said, "the name \"no..name\" can't be resolved: check [hub] address, and the name server");
}

#[tokio::test]
async fn whoever_is_no_hub() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = tcp.read(&mut [0; 4096]).await;
        }
    });
    let authority = Authority::new();
    let said = ends(&address, authority.client()).await.text;
    assert_eq!(said, format!("what answers on {address} does not speak TLS: is it the hub, and the right port?"));
    let page = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n\
        <html><head><title>400 Bad Request</title></head></html>";
    let address = answering(authority.server("localhost", |_| {}), page).await;
    let said = ends(&address, authority.client()).await.text;
    assert_eq!(said, format!("what answers on {address} does not speak MQTT: is it the hub, and the right port?"));
}

#[tokio::test]
async fn a_hub_whose_certificate_does_not_hold() {
    let (ours, other) = (Authority::new(), Authority::new());
    let said = async |server: TlsAcceptor| {
        let address = answering(server, &WELCOME).await;
        ends(&address, ours.client()).await.text
    };
    // Both authorities have the same name: only the signature tells them apart.
    assert!(said(other.server("localhost", |_| {})).await.contains("take the ca.crt that came with"));
    assert!(said(ours.server("hub.example", |_| {})).await.contains("certificate is not for \"localhost\""));
    let expired = ours.server("localhost", |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    assert!(said(expired).await.contains("the hub's certificate has expired"));
    let early = ours.server("localhost", |params| params.not_before = rcgen::date_time_ymd(2999, 1, 1));
    assert!(said(early).await.contains("this box's clock is late"));
}

#[tokio::test]
async fn a_hub_that_refuses_and_one_that_hangs_up() {
    let authority = Authority::new();
    let address = answering(authority.server("localhost", |_| {}), &NOT_AUTHORIZED).await;
    let refused = ends(&address, authority.client()).await;
    assert!(refused.text.starts_with("the hub refuses this gateway's certificate: it is revoked"), "{refused:?}");
    assert!(!refused.by_the_hub, "it said why: nobody else took the seat");
    let address = answering(authority.server("localhost", |_| {}), &WELCOME).await;
    let closed = ends(&address, authority.client()).await;
    assert_eq!(closed.text, "the hub closed the connection; its log says why");
    assert!(closed.by_the_hub);
}

#[test]
fn alerts_about_our_own_certificate() {
    let said = |alert| {
        let error = io::Error::new(ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
        trouble(&ConnectionError::MqttState(StateError::Deserialization(error.into())), "hub.example:8883").text
    };
    for (alert, word) in [
        (AlertDescription::CertificateExpired, "--renew"),
        (AlertDescription::CertificateRevoked, "revoked"),
        (AlertDescription::UnknownCA, "not from this hub's authority"),
        (AlertDescription::DecryptError, "not from this hub's authority"),
        (AlertDescription::CertificateRequired, "[gateway] certificate"),
        (AlertDescription::BadCertificate, "[gateway] certificate"),
        (AlertDescription::ProtocolVersion, "TLS 1.3"),
        (AlertDescription::InternalError, "its log says why"),
    ] {
        let text = said(alert);
        assert!(text.contains(word), "{alert:?}: {text}");
    }
}

#[test]
fn what_the_operating_system_and_the_client_say() {
    let at = "hub.example:8883";
    let said = |error: ConnectionError| trouble(&error, at).text;
    let io = |kind: ErrorKind| ConnectionError::Io(kind.into());
    assert!(said(ConnectionError::NetworkTimeout).contains("did not answer within 20 s"));
    assert!(said(io(ErrorKind::TimedOut)).contains("did not answer within 20 s"));
    assert!(said(io(ErrorKind::NetworkUnreachable)).contains("is the network up"));
    assert!(said(ConnectionError::MqttState(StateError::AwaitPingResp)).contains("line or hub is dead"));
    assert!(said(ConnectionError::FlushTimeout).contains("takes no bytes"));
    let large = mqttbytes::Error::PayloadSizeLimitExceeded(3_000_000);
    assert!(said(ConnectionError::MqttState(StateError::Deserialization(large))).contains("3000000 bytes"));
    for code in [
        ConnectReturnCode::ServiceUnavailable,
        ConnectReturnCode::RefusedProtocolVersion,
        ConnectReturnCode::BadClientId,
        ConnectReturnCode::NotAuthorized,
    ] {
        assert!(
            said(ConnectionError::ConnectionRefused(code)).contains("the hub")
                || code == ConnectReturnCode::BadClientId
        );
    }
}
