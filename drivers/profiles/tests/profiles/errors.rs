//! A wrong file is refused with its line and with what would be right.

use crate::HEAD;
use plomb_profiles::Profile;

fn error(text: &str) -> String {
    Profile::parse("m.toml", text).unwrap_err().to_string()
}

fn with(tail: &str) -> String {
    error(&format!("{HEAD}{tail}"))
}

#[test]
fn the_head_alone_is_a_profile() {
    assert_eq!(Profile::parse("m.toml", HEAD).unwrap().name, "test");
}

#[test]
fn the_head_is_checked() {
    for (right, wrong, message) in [
        ("version = 1\n", "verzion = 1\n", "m.toml:3:1: unknown key `verzion`; did you mean `version`?"),
        ("\"plain\"", "\"plane\"", "m.toml:5:12: unknown word `plane`; did you mean `plain`?"),
        ("format = 1", "format = 2", "m.toml:1:10: format 1 is the only one known"),
        ("version = 1\n", "version = 0\n", "m.toml:3:11: versions count from 1"),
        ("name = \"test\"", "name = \"Te st\"", "m.toml:2:8: a name has lower-case letters, digits and hyphens"),
        (
            "\"TST\"",
            "\"TS\"",
            "m.toml:8:16: not a manufacturer: write three capital letters, or the four hexadecimal digits",
        ),
    ] {
        assert!(HEAD.contains(right));
        assert_eq!(error(&HEAD.replacen(right, wrong, 1)), message);
    }
}

#[test]
fn what_must_fit_together_is_checked() {
    for (tail, message) in [
        ("[[record]]\nvib = \"FF0\"\nname = \"x\"\n", "m.toml:12:7: not hexadecimal: write an even number of digits"),
        (
            "[[block]]\nin = \"tail\"\nfield = [{ name = \"x\", at = 1 }]\n",
            "m.toml:13:10: field `x`: say how many `bytes`",
        ),
        (
            "[[block]]\nin = \"tail\"\nfield = [{ name = \"x\", bytes = 1 }]\n",
            "m.toml:13:10: field `x`: say where it is: `at` is the first byte's offset",
        ),
        (
            "[[block]]\nin = \"tail\"\nfield = [\n{ name = \"x\", at = 1, bytes = 1, read = { bits = [4, 8] } }]\n",
            "m.toml:14:1: `bits` beyond its 1 bytes",
        ),
        (
            "[[block]]\nin = \"tail\"\nfield = [{ name = \"x\", read = { plus = [\"y\"] } }]\n",
            "m.toml:13:10: `y` is not a field before this one",
        ),
        (
            "[[block]]\nin = \"record\"\nfield = []\n",
            "m.toml:11:1: a block in a record needs its `vib`, and no other block has one",
        ),
        (
            "[[block]]\nin = \"tail\"\nfield = [{ name = \"x\", at = 0, bytes = 2, read = { coding = \"date-dm\" } }]\n",
            "m.toml:13:10: a date without a year needs `after`, the date that it follows, and no other has it",
        ),
        (
            "[[block]]\nin = \"tail\"\nfield = [{ name = \"x\", at = 0, bytes = 2, read = { coding = \"dateg\" } }]\n",
            "m.toml:13:61: unknown word `dateg`; did you mean `date-g`?",
        ),
    ] {
        assert_eq!(with(tail), message);
    }
}

#[test]
fn a_test_that_fails_names_its_line() {
    let text = format!(
        "{HEAD}\n[[test]]\ntelegram = \"0E4474527856341201077A00000000\"\nexpect = [{{ name = \"x\", value = \"1\" }}]\n"
    );
    let error = Profile::parse("m.toml", &text).unwrap().check().unwrap_err();
    assert_eq!(error.line, 12);
}

#[test]
fn matches_that_multiply_are_bounded() {
    let all: Vec<String> = (0..=255).map(|byte| byte.to_string()).collect();
    let each = format!("[[match]]\nmanufacturer = \"TST\"\nversion = [{0}]\nmedium = [{0}]\n", all.join(", "));
    assert!(with(&each).contains("more than 4096 pairs"), "{}", with(&each));
}
