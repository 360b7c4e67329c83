//! What the meter says to APDUs made by hand.

use crate::wire::{Client, INITIATE, config, hex};
use plomb_sim::dlms::{Framing, Mechanism, Value, conformance};

/// The attribute 2 of a register in a get-request.
const ENERGY: [u8; 13] = [0xC0, 1, 0xC1, 0, 3, 1, 0, 1, 8, 0, 255, 2, 0];

async fn open(mechanism: Mechanism) -> (plomb_sim::dlms::MeterServer, Client) {
    let (server, mut client) = Client::connect(config(mechanism), Framing::Wrapper, 1).await;
    let password = server.with_meter(|meter, _| meter.config.password.clone());
    let aare = client.associate((mechanism == Mechanism::Lls).then_some(&password), 0xFFFF).await;
    assert_eq!(aare[aare.len() - 14..], hex("08 00 06 5F 1F 04 00 60 1E 9D 04 00 00 07"));
    (server, client)
}

#[tokio::test]
async fn an_association_is_answered_byte_for_byte() {
    let (_server, mut client) = Client::connect(config(Mechanism::None), Framing::Wrapper, 16).await;
    let aare = client.associate(None, 0xFFFF).await;
    let expected = "61 29 A1 09 06 07 60 85 74 05 08 01 01 A2 03 02 01 00 A3 05 A1 03 02 01 00 \
                    BE 10 04 0E 08 00 06 5F 1F 04 00 60 1E 9D 04 00 00 07";
    assert_eq!(aare, hex(expected));
    assert_eq!(client.ask(&hex("62 03 80 01 00")).await, hex("63 03 80 01 00"));
    // Released: nothing is answered any more.
    assert_eq!(client.ask(&ENERGY).await, hex("D8 01 01"));
}

#[tokio::test]
async fn refusals_say_why() {
    let (server, mut client) = Client::connect(config(Mechanism::Lls), Framing::Wrapper, 1).await;
    let reason = |aare: &[u8]| (aare[17], aare[24]);
    assert_eq!(reason(&client.associate(None, 0xFFFF).await), (1, 12), "a mechanism is required");
    assert_eq!(reason(&client.associate(Some(b"00000000"), 0xFFFF).await), (1, 13), "wrong password");
    let password = server.with_meter(|meter, _| meter.config.password.clone());
    let short = client.associate(Some(&password), 4).await;
    assert_eq!((reason(&short), &short[short.len() - 4..]), ((1, 1), &[0x0E, 1, 6, 3][..]), "too short an APDU");
    assert_eq!(reason(&client.associate(Some(&password), 0xFFFF).await), (0, 0));
    client.port = 99;
    assert_eq!(reason(&client.associate(None, 0xFFFF).await), (1, 1), "an unknown client");
    client.port = 16;
    assert_eq!(reason(&client.associate(Some(&password), 0xFFFF).await), (1, 11), "the public client has no password");
}

#[tokio::test]
async fn the_public_client_sees_little_and_changes_nothing() {
    let (server, mut client) = Client::connect(config(Mechanism::Gmac), Framing::Wrapper, 16).await;
    server.with_meter(|meter, _| meter.config.client_counter = 0x1234);
    client.associate(None, 0xFFFF).await;
    assert_eq!(client.ask(&ENERGY).await, hex("C4 01 C1 01 04"), "not there");
    let counter = client.ask(&hex("C0 01 C1 00 01 00 00 2B 01 00 FF 02 00")).await;
    assert_eq!(counter, hex("C4 01 C1 00 06 00 00 12 34"));
    let set_clock = "C1 01 C1 00 08 00 00 01 00 00 FF 02 00 09 0C 07 EA 0B 17 01 08 2A 05 00 00 00 00";
    assert_eq!(client.ask(&hex(set_clock)).await, hex("C5 01 C1 03"), "denied");
}

