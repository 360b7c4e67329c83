//! Asking the hub over HTTPS: one connection a question, TLS 1.3, answers of bounded size and time.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use plomb_seal::Hash;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// The port of a hub's address that names none.
pub const PORT: u16 = 8443;
/// The largest answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a connection may take, handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an answer may take, beside what the question itself says that it waits.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of a hub's words that are shown.
const DETAIL_CHARS_MAX: usize = 400;

/// Where a hub serves HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: String,
    port: u16,
}

impl Place {
    /// The host, by name or number; a number of IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// From `https://host:port`, `host:port` or `host`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no address of a hub: write https://host:{PORT}");
        let bare = text.strip_prefix("https://").unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let (host, port) = match bare.rsplit_once(':') {
            Some((host, port)) if is_port(port) => (host, port.parse().map_err(|_| wrong())?),
            _ => (bare, PORT),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let known = !host.is_empty() && ServerName::try_from(host.to_owned()).is_ok();
        if known { Ok(Self { host: host.into(), port }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "https://{}:{}", self.host, self.port)
        }
    }
}

/// By what a hub is known.
#[derive(Debug, Clone)]
pub enum HubTrust {
    /// By its key: the SHA-256 of its SubjectPublicKeyInfo. Names and dates in its certificate do not count then.
    Pin(Hash),
    /// By authorities, as on the web: name and dates count.
    Authorities(Vec<CertificateDer<'static>>),
}

/// Who asks.
#[derive(Debug)]
pub struct ClientIdentity {
    /// The certificate chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// There is no way to the hub now; trying again may help.
    #[error("{place}: {what}")]
    Unreachable {
        /// The hub.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// Who answers is not the hub that is trusted.
    #[error("{place}: {what}")]
    Untrusted {
        /// The hub.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// The hub refuses, by a rule.
    #[error("the hub refuses: {rule}: {detail}")]
    Refused {
        /// HTTP's status.
        status: u16,
        /// The rule.
        rule: String,
        /// In words.
        detail: String,
    },
}

/// An answer.
#[derive(Debug)]
pub struct Answered {
    /// The body.
    pub body: Vec<u8>,
    /// The SHA-256 of the key (SubjectPublicKeyInfo) that the hub showed.
    pub hub_key: Hash,
}

impl Answered {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A way to ask one hub.
#[derive(Debug, Clone)]
pub struct Https {
    place: Place,
    tls: Arc<ClientConfig>,
}

impl Https {
    /// Towards the hub at `place`, known by `trust`.
    pub fn new(place: Place, trust: HubTrust, who: Option<ClientIdentity>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13]);
        let config = config.map_err(|error| error.to_string())?;
        let config = match trust {
            HubTrust::Pin(pin) => {
                config.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { pin, provider }))
            }
            HubTrust::Authorities(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in authorities {
                    roots.add(authority).map_err(|error| format!("the hub's authority: {error}"))?;
                }
                config.with_root_certificates(roots)
            }
        };
        let mut tls = match who {
            Some(who) => config.with_client_auth_cert(who.chain, who.key).map_err(|error| error.to_string())?,
            None => config.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { place, tls: Arc::new(tls) })
    }

