//! The program, its files, and the socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_sim::file::{BusFile, read_folder, read_frames};
use plomb_sim::tcp::{TcpLine, UNPACED};
use plomb_sim::{Calendar, LineSpeed, SimError, street};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_example_bus_is_what_its_comments_say() {
    let path = Path::new(FOLDER).join("example-bus.toml");
    let file = BusFile::read(&path).unwrap();
    let bus = file.build(&path, LineSpeed(file.baud), 0).unwrap();
    let ids: Vec<String> = bus.slaves().map(|slave| slave.identity().id_digits()).collect();
    assert_eq!((ids.len(), ids[0].as_str(), ids[2].as_str()), (3, "12345678", "87654321"));
    assert_eq!(bus.calendar, Calendar { start_unix_s: 1_795_423_325, factor: 60 });
    let ill = bus.slave(2).unwrap();
    assert_eq!((ill.faults.late_ms, ill.faults.drop_every, ill.response_bits), (150, Some(5), 330));
}

#[test]
fn mistakes_in_files_are_named_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus.toml");
    let refusal = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let built = BusFile::read(&path).and_then(|file| file.build(&path, LineSpeed(2400), 0));
        built.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let typo = refusal("baud = 2400\n[[meter]]\naddress = 1\nknid = \"heat\"\n");
    assert!(typo.contains("knid") && typo.contains("line 4"), "{typo}");
    assert!(refusal("[[meter]]\naddress = 1\n").contains("`kind` or `frames`"));
    assert!(refusal("[[meter]]\naddress = 251\nkind = \"gas\"\n").contains("250"));
    assert!(refusal("[[meter]]\naddress = 1\nkind = \"gas\"\nid = \"12A45678\"\n").contains("eight digits"));
    let hex = folder.path().join("cut.hex");
    std::fs::write(&hex, "68 03 03 68 08 01 72 7B 16 68 03").unwrap();
    let cut = read_frames(&hex).unwrap_err().to_string();
    assert!(cut.contains("offset 9"), "{cut}");
    assert!(matches!(read_folder(folder.path()), Err(SimError::Content { .. })));
}

#[test]
fn the_program_tells_its_meters_and_stops_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("line");
    let mut program = Command::new(env!("CARGO_BIN_EXE_plomb-sim"))
        .args(["--frames", FOLDER, "--fault", "1:silent", "--fault", "*:late_ms=5", "--link"])
        .arg(&link)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut table = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut table).unwrap();
    let table: Value = serde_json::from_str(&table).unwrap();
    assert_eq!(table["schema"], "plomb-sim/1");
    assert_eq!(table["line"]["path"].as_str().unwrap(), link.to_str().unwrap());
    assert_eq!(table["meters"][0]["id"], "87654321");
    assert_eq!(table["meters"][0]["address"], 1);
    assert!(link.exists());
    let pid = Pid::from_raw(i32::try_from(program.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(program.wait().unwrap().success());
    assert!(std::fs::symlink_metadata(&link).is_err(), "the link goes with the program");
}

#[test]
fn wrong_faults_are_refused() {
    for (fault, reason) in [("1:slient", "slient"), ("9:silent", "no meter at 9"), ("silent", "no colon")] {
        let program =
            Command::new(env!("CARGO_BIN_EXE_plomb-sim")).args(["--street", "1", "--fault", fault]).output().unwrap();
        let said = String::from_utf8(program.stderr).unwrap();
        assert_eq!(program.status.code(), Some(64), "{said}");
        assert!(said.contains(reason), "{said}");
    }
}

#[tokio::test]
async fn the_socket_serves_one_master_after_the_other() {
    let calendar = Calendar { start_unix_s: 1_795_423_325, factor: 1 };
    let line = TcpLine::open("127.0.0.1:0", street(1, 3, UNPACED, calendar).bus).await.unwrap();
    for _ in 0..2 {
        let mut master = tokio::net::TcpStream::connect(line.address()).await.unwrap();
        master.write_all(&[0x10, 0x40, 0x01, 0x41, 0x16]).await.unwrap();
        assert_eq!(master.read_u8().await.unwrap(), 0xE5);
        master.write_all(&[0x10, 0x7B, 0x01, 0x7C, 0x16]).await.unwrap();
        let mut head = [0; 4];
        master.read_exact(&mut head).await.unwrap();
        let mut frame = vec![0; usize::from(head[1]) + 2];
        master.read_exact(&mut frame).await.unwrap();
        let served = line.with_bus(|bus| bus.slave(1).unwrap().served().last().unwrap().to_vec());
        assert_eq!([&head[..], &frame].concat(), served);
    }
}

#[test]
fn a_receiver_among_radio_meters() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("radio");
    let mut program = Command::new(env!("CARGO_BIN_EXE_plomb-sim"))
        .args(["--radio", "rtl_wmbus", "--interval", "1", "--link"])
        .arg(&link)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut table = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut table).unwrap();
    let table: Value = serde_json::from_str(&table).unwrap();
    assert_eq!(table["receiver"]["path"], link.to_str().unwrap());
    assert_eq!(table["meters"].as_array().unwrap().len(), 12);
    assert_eq!((&table["meters"][0]["profile"], &table["meters"][11]["profile"]), (&"none".into(), &"B".into()));
    assert_eq!(table["meters"][11]["key"].as_str().unwrap().len(), 32);
    // Its lines come by themselves.
    let mut line = String::new();
    BufReader::new(std::fs::File::open(&link).unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(";1;1;20") || !line.starts_with('T'), "{line}");
    assert!(line.trim_end().rsplit(';').next().unwrap().starts_with("0x"), "{line}");
    kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
    assert!(program.wait().unwrap().success());
    assert!(!link.exists());
}
