#![allow(clippy::unwrap_used)]

use alloc::{collections::BTreeSet, string::ToString};

use super::*;
use crate::{Signed, SigningKey};

const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn request(key: &SigningKey) -> Vec<u8> {
    let gateway = "gw-1".parse().unwrap();
    let request = Request { gateway, key: key.public(), commitment: commitment(&NONCE), time_s: 1_800_000_000 };
    Signed::sign(request, key).into_bytes()
}

fn opening(request: &[u8]) -> Opening {
    Opening { ticket: Request::ticket(request), origin: "ledger.example/x".into(), nonce: [9; NONCE_BYTES] }
}

#[test]
fn a_request_shows_that_who_asks_has_the_key() {
    let bytes = request(&key(1));
    assert_eq!(Request::open(&bytes).unwrap().key, key(1).public());
    // Somebody else's key in the statement, signed by his own.
    let stolen = Request { key: key(2).public(), ..Request::open(&bytes).unwrap() };
    assert!(Request::open(Signed::sign(stolen, &key(1)).bytes()).is_err());
    let mut bent = bytes;
    let last = bent.len() - 1;
    *bent.get_mut(last).unwrap() ^= 1;
    assert!(Request::open(&bent).is_err());
}

#[test]
fn whatever_one_side_saw_differently_makes_another_code_and_phrase() {
    let bytes = request(&key(1));
    let (opening, hub) = (opening(&bytes), Hash([3; 32]));
    let honest = Transcript::of(&bytes, &opening, &hub, &NONCE);
    let other_request = request(&key(2));
    let other_nonce = Opening { nonce: [8; NONCE_BYTES], ..opening.clone() };
    let other_ledger = Opening { origin: "ledger.example/y".into(), ..opening.clone() };
    let all = [
        honest,
        Transcript::of(&other_request, &opening, &hub, &NONCE),
        Transcript::of(&bytes, &other_nonce, &hub, &NONCE),
        Transcript::of(&bytes, &other_ledger, &hub, &NONCE),
        Transcript::of(&bytes, &opening, &Hash([4; 32]), &NONCE),
        Transcript::of(&bytes, &opening, &hub, &[6; NONCE_BYTES]),
    ];
    assert_eq!(all.iter().map(Transcript::phrase).collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(all.iter().map(Transcript::claim_code).collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!((honest.phrase().split(' ').count(), honest.claim_code().len()), (PHRASE_WORDS, CLAIM_CHARS));
    assert_eq!(Opening::parse(&opening.to_bytes()), Ok(opening));
}

/// Fixed for other implementations; docs/enrolment.md prints the same.
#[test]
fn code_and_phrase_are_those_that_the_document_prints() {
    let bytes = request(&key(1));
    let transcript = Transcript::of(&bytes, &opening(&bytes), &Hash([3; 32]), &NONCE);
    let said = [
        Request::ticket(&bytes).to_string(),
        transcript.0.to_string(),
        spaced(&transcript.claim_code()),
        transcript.phrase(),
        spaced(&Request::claim_code(&bytes)),
    ];
    assert_eq!(said.join("\n"), EXPECTED);
}

const EXPECTED: &str = "d596dbf48c3e5b16b05a998eaced62e127265f0476dc8faf79a86abd83b629bb
4e64b6ee54ba3cadd484ecfa335650e50a29191654de2ab3b65628b132f2e312
M36B-0706
castle uncle hermit button
SA73-QC0G-7C2H-K4EV";

#[test]
fn a_code_is_read_as_people_write_it_and_nothing_else_is_a_code() {
    let code = "0123ABCJ";
    for typed in ["0123ABCJ", "0123-abcj", " o123 abcj ", "oi23-ABCJ", "OL23ABCJ"] {
        assert_eq!(Claim::read(typed).map(|claim| claim.code).as_deref(), Some(code), "{typed}");
    }
    for wrong in ["", "0123ABC", "0123ABCJK", "0123ABCU", "0123 ABC!", "PLOMB1:gw-1:00:0123ABCJ", &"0".repeat(300)] {
        assert_eq!(Claim::read(wrong), None, "{wrong}");
    }
    let label = label(&"gw-1".parse().unwrap(), &key(1).public(), code);
    let read = Claim::read(&label).unwrap();
    assert_eq!(read.code, code);
    assert_eq!(read.label, Some(("gw-1".into(), Hash::of(&key(1).public().to_bytes()))));
    let alphanumeric = label.bytes().all(|byte| b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ:-".contains(&byte));
    assert!(alphanumeric, "{label}: a QR code packs it");
    assert_eq!(spaced("0123ABCJ"), "0123-ABCJ");
}

#[test]
fn phrases_are_compared_word_by_word() {
    assert!(same_phrase("acorn lemon otter zebra", " Acorn, LEMON-otte zebra\n"));
    for other in ["acorn lemon otter", "lemon acorn otter zebra", "acorn lemon otter zebra zebra", "", "4 3 2 1"] {
        assert!(!same_phrase("acorn lemon otter zebra", other), "{other}");
    }
    assert!(!same_phrase("", ""), "nothing said is nothing agreed");
}

#[test]
fn a_new_key_counts_only_if_both_keys_say_so() {
    let (old, new) = (key(1), key(2));
    let name = || "gw-1".parse::<Name>().unwrap();
    let same = RenewalRequest::renew("l".into(), name(), &old, 5);
    assert_eq!(same.verify(&old.public()).unwrap().key, old.public());
    assert!(same.verify(&new.public()).is_err(), "another key is certified");
    let both = RenewalRequest::rotate("l".into(), name(), (&old, &new), 5);
    assert_eq!(RenewalRequest::parse(&both.to_bytes()).unwrap().verify(&old.public()).unwrap().key, new.public());
    let only_old = RenewalRequest { by_new: None, ..both.clone() };
    assert!(only_old.verify(&old.public()).is_err(), "the new key did not sign");
    let later = RenewalRequest::rotate("l".into(), name(), (&old, &new), 6);
    let mixed = RenewalRequest { by_new: later.by_new, ..both.clone() };
    assert!(mixed.verify(&old.public()).is_err(), "they signed different things");
    let stranger = RenewalRequest::rotate("l".into(), name(), (&key(3), &new), 5);
    assert!(stranger.verify(&old.public()).is_err(), "the certified key did not sign");
    let twice = RenewalRequest { by_new: Some(same.by_present.clone()), ..same };
    assert!(twice.verify(&old.public()).is_err());
}
