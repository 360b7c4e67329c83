//! Bytes to and from a meter, made by hand.

use plomb_sim::Calendar;
use plomb_sim::dlms::{Framing, Mechanism, MeterConfig, MeterServer};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The meter's time stands still.
pub(crate) const NOW: Calendar = Calendar { start_unix_s: 1_795_423_325, factor: 0 };
/// Longer than any answer takes, on however busy a machine.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Longer than the parts of one answer are apart.
pub(crate) const PAUSE: Duration = Duration::from_millis(300);

/// All services, and APDUs of any length: an initiate-request.
pub(crate) const INITIATE: [u8; 14] = [1, 0, 0, 0, 6, 0x5F, 0x1F, 4, 0, 0x60, 0x1E, 0x9F, 0xFF, 0xFF];

pub(crate) fn config(mechanism: Mechanism) -> MeterConfig {
    MeterConfig::new(7, NOW, mechanism, 0)
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// A client on one TCP connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) port: u16,
}

impl Client {
    pub(crate) async fn connect(config: MeterConfig, framing: Framing, port: u16) -> (MeterServer, Self) {
        let mut server = MeterServer::new(config);
        let address = server.serve_tcp("127.0.0.1:0", framing).await.unwrap();
        (server, Self { stream: TcpStream::connect(address).await.unwrap(), port })
    }

    /// What comes, up to a pause. Something has to.
    pub(crate) async fn hear(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        timeout(ANSWER_MAX, self.stream.read_buf(&mut heard)).await.unwrap().unwrap();
        while let Ok(Ok(1..)) = timeout(PAUSE, self.stream.read_buf(&mut heard)).await {}
        heard
    }

    /// Nothing comes.
    pub(crate) async fn hear_nothing(&mut self) {
        let mut heard = Vec::new();
        let came = timeout(PAUSE, self.stream.read_buf(&mut heard)).await;
        assert!(matches!(came, Err(_) | Ok(Ok(0) | Err(_))), "{heard:02X?}");
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// One APDU in its wrapper, and the one that answers.
    pub(crate) async fn ask(&mut self, apdu: &[u8]) -> Vec<u8> {
        let length = u16::try_from(apdu.len()).unwrap().to_be_bytes();
        let header = [0, 1, 0, u8::try_from(self.port).unwrap(), 0, 1, length[0], length[1]];
        self.say(&[&header, apdu].concat()).await;
        let mut header = [0; 8];
        timeout(ANSWER_MAX, self.stream.read_exact(&mut header)).await.unwrap().unwrap();
        assert_eq!(header[..6], [0, 1, 0, 1, 0, u8::try_from(self.port).unwrap()]);
        let mut answer = vec![0; u16::from_be_bytes([header[6], header[7]]).into()];
        self.stream.read_exact(&mut answer).await.unwrap();
        answer
    }

    /// Opens an association without authentication or with a password; so many bytes are an APDU at most.
    pub(crate) async fn associate(&mut self, password: Option<&[u8]>, pdu: u16) -> Vec<u8> {
        self.ask(&aarq(password, pdu)).await
    }
}

/// A request for an association in a context without ciphering.
pub(crate) fn aarq(password: Option<&[u8]>, pdu: u16) -> Vec<u8> {
    let mut inner = hex("A1 09 06 07 60 85 74 05 08 01 01");
    if let Some(password) = password {
        inner.extend(hex("8A 02 07 80 8B 07 60 85 74 05 08 02 01"));
        let length = u8::try_from(password.len()).unwrap();
        inner.extend([0xAC, length + 2, 0x80, length]);
        inner.extend(password);
    }
    let mut initiate = INITIATE;
    initiate[12..].copy_from_slice(&pdu.to_be_bytes());
    inner.extend([0xBE, 16, 4, 14]);
    inner.extend(initiate);
    [&[0x60, u8::try_from(inner.len()).unwrap()], &inner[..]].concat()
}
