//! Telegrams of each version and country, made by hand with made-up numbers.

use crate::random::Random;
use plomb_iec62056::p1::{Checksum, Deframer, Device, Found, Telegram, TelegramError, crc16};
use plomb_session::Decimal;

fn lines(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// With the CRC that it must have.
fn summed(body: &[&str]) -> Vec<u8> {
    let mut text = lines(body);
    text.push('!');
    let sum = crc16(text.as_bytes());
    format!("{text}{sum:04X}\r\n").into_bytes()
}

fn read(bytes: &[u8]) -> Telegram<'_> {
    let (telegram, consumed) = Telegram::parse(bytes).unwrap().unwrap();
    assert_eq!(consumed, bytes.len());
    telegram
}

fn readings(telegram: &Telegram<'_>) -> Vec<String> {
    let text = |reading: plomb_iec62056::p1::Reading<'_>| {
        let time = reading.time.map(|time| format!(" at {time}")).unwrap_or_default();
        format!("{} {} {}{time}", reading.obis, reading.value, reading.unit)
    };
    telegram.readings().map(text).collect()
}

fn version_5() -> Vec<u8> {
    summed(&[
        "/ABC5\\253000000_A",
        "",
        "1-3:0.2.8(50)",
        "0-0:1.0.0(240331030005S)",
        "0-0:96.1.1(4530303031)",
        "1-0:1.8.1(001234.567*kWh)",
        "1-0:2.8.2(000000.010*kWh)",
        "0-0:96.14.0(0002)",
        "1-0:1.7.0(00.193*kW)",
        "1-0:99.97.0(2)(0-0:96.7.19)(230102030405W)(0000000240*s)(230203040506W)(0000000301*s)",
        "0-0:96.13.0(48656C6C6F21)",
        "1-0:32.7.0(229.9*V)",
        "0-1:24.1.0(003)",
        "0-1:96.1.0(4730303032)",
        "0-1:24.2.1(240331030000S)(00987.654*m3)",
        "0-2:24.1.0(004)",
        "0-2:96.1.0(4830303033)",
        "0-2:24.2.1(240331030000S)(012.345*GJ)",
    ])
}

#[test]
fn version_5_with_two_other_meters() {
    let bytes = version_5();
    let telegram = read(&bytes);
    assert!(matches!(telegram.checksum, Checksum::Right(_)));
    assert_eq!((telegram.version(), telegram.equipment().as_deref()), (Some("50"), Some("E0001")));
    assert_eq!(telegram.time().unwrap().to_string(), "2024-03-31T03:00:05 summer time");
    assert_eq!(
        readings(&telegram),
        [
            "1-0:1.8.1*255 1234.567 kWh",
            "1-0:2.8.2*255 0.010 kWh",
            "1-0:1.7.0*255 0.193 kW",
            "1-0:32.7.0*255 229.9 V",
            "0-1:24.2.1*255 987.654 m3 at 2024-03-31T03:00:00 summer time",
            "0-2:24.2.1*255 12.345 GJ at 2024-03-31T03:00:00 summer time",
        ]
    );
    let device =
        |channel, kind, equipment: &str| Device { channel, kind: Some(kind), equipment: Some(equipment.into()) };
    assert_eq!(telegram.devices(), [device(1, 3, "G0002"), device(2, 4, "H0003")]);
    let log = telegram.logs().next().unwrap();
    assert_eq!((log.announced, log.rows().count()), (2, 2));
    let row = log.rows().nth(1).unwrap();
    assert_eq!(
        (row[0].timestamp().unwrap().day, row[1].decimal(), row[1].unit),
        (3, Some(Decimal::new(301, 0)), Some("s"))
    );
    let text = telegram.get("0-0:96.13.0".parse().unwrap()).unwrap().groups().next().unwrap();
    assert_eq!(text.octets().as_deref(), Some(&b"Hello!"[..]));
}

