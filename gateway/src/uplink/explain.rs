//! The libraries' errors in our own words: what happened, and what a person can do about it.

use std::io::{self, ErrorKind};

use rumqttc::{
    ConnectReturnCode, ConnectionError, StateError, TlsError, mqttbytes,
    tokio_rustls::rustls::{self, AlertDescription, CertificateError},
};

use super::{CONNECT_TIMEOUT, KEEP_ALIVE, PACKET_BYTES_MAX};
use crate::journal::JournalError;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What happened, and what to do.
    pub(super) text: String,
    /// Whether the other end closed it without a word.
    pub(super) by_the_hub: bool,
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self { text, by_the_hub: false }
    }
}

impl From<&str> for Trouble {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        error.to_string().into()
    }
}

/// What to do when connections are cut short again and again.
pub(super) const CONTESTED: &str = "; it has cut short several connections in a row: another box may hold this \
     gateway's key (a copied card?). Stop one of them, then have the gateway certified anew";

/// The trouble that ended a connection to this address (`host:port`).
pub(super) fn trouble(error: &ConnectionError, address: &str) -> Trouble {
    match error {
        ConnectionError::ConnectionRefused(code) => refused(*code).into(),
        ConnectionError::NetworkTimeout => silent(address).into(),
        ConnectionError::FlushTimeout => "the hub takes no bytes: the line is very slow, or dead".into(),
        ConnectionError::NotConnAck(_) => stranger(address, "MQTT").into(),
        ConnectionError::RequestsDone => "the connection ended".into(),
        ConnectionError::Io(error) => transport(error, address),
        ConnectionError::Tls(TlsError::Io(error)) => transport(error, address),
        ConnectionError::Tls(TlsError::TLS(error)) => tls(error, address).into(),
        ConnectionError::Tls(TlsError::DNSName(_)) => {
            format!("\"{}\" is no host name: check [hub] address", host(address)).into()
        }
        ConnectionError::Tls(error) => format!("TLS to {address} can't begin: {error}").into(),
        ConnectionError::MqttState(error) => state(error, address),
    }
}

/// How the hub's refusals of a CONNECT read (MQTT 3.1.1 §3.2.2.3).
pub(super) fn refused(code: ConnectReturnCode) -> String {
    match code {
        ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword => {
            "the hub refuses this gateway's certificate: it is revoked or expired, or its ledger never recorded it \
             (`plomb-hub status --certificates` says which); have the gateway certified again"
        }
        ConnectReturnCode::ServiceUnavailable => {
            "the hub can't take this gateway at present: it starts, or is full; its log says which"
        }
        ConnectReturnCode::RefusedProtocolVersion => "the hub does not speak MQTT 3.1.1: is [hub] address right?",
        ConnectReturnCode::BadClientId => "the broker refuses the gateway's name as client id: is [hub] address right?",
        ConnectReturnCode::Success => "the connection ended",
    }
    .into()
}

fn state(error: &StateError, address: &str) -> Trouble {
    match error {
        StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)) => transport(error, address),
        StateError::ConnectionAborted => closed(),
        StateError::AwaitPingResp => {
            format!("the hub did not answer a ping for {} s: line or hub is dead", KEEP_ALIVE.as_secs()).into()
        }
        StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded(bytes)) => {
            format!("the hub sent a message of {bytes} bytes; at most {PACKET_BYTES_MAX} are taken").into()
        }
        StateError::Deserialization(_) => stranger(address, "MQTT").into(),
        other => format!("hub and gateway lost step in MQTT ({other})").into(),
    }
}

/// What went wrong below MQTT. TLS speaks through the socket's errors, too.
fn transport(error: &io::Error, address: &str) -> Trouble {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls(error, address).into();
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            format!("nothing listens on {address}: is the hub running, and [hub] address right?").into()
        }
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected => closed(),
        ErrorKind::TimedOut => silent(address).into(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            format!("there is no way to {address}: is the network up, is there a route?").into()
        }
        // The resolver's failures have no kind of their own, and no number.
        _ if error.raw_os_error().is_none() && error.to_string().contains("lookup address") => {
            format!("the name \"{}\" can't be resolved: check [hub] address, and the name server", host(address)).into()
        }
        _ => format!("connection to {address}: {error}").into(),
    }
}

fn tls(error: &rustls::Error, address: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => hub_certificate(error, address),
        rustls::Error::AlertReceived(alert) => own_certificate(*alert, address),
        rustls::Error::InvalidMessage(_) => stranger(address, "TLS"),
        rustls::Error::PeerIncompatible(_) => stranger(address, "TLS 1.3"),
        other => format!("TLS to {address} failed: {other}"),
    }
}

/// The hub's certificate does not hold.
fn hub_certificate(error: &CertificateError, address: &str) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "what answers on {address} has no certificate from the authority in [hub] ca: take the ca.crt that came \
             with this gateway's certificate"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the hub's certificate has expired: renew it; or this box's clock is wrong".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the hub's certificate is not valid yet: this box's clock is late".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "the hub's certificate is not for \"{}\": [hub] address must be a name that the hub was given \
             (`plomb-hub init --host`)",
            host(address)
        ),
        other => format!("the hub's certificate does not hold: {other}"),
    }
}

/// The hub does not take the gateway's certificate, or TLS broke off (RFC 8446 §6.2).
fn own_certificate(alert: AlertDescription, address: &str) -> String {
    match alert {
        AlertDescription::CertificateExpired => {
            "this gateway's certificate has expired, or the hub's clock is wrong: `plomb-hub certify --renew` renews it"
                .into()
        }
        AlertDescription::CertificateRevoked | AlertDescription::AccessDenied => {
            refused(ConnectReturnCode::NotAuthorized)
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "this gateway's certificate is not from this hub's authority: have it certified by this hub, or check \
             [hub] address"
                .into()
        }
        AlertDescription::CertificateRequired => {
            "the hub asks for a certificate and was shown none: check [gateway] certificate".into()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => {
            "the hub does not take this gateway's certificate: is [gateway] certificate the client.crt that \
             `plomb-hub certify` made?"
                .into()
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => stranger(address, "TLS 1.3"),
        other => format!("the hub ended TLS with the alert {other:?}; its log says why"),
    }
}

fn closed() -> Trouble {
    Trouble { text: "the hub closed the connection; its log says why".into(), by_the_hub: true }
}

pub(super) fn silent(address: &str) -> String {
    format!(
        "{address} did not answer within {} s: check network, firewall and [hub] address",
        CONNECT_TIMEOUT.as_secs()
    )
}

fn stranger(address: &str, language: &str) -> String {
    format!("what answers on {address} does not speak {language}: is it the hub, and the right port?")
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests;
