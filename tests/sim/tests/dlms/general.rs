//! General block transfer made by hand.

use crate::wire::{Client, aarq, config, hex};
use plomb_sim::dlms::{Framing, Mechanism, conformance};

const OBJECTS: [u8; 13] = [0xC0, 1, 0xC1, 0, 15, 0, 0, 40, 0, 0, 255, 2, 0];

/// Control, number, acknowledged, and bytes of a block.
fn parts(apdu: &[u8]) -> (u8, u16, u16, Vec<u8>) {
    assert_eq!(apdu[0], 0xE0);
    let word = |at: usize| u16::from_be_bytes([apdu[at], apdu[at + 1]]);
    let header = if apdu[6] == 0x81 { 8 } else { 7 };
    (apdu[1], word(2), word(4), apdu[header..].to_vec())
}

async fn say(client: &mut Client, apdu: &[u8]) {
    let length = u16::try_from(apdu.len()).unwrap().to_be_bytes();
    client.say(&[&[0, 1, 0, 1, 0, 1, length[0], length[1]], apdu].concat()).await;
}

/// All APDUs that answer one.
async fn ask(client: &mut Client, apdu: &[u8]) -> Vec<(u8, u16, u16, Vec<u8>)> {
    say(client, apdu).await;
    let heard = client.hear().await;
    let mut rest = heard.as_slice();
    let mut blocks = Vec::new();
    while let [_, _, _, _, _, _, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        blocks.push(parts(&after[..length]));
        rest = &after[length..];
    }
    blocks
}

#[tokio::test]
async fn an_answer_comes_in_windows_and_what_is_lost_again() {
    let mut ordered = config(Mechanism::None);
    ordered.conformance &= !conformance::GET_BLOCKS;
    let (server, mut client) = Client::connect(ordered, Framing::Wrapper, 1).await;
    client.ask(&aarq(None, 200)).await;
    let first = ask(&mut client, &OBJECTS).await;
    assert_eq!(first.len(), 1);
    let (control, number, acknowledged, mut text) = first[0].clone();
    assert_eq!((control, number, acknowledged, text.len()), (6, 1, 0, 191));
    // Windows of four; of the first, the last two get lost.
    let window = ask(&mut client, &hex("E0 84 00 01 00 01 00")).await;
    let controls: Vec<(u8, u16)> = window.iter().map(|block| (block.0, block.1)).collect();
    assert_eq!(controls, [(0x46, 2), (0x46, 3), (0x46, 4), (6, 5)]);
    text.extend(window[..2].iter().flat_map(|block| block.3.clone()));
    let mut has = 3;
    for own in 2u8.. {
        let window = ask(&mut client, &[0xE0, 0x84, 0, own, 0, has, 0]).await;
        assert_eq!(window[0].1, u16::from(has) + 1);
        assert_eq!(window[0].2, u16::from(own));
        has += u8::try_from(window.len()).unwrap();
        text.extend(window.iter().flat_map(|block| block.3.clone()));
        if window.last().unwrap().0 & 0x80 != 0 {
            break;
        }
    }
    let held = server.with_meter(|meter, at| meter.attribute(15, [0, 0, 40, 0, 0, 255], 2, at).unwrap());
    assert_eq!(text, [&hex("C4 01 C1 00")[..], &held.bytes()].concat());
    // The last acknowledgement needs no answer.
    say(&mut client, &[0xE0, 0x84, 0, 99, 0, has, 0]).await;
    client.hear_nothing().await;
}

#[tokio::test]
async fn a_request_comes_in_blocks() {
    let (_server, mut client) = Client::connect(config(Mechanism::None), Framing::Wrapper, 1).await;
    client.ask(&aarq(None, 0xFFFF)).await;
    let request = hex("C0 01 C1 00 03 01 00 01 08 00 FF 03 00");
    let first = [&hex("E0 01 00 01 00 00 05")[..], &request[..5]].concat();
    assert_eq!(ask(&mut client, &first).await, [(6, 1, 1, Vec::new())]);
    // A block too far is not taken.
    let gap = [&hex("E0 01 00 03 00 01 01")[..], &request[5..6]].concat();
    assert_eq!(ask(&mut client, &gap).await, [(6, 2, 1, Vec::new())]);
    let last = [&hex("E0 81 00 02 00 02 08")[..], &request[5..]].concat();
    assert_eq!(ask(&mut client, &last).await, [(0x86, 3, 2, hex("C4 01 C1 00 02 02 0F 00 16 1E"))]);
}