#[test]
fn versions_2_and_3_have_no_sum_and_gas_on_two_lines() {
    let text = lines(&[
        "/ABC5\\3METER",
        "",
        "0-0:96.1.1(4530303031)",
        "1-0:1.8.1(00001.001*kWh)",
        "0-1:24.1.0(3)",
        "0-1:24.3.0(161107190000)(00)(60)(1)(0-1:24.2.1)(m3)",
        "(00002.003)",
        "0-1:24.4.0(1)",
        "!",
    ]);
    let telegram = read(text.as_bytes());
    assert_eq!((telegram.checksum, telegram.version()), (Checksum::Absent, None));
    assert_eq!(readings(&telegram), ["1-0:1.8.1*255 1.001 kWh", "0-1:24.2.1*255 2.003 m3 at 2016-11-07T19:00:00"]);
}

#[test]
fn belgium_hungary_luxembourg_and_sweden() {
    let belgium = summed(&[
        "/FLU5\\253000000_A",
        "",
        "0-0:96.1.4(50217)",
        "0-0:96.1.1(4530303031)",
        "1-0:1.6.0(200509134558S)(02.589*kW)",
        "0-0:98.1.0(2)(1-0:1.6.0)(1-0:1.6.0)(200501000000S)(200423192538S)(03.695*kW)(200401000000S)(200305122139S)(05.980*kW)",
        "0-1:24.1.0(007)",
        "0-1:96.1.2(5730303031)",
        "0-1:24.2.1(200512134558S)(00872.234*m3)",
    ]);
    let telegram = read(&belgium);
    assert_eq!(telegram.version(), Some("50217"));
    assert_eq!(telegram.devices()[0].equipment.as_deref(), Some("W0001"));
    let peaks = telegram.logs().next().unwrap();
    let peaks: Vec<_> = peaks.rows().map(|row| row[2].value).collect();
    assert_eq!(peaks, ["03.695", "05.980"]);
    assert_eq!(telegram.readings().count(), 2);

    let hungary = summed(&[
        "/AUX59900000000",
        "",
        "0-0:96.1.0(4530303031)",
        "1-0:1.8.0(000173.640*kWh)",
        "0-0:98.1.0(230801000000S)(000173.640*kWh)(000047.719*kWh)",
    ]);
    assert_eq!(readings(&read(&hungary)), ["1-0:1.8.0*255 173.640 kWh"]);
    let sweden = summed(&[
        "/ELL5\\253000000_A",
        "",
        "0-0:1.0.0(210217184019W)",
        "1-0:1.8.0(00006678.394*kWh)",
        "1-0:3.8.0(00000021.988*kvarh)",
    ]);
    assert_eq!(read(&sweden).readings().count(), 2);
    let luxembourg = summed(&[
        "/Lux5\\253000000_D",
        "",
        "1-3:0.2.8(42)",
        "0-0:42.0.0(4530303031)",
        "1-0:1.8.0(000123.456*kWh)",
        "0-0:96.3.10(1)",
    ]);
    assert_eq!(read(&luxembourg).equipment().as_deref(), Some("E0001"));
}

#[test]
fn mode_d_has_the_same_form() {
    let text = "/ESY3Q3X V1.00\r\n\r\n1-0:0.0.0*255(112233)\r\n1-0:1.8.0*255(00000123.4567890*kWh)\r\n!\r\n";
    let telegram = read(text.as_bytes());
    assert_eq!(readings(&telegram), ["1-0:1.8.0*255 123.4567890 kWh"]);
    assert_eq!(telegram.identification(), "ESY3Q3X V1.00");
}

#[test]
fn what_is_wrong_is_named() {
    let good = version_5();
    for end in 0..good.len() {
        assert_eq!(Telegram::parse(&good[..end]), Ok(None), "{end}");
    }
    let mut changed = good.clone();
    changed[120] = b'9';
    assert!(matches!(Telegram::parse(&changed), Err(TelegramError::Crc { .. })));
    assert!(matches!(Telegram::parse_leniently(&changed), Ok(Some((_, _, Some(TelegramError::Crc { .. }))))));
    assert_eq!(Telegram::parse(b"x"), Err(TelegramError::Start { offset: 0, byte: b'x' }));
    assert_eq!(Telegram::parse(b"/A\r\n!12G4\r\n"), Err(TelegramError::Digits { offset: 7, byte: b'G' }));
    assert_eq!(Telegram::parse(b"/A\r\n1(2)\r\n/B"), Err(TelegramError::Restart { offset: 10 }));
    assert_eq!(Telegram::parse(&[b'/'; 300]), Err(TelegramError::Header));
    let endless = [b"/A\r\n".to_vec(), b"1-0:1.8.0(1)\r\n".repeat(2000)].concat();
    assert_eq!(Telegram::parse(&endless), Err(TelegramError::TooLong));
    // Leading zeros may be absent; another case may be used.
    let mut body = 0;
    let short = loop {
        body += 1;
        let text = format!("/A\r\n1-0:1.8.0({body}*kWh)\r\n!");
        let sum = crc16(text.as_bytes());
        if sum < 0x1000 && sum > 0xFF {
            break format!("{text}{sum:x}\r\n");
        }
    };
    assert!(matches!(read(short.as_bytes()).checksum, Checksum::Right(_)));
}

