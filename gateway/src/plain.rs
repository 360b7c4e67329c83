//! Text of somebody else's making, made harmless to logs and terminals.

use plomb_seal::Refusal;

/// Control characters and marks that turn the writing direction are written out. Line breaks stay.
pub fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        let turns =
            matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (c.is_control() && c != '\n') || turns {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// As [`escaped`], on one line.
pub fn one_line(text: &str) -> String {
    escaped(text).replace('\n', " ")
}

/// A refusal of the ledger in words: the hub chose some of them.
pub fn refusal(refusal: &Refusal) -> String {
    let Refusal { batch, epoch, rule, detail, .. } = refusal;
    one_line(&format!("batch {batch} of epoch {epoch}: rule {rule}: {detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_can_t_be_driven_by_a_text() {
        assert_eq!(escaped("a\x1b[31mb\u{202e}c\u{9b}d\ne"), "a\\u{1b}[31mb\\u{202e}c\\u{9b}d\ne");
        assert_eq!(one_line("a\nb"), "a b");
    }

    /// A hub that has gone bad writes to the gateway's log what it likes.
    #[test]
    fn a_refusal_is_words_on_one_line() {
        let gone_bad = Refusal {
            gateway: "gw-1".parse().unwrap(),
            epoch: 1,
            batch: 7,
            anchor: plomb_seal::Hash::ZERO,
            rule: "anchor\u{202e}known".into(),
            detail: "no\nJan 1 plombd: all is well\x1b[2J".into(),
        };
        let told = refusal(&gone_bad);
        let expected = "batch 7 of epoch 1: rule anchor\\u{202e}known: no Jan 1 plombd: all is well\\u{1b}[2J";
        assert_eq!(told, expected);
    }
}