#[tokio::test]
async fn errors_of_access_are_told_apart() {
    let (_server, mut client) = open(Mechanism::None).await;
    for (request, answer) in [
        ("C0 01 C1 00 03 01 00 63 63 63 FF 02 00", "C4 01 C1 01 04"),
        ("C0 01 C1 00 01 01 00 01 08 00 FF 02 00", "C4 01 C1 01 09"),
        ("C0 01 C1 00 03 01 00 01 08 00 FF 09 00", "C4 01 C1 01 0D"),
        ("C1 01 C1 00 03 01 00 01 08 00 FF 02 00 06 00 00 00 00", "C5 01 C1 03"),
        ("C1 01 C1 00 46 00 00 60 03 0A FF 04 00 11 04", "C5 01 C1 0C"),
        ("C0 02 C1 00 00 00 01", "C4 02 C1 01 00 00 00 01 01 10"),
        ("C3 01 C1 00 46 00 00 60 03 0A FF 09 00", "C7 01 C1 03 00"),
        ("05 01 02 03", "D8 02 02"),
        ("C0 09", "D8 02 02"),
    ] {
        assert_eq!(client.ask(&hex(request)).await, hex(answer), "{request}");
    }
    // The meter takes 1024 bytes.
    let long = [&hex("C1 01 C1 00 01 00 00 60 01 01 FF 02 00 09 82 03 F0")[..], &[0x41; 1008]].concat();
    assert_eq!(client.ask(&long).await, hex("D8 01 04"));
    let whole = [&hex("C1 01 C1 00 01 00 00 60 01 01 FF 02 00 09 82 03 EF")[..], &[0x41; 1007]].concat();
    assert_eq!(client.ask(&whole).await, hex("C5 01 C1 00"));
}

#[tokio::test]
async fn long_answers_come_in_blocks_of_the_agreed_size() {
    let (server, mut client) = Client::connect(config(Mechanism::None), Framing::Wrapper, 1).await;
    client.associate(None, 64).await;
    let mut answer = client.ask(&hex("C0 01 81 00 0F 00 00 28 00 00 FF 02 00")).await;
    let mut text: Vec<u8> = Vec::new();
    for block in 1u32.. {
        assert!(answer.len() <= 64, "{}", answer.len());
        assert_eq!(answer[..3], [0xC4, 2, 0x81]);
        assert_eq!(answer[4..8], block.to_be_bytes());
        assert_eq!((answer[8], usize::from(answer[9])), (0, answer.len() - 10));
        text.extend(&answer[10..]);
        if answer[3] == 1 {
            break;
        }
        answer = client.ask(&[&[0xC0, 2, 0x81], &block.to_be_bytes()[..]].concat()).await;
    }
    let held = server.with_meter(|meter, at| meter.attribute(15, [0, 0, 40, 0, 0, 255], 2, at).unwrap());
    assert_eq!(text, held.bytes());
    // A wrong number ends it.
    client.ask(&hex("C0 01 81 00 0F 00 00 28 00 00 FF 02 00")).await;
    assert_eq!(client.ask(&hex("C0 02 81 00 00 00 07")).await, hex("C4 02 81 01 00 00 00 07 01 13"));
    assert_eq!(client.ask(&hex("C0 02 81 00 00 00 01")).await, hex("C4 02 81 01 00 00 00 01 01 10"));
}