    /// Asks, and waits for the whole answer; `waits` is what the question itself may take.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        waits: Duration,
    ) -> Result<Answered, HttpsError> {
        let unreachable = |what: String| HttpsError::Unreachable { place: self.place.clone(), what };
        let late = |_| unreachable("it does not answer in time".into());
        let (tls, hub_key) = timeout(CONNECT_TIMEOUT, self.connect()).await.map_err(late)??;
        let asking = self.converse(tls, method, path, body);
        let (status, body) = timeout(ANSWER_TIMEOUT + waits, asking).await.map_err(late)?.map_err(unreachable)?;
        let answered = Answered { body, hub_key };
        if (200..300).contains(&status) {
            return Ok(answered);
        }
        let told = answered.json();
        let word = |key: &str| told.get(key).and_then(Value::as_str).map(shown);
        let rule = word("error").unwrap_or_else(|| format!("HTTP status {status}"));
        Err(HttpsError::Refused { status, rule, detail: word("detail").unwrap_or_default() })
    }

    async fn connect(&self) -> Result<(tokio_rustls::client::TlsStream<TcpStream>, Hash), HttpsError> {
        let unreachable = |what: String| HttpsError::Unreachable { place: self.place.clone(), what };
        let tcp = TcpStream::connect((self.place.host.as_str(), self.place.port)).await;
        let tcp = tcp.map_err(|error| unreachable(error.to_string()))?;
        let name = ServerName::try_from(self.place.host.clone()).map_err(|error| unreachable(error.to_string()))?;
        let tls = TlsConnector::from(self.tls.clone()).connect(name, tcp).await.map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(Error::InvalidCertificate(fault)) => {
                    HttpsError::Untrusted { place: self.place.clone(), what: distrust(fault) }
                }
                _ => unreachable(error.to_string()),
            }
        })?;
        let shown = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let hub_key = shown.and_then(|certificate| key_hash(certificate));
        let hub_key = hub_key.ok_or_else(|| unreachable("it shows no certificate that can be read".into()))?;
        Ok((tls, hub_key))
    }

    async fn converse(
        &self,
        tls: tokio_rustls::client::TlsStream<TcpStream>,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let told = |error: hyper::Error| error.to_string();
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(told)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{}:{}", self.place.host, self.place.port))
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let asking = async {
            let response = sender.send_request(request).await.map_err(told)?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => format!("the answer has more than {ANSWER_BYTES_MAX} bytes"),
                false => error.to_string(),
            })?;
            Ok((status, body.to_bytes().to_vec()))
        };
        tokio::pin!(asking);
        // The connection is driven beside the question, and ends with it.
        tokio::select! {
            answered = &mut asking => answered,
            ended = connection => match ended {
                Ok(()) => asking.await,
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

/// The SHA-256 of a certificate's SubjectPublicKeyInfo.
pub fn key_hash(certificate: &CertificateDer<'_>) -> Option<Hash> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    Some(Hash::of(parsed.subject_public_key_info().as_ref()))
}

fn distrust(fault: &CertificateError) -> String {
    match fault {
        CertificateError::ApplicationVerificationFailure => {
            "who answers there has another key than the pin says: somebody may stand in between. Ask the hub's \
             operator for `plomb-hub enrol pin`"
                .into()
        }
        CertificateError::UnknownIssuer => {
            "its certificate comes from an authority that is not in the file with the hub's authorities".into()
        }
        other => format!("its certificate does not serve: {other:?}"),
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect()
}

/// Believes one key, whatever its certificate says.
#[derive(Debug)]
struct Pinned {
    pin: Hash,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if key_hash(end_entity) == Some(self.pin) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_people_write_it() {
        let of = |text: &str| Place::parse(text).map(|place| place.to_string());
        assert_eq!(of("https://hub.example:9443/").unwrap(), "https://hub.example:9443");
        assert_eq!(of("hub.example").unwrap(), "https://hub.example:8443");
        assert_eq!(of("https://[::1]:8443").unwrap(), "https://[::1]:8443");
        assert_eq!(of("10.0.0.7:1").unwrap(), "https://10.0.0.7:1");
        for wrong in ["", "https://", "http://hub.example", "hub example", "hub:99999", "https://hub/path"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pin_is_the_hash_of_the_public_key_and_nothing_else_fits() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = |name: &str, pair: &rcgen::KeyPair| {
            let params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
            params.self_signed(pair).unwrap().der().clone()
        };
        let spki = rcgen::PublicKeyData::subject_public_key_info(&pair);
        let pin = Hash::of(&spki);
        let pinned = Pinned { pin, provider: Arc::new(ring::default_provider()) };
        let judge = |certificate: &CertificateDer<'_>| {
            let name = ServerName::try_from("hub.example").unwrap();
            pinned.verify_server_cert(certificate, &[], &name, &[], UnixTime::now()).is_ok()
        };
        assert!(judge(&certificate("hub.example", &pair)));
        assert!(judge(&certificate("elsewhere.example", &pair)), "a new certificate for the same key");
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert!(!judge(&certificate("hub.example", &other)));
        assert!(!judge(&CertificateDer::from(vec![0x30, 0])));
    }
}
