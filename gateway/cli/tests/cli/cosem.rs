//! `plomb decode` of DLMS, with frames that are made here.

use std::{collections::BTreeMap, path::PathBuf};

use plomb_dlms::{
    apdu::{
        Aarq, Apdu, AttributeDescriptor, AuthenticationValue, Conformance, ContextName, DataNotification, GeneralBlock,
        GetRequest, GetResponse, InitiateRequest, InvokeId, Mechanism,
    },
    axdr::Value as Cosem,
    hdlc::{Address, Control, Frame, LLC_RESPONSE},
    push::Transported,
    security::{
        CounterRange, Form, Key, Keys, Protection, SecurityContext, Suite, SystemTitle,
        general::{Envelope, KeyChoice, protect},
    },
    wrapper::Wrapped,
};
use plomb_session::Obis;
use serde_json::Value;

use super::{key_file, lines, plomb};

const TITLE: SystemTitle = SystemTitle(*b"PLB\0\0\0\0\x01");
const ENCRYPTION: &str = "000102030405060708090A0B0C0D0E0F";
const AUTHENTICATION: &str = "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF";

/// A push of an energy register, with its scaler and unit, and of a name.
fn push() -> Vec<u8> {
    let octets = |bytes: &[u8]| Cosem::OctetString(bytes.to_vec());
    let body = Cosem::Structure(vec![
        Cosem::Structure(vec![
            octets(&[1, 0, 1, 8, 0, 255]),
            Cosem::DoubleLongUnsigned(1_234_567),
            Cosem::Structure(vec![Cosem::Integer(-1), Cosem::Enum(30)]),
        ]),
        Cosem::Structure(vec![octets(&[0, 0, 96, 1, 0, 255]), octets(b"12345678")]),
    ]);
    Apdu::DataNotification(DataNotification { id: 7, time: Vec::new(), body }).emit()
}

fn frame(information: &[u8], segmented: bool) -> Vec<u8> {
    let (destination, source) = (Address::PUBLIC_CLIENT, Address::server(1, 17).unwrap());
    let control = Control::Ui { last: true };
    Frame { destination, source, control, segmented, information: Some(information) }.emit().unwrap()
}

/// An APDU in one HDLC frame.
fn hdlc(apdu: &[u8]) -> Vec<u8> {
    frame(&[&LLC_RESPONSE, apdu].concat(), false)
}

/// An APDU in two frames.
fn hdlc_segments(apdu: &[u8]) -> [Vec<u8>; 2] {
    let (first, rest) = apdu.split_at(apdu.len() / 2);
    [frame(&[&LLC_RESPONSE, first].concat(), true), frame(rest, false)]
}

fn mbus_segments(apdu: &[u8]) -> [Vec<u8>; 2] {
    let (first, rest) = apdu.split_at(apdu.len() / 2);
    let frame = |sequence, last, part| {
        let frame = Transported { control: 0x53, address: 0xFF, sequence, last, source: 1, destination: 0x67, part };
        frame.emit().unwrap()
    };
    [frame(0, false, first), frame(1, true, rest)]
}

fn wrapped(apdu: &[u8]) -> Vec<u8> {
    Wrapped { source: 1, destination: 16, apdu }.emit().unwrap()
}

fn keys() -> Keys {
    let key = |digits: &str| Key::new(&hex::decode(digits).unwrap()).unwrap();
    Keys { encryption: key(ENCRYPTION), authentication: Some(key(AUTHENTICATION)), broadcast: None }
}

fn sealed(form: Form, apdu: &[u8]) -> Vec<u8> {
    let range = CounterRange { next: 5, end: 9 };
    let mut context = SecurityContext::new(Suite::Zero, TITLE, keys(), range).unwrap();
    context.set_form(form);
    context.protect(apdu).unwrap()
}

fn text(lines: &[Vec<u8>]) -> String {
    lines.iter().map(|line| hex::encode_upper(line) + "\n").collect()
}

fn decode(arguments: &[&str], input: &str) -> (Option<i32>, Vec<Value>) {
    let output = plomb(&[&["decode", "--json"], arguments, &["-"]].concat(), input.as_bytes());
    (output.status.code(), lines(&output))
}

