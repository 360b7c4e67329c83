//! The program with a DLMS meter.

use crate::wire::{Client, hex};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tokio::net::TcpStream;

fn start(arguments: &[&str]) -> (Child, Value) {
    let mut program =
        Command::new(env!("CARGO_BIN_EXE_plomb-sim")).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (program, serde_json::from_str(&line).unwrap())
}

#[tokio::test]
async fn one_meter_is_on_several_lines_and_all_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("meter");
    let lines = ["--dlms", "tcp://127.0.0.1:0", "--dlms", "udp://127.0.0.1:0", "--dlms", "hdlc+tcp://127.0.0.1:0"];
    let more = ["--auth", "lls", "--client", "5", "--deviation", "-60", "--without", "list", "--fault", "no_rlre"];
    let time = ["--start", "1795423325", "--factor", "0"];
    let pty = ["--dlms", link.to_str().unwrap(), "--baud", "2400", "--mode-e"];
    let (mut program, told) = start(&[&lines[..], &more, &time, &pty].concat());
    assert_eq!(told["schema"], "plomb-sim/1");
    assert_eq!(told["lines"].as_array().unwrap().len(), 4);
    assert_eq!((&told["lines"][3]["path"], &told["lines"][3]["baud"]), (&link.to_str().unwrap().into(), &2400.into()));
    assert!(link.exists());
    let meter = &told["meter"];
    assert_eq!((&meter["auth"], &meter["client"]), (&"lls".into(), &5.into()));
    assert_eq!(meter["keys"]["unicast"].as_str().unwrap().len(), 32);
    let stream = TcpStream::connect(told["lines"][0]["tcp"].as_str().unwrap()).await.unwrap();
    let mut client = Client { stream, port: 5 };
    let aare = client.associate(Some(meter["password"].as_str().unwrap().as_bytes()), 0xFFFF).await;
    // Accepted; without multiple references.
    assert_eq!((aare[17], &aare[aare.len() - 8..aare.len() - 4]), (0, &hex("00 60 1C 9D")[..]));
    let clock = client.ask(&hex("C0 01 C1 00 08 00 00 01 00 00 FF 03 00")).await;
    assert_eq!(clock, hex("C4 01 C1 00 10 FF C4"));
    let energy = client.ask(&hex("C0 01 C1 00 03 01 00 01 08 00 FF 02 00")).await;
    let told = &meter["registers"][0];
    assert_eq!((&told["obis"], &told["unit"]), (&"1.0.1.8.0.255".into(), &30.into()));
    let mantissa = u32::try_from(told["mantissa"].as_u64().unwrap()).unwrap();
    assert_eq!(energy, [&hex("C4 01 C1 00 06")[..], &mantissa.to_be_bytes()].concat());
    kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
    assert!(program.wait().unwrap().success());
    assert!(!link.exists());
}

#[test]
fn wrong_options_are_named() {
    for (wrong, said) in [
        (["--fault", "drop_evry=2"], "drop_evry"),
        (["--push", "http://x"], "neither tcp"),
        (["--deviation", "CET"], "CET"),
        (["--suite", "3"], "3"),
    ] {
        let arguments = [&["--dlms", "tcp://127.0.0.1:0"][..], &wrong].concat();
        let program = Command::new(env!("CARGO_BIN_EXE_plomb-sim")).args(arguments).output().unwrap();
        let errors = String::from_utf8(program.stderr).unwrap();
        assert!(!program.status.success() && errors.contains(said), "{errors}");
    }
}
