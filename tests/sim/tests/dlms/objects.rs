//! What can be done to the meter's objects.

use crate::wire::{Client, config, hex};
use aes_kw::KeyInit;
use plomb_sim::dlms::{Framing, Mechanism, MeterServer, TOKENS, Value};

async fn open() -> (MeterServer, Client) {
    let (server, mut client) = Client::connect(config(Mechanism::None), Framing::Wrapper, 1).await;
    client.associate(None, 0xFFFF).await;
    (server, client)
}

/// Invokes a method; gives its result.
async fn act(client: &mut Client, class: u8, name: [u8; 6], method: u8, parameter: &Value) -> u8 {
    let request = [&[0xC3, 1, 0xC1, 0, class], &name[..], &[method, 1], &parameter.bytes()].concat();
    let answer = client.ask(&request).await;
    assert_eq!((&answer[..3], answer.len()), (&[0xC7, 1, 0xC1][..], 5));
    answer[3]
}

async fn read(client: &mut Client, class: u8, name: [u8; 6], index: u8) -> Value {
    let answer = client.ask(&[&[0xC0, 1, 0xC1, 0, class], &name[..], &[index, 0]].concat()).await;
    assert_eq!(answer[..4], [0xC4, 1, 0xC1, 0]);
    Value::take(&mut &answer[4..]).unwrap()
}

#[tokio::test]
async fn tokens_are_taken_once_and_add_credit() {
    let (server, mut client) = open().await;
    let gateway = [0, 0, 19, 40, 0, 255];
    let (token, worth) = TOKENS[1];
    for (entered, status, credit) in [
        ("1234", 4, 750),
        ("00000000000000000000", 5, 750),
        (token, 3, 750 + i64::from(worth)),
        (token, 6, 750 + i64::from(worth)),
    ] {
        let parameter = Value::Octets(entered.as_bytes().to_vec());
        assert_eq!(act(&mut client, 115, gateway, 1, &parameter).await, 0);
        assert_eq!(read(&mut client, 115, gateway, 2).await, parameter);
        assert_eq!(read(&mut client, 115, gateway, 6).await.elements()[0], Value::Enum(status), "{entered}");
        assert_eq!(server.with_meter(|meter, _| meter.credit()), credit);
    }
    let available = read(&mut client, 111, [0, 0, 19, 0, 0, 255], 5).await;
    assert_eq!(available, read(&mut client, 112, [0, 0, 19, 10, 0, 255], 2).await);
}

#[tokio::test]
async fn the_supply_obeys_its_mode() {
    let (server, mut client) = open().await;
    let name = [0, 0, 96, 3, 10, 255];
    let none = Value::I8(0);
    assert_eq!(act(&mut client, 70, name, 1, &none).await, 0);
    assert_eq!(read(&mut client, 70, name, 3).await, Value::Enum(0));
    assert_eq!(act(&mut client, 70, name, 2, &none).await, 0);
    assert!(server.with_meter(|meter, _| meter.is_connected()));
    // Mode 1: reconnection needs a hand at the meter.
    assert_eq!(client.ask(&hex("C1 01 C1 00 46 00 00 60 03 0A FF 04 00 16 01")).await, hex("C5 01 C1 00"));
    act(&mut client, 70, name, 1, &none).await;
    assert_eq!(act(&mut client, 70, name, 2, &none).await, 0);
    assert_eq!(read(&mut client, 70, name, 3).await, Value::Enum(2));
    assert!(!server.with_meter(|meter, _| meter.is_connected()));
    // Mode 0: not at all.
    client.ask(&hex("C1 01 C1 00 46 00 00 60 03 0A FF 04 00 16 00")).await;
    assert_eq!(act(&mut client, 70, name, 1, &none).await, 3);
    let events = read(&mut client, 7, [0, 0, 99, 98, 0, 255], 2).await;
    assert!(events.elements().len() > 1, "the event log has it");
}

