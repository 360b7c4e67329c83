//! HTTPS to the hub: TLS 1.3 with the party's certificate, one connection, answers of bounded size and time.

use std::{fmt, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    runtime::Runtime,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use crate::exit::Failure;

use super::{
    Party,
    trouble::{self, Trouble},
};
use crate::args::PartyArgs;

/// How long finding and greeting the hub may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take, beside what the hub was asked to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer, in bytes: a page of 256 lines, or a dossier, with room.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How often a hub that is busy is asked again.
const BUSY_TRIES_MAX: u32 = 5;
/// How long to leave it alone before.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// The port of a hub's HTTPS, if none is named.
const PORT_DEFAULT: u16 = 8443;

/// Where a hub is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Reads `https://HOST[:PORT]`.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("\"{url}\" is no hub: write https://HOST or https://HOST:PORT");
        let rest = url.strip_prefix("https://").ok_or_else(wrong)?.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (rest, PORT_DEFAULT),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match ServerName::try_from(bare.to_string()) {
            Ok(_) if !bare.is_empty() && port != 0 => Ok(Self { host: bare.into(), port }),
            _ => Err(wrong()),
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A hub that can be asked.
pub(crate) struct Hub {
    address: Address,
    tls: Arc<ClientConfig>,
    runtime: Runtime,
    open: Option<SendRequest<Full<Bytes>>>,
}

/// An answer: its status, and its body.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Its body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| trouble::stranger())
    }
}

impl Hub {
    /// The hub that the arguments name, asked as this party. Nothing is sent yet.
    pub(crate) fn of(party: &Party, args: &PartyArgs) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::io("the runtime", error))?;
        Ok(Self { address: Party::address(args)?, tls: party.tls()?, runtime, open: None })
    }

    /// Asks for what is at a path; `None` if there is nothing.
    pub(crate) fn find(&mut self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let reply = self.ask(&Method::GET, path, &Bytes::new(), Duration::ZERO)?;
        match reply.status {
            StatusCode::OK => Ok(Some(reply.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(trouble::objection(&reply, &self.address)),
        }
    }

    /// Asks for what must be at a path.
    pub(crate) fn get(&mut self, path: &str) -> Result<Vec<u8>, Failure> {
        let reply = self.ask(&Method::GET, path, &Bytes::new(), Duration::ZERO)?;
        if reply.status == StatusCode::OK { Ok(reply.body) } else { Err(trouble::objection(&reply, &self.address)) }
    }

    /// The same as JSON.
    pub(crate) fn get_json(&mut self, path: &str) -> Result<Value, Failure> {
        serde_json::from_slice(&self.get(path)?).map_err(|_| trouble::stranger())
    }

    /// Brings something to a path, which may take as long as the hub is asked to wait.
    pub(crate) fn post(&mut self, path: &str, body: &[u8], wait: Duration) -> Result<Reply, Failure> {
        let reply = self.ask(&Method::POST, path, &Bytes::copy_from_slice(body), wait)?;
        match reply.status {
            StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY => Ok(reply),
            _ => Err(trouble::objection(&reply, &self.address)),
        }
    }

    /// Asks once more if the hub is busy, or has closed a connection that had been idle.
    fn ask(&mut self, method: &Method, path: &str, body: &Bytes, wait: Duration) -> Result<Reply, Failure> {
        let mut tries = 0;
        loop {
            let used = self.open.is_some();
            match self.once(method, path, body, wait) {
                // What is asked for has no effect, and what is brought is taken once, however often it comes.
                Err(Trouble::Closed) if used => {}
                Err(trouble) => return Err(trouble::told(&trouble, &self.address)),
                Ok(reply) if is_busy(reply.status) && tries < BUSY_TRIES_MAX => {
                    tries += 1;
                    // Within the runtime: a timer begins where it is made.
                    self.runtime.block_on(async { sleep(BUSY_PAUSE).await });
                }
                Ok(reply) => return Ok(reply),
            }
        }
    }

    fn once(&mut self, method: &Method, path: &str, body: &Bytes, wait: Duration) -> Result<Reply, Trouble> {
        let Self { address, tls, runtime, open } = self;
        runtime.block_on(async {
            let mut sender = match open.take() {
                Some(sender) => sender,
                None => timeout(CONNECT_TIMEOUT, connect(address, tls)).await.map_err(|_| Trouble::Silent)??,
            };
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(HOST, address.to_string())
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(Full::new(body.clone()))
                .map_err(|error| Trouble::Request(error.to_string()))?;
            let asking = async {
                sender.ready().await.map_err(Trouble::from)?;
                let answer = sender.send_request(request).await.map_err(Trouble::from)?;
                let status = answer.status();
                let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| {
                    if error.is::<LengthLimitError>() {
                        Trouble::TooLarge(ANSWER_BYTES_MAX)
                    } else {
                        Trouble::of(&*error)
                    }
                })?;
                Ok::<_, Trouble>(Reply { status, body: body.to_bytes().to_vec() })
            };
            let reply = timeout(ANSWER_TIMEOUT + wait, asking).await.map_err(|_| Trouble::Silent)??;
            *open = Some(sender);
            Ok(reply)
        })
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

async fn connect(address: &Address, tls: &Arc<ClientConfig>) -> Result<SendRequest<Full<Bytes>>, Trouble> {
    let stream =
        TcpStream::connect((address.host.as_str(), address.port)).await.map_err(|error| Trouble::of(&error))?;
    // Requests are small: none waits for an acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let name = ServerName::try_from(address.host.clone()).map_err(|error| Trouble::Request(error.to_string()))?;
    let stream = TlsConnector::from(tls.clone()).connect(name, stream).await.map_err(|error| Trouble::of(&error))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Trouble::from)?;
    // Its error comes to whoever waits for the answer.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_and_has_a_port() {
        let read = |url: &str| Address::parse(url).map(|address| address.to_string());
        assert_eq!(read("https://hub.example").as_deref(), Ok("hub.example:8443"));
        assert_eq!(read("https://hub.example:443/").as_deref(), Ok("hub.example:443"));
        assert_eq!(read("https://[2001:db8::1]:8443").as_deref(), Ok("[2001:db8::1]:8443"));
        assert_eq!(read("https://127.0.0.1:1").as_deref(), Ok("127.0.0.1:1"));
        for wrong in ["hub.example", "http://hub.example", "https://", "https://hub:x", "https://a b", "https://hub:0"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