/// Whether an answer has the readings of [`push`].
fn is_pushed(told: &Value) -> bool {
    let records = &told["records"];
    (told["protocol"] == "dlms")
        && (told["meter"]["id"] == "12345678")
        && (records[0]["obis"] == "1-0:1.8.0*255")
        && (records[0]["value"] == "123456.7")
        && (records[0]["unit"] == "Wh")
        && (records[1]["value"] == "12345678")
        && (told["apdu"]["name"] == "data-notification")
}

fn secrets(folder: &tempfile::TempDir, text: &str) -> String {
    key_file(folder.path(), text, 0o600)
}

fn both_keys() -> String {
    format!("hall encryption {ENCRYPTION}\nhall authentication {AUTHENTICATION}\n")
}

#[test]
fn a_push_is_read_whatever_carries_it() {
    for (line, frame) in [
        (push(), None),
        (hdlc(&push()), Some("hdlc")),
        (wrapped(&push()), Some("wrapper")),
        (hdlc_segments(&push()).concat(), Some("hdlc")),
        (mbus_segments(&push()).concat(), Some("long")),
    ] {
        let (code, told) = decode(&[], &text(&[line]));
        assert_eq!((code, told.len()), (Some(0), 1));
        assert!(told[0]["ok"] == true && is_pushed(&told[0]), "{}", told[0]);
        assert_eq!(told[0]["frame"].as_str(), frame);
        assert_eq!(told[0].get("others"), None);
    }
    // Two pushes in one line.
    let two = [hdlc(&push()), hdlc(&push())].concat();
    let (_, told) = decode(&[], &text(&[two]));
    assert!(is_pushed(&told[0]) && is_pushed(&told[0]["others"][0]), "{}", told[0]);
    let plain = plomb(&["decode", &hex::encode(hdlc(&push()))], b"");
    let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(plain.contains("dlms  12345678") && plain.contains("123456.7  Wh"), "{plain}");
}

#[test]
fn segments_and_blocks_are_joined_over_lines() {
    let blocks: Vec<Vec<u8>> = push()
        .chunks(20)
        .zip(1u16..)
        .map(|(bytes, number)| {
            let last = usize::from(number) * 20 >= push().len();
            let block = GeneralBlock { last, streaming: true, window: 1, number, acknowledged: 0, bytes: bytes.into() };
            Apdu::GeneralBlock(block).emit()
        })
        .collect();
    let framed: Vec<Vec<u8>> = blocks.iter().map(|block| hdlc(block)).collect();
    for parts in [hdlc_segments(&push()).to_vec(), mbus_segments(&push()).to_vec(), blocks, framed] {
        let (code, told) = decode(&[], &text(&parts));
        let (last, before) = told.split_last().unwrap();
        assert_eq!((code, told.len()), (Some(0), parts.len()));
        assert!(is_pushed(last), "{last}");
        for one in before {
            let status = one["status"][0].as_str().unwrap_or_default();
            assert!(one["ok"] == true && status.ends_with("the rest is awaited"), "{one}");
        }
        // The first is lost: the rest is told as what it is, and harms nothing behind it.
        let mut damaged = parts[1..].to_vec();
        damaged.push(hdlc(&push()));
        let (_, told) = decode(&[], &text(&damaged));
        assert!(is_pushed(told.last().unwrap()), "{told:?}");
        assert!(
            told[..told.len() - 1].iter().all(|one| one["records"].as_array().is_none_or(Vec::is_empty)),
            "{told:?}"
        );
    }
}

