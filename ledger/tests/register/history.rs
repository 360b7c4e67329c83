//! Who, when, what it replaced, how urgent, what came of it: looked up.

use plomb_ledger::{
    history::{Filter, LINES_MAX, Page},
    ledger::Ledger,
    state::Status,
};
use plomb_seal::transaction::{Effect, Kind, Priority};

use crate::{
    cast::{Town, approval, sign, signers},
    common::{NOW_MS, name},
};

fn ask(town: &Town, filter: &Filter) -> Page {
    town.ground.ledger.as_ref().unwrap().history(filter, NOW_MS).unwrap()
}

fn indexes(page: &Page) -> Vec<u64> {
    page.lines.iter().map(|line| line.index).collect()
}

/// Genesis 0, certificates 1..=4, sealing key 5, then:
fn busy() -> Town {
    let mut town = Town::new();
    let first = town.propose(Priority::Routine); // 6
    town.answer(first, Effect::Applied); // 7
    let second = town.propose(Priority::Urgent); // 8
    town.answer(second, Effect::RolledBack); // 9
    let sent = town.send(2); // 10
    town.admit(sign(approval(sent), &town.operators[1].key)); // 11
    town.answer(sent, Effect::Failed); // 12
    let fingerprint = town.admin.fingerprint;
    town.revoke(fingerprint); // 13
    town
}

#[test]
fn lines_are_found_by_gateway_point_author_subject_version_and_kind() {
    let town = busy();
    let all = ask(&town, &Filter { lines_max: 100, ..Filter::default() });
    assert_eq!(indexes(&all), (0..=13).collect::<Vec<_>>());
    let named = |text: &str| Some(name(text));
    for (filter, expected) in [
        (Filter { gateway: named("gw-1"), ..Filter::default() }, vec![1, 5, 6, 7, 8, 9, 10, 11, 12]),
        (Filter { point: named("water"), ..Filter::default() }, vec![10, 11, 12]),
        (Filter { author: named("boss"), ..Filter::default() }, vec![6, 8]),
        (Filter { author: named("gw-1"), ..Filter::default() }, vec![5, 7, 9, 12]),
        (Filter { author: named("member-a"), ..Filter::default() }, vec![0, 1, 2, 3, 4, 13]),
        (Filter { subject: named("boss"), ..Filter::default() }, vec![2, 13]),
        (Filter { gateway: named("gw-1"), version: Some(2), ..Filter::default() }, vec![8, 9]),
        (Filter { version: Some(1), ..Filter::default() }, vec![6, 7]),
        (Filter { gateway: named("gw-1"), kind: Some(Kind::Outcome), ..Filter::default() }, vec![7, 9, 12]),
        (Filter { kind: Some(Kind::Config), from: 1, ..Filter::default() }, vec![6, 8]),
        (Filter { gateway: named("gw-1"), author: named("boss"), from: 7, ..Filter::default() }, vec![8]),
        (Filter { gateway: named("gw-2"), ..Filter::default() }, vec![]),
        (Filter { point: named("water"), author: named("boss"), ..Filter::default() }, vec![]),
    ] {
        let page = ask(&town, &Filter { lines_max: 100, ..filter.clone() });
        assert_eq!((indexes(&page), page.next), (expected, None), "{filter:?}");
    }
}

#[test]
fn a_line_says_what_it_replaced_how_urgent_it_was_and_what_came_of_it() {
    let town = busy();
    let all = ask(&town, &Filter { lines_max: 100, ..Filter::default() }).lines;
    let (first, second, sent) = (&all[6], &all[8], &all[10]);
    assert_eq!(
        (first.line.of, first.line.priority(), first.status),
        (None, Some(Priority::Routine), Some(Status::Applied))
    );
    assert_eq!((second.line.of, second.line.priority()), (Some(first.transaction), Some(Priority::Urgent)));
    assert_eq!(second.status, Some(Status::RolledBack));
    let answer = second.answer.unwrap();
    assert_eq!((answer.effect, answer.transaction, answer.time_ms), (Effect::RolledBack, all[9].transaction, NOW_MS));
    assert_eq!((all[9].line.of, all[9].line.version), (Some(second.transaction), Some(2)));
    assert_eq!(all[9].line.text, "some-rule: in words");
    assert_eq!((sent.line.action.as_str(), sent.status), ("read", Some(Status::Failed)));
    assert_eq!((all[11].line.author.as_str(), all[11].line.of), ("op-b", Some(sent.transaction)));
    assert_eq!((all[13].line.action.as_str(), all[13].line.of), ("revoke", Some(all[2].transaction)));
    let ledger = town.ground.ledger.as_ref().unwrap();
    assert_eq!(ledger.history_line(8, NOW_MS).unwrap().as_ref(), Some(second));
    assert_eq!(ledger.history_line(14, NOW_MS).unwrap(), None);
    // Its proof is at hand.
    assert!(ledger.logged(&second.transaction).unwrap().is_some());
}

#[test]
fn long_answers_come_in_pages() {
    let mut town = Town::new();
    for _ in 0..300 {
        town.propose(Priority::Routine);
    }
    let (mut from, mut seen, mut pages) = (0, Vec::new(), 0);
    loop {
        let page = ask(&town, &Filter { author: Some(name("boss")), from, lines_max: 70, ..Filter::default() });
        assert!(page.lines.len() <= 70);
        seen.extend(indexes(&page));
        pages += 1;
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!((seen, pages), ((6..306).collect::<Vec<_>>(), 5));
    let most = ask(&town, &Filter { lines_max: usize::MAX, ..Filter::default() });
    assert_eq!((most.lines.len(), most.next), (LINES_MAX, Some(256)));
}

#[test]
fn a_file_from_before_there_was_a_history_gets_one_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.redb");
    let town = busy();
    let ledger = Ledger::open(&path, signers()).unwrap();
    for (transaction, time_ms) in &town.ground.log {
        crate::common::deliver_at(&ledger, transaction.clone(), *time_ms);
    }
    let told = ledger.history(&Filter { lines_max: 100, ..Filter::default() }, NOW_MS).unwrap();
    assert_eq!(told.lines.len(), 14);
    drop(ledger);
    let db = redb::Database::open(&path).unwrap();
    let txn = db.begin_write().unwrap();
    for table in ["history", "history-facets", "orders"] {
        let found = txn.list_tables().unwrap().find(|found| redb::TableHandle::name(found) == table).unwrap();
        txn.delete_table(found).unwrap();
    }
    txn.commit().unwrap();
    drop(db);
    let ledger = Ledger::open(&path, signers()).unwrap();
    assert_eq!(ledger.history(&Filter { lines_max: 100, ..Filter::default() }, NOW_MS).unwrap(), told);
    assert!(ledger.replay().unwrap() == town.ground.state);
    assert!(*ledger.state() == town.ground.state, "what is stored is what was decided");
}
