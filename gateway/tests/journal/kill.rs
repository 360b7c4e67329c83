//! A real process is killed while it writes.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use plomb_gateway::journal::{Journal, Limits};

use crate::world::*;

const PATH: &str = "PLOMB_TEST_JOURNAL";

/// Not a test of its own: the process that is killed. Says each durable entry, and each anchor.
#[test]
fn child_that_is_killed() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let (journal, recovered) = Journal::open(path.as_ref(), gateway(), key(), options(), clock()).unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "@opened {}", recovered.head.next_seq).unwrap();
    for round in 0_u64.. {
        for place in append(&journal, round * 3..round * 3 + 3) {
            writeln!(out, "@entry {} {}", place.seq, place.hash).unwrap();
        }
        if round % 4 == 0 {
            let anchor = run(journal.close_batch(Limits::default())).unwrap().unwrap();
            writeln!(out, "@anchor {} {}", anchor.statement().batch, anchor.hash()).unwrap();
        }
        out.flush().unwrap();
    }
}

#[test]
fn what_was_said_to_be_durable_is_there_after_a_kill() {
    let kills = if std::env::var_os("PLOMB_CAMPAIGN").is_some() { 200 } else { 20 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let (mut durable, mut anchors) = (0_u64, Vec::<String>::new());
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        // After so many lines the child is in the middle of one of its commits.
        let enough = 2 + (kill * 7919) % 40;
        while said.len() < enough {
            let line = lines.next().expect("the child ended by itself").unwrap();
            // The test harness may write before the first line of the child on the same line.
            if let Some(at) = line.find('@') {
                said.push(line[at..].to_string());
            }
        }
        if kill % 3 > 0 {
            std::thread::sleep(std::time::Duration::from_micros((kill as u64 * 104_729) % 4000));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        said.extend(lines.map_while(Result::ok).filter(|line| line.starts_with('@')));

        let reader = Journal::open_read_only(&path).unwrap();
        let snapshot = reader.snapshot().unwrap();
        check_all(&snapshot);
        for line in &said {
            let words: Vec<_> = line.split(' ').collect();
            match words.as_slice() {
                ["@opened", next] => assert!(next.parse::<u64>().unwrap() >= durable),
                ["@entry", seq, hash] => {
                    let seq = seq.parse().unwrap();
                    let entry = snapshot.entry(0, seq).unwrap().expect("a durable entry is gone");
                    assert_eq!(plomb_seal::tree::leaf_hash(&entry.bytes).to_string(), *hash);
                    durable = durable.max(seq + 1);
                }
                ["@anchor", batch, hash] => {
                    let batch: usize = batch.parse().unwrap();
                    assert!(batch >= anchors.len(), "batch {batch} was given twice");
                    anchors.resize(batch, String::new());
                    anchors.push((*hash).into());
                    let stored = snapshot.batch(0, batch as u64).unwrap().expect("an anchor is gone");
                    assert_eq!(stored.hash.to_string(), *hash);
                }
                // The last line may be cut.
                _ => {}
            }
        }
    }
    assert!(durable > 0 && !anchors.is_empty());
}
