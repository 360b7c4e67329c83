//! Recorded frames of real meters. They are not part of the project: `PLOMB_CORPUS` names the folder
//! that holds them.

use plomb_dlms::annotate;
use plomb_dlms::hdlc::{Deframer, Found, Frame};
use plomb_dlms::push::{PushConfig, PushEvent, PushFraming, PushReceiver, Transported};
use plomb_session::Instant;
use serde_json::Value;

/// Recordings in which numbers were replaced, so that their FCS is wrong.
const CHANGED: &[&str] = &["hdlc_landis_gyr_zmf100_raw_frame"];

struct Recorded {
    name: String,
    transport: String,
    bytes: Vec<u8>,
}

fn recorded() -> Option<Vec<Recorded>> {
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS") else {
        eprintln!("PLOMB_CORPUS is not set: recorded frames are not tried");
        return None;
    };
    let path = std::path::Path::new(&corpus).join("dlms/apdus.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = |row: &Value, key| row[key].as_str().unwrap_or_default().to_owned();
    let rows = lines.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let hex = text(&row, "hex");
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        Recorded { name: text(&row, "name"), transport: text(&row, "transport"), bytes }
    });
    Some(rows.collect())
}

#[test]
fn every_recorded_frame_is_read_and_comes_back() {
    let Some(recorded) = recorded() else { return };
    let (mut hdlc, mut mbus) = (0, 0);
    for Recorded { name, transport, bytes } in recorded {
        if transport == "hdlc" {
            let (mut deframer, mut frames) = (Deframer::default(), Vec::new());
            deframer.push(&bytes, |found| match found {
                Found::Frame(frame) => frames.push(frame.emit().unwrap()),
                Found::Damaged { error, .. } => assert!(CHANGED.contains(&&name[..]), "{name}: {error}"),
            });
            if CHANGED.contains(&&name[..]) {
                let (frame, consumed, error) = Frame::parse_leniently(&bytes).unwrap().unwrap();
                assert!(error.is_some() && consumed == bytes.len());
                assert_eq!(frame.emit().unwrap()[..consumed - 3], bytes[..consumed - 3], "{name}");
                continue;
            }
            assert_eq!((frames.concat(), deframer.noise_bytes()), (bytes.clone(), 0), "{name}");
            frames.iter().for_each(|frame| assert!(Frame::parse_whole(frame).is_ok()));
            hdlc += frames.len();
            assert!(annotate::hdlc(&bytes).iter().all(|one| one.field != "not read"), "{name}");
        } else if transport == "mbus" {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (frame, consumed) = Transported::parse(rest).unwrap().unwrap();
                assert_eq!(frame.emit().unwrap(), rest[..consumed], "{name}");
                rest = &rest[consumed..];
                mbus += 1;
            }
            assert!(annotate::mbus(&bytes).iter().all(|one| one.field != "not read"), "{name}");
        }
    }
    eprintln!("{hdlc} HDLC frames, {mbus} M-Bus frames");
    assert!(hdlc >= 12 && mbus >= 2);
}

/// The pushes of the corpus, byte by byte: whole APDUs, or what is missing.
#[test]
fn every_recorded_push_is_put_together() {
    let Some(recorded) = recorded() else { return };
    let mut told = Vec::new();
    for Recorded { name, bytes, transport } in recorded {
        let pushed = name.contains("frame") || name.contains("han");
        if transport == "raw" || !pushed {
            continue;
        }
        let mut receiver = PushReceiver::new(PushConfig::new(PushFraming::Serial));
        for byte in bytes {
            receiver.handle_input(&[byte], Instant::ORIGIN);
        }
        while let Some(at) = receiver.poll_timeout() {
            receiver.handle_timeout(at);
        }
        let events: Vec<_> = std::iter::from_fn(|| receiver.poll_event()).collect();
        for event in &events {
            match event {
                // The first and second frame of a longer push.
                _ if name.starts_with("iskra550_frame") || CHANGED.contains(&&name[..]) => {
                    assert!(matches!(event, PushEvent::Lost(_)), "{name}");
                }
                PushEvent::Apdu { apdu, .. } => told.push((name.clone(), apdu.len(), apdu[0])),
                PushEvent::Lost(loss) => panic!("{name}: {loss}"),
            }
        }
    }
    eprintln!("{told:?}");
    assert!(told.len() >= 7, "{told:?}");
    assert!(told.iter().all(|(_, _, tag)| [0x0F, 0xDB, 0xE0].contains(tag)), "{told:?}");
}
