//! What each byte of AARQ, AARE, RLRQ and RLRE is: fields with tag and length, in BER.

use super::apdu::{SECRET, Stop, Walk, Walked};
use crate::apdu::AssociateDiagnostic;
use crate::security::SystemTitle;
use alloc::format;
use alloc::string::{String, ToString};

/// What a field is called, by the APDU's tag and its own.
const fn name(apdu: u8, tag: u8) -> &'static str {
    match (apdu, tag) {
        (0x60 | 0x61, 0x80) => "protocol version",
        (0x60 | 0x61, 0xA1) => "application context",
        (0x60, 0xA6) => "calling title",
        (0x60, 0xA8) => "calling invocation id",
        (0x60, 0xA9) => "calling user",
        (0x60, 0x8A) => "ACSE requirements",
        (0x60, 0x8B) => "mechanism",
        (0x61, 0xA2) => "result",
        (0x61, 0xA3) => "diagnostic",
        (0x61, 0xA4) => "responding title",
        (0x61, 0x88) => "ACSE requirements",
        (0x61, 0x89) => "mechanism",
        (0x62 | 0x63, 0x80) => "reason",
        (0x60, 0xAC) | (0x61, 0xAA) => SECRET,
        (_, 0xBE) => "user information",
        _ => "field",
    }
}

/// What a field's contents say; the end of an object identifier, or the number in it, is what counts.
fn meaning(called: &str, content: &[u8]) -> String {
    match (called, content) {
        ("application context", [.., 1]) => "logical names".into(),
        ("application context", [.., 2]) => "short names".into(),
        ("application context", [.., 3]) => "logical names, ciphered".into(),
        ("application context", [.., 4]) => "short names, ciphered".into(),
        ("mechanism", [.., 0]) => "none".into(),
        ("mechanism", [.., 1]) => "LLS".into(),
        ("mechanism", [.., code]) => format!("HLS, number {code}"),
        ("result", [.., 0]) => "accepted".into(),
        ("result", [.., 1]) => "refused for good".into(),
        ("result", [.., 2]) => "refused for now".into(),
        ("diagnostic", [0xA1, .., code]) => AssociateDiagnostic::User(*code).to_string(),
        ("diagnostic", [0xA2, .., code]) => AssociateDiagnostic::Provider(*code).to_string(),
        ("reason" | "calling user", [.., code]) => code.to_string(),
        ("calling title" | "responding title", [0x04, 8, title @ ..]) => {
            SystemTitle::from_slice(title).map(|title| title.to_string()).unwrap_or_default()
        }
        ("ACSE requirements", _) => "authentication".into(),
        _ => String::new(),
    }
}

/// The whole APDU.
pub(super) fn association(walk: &mut Walk<'_, '_>, title: &'static str) -> Walked {
    let apdu = walk.peek(0)?;
    let (_, head) = walk.length_at(1)?;
    walk.field(head.saturating_add(1), "tag", title)?;
    walk.inner(1, |walk| {
        while walk.left() > 0 {
            let tag = walk.peek(0)?;
            let (length, head) = walk.length_at(1)?;
            let head = head.saturating_add(1);
            let called = name(apdu, tag);
            match tag {
                0xBE => {
                    // An octet string inside.
                    let (inner, inner_head) = walk.length_at(head.saturating_add(1))?;
                    let inner_head = inner_head.saturating_add(1);
                    if inner.saturating_add(inner_head) != length {
                        return Err(Stop);
                    }
                    walk.field(head.saturating_add(inner_head), called, "")?;
                    walk.nested(inner)?;
                }
                _ => {
                    let what = if called == SECRET { "authentication value" } else { called };
                    walk.field(head, "tag", what)?;
                    match called {
                        SECRET => walk.field(length, SECRET, format_args!("{length} bytes"))?,
                        _ => walk.field(length, called, meaning(called, walk.next(length)))?,
                    }
                }
            }
        }
        Ok(())
    })
}
