//! Real pseudo-terminals: contents only, no timing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_sim::{Calendar, LineSpeed, PtyLine, street};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

const NOW: Calendar = Calendar { start_unix_s: 1_795_423_325, factor: 1 };

/// A client's blocking view of the port.
fn open(path: &Path, baud: u32) -> File {
    let port = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut settings = tcgetattr(&port).unwrap();
    settings.make_raw();
    settings.set_speed(baud).unwrap();
    tcsetattr(&port, OptionalActions::Now, &settings).unwrap();
    port
}

/// Sends a frame, and reads as many bytes as a short or long answer has.
fn ask(port: &mut File, request: &[u8]) -> Vec<u8> {
    port.write_all(request).unwrap();
    let mut answer = vec![0];
    port.read_exact(&mut answer).unwrap();
    if answer == [0x68] {
        let mut head = [0; 3];
        port.read_exact(&mut head).unwrap();
        let mut rest = vec![0; usize::from(head[0]) + 2];
        port.read_exact(&mut rest).unwrap();
        answer.extend(head);
        answer.extend(rest);
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_reads_a_meter_leaves_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("mbus-adapter");
    let line = PtyLine::open(Some(&link), street(2, 3, LineSpeed(9600), NOW).bus).unwrap();
    assert_eq!(line.path(), link);
    for _ in 0..2 {
        let link = link.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let mut port = open(&link, 9600);
            assert_eq!(ask(&mut port, &[0x10, 0x40, 0x02, 0x42, 0x16]), [0xE5]);
            ask(&mut port, &[0x10, 0x7B, 0x02, 0x7D, 0x16])
        });
        let answer = answer.await.unwrap();
        let served = line.with_bus(|bus| bus.slave(2).unwrap().served().last().unwrap().to_vec());
        assert_eq!(answer, served);
    }
    assert_eq!(line.counters().frames_heard, 4);
    assert_eq!(line.counters().lost_bytes, 0);
    drop(line);
    assert!(!link.exists(), "the link goes with the line");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_set_another_speed_is_not_understood() {
    let line = PtyLine::open(None, street(1, 3, LineSpeed(9600), NOW).bus).unwrap();
    let path = line.path().to_owned();
    tokio::task::spawn_blocking(move || {
        let mut port = open(&path, 2400);
        port.write_all(&[0x10, 0x40, 0x01, 0x41, 0x16]).unwrap();
        // The right speed afterwards: the write above was taken at the old
        // one, or not yet taken; drain waits until it was.
        rustix::termios::tcdrain(&port).unwrap();
    })
    .await
    .unwrap();
    while line.counters().master_bytes == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(line.counters().speed_mismatches, 1);
    assert_eq!(line.counters().frames_heard, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unplugged_adapter_hangs_up_and_comes_back_behind_the_same_link() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("mbus-adapter");
    let mut line = PtyLine::open(Some(&link), street(1, 3, LineSpeed(9600), NOW).bus).unwrap();
    let mut port = open(&link, 9600);
    line.unplug().await;
    assert!(std::fs::symlink_metadata(&link).is_err());
    let mut byte = [0];
    let hung_up = matches!(port.read(&mut byte), Ok(0) | Err(_));
    assert!(hung_up);
    assert!(port.write_all(&[0x10]).is_err());
    line.replug().unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut port = open(&link, 9600);
        ask(&mut port, &[0x10, 0x40, 0x01, 0x41, 0x16])
    });
    assert_eq!(answer.await.unwrap(), [0xE5]);
}

#[tokio::test]
async fn a_file_in_the_links_place_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "mine").unwrap();
    let refused = PtyLine::open(Some(&path), street(1, 3, LineSpeed(9600), NOW).bus);
    assert!(refused.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

/// The port as a gateway opens it: tokio-serial, 8E1, exclusively.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokio_serial_opens_with_parity_time_and_again() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_serial::SerialPortBuilderExt;
    let street = street(1, 3, LineSpeed(2400), NOW);
    let line = PtyLine::open(None, street.bus).unwrap();
    let name = line.path().to_str().unwrap();
    for _ in 0..3 {
        let settings = tokio_serial::new(name, 2400).parity(tokio_serial::Parity::Even);
        let (mut reads, mut writes) = tokio::io::split(settings.open_native_async().unwrap());
        writes.write_all(&[0x10, 0x40, 0x01, 0x41, 0x16]).await.unwrap();
        assert_eq!(reads.read_u8().await.unwrap(), 0xE5);
    }
    assert_eq!(line.counters().speed_mismatches, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_comes_without_being_asked_for() {
    let line = PtyLine::open(None, street(1, 3, LineSpeed(9600), NOW).bus).unwrap();
    let mut port = open(line.path(), 9600);
    line.disturb(&[0xFE, 0xA5, 0x00]);
    let heard = tokio::task::spawn_blocking(move || {
        let mut heard = [0; 3];
        port.read_exact(&mut heard).unwrap();
        heard
    });
    assert_eq!(heard.await.unwrap(), [0xFE, 0xA5, 0x00]);
}