#[test]
fn telegrams_in_a_stream() {
    let mut damaged = version_5();
    damaged[100] ^= 1;
    let whole = version_5();
    let line_end = 1 + whole.iter().rposition(|byte| *byte == b'(').unwrap() - "0-2:24.2.1(240331030000S)(".len();
    let (cut, cut_at_line) = (&whole[..300], &whole[..line_end]);
    let ciphered = [&[0xDB, 8][..], b"SAGTITLE", &[0x82, 0, 20], &[b'/'; 20]].concat();
    let noise = [0xDB, 0xDB, b'x', 0xFF];
    let line = [
        &noise[..],
        &version_5(),
        &damaged,
        cut,
        &version_5(),
        cut_at_line,
        &version_5(),
        &ciphered,
        &noise,
        &version_5(),
    ]
    .concat();
    for size in [1, 7, 100, 5000] {
        let mut deframer = Deframer::default();
        let mut told = String::new();
        for piece in line.chunks(size) {
            deframer.push(piece, |found| {
                told.push(match found {
                    Found::Telegram(_, bytes) => {
                        assert_eq!(bytes, version_5());
                        'T'
                    }
                    Found::Ciphered(apdu) => {
                        assert_eq!(apdu, ciphered);
                        'C'
                    }
                    Found::Damaged(TelegramError::Crc { .. }) => 'd',
                    Found::Damaged(TelegramError::Restart { .. }) => 'r',
                    Found::Damaged(error) => panic!("{error}"),
                });
            });
        }
        assert_eq!(told, "TdrTrTCT", "in pieces of {size}");
        assert!(!deframer.is_inside_telegram());
    }
}

/// `PLOMB_FUZZ_CASES` sets the number of cases; `PLOMB_CAMPAIGN=1` makes it ten million.
#[test]
fn mutated_telegrams_are_judged_in_bounds() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let cases = crate::random::cases(10_000);
    let (mut read, mut damaged) = (0u32, 0u32);
    let mut deframer = Deframer::default();
    for _ in 0..cases {
        let mut bytes = version_5();
        random.mutate(&mut bytes);
        if random.below(2) == 0 {
            // The sum that the changed telegram needs, so that what is inside is looked at.
            if let Ok(Some((telegram, _, _))) = Telegram::parse_leniently(&bytes) {
                let end = telegram.body_at + telegram.body.len() + 1;
                let sum = crc16(&bytes[..end]);
                bytes.truncate(end);
                bytes.extend(format!("{sum:04X}\r\n").bytes());
            }
        }
        deframer.push(&bytes, |found| match found {
            Found::Telegram(telegram, bytes) => {
                read += 1;
                for set in telegram.data_sets().flatten() {
                    assert!(set.offset + set.length <= bytes.len());
                }
                telegram.readings().for_each(|reading| assert!(reading.to_owned().unit.len() < 1000));
                telegram.logs().for_each(|log| assert!(log.rows().count() < 1000));
                assert!(telegram.devices().len() < 256);
                let _ = (telegram.equipment(), telegram.time(), telegram.version(), telegram.identification());
            }
            Found::Ciphered(_) => {}
            Found::Damaged(error) => {
                damaged += 1;
                assert!(error.to_string().len() < 200);
            }
        });
    }
    eprintln!("{cases} cases: {read} telegrams, {damaged} damaged");
    assert!(read > cases / 4 && damaged > cases / 10, "the mutations are too tame or too wild");
}
