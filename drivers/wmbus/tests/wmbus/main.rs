//! Wireless M-Bus, from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod annex_n;
mod annotations;
mod compact;
mod fragments;
mod frames;
mod mutation;
mod properties;
mod refusals;
mod telegrams;

use plomb_mbus::{Configuration, Header, Identification, Manufacturer, Medium, MeterId, ShortHeader, Status};
use plomb_wmbus::{Authentication, Draft, Key, Link, LinkControl, TransportHeader};

const METER: MeterId = MeterId {
    id: Identification(0x1234_5678),
    manufacturer: Manufacturer(0x4E2D),
    version: 0x1B,
    medium: Medium(0x07),
};

/// A radio adapter that speaks for another meter.
const ADAPTER: MeterId = MeterId { id: Identification(0x0990_0007), medium: Medium(0x37), ..METER };

/// 54.321 m3, and the date and time of that.
const RECORDS: [u8; 12] = [0x0C, 0x13, 0x21, 0x43, 0x05, 0x00, 0x04, 0x6D, 0x1E, 0x0B, 0x59, 0x2B];

const LINK: Link = Link { control: LinkControl::SND_NR, sender: METER };

fn key() -> Key {
    Key::new(*b"sixteen bytes, y")
}

fn other_key() -> Key {
    Key::new(*b"sixteen bytes, n")
}

fn short(configuration: u16) -> TransportHeader {
    let configuration = Configuration(configuration);
    TransportHeader::Short(ShortHeader { access: 0x2A, status: Status(0), configuration })
}

fn long(configuration: u16) -> TransportHeader {
    let configuration = Configuration(configuration);
    TransportHeader::Long(Header { meter: METER, access: 0x2A, status: Status(0), configuration })
}

/// A telegram of this mode under a short header.
fn draft(mode: u16) -> Draft<'static> {
    let configuration = if mode == 10 { 0x2AFF } else { mode << 8 };
    Draft {
        link: LINK,
        ell: None,
        ci: 0x7A,
        header: short(configuration),
        payload: &RECORDS,
        counter: 1000,
        authentication: Authentication::Cmac(8),
    }
}

fn corpus() -> Option<std::path::PathBuf> {
    let corpus = std::env::var_os("PLOMB_CORPUS").map(std::path::PathBuf::from);
    if corpus.is_none() {
        eprintln!("corpus absent: set PLOMB_CORPUS");
    }
    corpus
}

fn rows(file: &str) -> Option<Vec<serde_json::Value>> {
    let text = std::fs::read_to_string(corpus()?.join(file)).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte << 4 | digit)).unwrap()).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
