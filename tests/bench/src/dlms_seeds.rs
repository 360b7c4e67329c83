//! What mutations begin with: conversations with a simulated meter, and APDUs and texts that are the most work for
//! their length.

use std::error::Error;

use plomb_dlms::{
    apdu::AttributeDescriptor,
    axdr::Value,
    client::{AssociationConfig, Client, Conversation, MeterModel, Once, ProfileWish, Request, Round, RoundWish},
    hdlc::{self, HdlcConfig},
    link::DataLink,
    object::class,
    wrapper::{self, Transport, Wrapped, WrapperConfig},
};
use plomb_gateway::{
    config::Parity,
    link::{Link, drive},
};
use plomb_iec62056::p1::crc16;
use plomb_session::{Obis, Reader};
use plomb_sim::{
    Calendar,
    dlms::{Framing, Mechanism, MeterConfig, MeterServer},
};

use crate::{
    dlms::{ENERGY, PERIOD_S, PROFILE},
    dlms_layers::CASE_BYTES_MAX,
    tapped::{Recording, Tapped},
};

const UNIX_S: i64 = 1_795_423_500;
/// Rows of the profile that are read for a seed.
const ROWS: i64 = 6;
/// How often a whole conversation is among the lines.
const WHOLE_COUNT: usize = 12;

/// APDUs that the conversation with the meter does not have: changes, methods, notifications, errors, blocks.
const APDUS: [&str; 16] = [
    "c101c100080000010000ff0200090c07e80101010c000000ffc400",
    "c10201c100080000010000ff02000000000001060a0b0c0d0e0f",
    "c501c100",
    "c503c10000000001",
    "c301c100460000600300ff01010f00",
    "c701c10001000f00",
    "c701c100010009080102030405060708",
    "0f000000010c07e80101010c000000ffc400020209060100010800ff0600000001",
    "c20000030100010800ff020600000001",
    "d8010600000005",
    "0e010001",
    "e0c1000100000ac401c1000600000001",
    "c402c1000000000100820004010203040506",
    "c403c1020006000000010001",
    "c001c100070100630100ff0201020412020400001806000000010600000002",
    "c003c102000301000108 00ff0200000301000208 00ff0200",
];

/// Values that say much in few bytes: nothing many times, arrays in arrays, packed rows of nothing.
const VALUES: [&str; 10] = [
    "0181c8",
    "0164",
    "1302320000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000011 04 01020304",
    "130104001100 0a 01020304050607080900",
    "13020306 12 11 0e 00000001000201 00000003000402",
    "0103020209060100010800ff020209060100010800ff02020906010001 0800ff0600000001",
    "04200f0f0f0f",
    "090c07e80101010c000000ffc400",
    "1907e80101010c000000ffc400",
    "0203 17 3f800000 18 3ff0000000000000 0d12",
];

/// Telegrams without their sums, and messages of IEC 62056-21.
const TEXTS: [&str; 8] = [
    "/PLB5simulated\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(260101120000W)\r\n0-0:96.1.1(303132)\r\n1-0:1.8.1(000123.456*kWh)\r\n1-0:1.7.0(01.193*kW)\r\n!",
    "/PLB5simulated\r\n\r\n1-3:0.2.8(50)\r\n1-0:99.97.0(2)(0-0:96.7.19)(101208152415W)(0000000240*s)(101208151004W)(0000000301*s)\r\n0-1:24.1.0(003)\r\n0-1:24.2.1(101209112500W)(12785.123*m3)\r\n!",
    "/PLB5old\r\n\r\n0-1:24.3.0(121030140000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00000.000)\r\n!",
    "/PLB5simulated\r\n\x02F.F(00000000)\r\n0.0.0(12345678)\r\n1.8.0(001234.567*kWh)\r\n1.8.0*12(001200.000*kWh)(26-01-01 00:00)\r\n!\r\n\x03",
    "\x01P1\x02(00000000)\x03",
    "\x01R1\x021.8.0()\x03",
    "/?12345678!\r\n/PLB5\\2simulated\r\n\x06252\r\n",
    "P.01(1260101000000)(00)(15)(2)(1.5)(kW)(2.5)(kvar)(0.123)(0.004)(0.125)(0.004)\r\n",
];

/// What mutations begin with.
#[derive(Debug, Clone, Default)]
pub struct Seeds {
    /// Values of the COSEM types.
    pub values: Vec<Vec<u8>>,
    /// APDUs in clear.
    pub apdus: Vec<Vec<u8>>,
    /// What a meter says on a line, from its first frame on, and some of that.
    pub frames: Vec<Vec<u8>>,
    /// The same over the wrapper.
    pub wrapped: Vec<Vec<u8>>,
    /// Telegrams and messages.
    pub texts: Vec<Vec<u8>>,
}

