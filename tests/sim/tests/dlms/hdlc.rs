//! HDLC made by hand: connections, windows, losses.

use crate::wire::{Client, aarq, config, hex};
use plomb_sim::dlms::{Framing, Mechanism, MeterServer};

fn fcs(bytes: &[u8]) -> [u8; 2] {
    let crc = bytes.iter().fold(0xFFFFu16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 })
    });
    (!crc).to_le_bytes()
}

/// A frame of client 1 to logical device 1, lower address 17.
fn frame(control: u8, segmented: bool, info: &[u8]) -> Vec<u8> {
    let length = 8 + if info.is_empty() { 0 } else { info.len() + 2 };
    let length = u16::try_from(length).unwrap().to_be_bytes();
    let format = 0xA0 | if segmented { 8 } else { 0 } | length[0];
    let mut inner = vec![format, length[1], 0x02, 0x23, 0x03, control];
    inner.extend(fcs(&inner));
    if !info.is_empty() {
        inner.extend(info);
        let check = fcs(&inner);
        inner.extend(check);
    }
    [&[0x7E], &inner[..], &[0x7E]].concat()
}

/// Control and information of each frame in what was heard, whether segments follow.
fn frames(heard: &[u8]) -> Vec<(u8, bool, Vec<u8>)> {
    let mut rest = heard;
    let mut found = Vec::new();
    while let [0x7E, high, low, ..] = rest {
        let length = usize::from(*high & 7) << 8 | usize::from(*low);
        let inner = &rest[1..=length];
        assert_eq!(fcs(&inner[..length - 2]), inner[length - 2..], "check sequence");
        assert_eq!((rest[length + 1], &inner[2..5]), (0x7E, &[0x03, 0x02, 0x23][..]));
        let info = if length > 8 { inner[8..length - 2].to_vec() } else { Vec::new() };
        found.push((inner[5], *high & 8 != 0, info));
        rest = &rest[length + 2..];
    }
    assert!(rest.is_empty());
    found
}

async fn connect(snrm: &[u8]) -> (MeterServer, Client, Vec<u8>) {
    let (server, mut client) = Client::connect(config(Mechanism::None), Framing::Hdlc, 1).await;
    client.say(&frame(0x93, false, snrm)).await;
    let ua = frames(&client.hear().await);
    assert_eq!((ua.len(), ua[0].0), (1, 0x73));
    (server, client, ua[0].2.clone())
}

async fn ask(client: &mut Client, control: u8, apdu: &[u8]) -> Vec<(u8, bool, Vec<u8>)> {
    client.say(&frame(control, false, &[&[0xE6, 0xE6, 0], apdu].concat())).await;
    frames(&client.hear().await)
}

const OBJECTS: [u8; 13] = [0xC0, 1, 0xC1, 0, 15, 0, 0, 40, 0, 0, 255, 2, 0];

#[tokio::test]
async fn sizes_are_negotiated() {
    let (_server, _client, ua) = connect(&[]).await;
    assert_eq!(ua, hex("81 80 12 05 01 80 06 01 80 07 04 00 00 00 01 08 04 00 00 00 01"));
    // The client sends 1000 bytes and takes 300, sends 7 frames and takes 2; the meter's limits are 512 and 3.
    let (_server, _client, ua) =
        connect(&hex("81 80 14 05 02 03 E8 06 02 01 2C 07 04 00 00 00 07 08 04 00 00 00 02")).await;
    assert_eq!(ua, hex("81 80 14 05 02 01 2C 06 02 02 00 07 04 00 00 00 02 08 04 00 00 00 03"));
}

