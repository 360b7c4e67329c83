//! Instructions as they come, whatever comes.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

#[test]
fn each_verb_takes_its_own_content_and_no_other() {
    let parse = |verb: &str, content: &str| Instruction::parse(verb, content.as_bytes());
    for verb in ["disconnect", "reconnect", "read", "sync-clock"] {
        assert_eq!(parse(verb, "").unwrap().verb(), verb);
        assert!(parse(verb, "now").unwrap_err().contains("takes no content"));
    }
    assert_eq!(parse("valve", "open"), Ok(Instruction::Valve { open: true }));
    assert_eq!(parse("valve", "close"), Ok(Instruction::Valve { open: false }));
    assert_eq!(parse("valve", "ajar").unwrap_err(), "valve takes `open` or `close`");
    assert!(parse("explode", "").unwrap_err().contains("no command `explode`"));
    assert!(Instruction::parse("read", &[0xFF]).unwrap_err().contains("no UTF-8"));
    let Ok(Instruction::Credit { token }) = parse("credit", "12345678901234567890") else { panic!("no token") };
    assert_eq!(token.as_str(), "12345678901234567890");
    for wrong in ["", "1234 5678", "1234\n", &"1".repeat(TOKEN_BYTES_MAX + 1)] {
        let told = parse("credit", wrong).unwrap_err();
        // A mistyped token is nearly one.
        assert!(told.contains("1 to 64 characters") && (wrong.is_empty() || !told.contains(wrong)), "{told}");
    }
    assert!(parse("read", &" ".repeat(CONTENT_BYTES_MAX + 1)).unwrap_err().contains("too much"));
}

#[test]
fn a_token_is_not_shown() {
    let token = "31415926535897932384";
    let instruction = Instruction::parse("credit", token.as_bytes()).unwrap();
    assert!(!format!("{instruction:?}").contains(token));
}

#[test]
fn a_line_that_is_listened_to_says_that_nothing_can_be_sent() {
    let (answer, mut answered) = oneshot::channel();
    let instruction = Instruction::Disconnect;
    refuse_on_listened_line(Deed { point: "flat".parse().unwrap(), instruction, answer });
    let undone = answered.try_recv().unwrap().unwrap_err();
    assert_eq!((undone.rule, undone.certainty), (UNSUPPORTED, Certainty::NotDone));
    assert!(undone.to_string().contains("only listened to"), "{undone}");
}

proptest! {
    #[test]
    fn no_content_breaks_the_parser(verb in "[a-z-]{0,12}", content in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(instruction) = Instruction::parse(&verb, &content) {
            prop_assert_eq!(instruction.verb(), verb);
        }
    }
}