#[test]
fn keys_open_what_is_ciphered_and_each_trouble_has_its_kind_and_code() {
    let folder = tempfile::tempdir().unwrap();
    let whole = secrets(&folder, &both_keys());
    let envelope =
        Envelope { originator: TITLE, recipient: SystemTitle(*b"PLBCLIEN"), transaction: &[1; 8], counter: 5 };
    let ciphering = protect(Suite::Zero, &keys(), KeyChoice::Global, &envelope, Protection::FULL, &push()).unwrap();
    let line = text(&[hdlc(&sealed(Form::General, &push()))]);
    for line in [line.clone(), text(&[sealed(Form::General, &push())]), text(&[ciphering])] {
        let (code, told) = decode(&["--secrets", &whole], &line);
        assert!(code == Some(0) && is_pushed(&told[0]), "{}", told[0]);
        let security = &told[0]["security"];
        assert_eq!(security["protection"], "authenticated and encrypted", "{security}");
        assert_eq!((security["counter"].as_u64(), security["title"].as_str()), (Some(5), Some("504C420000000001")));
    }
    let kind = |told: &[Value]| told[0]["error"]["kind"].as_str().unwrap_or_default().to_string();
    let (code, told) = decode(&[], &line);
    assert_eq!((code, kind(&told).as_str()), (Some(66), "key missing"), "{told:?}");
    let (code, told) = decode(&[], &text(&hdlc_segments(&sealed(Form::General, &push()))));
    assert_eq!((code, told.len(), &told[1]["error"]["kind"]), (Some(66), 2, &"key missing".into()), "{told:?}");
    // Another name's keys come first, and do not fit.
    let more = format!("attic encryption {AUTHENTICATION}\nattic authentication {ENCRYPTION}\n");
    let (code, told) = decode(&["--secrets", &secrets(&folder, &(more.clone() + &both_keys()))], &line);
    assert!(code == Some(0) && is_pushed(&told[0]), "{}", told[0]);
    let (code, told) = decode(&["--secrets", &secrets(&folder, &more)], &line);
    assert_eq!((code, kind(&told).as_str()), (Some(66), "key wrong"), "{told:?}");
    // The encryption key alone shows the values, and says what they are worth.
    let half = secrets(&folder, &format!("hall encryption {ENCRYPTION}\n"));
    let (code, told) = decode(&["--secrets", &half], &line);
    assert!(code == Some(0) && is_pushed(&told[0]), "{}", told[0]);
    let status = told[0]["status"].as_array().unwrap();
    assert!(status.contains(&"not authenticated: the authentication key is missing".into()), "{status:?}");
    let wrong = secrets(&folder, &format!("hall encryption {AUTHENTICATION}\n"));
    let (code, told) = decode(&["--secrets", &wrong], &line);
    assert_eq!((code, kind(&told).as_str()), (Some(66), "key wrong"), "{told:?}");
    let open = key_file(folder.path(), &both_keys(), 0o644);
    assert_eq!(decode(&["--secrets", &open], &line).0, Some(78));
}

fn get_response() -> Vec<u8> {
    Apdu::GetResponse(GetResponse::Normal(InvokeId::new(1), Ok(Cosem::DoubleLongUnsigned(123_456)))).emit()
}

#[test]
fn what_names_no_sender_is_opened_with_a_title() {
    let folder = tempfile::tempdir().unwrap();
    let whole = secrets(&folder, &both_keys());
    let line = text(&[sealed(Form::Service, &get_response())]);
    let (code, told) = decode(&["--secrets", &whole], &line);
    assert_eq!((code, &told[0]["error"]["kind"]), (Some(65), &"title missing".into()), "{told:?}");
    let title = TITLE.to_string();
    let named = secrets(&folder, &both_keys().replace("hall", &title));
    for arguments in [["--secrets", &whole, "--title", &title].as_slice(), &["--secrets", &named]] {
        let (code, told) = decode(arguments, &line);
        assert_eq!(code, Some(0), "{told:?}");
        assert_eq!(told[0]["apdu"]["name"], "get-response");
        assert_eq!(told[0]["apdu"]["results"][0]["value"], "123456");
        assert_eq!(told[0]["security"]["counter"], 5);
    }
    assert_eq!(decode(&["--title", "xyz"], &line).0, Some(64));
}

const PASSWORD: &[u8] = b"Tr0ub4dor&3";

fn associate() -> Vec<u8> {
    let initiate = InitiateRequest {
        dedicated_key: Some(hex::decode(ENCRYPTION).unwrap()),
        ..InitiateRequest::new(Conformance::of_client(), 1024)
    };
    Apdu::Aarq(Box::new(Aarq {
        context: ContextName::LOGICAL_NAMES,
        title: Some(TITLE.0.to_vec()),
        user: None,
        mechanism: Some(Mechanism::LLS),
        authentication: Some(AuthenticationValue::Text(PASSWORD.to_vec())),
        initiate: Apdu::InitiateRequest(initiate).emit(),
        other: Vec::new(),
    }))
    .emit()
}

