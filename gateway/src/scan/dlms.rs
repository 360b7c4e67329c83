//! Finding DLMS meters: who answers on a line, by server address, and what it says of itself to the public client.
//!
//! Over HDLC the physical devices are tried one after the other, the addresses that makers use most first. Over the
//! wrapper there is one physical device; its logical devices are in its SAP assignment.

use std::{future::Future, io, ops::RangeInclusive, pin::Pin, time::Duration};

use plomb_dlms::{
    apdu::AttributeDescriptor,
    axdr::Value,
    client::{Answer, Association, AssociationConfig, Client, ClientEvent, ClientFailure, Conversation, Request},
    hdlc::{self, HdlcConfig},
    link::{DataLink, LinkFailure},
    object::class,
    wrapper::{self, Transport, WrapperConfig},
};
use plomb_session::Obis;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    config::{Bus, Framing},
    link::{Link, drive},
};

/// How long an answer to a connection is waited for, unless configured.
const REPLY_TIMEOUT: Duration = Duration::from_millis(600);
/// Physical devices that makers use most: the only one, broadcast's neighbours, and Kamstrup's and others' 17.
const LIKELY: [u16; 6] = [17, 16, 1, 18, 0, 100];
/// The most logical devices of one meter that are told.
pub const DEVICES_MAX: usize = 64;

const SAP_ASSIGNMENT: Obis = Obis([0, 0, 41, 0, 0, 255]);
const DEVICE_NAME: Obis = Obis([0, 0, 42, 0, 0, 255]);
const SERIAL_NUMBER: Obis = Obis([0, 0, 96, 1, 0, 255]);
const COUNTER: Obis = Obis([0, 0, 43, 1, 0, 255]);

/// A DLMS meter that answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundDlms {
    /// The logical device that was asked.
    pub server: u16,
    /// Over HDLC: the physical device.
    pub physical: Option<u16>,
    /// Its name for itself.
    pub device_name: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its logical devices, with their names.
    pub devices: Vec<(u16, String)>,
    /// Whether it counts invocations: then there is a ciphered client.
    pub ciphers: bool,
    /// What it said instead, to the public client.
    pub refusal: Option<String>,
}

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DlmsProgress {
    /// Addresses that were tried.
    pub tried: usize,
    /// Addresses that there are.
    pub of: usize,
    /// What the rest takes if nobody answers.
    pub left: Duration,
}

/// Searches a line over a port that nobody uses. `stop` ends it early.
pub async fn dlms(
    bus: &Bus,
    physical: RangeInclusive<u16>,
    stop: impl Future<Output = ()>,
    mut found: impl FnMut(FoundDlms),
    mut progress: impl FnMut(DlmsProgress),
) -> io::Result<()> {
    let network = bus.port.starts_with("tcp://") || bus.port.starts_with("udp://");
    let framing = bus.framing.unwrap_or(if network { Framing::Wrapper } else { Framing::Hdlc });
    let places = match framing {
        Framing::Wrapper => vec![None],
        Framing::Hdlc => places(&physical),
    };
    let mut stop: Pin<Box<_>> = Box::pin(stop);
    let started = Instant::now();
    for (tried, place) in places.iter().enumerate() {
        let took = if tried == 0 { REPLY_TIMEOUT } else { started.elapsed() / u32::try_from(tried).unwrap_or(1) };
        let left = took * u32::try_from(places.len() - tried).unwrap_or(u32::MAX);
        progress(DlmsProgress { tried, of: places.len(), left });
        tokio::select! {
            answered = ask(bus, framing, *place) => found_if(answered?, &mut found),
            () = &mut stop => return Ok(()),
        }
    }
    progress(DlmsProgress { tried: places.len(), of: places.len(), left: Duration::ZERO });
    Ok(())
}

fn found_if(answered: Option<FoundDlms>, found: &mut impl FnMut(FoundDlms)) {
    if let Some(meter) = answered {
        found(meter);
    }
}

/// Physical devices: the likely ones of a range first.
fn places(range: &RangeInclusive<u16>) -> Vec<Option<u16>> {
    let likely = LIKELY.into_iter().filter(|place| range.contains(place));
    let rest = range.clone().filter(|place| !LIKELY.contains(place));
    likely.chain(rest).map(Some).collect()
}