#[tokio::test]
async fn a_window_is_acknowledged_and_what_is_lost_is_sent_again() {
    let (_server, mut client, _) = connect(&hex("81 80 0C 07 04 00 00 00 03 08 04 00 00 00 03")).await;
    let aare = ask(&mut client, 0x10, &aarq(None, 0xFFFF)).await;
    assert_eq!((aare.len(), aare[0].0), (1, 0x30), "N(S) 0, N(R) 1, final");
    // The object list, in windows of three: numbers 1, 2, 3.
    let first = ask(&mut client, 0x32, &OBJECTS).await;
    let controls: Vec<u8> = first.iter().map(|frame| frame.0).collect();
    assert_eq!(controls, [0x42, 0x44, 0x56]);
    assert!(first.iter().all(|frame| frame.1 && frame.2.len() == 128));
    // The client lost the last two: they come again, and nothing else.
    client.say(&frame(0x51, false, &[])).await;
    let again = frames(&client.hear().await);
    assert_eq!(again, [(0x44, true, first[1].2.clone()), (0x56, true, first[2].2.clone())]);
    // All heard: the next window. Not ready: nothing but the meter's own readiness.
    client.say(&frame(0x91, false, &[])).await;
    assert_eq!(frames(&client.hear().await).iter().map(|frame| frame.0).collect::<Vec<_>>(), [0x48, 0x4A, 0x5C]);
    client.say(&frame(0xF5, false, &[])).await;
    assert_eq!(frames(&client.hear().await), [(0x51, false, Vec::new())]);
    client.say(&frame(0xF1, false, &[])).await;
    let last = frames(&client.hear().await);
    assert_eq!(last[0].0, 0x4E);
}

#[tokio::test]
async fn a_request_sent_twice_is_done_once() {
    let (server, mut client, _) = connect(&[]).await;
    ask(&mut client, 0x10, &aarq(None, 0xFFFF)).await;
    let disconnect = hex("C3 01 C1 00 46 00 00 60 03 0A FF 01 00");
    let done = ask(&mut client, 0x32, &disconnect).await;
    assert_eq!(done[0].2, hex("E6 E7 00 C7 01 C1 00 00"));
    server.with_meter(|meter, at| meter.switch(true, at));
    // The answer got lost; the client says the same again, and hears the same again.
    assert_eq!(ask(&mut client, 0x32, &disconnect).await, done);
    assert!(server.with_meter(|meter, _| meter.is_connected()), "not done twice");
}

#[tokio::test]
async fn a_request_comes_in_segments_and_a_broken_frame_is_not_heard() {
    let (_server, mut client, _) = connect(&[]).await;
    let request = [&[0xE6, 0xE6, 0][..], &aarq(None, 0xFFFF)].concat();
    client.say(&frame(0x10, true, &request[..20])).await;
    assert_eq!(frames(&client.hear().await), [(0x31, false, Vec::new())]);
    let mut broken = frame(0x32, false, &request[20..]);
    broken[15] ^= 1;
    client.say(&broken).await;
    client.hear_nothing().await;
    client.say(&frame(0x32, false, &request[20..])).await;
    let aare = frames(&client.hear().await);
    assert_eq!((aare[0].0, aare[0].2[3]), (0x50, 0x61));
}

#[tokio::test]
async fn without_a_connection_the_meter_says_so() {
    let (_server, mut client, _) = connect(&[]).await;
    client.say(&frame(0x53, false, &[])).await;
    assert_eq!(frames(&client.hear().await)[0].0, 0x73, "UA");
    client.say(&frame(0x53, false, &[])).await;
    assert_eq!(frames(&client.hear().await)[0].0, 0x1F, "DM");
    client.say(&frame(0x11, false, &[])).await;
    assert_eq!(frames(&client.hear().await)[0].0, 0x1F, "DM");
    // Another lower address: another meter.
    let mut elsewhere = hex("A0 08 02 25 03 93");
    elsewhere.extend(fcs(&elsewhere));
    client.say(&[&[0x7E], &elsewhere[..], &[0x7E]].concat()).await;
    client.hear_nothing().await;
    // An unknown command of a connected client.
    client.say(&frame(0x93, false, &[])).await;
    client.hear().await;
    client.say(&frame(0xBF, false, &[])).await;
    assert_eq!(frames(&client.hear().await), [(0x97, false, vec![0xBF, 0, 1])]);
}

#[tokio::test]
async fn connections_are_forgotten_by_fault_and_after_silence() {
    let (server, mut client, _) = connect(&[]).await;
    server.with_meter(|meter, _| meter.config.faults.forget_every = Some(3));
    assert_eq!(ask(&mut client, 0x10, &aarq(None, 0xFFFF)).await[0].0, 0x30);
    assert_eq!(ask(&mut client, 0x32, &OBJECTS).await[0].0, 0x1F, "the third frame meets a meter that knows nobody");
    server.with_meter(|meter, _| {
        meter.config.faults.forget_every = None;
        meter.config.hdlc.inactivity_s = 1;
    });
    client.say(&frame(0x93, false, &[])).await;
    client.hear().await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    client.say(&frame(0x11, false, &[])).await;
    assert_eq!(frames(&client.hear().await)[0].0, 0x1F);
}