#[tokio::test]
async fn long_writes_and_actions_come_in_blocks() {
    let (server, mut client) = open(Mechanism::None).await;
    // The street's name, 20 letters: tag and length in the first block, letters in three.
    let first = "C1 02 C1 00 01 00 00 60 01 01 FF 02 00 00 00 00 00 01 02 09 14";
    assert_eq!(client.ask(&hex(first)).await, hex("C5 02 C1 00 00 00 01"));
    let block = |last: u8, number: u8, text: &str| {
        [&[0xC1, 3, 0xC1, last, 0, 0, 0, number, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    };
    assert_eq!(client.ask(&block(0, 2, "Neue Str")).await, hex("C5 02 C1 00 00 00 02"));
    assert_eq!(client.ask(&block(1, 3, "asse 12, Hof")).await, hex("C5 03 C1 00 00 00 00 03"));
    let name = server.with_meter(|meter, at| meter.attribute(1, [0, 0, 96, 1, 1, 255], 2, at));
    assert_eq!(name, Some(Value::Octets(b"Neue Strasse 12, Hof".to_vec())));
    assert_eq!(client.ask(&block(1, 4, "late")).await, hex("C5 03 C1 12 00 00 00 04"), "no long write is open");
    // Disconnect, its parameter in two blocks.
    let first = "C3 04 C1 00 46 00 00 60 03 0A FF 01 00 00 00 00 01 01 0F";
    assert_eq!(client.ask(&hex(first)).await, hex("C7 04 C1 00 00 00 01"));
    assert_eq!(client.ask(&hex("C3 06 C1 01 00 00 00 02 01 00")).await, hex("C7 01 C1 00 00"));
    assert!(!server.with_meter(|meter, _| meter.is_connected()));
}

#[tokio::test]
async fn lists_are_served_where_they_are_agreed_on() {
    let get = "C0 03 C1 02 00 03 01 00 0E 07 00 FF 03 00 00 01 09 09 09 09 09 09 02 00";
    let (_server, mut client) = open(Mechanism::None).await;
    assert_eq!(client.ask(&hex(get)).await, hex("C4 03 C1 02 00 02 02 0F FE 16 2C 01 04"));
    let set = "C1 04 C1 02 00 46 00 00 60 03 0A FF 04 00 00 03 01 00 01 08 00 FF 02 00 02 16 05 06 00 00 00 00";
    assert_eq!(client.ask(&hex(set)).await, hex("C5 05 C1 02 00 03"));
    let act = "C3 03 C1 02 00 46 00 00 60 03 0A FF 01 00 03 09 09 09 09 09 09 01 02 0F 00 00";
    assert_eq!(client.ask(&hex(act)).await, hex("C7 03 C1 02 00 00 04 00"));
    let mut poor = config(Mechanism::None);
    poor.conformance &= !conformance::MULTIPLE_REFERENCES;
    let (_server, mut client) = Client::connect(poor, Framing::Wrapper, 1).await;
    client.ask(&crate::wire::aarq(None, 0xFFFF)).await;
    assert_eq!(client.ask(&hex(get)).await, hex("D8 02 02"));
}

/// The Green Book's form of ciphering, by hand: a get-request of nothing worth, with a counter.
#[tokio::test]
async fn a_counter_that_does_not_rise_is_refused_with_the_one_that_is_expected() {
    let (server, mut client) = Client::connect(config(Mechanism::Gmac), Framing::Wrapper, 1).await;
    server.with_meter(|meter, _| meter.config.client_counter = 0x0A00_0000);
    // A context without ciphering is none here.
    let aare = client.associate(None, 0xFFFF).await;
    assert_eq!((aare[17], aare[24]), (1, 2));
    let opening = |counter: &str| {
        let sealed = format!("21 1F 30 {counter} {}", "00".repeat(26));
        let challenge = "AC 0A 80 08 31 32 33 34 35 36 37 38";
        let inner = format!(
            "A1 09 06 07 60 85 74 05 08 01 03 A6 0A 04 08 50 4C 43 00 00 00 00 01 8A 02 07 80 \
             8B 07 60 85 74 05 08 02 05 {challenge} BE 23 04 21 {sealed}"
        );
        let inner = hex(&inner);
        [&[0x60, u8::try_from(inner.len()).unwrap()], &inner[..]].concat()
    };
    assert_eq!(client.ask(&opening("0A 00 00 00")).await, hex("D8 01 06 0A 00 00 01"));
    assert_eq!(client.ask(&opening("0A 00 00 01")).await, hex("D8 01 05"), "its tag is wrong");
    assert_eq!(server.with_meter(|meter, _| meter.config.client_counter), 0x0A00_0000, "and doesn't count");
    server.with_meter(|meter, _| meter.config.faults.counter_silence = true);
    let apdu = opening("0A 00 00 00");
    client.say(&[&[0, 1, 0, 1, 0, 1, 0, u8::try_from(apdu.len()).unwrap()], &apdu[..]].concat()).await;
    client.hear_nothing().await;
}

/// Suite 2's signatures: no foreign client makes them.
#[tokio::test]
async fn challenges_are_signed_with_p_384() {
    use p384::ecdsa::signature::{Signer, Verifier};
    let mut ordered = config(Mechanism::Ecdsa);
    ordered.signing_key = vec![0x33; 48];
    ordered.client_signing_key = vec![0x44; 48];
    ordered.policy = 0;
    let (server, mut client) = Client::connect(ordered.clone(), Framing::Wrapper, 1).await;
    let (title, challenge) = (hex("50 4C 43 00 00 00 00 01"), [0x31; 32]);
    let mut inner = hex("A1 09 06 07 60 85 74 05 08 01 01 A6 0A 04 08 50 4C 43 00 00 00 00 01");
    inner.extend(hex("8A 02 07 80 8B 07 60 85 74 05 08 02 07 AC 22 80 20"));
    inner.extend(challenge);
    inner.extend(hex("BE 10 04 0E"));
    inner.extend(INITIATE);
    let aare = client.ask(&[&[0x60, u8::try_from(inner.len()).unwrap()], &inner[..]].concat()).await;
    let place = aare.windows(4).position(|bytes| bytes == [0xAA, 0x22, 0x80, 0x20]).unwrap() + 4;
    let asked = aare[place..place + 32].to_vec();
    let meter_title = server.with_meter(|meter, _| meter.config.system_title);
    let key = p384::ecdsa::SigningKey::from_slice(&ordered.client_signing_key).unwrap();
    let text = [&title[..], &meter_title, &asked, &challenge].concat();
    let signature: p384::ecdsa::Signature = key.sign(&text);
    let reply = [&hex("C3 01 C1 00 0F 00 00 28 00 00 FF 01 01 09 60")[..], &signature.to_bytes()].concat();
    let answer = client.ask(&reply).await;
    assert_eq!(answer[..8], hex("C7 01 C1 00 01 00 09 60"));
    let meters = p384::ecdsa::Signature::from_slice(&answer[8..]).unwrap();
    let key = p384::ecdsa::SigningKey::from_slice(&ordered.signing_key).unwrap();
    let text = [&meter_title[..], &title, &challenge, &asked].concat();
    key.verifying_key().verify(&text, &meters).unwrap();
    assert_eq!(client.ask(&ENERGY).await[..4], [0xC4, 1, 0xC1, 0]);
    // Who repeats a signature doesn't come in with it.
    client.ask(&[&[0x60, u8::try_from(inner.len()).unwrap()], &inner[..]].concat()).await;
    assert_eq!(client.ask(&reply).await, hex("C7 01 C1 03 00"));
    assert_eq!(client.ask(&ENERGY).await, hex("D8 01 01"));
}

#[tokio::test]
async fn rows_are_selected_by_range_and_entry_with_columns() {
    let (server, mut client) = open(Mechanism::None).await;
    let times = server.with_meter(|meter, at| meter.row_times(at));
    assert_eq!(times.len(), 35_040);
    let get = "C0 01 C1 00 07 01 00 63 01 00 FF 02 01";
    // Entries 3 to 4, columns 2 to 3.
    let answer = client.ask(&hex(&format!("{get} 02 02 04 06 00 00 00 03 06 00 00 00 04 12 00 02 12 00 03"))).await;
    let held = server.with_meter(|meter, at| meter.held_rows(times[2], times[3], at));
    let row = |number: i64| [&[2, 2, 0x11, 0, 6][..], &u32::try_from(number).unwrap().to_be_bytes()].concat();
    let rows = [row(held[0].numbers[1]), row(held[1].numbers[1])].concat();
    assert_eq!(answer, [&hex("C4 01 C1 00 01 02")[..], &rows].concat());
    // 08:00:00 to 08:15:00 of 23 November 2026, of which only 1.8.0.
    let clock = "02 04 12 00 08 09 06 00 00 01 00 00 FF 0F 02 12 00 00";
    let stamp = |minute: &str| format!("09 0C 07 EA 0B 17 FF 08 {minute} 00 FF 80 00 FF");
    let column = "01 01 02 04 12 00 03 09 06 01 00 01 08 00 FF 0F 02 12 00 00";
    let range = format!("{get} 01 02 04 {clock} {} {} {column}", stamp("00"), stamp("0F"));
    let answer = client.ask(&hex(&range)).await;
    let held = server.with_meter(|meter, at| meter.held_rows(1_795_420_800, 1_795_421_700, at));
    let row = |number: i64| [&[2, 1, 6][..], &u32::try_from(number).unwrap().to_be_bytes()].concat();
    let rows = [row(held[0].numbers[1]), row(held[1].numbers[1])].concat();
    assert_eq!(answer, [&hex("C4 01 C1 00 01 02")[..], &rows].concat());
    // Nothing in it: an empty array.
    let none = format!("{get} 01 02 04 {clock} {} {} 01 00", stamp("01"), stamp("02"));
    assert_eq!(client.ask(&hex(&none)).await, hex("C4 01 C1 00 01 00"));
}

#[tokio::test]
async fn what_follows_from_the_row_before_is_null() {
    let mut compressed = config(Mechanism::None);
    compressed.profile.null_compression = true;
    let (server, mut client) = Client::connect(compressed, Framing::Wrapper, 1).await;
    client.associate(None, 0xFFFF).await;
    let get = "C0 01 C1 00 07 01 00 63 01 00 FF 02 01 02 02 04 06 00 00 88 DF 06 00 00 00 00 12 00 01 12 00 00";
    let answer = client.ask(&hex(get)).await;
    let (times, held) = server.with_meter(|meter, at| {
        let times = meter.row_times(at);
        let held = meter.held_rows(times[35_038], times[35_039], at);
        (times, held)
    });
    assert_eq!(times.len(), 35_040);
    let number = |row: usize, column: usize| u32::try_from(held[row].numbers[column]).unwrap().to_be_bytes();
    assert_eq!(answer[..8], hex("C4 01 C1 00 01 02 02 04"));
    let second = [&[2, 4, 0, 0, 6][..], &number(1, 1), &[6], &number(1, 2)].concat();
    assert!(answer.ends_with(&second), "{answer:02X?}");
}

#[tokio::test]
async fn the_clock_is_set_and_the_past_stays() {
    let (server, mut client) = open(Mechanism::None).await;
    let before = server.with_meter(|meter, at| (meter.row_times(at), meter.held(at)));
    let set = "C1 01 C1 00 08 00 00 01 00 00 FF 02 00 09 0C 07 EA 0B 17 FF 09 2A 05 00 00 00 00";
    assert_eq!(client.ask(&hex(set)).await, hex("C5 01 C1 00"));
    let clock = client.ask(&hex("C0 01 C1 00 08 00 00 01 00 00 FF 02 00")).await;
    assert_eq!(clock, hex("C4 01 C1 00 09 0C 07 EA 0B 17 01 09 2A 05 00 00 00 00"));
    server.with_meter(|meter, at| {
        assert_eq!(meter.clock_s(at), 1_795_423_325 + 3600);
        let times = meter.row_times(at);
        assert_eq!((times[35_035], times.len()), (before.0[35_039], 35_040));
        assert_eq!(meter.held(at), before.1, "registers follow the true time");
    });
}
