//! What goes wrong on the way to a hub, in words that say what to do.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use hyper::StatusCode;
use plomb_gateway::plain::one_line;
use rustls::{AlertDescription, CertificateError};
use serde_json::Value;

use crate::exit::Failure;

use super::{Address, https::Reply};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// TLS ended.
    Tls(rustls::Error),
    /// The system's word.
    Io(io::Error),
    /// The connection was closed before there was an answer.
    Closed,
    /// No answer in time.
    Silent,
    /// An answer larger than this many bytes.
    TooLarge(usize),
    /// What came is no HTTP.
    Stranger,
    /// The request can't be made.
    Request(String),
}

impl From<hyper::Error> for Trouble {
    fn from(error: hyper::Error) -> Self {
        match Self::of(&error) {
            Self::Request(_) if error.is_parse() => Self::Stranger,
            Self::Request(_) if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => {
                Self::Closed
            }
            other => other,
        }
    }
}

impl Trouble {
    /// The first of an error's causes that says something.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Self::Tls(error.clone());
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                // What stands in an error of the system is no source of it.
                if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    return Self::Tls(inner.clone());
                }
                return match error.kind() {
                    ErrorKind::UnexpectedEof
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe => Self::Closed,
                    kind => Self::Io(io::Error::new(kind, error.to_string())),
                };
            }
            cause = error.source();
        }
        Self::Request(error.to_string())
    }
}

/// In words.
pub(super) fn told(trouble: &Trouble, address: &Address) -> Failure {
    let unavailable = |what: String| Failure::Unavailable(what);
    match trouble {
        Trouble::Tls(error) => tls(error, address),
        Trouble::Io(error) => unavailable(match error.kind() {
            ErrorKind::ConnectionRefused => format!(
                "nothing listens on {address}: is the hub running, with [http] in its hub.toml, and is --hub its HTTPS port?"
            ),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                format!("there is no way to {address}: is the network up, is there a route?")
            }
            // The resolver's failures have no kind of their own.
            _ if error.to_string().contains("lookup address") => {
                format!("the name \"{}\" can't be resolved: check --hub, and the name server", address.host())
            }
            _ => format!("connection to {address}: {error}"),
        }),
        Trouble::Closed => unavailable(format!(
            "{address} closed the connection without an answer: the hub stops, this certificate was revoked, or --hub is \
             not the hub's HTTPS port; the hub's log says why"
        )),
        Trouble::Silent => unavailable(format!("{address} did not answer in time: check network, firewall and --hub")),
        Trouble::TooLarge(max) => unavailable(format!("{address} answered with more than {max} bytes: that is no hub")),
        Trouble::Stranger => stranger(),
        Trouble::Request(what) => unavailable(format!("the request to {address} failed: {}", one_line(what))),
    }
}

/// What answers is something else.
pub(super) fn stranger() -> Failure {
    Failure::Unavailable(
        "what answers there is no plomb-hub's HTTPS: --hub is the port of [http] in hub.toml, not the broker's".into(),
    )
}

fn tls(error: &rustls::Error, address: &Address) -> Failure {
    match error {
        rustls::Error::InvalidCertificate(error) => Failure::Unavailable(match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "what answers on {address} has no certificate from the authority in this folder's ca.crt: is it the hub \
                 that certified you?"
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the hub's certificate has expired: have it renewed; or this machine's clock is wrong".into()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the hub's certificate is not valid yet: this machine's clock is late".into()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "the hub's certificate is not for \"{}\": write --hub with a name that the hub was given (`plomb-hub \
                 init --host`)",
                address.host()
            ),
            other => format!("the hub's certificate does not hold: {other}"),
        }),
        rustls::Error::AlertReceived(alert) => own_certificate(*alert),
        rustls::Error::InvalidMessage(_) | rustls::Error::PeerIncompatible(_) => stranger(),
        other => Failure::Unavailable(format!("TLS to {address} failed: {other}")),
    }
}

/// The hub does not take the party's certificate (RFC 8446 §6.2).
fn own_certificate(alert: AlertDescription) -> Failure {
    Failure::Permission(match alert {
        AlertDescription::CertificateExpired => {
            "your certificate has expired, or the hub's clock is wrong: `plomb-hub certify --renew` renews it".into()
        }
        AlertDescription::CertificateRevoked | AlertDescription::AccessDenied => {
            "your certificate was revoked, or is not on the ledger: ask a member for another one".into()
        }
        AlertDescription::UnknownCA
        | AlertDescription::DecryptError
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => {
            "the hub does not recognise your certificate: was this folder made by this hub's ledger?".into()
        }
        AlertDescription::CertificateRequired => {
            "the hub asks for a certificate: is client.crt in your folder the one that `plomb-hub certify` made?".into()
        }
        other => return Failure::Unavailable(format!("the hub ended TLS with the alert {other:?}; its log says why")),
    })
}

/// The hub answered, but not what was asked for.
pub(super) fn objection(reply: &Reply, address: &Address) -> Failure {
    let told: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let word = |key: &str| {
        let word = told.as_ref().and_then(|told| told.get(key)).and_then(Value::as_str).unwrap_or_default();
        one_line(word).chars().take(WORDS_CHARS_MAX).collect::<String>()
    };
    let (rule, detail) = (word("error"), word("detail"));
    match reply.status {
        _ if told.is_none() => stranger(),
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            Failure::Permission(format!("the hub does not let you in: {detail} (rule {rule})"))
        }
        StatusCode::BAD_REQUEST => Failure::Usage(detail),
        StatusCode::NOT_FOUND => Failure::Unavailable(detail),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Failure::Unavailable(format!("the hub is busy: {detail}; try again"))
        }
        status => Failure::Unavailable(format!("{address} answered {status}: {detail}")),
    }
}

/// How much of a hub's words is shown, in characters.
const WORDS_CHARS_MAX: usize = 1000;
