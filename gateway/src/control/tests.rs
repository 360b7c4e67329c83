//! The socket, with real connections.

use std::path::Path;

use plomb_seal::{Clock, SigningKey, Stamp};
use tempfile::TempDir;

use super::*;
use crate::journal::Options;

/// A daemon's socket with an empty journal, and what stops it.
struct Served {
    folder: TempDir,
    stop: watch::Sender<bool>,
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stamp = || Stamp { unix_ms: 1_780_000_000_000, clock: Clock::Unset };
        let (file, key) = (folder.path().join("journal.redb"), SigningKey::from_seed(&[3; 32]));
        let (journal, _) = Journal::open(&file, "gw-1".parse().unwrap(), key, Options::default(), stamp).unwrap();
        let desk = Desk {
            journal,
            snapshot: Box::new(|| serde_json::from_value(snapshot()).unwrap()),
            points: Vec::new(),
            questions: Vec::new(),
            scanners: Vec::new(),
            credential: Held::default(),
            administrators: Group::named("nobody-is-in-this-one"),
        };
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(Socket::bind(&folder.path().join("ctl.sock"), None).unwrap().serve(desk, stopped));
        Self { folder, stop }
    }

    async fn connect(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.folder.path().join("ctl.sock")).await.unwrap())
    }

    /// Asks, and gives the connection with the first line of the answer.
    async fn ask(&self, question: &Request) -> (BufReader<UnixStream>, Answer) {
        let mut connection = self.connect().await;
        let question = serde_json::to_string(question).unwrap() + "\n";
        // Who is refused a seat need not be listened to.
        let _ = connection.get_mut().write_all(question.as_bytes()).await;
        let answer = first_line(&mut connection).await;
        (connection, answer)
    }
}

async fn first_line(connection: &mut BufReader<UnixStream>) -> Answer {
    let mut line = String::new();
    timeout(Duration::from_secs(20), connection.read_line(&mut line)).await.expect("an answer").unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn snapshot() -> serde_json::Value {
    json!({
        "schema": "s", "version": "", "gateway": "gw-1", "verdict": "ok", "troubles": [], "time": "", "clock": "",
        "clock_doubt": null, "started": "", "buses": [], "points": [],
        "hub": crate::status::Hub::default(), "journal": crate::status::Journal::default(),
    })
}

fn tail_question() -> Request {
    Request::Tail { past: 0, point: None }
}

#[tokio::test]
async fn tails_leave_seats_for_others_and_give_theirs_back_when_hung_up() {
    let served = Served::start();
    for _ in 0..3 {
        let mut tails = Vec::new();
        let begun = std::time::Instant::now();
        while tails.len() < TAILS_MAX {
            assert!(begun.elapsed() < Duration::from_secs(20), "the seats of those who left are not given back");
            // The daemon notices each that hung up in its own time; nothing happens on this gateway meanwhile.
            let (tail, answer) = served.ask(&tail_question()).await;
            if answer.ok {
                tails.push(tail);
            }
        }
        let (_, answer) = served.ask(&tail_question()).await;
        assert!(!answer.ok && answer.error.unwrap().contains("busy: 12 tails are open"));
        assert_eq!(answer.kind, Some(Refusal::Unavailable));
        let (_, answer) = served.ask(&Request::Status {}).await;
        assert!(answer.ok, "a short question finds a seat: {answer:?}");
    }
    served.stop.send_replace(true);
}

#[tokio::test]
async fn who_finds_no_seat_is_told_so() {
    let served = Served::start();
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        idle.push(served.connect().await);
    }
    let (_, answer) = served.ask(&Request::Status {}).await;
    assert!(!answer.ok && answer.error.unwrap().contains("busy: 16 connections are open"));
    assert_eq!(answer.kind, Some(Refusal::Unavailable));
    drop(idle);
    let begun = std::time::Instant::now();
    while !served.ask(&Request::Status {}).await.1.ok {
        assert!(begun.elapsed() < Duration::from_secs(20), "no seat is given back");
    }
}

#[tokio::test]
async fn only_a_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link, socket) =
        (folder.path().join("notes.txt"), folder.path().join("link"), folder.path().join("ctl.sock"));
    fs::write(&file, "important").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [file.as_path(), &link, folder.path()] {
        let refused = Socket::bind(path, None).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{}: {refused}", path.display());
    }
    assert_eq!(fs::read_to_string(&link).unwrap(), "important");
    // One that a killed daemon left.
    drop(UnixListener::bind(&socket).unwrap());
    let bound = Socket::bind(&socket, None).unwrap();
    assert!(Socket::bind(&socket, None).is_err(), "a live one stays");
    drop(bound);
    assert!(!socket.exists());
    // What somebody put in the socket's place is not the daemon's to remove.
    let bound = Socket::bind(&socket, None).unwrap();
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "important").unwrap();
    drop(bound);
    assert!(Path::new(&socket).exists());
}

#[tokio::test]
async fn a_missing_folder_of_the_socket_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = Socket::bind(&folder.path().join("run/ctl.sock"), None).err().unwrap().to_string();
    let run = folder.path().join("run").display().to_string();
    assert!(error.contains(&run) && error.contains("[control]"), "{error}");
}