#[test]
fn associations_are_told_without_their_secrets() {
    let (code, told) = decode(&[], &text(&[hdlc(&associate())]));
    let apdu = &told[0]["apdu"];
    assert_eq!((code, &apdu["name"]), (Some(0), &"AARQ".into()), "{}", told[0]);
    assert_eq!(apdu["title"], TITLE.to_string());
    assert_eq!(apdu["mechanism"], "LLS: a password");
    assert_eq!(apdu["authentication"], "11 bytes, not shown");
    assert_eq!(apdu["initiate"]["max_pdu_bytes"], 1024);
    assert_eq!(apdu["initiate"]["dedicated_key"], "16 bytes, not shown");
    assert!(apdu["initiate"]["conformance"].as_array().unwrap().contains(&"block-transfer-with-get".into()));
    let set = Apdu::SetRequest(plomb_dlms::apdu::SetRequest::Normal(
        InvokeId::new(1),
        (AttributeDescriptor::new(15, Obis([0, 0, 40, 0, 1, 255]), 7), None),
        Cosem::OctetString(PASSWORD.to_vec()),
    ));
    let folder = tempfile::tempdir().unwrap();
    let whole = secrets(&folder, &both_keys());
    let all = text(&[associate(), hdlc(&associate()), set.emit(), sealed(Form::General, &set.emit())]);
    for arguments in [[].as_slice(), &["--annotate"], &["--json"], &["--json", "--annotate"]] {
        let arguments = [&["decode", "--secrets", &whole], arguments, &["-"]].concat();
        let output = plomb(&arguments, all.as_bytes());
        assert_eq!(output.status.code(), Some(0));
        let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).to_lowercase();
        for secret in [hex::encode(PASSWORD), "tr0ub4dor".into(), ENCRYPTION.into(), AUTHENTICATION.into()] {
            assert!(!shown.contains(&secret.to_lowercase()), "{secret}: {shown}");
        }
    }
}

#[test]
fn questions_answers_and_values_are_told() {
    let attribute = AttributeDescriptor::new(3, Obis([1, 0, 1, 8, 0, 255]), 2);
    let request = Apdu::GetRequest(GetRequest::Normal(InvokeId::new(3), (attribute, None))).emit();
    let value = Cosem::Structure(vec![Cosem::Long(-5), Cosem::VisibleString(b"x".to_vec())]).to_bytes();
    let (code, told) = decode(&[], &text(&[request, get_response(), value, vec![0xD8, 1, 2]]));
    assert_eq!(code, Some(0), "{told:?}");
    let asked = &told[0]["apdu"];
    assert_eq!((&asked["name"], &asked["invoke_id"]), (&"get-request".into(), &3.into()));
    assert_eq!(asked["attributes"][0]["obis"], "1-0:1.8.0*255");
    assert_eq!((&asked["attributes"][0]["class"], &asked["attributes"][0]["attribute"]), (&3.into(), &2.into()));
    assert_eq!(told[1]["apdu"]["results"][0]["type"], "double-long-unsigned");
    assert_eq!((&told[2]["apdu"]["name"], &told[2]["apdu"]["value"]), (&"data".into(), &"{-5, \"x\"}".into()));
    assert!(told[3]["apdu"]["reason"].as_str().unwrap().contains("service not supported"), "{}", told[3]);
    assert!(told.iter().all(|one| one["records"] == Value::Array(Vec::new())));
    // Wireless telegrams that were cut off are none of it.
    let (_, told) = decode(&[], "1444ae0c7856341201\n00\n");
    assert!(told.iter().all(|one| one["ok"] == false && one["protocol"] == "wmbus"), "{told:?}");
}