/// Asks one address as the public client. `None`: nobody is there.
async fn ask(bus: &Bus, framing: Framing, physical: Option<u16>) -> io::Result<Option<FoundDlms>> {
    let timeout = bus.reply_timeout_ms.map_or(REPLY_TIMEOUT, |ms| Duration::from_millis(ms.into()));
    let mut meter = FoundDlms { server: 1, physical, ..FoundDlms::default() };
    let link: DataLink = match (framing, physical) {
        (Framing::Hdlc, physical) => {
            let server = hdlc::Address::server(1, physical.unwrap_or(0)).unwrap_or(hdlc::Address::MANAGEMENT_DEVICE);
            let mut config = HdlcConfig::new(hdlc::Address::PUBLIC_CLIENT, server, bus.baud);
            (config.response_timeout, config.connect_retries, config.retries) = (timeout, 0, 1);
            (config.disconnect_timeout, config.inter_octet_timeout) = (Duration::from_millis(300), timeout);
            hdlc::ClientLink::new(config).into()
        }
        (Framing::Wrapper, _) => {
            let transport = if bus.port.starts_with("udp://") { Transport::Udp } else { Transport::Tcp };
            let mut config = WrapperConfig::new(16, 1, transport);
            config.response_timeout = timeout.max(Duration::from_secs(3));
            wrapper::ClientLink::new(config).into()
        }
    };
    let mut port = Link::open(&bus.port, bus.baud, bus.parity).await?;
    let mut client = Client::new(link, AssociationConfig::public(), Introduction::default());
    let mut failure = None;
    drive(&mut client, &mut port, |event| {
        if let ClientEvent::Failed(why) = event {
            failure = Some(why);
        }
    })
    .await?;
    match failure {
        Some(ClientFailure::Link(LinkFailure::Silence { .. } | LinkFailure::WrongAddress { .. })) => return Ok(None),
        Some(why) => meter.refusal = Some(why.to_string()),
        None => {}
    }
    let Introduction { answers, devices } = client.into_conversation();
    meter.devices = devices.iter().flat_map(logical_devices).take(DEVICES_MAX).collect();
    let mut answers = answers.into_iter().map(|value| value.as_ref().map(text));
    meter.device_name = answers.next().flatten();
    meter.serial = answers.next().flatten();
    meter.ciphers = answers.next().flatten().is_some();
    Ok(Some(meter))
}

/// The devices of a SAP assignment list: structures of an address and a name.
fn logical_devices(list: &Value) -> Vec<(u16, String)> {
    let device = |entry: &Value| {
        let [address, name] = entry.as_structure()?;
        Some((u16::try_from(address.as_unsigned()?).ok()?, text(name)))
    };
    list.as_elements().unwrap_or_default().iter().filter_map(device).collect()
}

fn text(value: &Value) -> String {
    value.as_text().map_or_else(|| value.to_string(), String::from)
}

/// What everybody may ask.
#[derive(Debug, Default)]
struct Introduction {
    answers: Vec<Option<Value>>,
    devices: Option<Value>,
}

impl Conversation for Introduction {
    fn next(&mut self, _association: &Association) -> Option<Request> {
        let data = |instance| AttributeDescriptor::new(class::DATA, instance, 2);
        let attribute = match self.answers.len() {
            0 => data(DEVICE_NAME),
            1 => data(SERIAL_NUMBER),
            2 => data(COUNTER),
            3 => AttributeDescriptor::new(class::SAP_ASSIGNMENT, SAP_ASSIGNMENT, 2),
            _ => return None,
        };
        Some(Request::Get(attribute, None))
    }

    fn answer(&mut self, answer: Answer) {
        let value = match answer {
            Answer::Values(values) => values.into_iter().next().and_then(Result::ok),
            _ => None,
        };
        if self.answers.len() == 3 {
            self.devices.clone_from(&value);
        }
        self.answers.push(value);
    }

    fn answered(&self) -> usize {
        self.answers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likely_addresses_come_first_and_each_once() {
        let places: Vec<u16> = places(&(0..=127)).into_iter().flatten().collect();
        assert_eq!(places.len(), 128);
        assert_eq!(&places[..6], LIKELY);
        assert_eq!(super::places(&(20..=21)), [Some(20), Some(21)]);
    }
}