/// Asks a simulated meter, and adds what it does not say.
///
/// # Errors
/// The meter is not there, or can't be read.
pub async fn seeds() -> Result<Seeds, Box<dyn Error>> {
    let mut seeds = Seeds::default();
    let calendar = Calendar { start_unix_s: u64::try_from(UNIX_S)?, factor: 0 };
    let mut config = MeterConfig::new(7, calendar, Mechanism::None, 0);
    // Answers in blocks, and frames in segments, are short.
    (config.pdu_bytes_max, config.hdlc.info_bytes_max) = (128, 64);
    let mut server = MeterServer::new(config);
    let address = server.serve_tcp("127.0.0.1:0", Framing::Wrapper).await?.to_string();
    let link = || wrapper::ClientLink::new(WrapperConfig::new(1, 1, Transport::Tcp));
    let recording = converse(&address, link().into(), round()).await?;
    for stream in recording.sent.iter().chain([&recording.received]) {
        let mut rest = stream.as_slice();
        while let Ok(Some((wrapped, consumed))) = Wrapped::parse(rest) {
            seeds.apdus.push(wrapped.apdu.to_vec());
            seeds.wrapped.push(rest.iter().take(consumed).copied().collect());
            rest = rest.get(consumed..).unwrap_or_default();
        }
    }
    seeds.wrapped.push(recording.received.into_iter().take(CASE_BYTES_MAX).collect());
    seeds.wrapped.push(converse(&address, link().into(), once()).await?.received);

    let address = server.serve_tcp("127.0.0.1:0", Framing::Hdlc).await?.to_string();
    let one = hdlc::Address::server(1, 17)?;
    let config = HdlcConfig::new(hdlc::Address::short(1)?, one, 9600);
    let recording = converse(&address, hdlc::ClientLink::new(config).into(), round()).await?;
    seeds.frames = recording.sent;
    for start in [0, 1, 2] {
        let flags = recording.received.split_inclusive(|byte| *byte == 0x7E).skip(start * 2).flatten();
        seeds.frames.push(flags.copied().take(CASE_BYTES_MAX).collect());
    }
    let whole = converse(&address, hdlc::ClientLink::new(config).into(), once()).await?.received;
    // The only one that brings a client to its end, so it comes more often.
    seeds.frames.extend(std::iter::repeat_n(whole, WHOLE_COUNT));

    let unspaced = |text: &&str| hex::decode(text.replace(' ', "")).map_err(|error| format!("{text}: {error}"));
    seeds.apdus.extend(APDUS.iter().map(unspaced).collect::<Result<Vec<_>, _>>()?);
    seeds.values = VALUES.iter().map(unspaced).collect::<Result<_, _>>()?;
    seeds.values.push([[1, 120].as_slice(), &[0; 120]].concat());
    seeds.values.push([1, 1].repeat(40));
    for apdu in &seeds.apdus {
        // Behind the head of a get-response-normal there is a value.
        let value = apdu.get(4..).filter(|_| apdu.starts_with(&[0xC4, 1])).map(|rest| (rest, Reader::new(rest)));
        if let Some((rest, mut reader)) = value
            && Value::parse(&mut reader).is_ok()
        {
            seeds.values.push(rest.to_vec());
        }
    }
    for text in TEXTS {
        seeds.texts.push(summed(text.as_bytes()));
    }
    Ok(seeds)
}

/// A telegram with its right sum; what is no telegram as it is.
#[must_use]
pub fn summed(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    if text.starts_with(b"/") && text.ends_with(b"!") {
        let sum = crc16(&text);
        text.extend(format!("{sum:04X}\r\n").bytes());
    }
    text
}

/// One attribute, as the layers' client asks for it.
#[must_use]
pub fn once() -> Once {
    Once::new(Request::Get(AttributeDescriptor::new(class::REGISTER, ENERGY, 2), None))
}

fn round() -> Round {
    let after_unix_s = UNIX_S - ROWS * i64::from(PERIOD_S);
    let profile = Some(ProfileWish { instance: PROFILE, after_unix_s, until_unix_s: UNIX_S });
    let registers = vec![ENERGY, Obis([1, 0, 1, 4, 0, 255])];
    Round::new(RoundWish { registers, profile }, MeterModel::default())
}

async fn converse<C: Conversation>(
    address: &str,
    link: DataLink,
    conversation: C,
) -> Result<Recording, Box<dyn Error>> {
    let mut wire = Link::open(&format!("tcp://{address}"), 9600, Parity::None).await?;
    let client = Client::new(link, AssociationConfig::public(), conversation);
    let mut tapped = Tapped::new(client, Recording::default());
    drive(&mut tapped, &mut wire, |_| {}).await?;
    Ok(tapped.tap)
}