#[test]
fn a_damaged_frame_is_told_and_what_could_be_read_is_shown() {
    let mut line = hdlc(&push());
    let sum = line.len() - 2;
    line[sum] ^= 1;
    let (code, told) = decode(&[], &text(&[line]));
    assert_eq!((code, &told[0]["ok"], &told[0]["error"]["kind"]), (Some(65), &false.into(), &"checksum".into()));
    assert!(is_pushed(&told[0]), "{}", told[0]);
    // A damaged segment is not forgotten when the last one is whole.
    let [mut first, last] = hdlc_segments(&push());
    let sum = first.len() - 2;
    first[sum] ^= 1;
    let (code, told) = decode(&[], &text(&[first, last]));
    assert!(code == Some(65) && is_pushed(&told[1]), "{told:?}");
    assert!(told.iter().all(|one| one["error"]["kind"] == "checksum"), "{told:?}");
    let whole = hdlc_segments(&push());
    let mut line = whole.concat();
    line[whole[0].len() - 2] ^= 1;
    let (code, told) = decode(&[], &text(&[line]));
    assert!(code == Some(65) && is_pushed(&told[0]), "{told:?}");
    // A push that breaks off.
    let apdu = push();
    let (_, told) = decode(&["--protocol", "dlms"], &text(&[apdu[..apdu.len() - 3].to_vec()]));
    assert_eq!((&told[0]["error"]["kind"], &told[0]["records"][0]["value"]), (&"apdu".into(), &"123456.7".into()));
    for (line, kind) in [
        ("7EA0", "truncated"),
        ("7EA00703219300017E", "checksum"),
        ("0001000100100005C4", "truncated"),
        ("0002000100100005C4", "apdu"),
        ("6807076853FF1101670F003016", "checksum"),
        ("C4", "apdu"),
        ("DB08", "apdu"),
    ] {
        let (code, told) = decode(&["--protocol", "dlms"], line);
        assert_eq!((code, told[0]["error"]["kind"].as_str()), (Some(65), Some(kind)), "{line}: {}", told[0]);
    }
}

#[test]
fn every_byte_of_frames_and_apdus_is_annotated_once() {
    let folder = tempfile::tempdir().unwrap();
    let whole = secrets(&folder, &both_keys());
    let segments = hdlc_segments(&push()).concat();
    let all = [push(), hdlc(&push()), wrapped(&push()), mbus_segments(&push()).concat(), get_response(), segments];
    for line in all.into_iter().chain([hdlc(&sealed(Form::General, &push()))]) {
        let digits = hex::encode(&line);
        let (_, told) = decode(&["--annotate", "--secrets", &whole], &digits);
        let joined = |list: &Value| {
            let list = list.as_array().unwrap();
            list.iter().map(|one| one["bytes"].as_str().unwrap()).collect::<String>()
        };
        assert_eq!(joined(&told[0]["annotations"]), digits, "{}", told[0]);
        if told[0].get("clear").is_some() {
            assert_eq!(joined(&told[0]["clear"]), hex::encode(push()));
        }
    }
    let plain = plomb(&["decode", "--annotate", &hex::encode(push())], b"");
    let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(plain.contains("double-long-unsigned: 1234567"), "{plain}");
}

#[test]
fn long_apdus_fit_in_a_line_and_longer_ones_are_refused() {
    let rows = |count: usize| Cosem::Array(vec![Cosem::DoubleLongUnsigned(7); count]);
    let apdu = |count| Apdu::DataNotification(DataNotification { id: 1, time: Vec::new(), body: rows(count) }).emit();
    let framed = |apdu: &[u8]| {
        let information = [&LLC_RESPONSE, apdu].concat();
        let pieces: Vec<&[u8]> = information.chunks(2000).collect();
        let last = pieces.len() - 1;
        pieces.iter().enumerate().flat_map(|(nth, piece)| frame(piece, nth < last)).collect::<Vec<u8>>()
    };
    let (long, longest) = (apdu(3000), apdu(13_000));
    for line in [long.clone(), framed(&long), framed(&longest), wrapped(&longest)] {
        let (code, told) = decode(&[], &text(&[line]));
        assert_eq!((code, &told[0]["apdu"]["name"]), (Some(0), &"data-notification".into()), "{}", told[0]["error"]);
    }
    let too_long = apdu(14_000);
    let (code, told) = decode(&[], &text(&[framed(&too_long)]));
    assert_eq!((code, &told[0]["error"]["kind"]), (Some(65), &"too long".into()), "{}", told[0]["error"]);
    let digits = "00".repeat(90_000);
    assert_eq!(decode(&[], &digits).1[0]["error"]["kind"], "frame");
    assert_eq!(decode(&[], &"0 ".repeat(200_000)).1[0]["error"]["kind"], "too long");
    // Long and no DLMS: as it was before DLMS.
    assert_eq!(decode(&[], &"00".repeat(400)).1[0]["error"]["kind"], "frame");
}

/// A small generator, so that the same lines come each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