#[tokio::test]
async fn a_passive_calendar_and_special_days_take_effect() {
    let (_server, mut client) = open().await;
    let calendar = [0, 0, 13, 0, 0, 255];
    let write = |name: &str| hex(&format!("C1 01 C1 00 14 00 00 0D 00 00 FF 06 00 09 02 {name}"));
    assert_eq!(client.ask(&write("4E 31")).await, hex("C5 01 C1 00"));
    assert_eq!(read(&mut client, 20, calendar, 2).await, Value::Octets(b"PLM-A".to_vec()));
    assert_eq!(act(&mut client, 20, calendar, 1, &Value::I8(0)).await, 0);
    assert_eq!(read(&mut client, 20, calendar, 2).await, Value::Octets(b"N1".to_vec()));
    // By its time: one that is past.
    client.ask(&write("4E 32")).await;
    let past = "C1 01 C1 00 14 00 00 0D 00 00 FF 0A 00 09 0C 07 EA 0B 17 FF 08 00 00 00 80 00 00";
    assert_eq!(client.ask(&hex(past)).await, hex("C5 01 C1 00"));
    assert_eq!(read(&mut client, 20, calendar, 2).await, Value::Octets(b"N2".to_vec()));
    let days = [0, 0, 11, 0, 0, 255];
    let day = Value::Structure(vec![Value::U16(7), Value::Octets(vec![7, 0xEA, 12, 24, 0xFF]), Value::U8(1)]);
    assert_eq!(act(&mut client, 11, days, 1, &day).await, 0);
    assert!(read(&mut client, 11, days, 2).await.elements().contains(&day));
    assert_eq!(act(&mut client, 11, days, 2, &Value::U16(7)).await, 0);
    assert_eq!(act(&mut client, 11, days, 2, &Value::U16(7)).await, 250, "not there any more");
}

#[tokio::test]
async fn an_image_is_taken_block_by_block() {
    let (_server, mut client) = open().await;
    let name = [0, 0, 44, 0, 0, 255];
    let begin = Value::Structure(vec![Value::Octets(b"PLM-2.5".to_vec()), Value::U32(600)]);
    assert_eq!(act(&mut client, 18, name, 1, &begin).await, 0);
    for block in [0, 2] {
        let block = Value::Structure(vec![Value::U32(block), Value::Octets(vec![0; 88])]);
        assert_eq!(act(&mut client, 18, name, 2, &block).await, 0);
    }
    assert_eq!(read(&mut client, 18, name, 3).await, Value::Bits(vec![true, false, true]));
    assert_eq!(read(&mut client, 18, name, 4).await, Value::U32(1));
    assert_eq!(act(&mut client, 18, name, 3, &Value::I8(0)).await, 250, "a block is missing");
    let block = Value::Structure(vec![Value::U32(1), Value::Octets(vec![0; 256])]);
    act(&mut client, 18, name, 2, &block).await;
    assert_eq!(act(&mut client, 18, name, 3, &Value::I8(0)).await, 0);
    assert_eq!(act(&mut client, 18, name, 4, &Value::I8(0)).await, 0);
    assert_eq!(read(&mut client, 18, name, 6).await, Value::Enum(6));
}

#[tokio::test]
async fn keys_change_by_a_transfer_under_the_master_key() {
    let (server, mut client) = open().await;
    let before = server.with_meter(|meter, _| meter.config.keys.clone());
    let fresh = [0x5A; 16];
    let master = aes_kw::KwAes128::new_from_slice(&before.master).unwrap();
    let mut wrapped = [0; 24];
    master.wrap_key(&fresh, &mut wrapped).unwrap();
    let transfer =
        |octets: &[u8]| Value::Array(vec![Value::Structure(vec![Value::Enum(0), Value::Octets(octets.to_vec())])]);
    let security = [0, 0, 43, 0, 0, 255];
    let mut broken = wrapped;
    broken[4] ^= 1;
    assert_eq!(act(&mut client, 64, security, 2, &transfer(&broken)).await, 250);
    assert_eq!(act(&mut client, 64, security, 2, &transfer(&wrapped)).await, 0);
    // From the next request on.
    assert_eq!(read(&mut client, 64, security, 3).await, Value::Enum(0));
    let after = server.with_meter(|meter, _| meter.config.keys.clone());
    assert_eq!((after.unicast, after.authentication), (fresh.to_vec(), before.authentication));
}