#[test]
fn no_line_brings_it_down_and_each_has_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let whole = secrets(&folder, &both_keys());
    let seeds = [
        push(),
        hdlc(&push()),
        hdlc_segments(&push()).concat(),
        hdlc_segments(&push())[0].clone(),
        mbus_segments(&push()).concat(),
        mbus_segments(&push())[1].clone(),
        wrapped(&push()),
        sealed(Form::General, &push()),
        sealed(Form::Service, &get_response()),
        hdlc(&associate()),
        associate(),
        get_response(),
    ];
    let mut random = Random(11);
    let mut input = String::new();
    let count = 4000;
    for _ in 0..count {
        let mut line = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(line.len());
            match random.below(5) {
                0 => line.truncate(at),
                1 => line.insert(at, u8::try_from(random.below(256)).unwrap()),
                2 => drop((!line.is_empty()).then(|| line.remove(at))),
                _ => line.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            }
        }
        if random.below(8) == 0 {
            line = (0..random.below(200)).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        }
        input += &(hex::encode(line) + "\n");
    }
    for arguments in [["--annotate"].as_slice(), &["--protocol", "dlms"], &["--protocol", "p1"]] {
        let (code, told) = decode(&[&["--secrets", whole.as_str()], arguments].concat(), &input);
        assert_eq!(told.len(), count, "{arguments:?}");
        assert!(matches!(code, Some(0 | 65)), "{code:?}");
    }
}

/// Frames from outside the project, where they are at hand, with the values that others find in them.
#[test]
fn the_corpus_is_decoded_with_the_values_that_are_expected() {
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS").map(PathBuf::from) else {
        eprintln!("corpus absent: set PLOMB_CORPUS");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = std::fs::read_to_string(corpus.join("dlms/apdus.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (mut decoded, mut refused, mut equal, mut texts) = (0, Vec::new(), 0, 0);
    for row in &rows {
        let name = row["name"].as_str().unwrap();
        let keys: BTreeMap<&str, &str> = row["keys"]
            .as_object()
            .map(|keys| keys.iter().map(|(name, key)| (name.as_str(), key.as_str().unwrap())).collect())
            .unwrap_or_default();
        let title = keys.get("system_title").copied();
        let file: String = keys
            .iter()
            .filter(|(key, _)| !["system_title", "challenge"].contains(key))
            .map(|(key, digits)| {
                let what = if key.contains("auth") || *key == "ak" { "authentication" } else { "encryption" };
                format!("row {what} {digits}\n")
            })
            .collect();
        let file = secrets(&folder, &file);
        let mut arguments = vec!["--secrets", file.as_str()];
        arguments.extend(title.into_iter().flat_map(|title| ["--title", title]));
        let (_, told) = decode(&arguments, row["hex"].as_str().unwrap());
        let told = &told[0];
        match (&told["ok"], &told["protocol"]) {
            (Value::Bool(true), protocol) if protocol == "dlms" => decoded += 1,
            _ => refused.push(name),
        }
        let records = told["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        if records.is_empty() {
            continue;
        }
        let said = |code: &str| {
            let groups: Vec<&str> = code.split('.').collect();
            let [a, b, c, d, e, f] = groups.as_slice() else { panic!("{code}") };
            let obis = format!("{a}-{b}:{c}.{d}.{e}*{f}");
            let found = records.iter().find(|record| record["obis"] == obis.as_str());
            found.and_then(|record| record["value"].as_str()).map(String::from)
        };
        for (code, value) in row["expected"]["values"].as_object().into_iter().flatten() {
            let number: f64 = said(code).unwrap_or_else(|| panic!("{name}: no {code}")).parse().unwrap();
            assert!((number - value.as_f64().unwrap()).abs() < 1e-9, "{name} {code}: {number} / {value}");
            equal += 1;
        }
        for (code, value) in row["expected"]["strings"].as_object().into_iter().flatten() {
            match said(code) {
                Some(text) if Some(text.as_str()) == value.as_str() => texts += 1,
                other => eprintln!("{name} {code}: {other:?} / {value}"),
            }
        }
    }
    eprintln!("{decoded} of {} rows decoded, {equal} numbers and {texts} texts equal; not: {refused:?}", rows.len());
    assert!(decoded >= 32 && equal >= 31, "{decoded} rows, {equal} numbers; not: {refused:?}");
}
