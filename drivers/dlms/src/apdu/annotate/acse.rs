use super::walk::Walk;
use crate::apdu::{ApduError, AssociateDiagnostic};
use crate::object::Octets;
use alloc::format;
use alloc::string::{String, ToString};

/// `2.16.756.5.8`, under which contexts (1) and mechanisms (2) are.
const ROOT: [u8; 5] = [0x60, 0x85, 0x74, 0x05, 0x08];
const OCTET_STRING: u8 = 0x04;

impl Walk<'_> {
    /// AARQ, AARE, RLRQ, RLRE.
    pub(super) fn association(&mut self) -> Result<(), ApduError> {
        let tag = self.byte("tag", |tag| match tag {
            0x60 => "AARQ",
            0x61 => "AARE",
            0x62 => "RLRQ",
            _ => "RLRE",
        })?;
        let length = self.length("length")?;
        self.inside(length, |walk| {
            while !walk.reader.is_empty() {
                walk.association_field(tag)?;
            }
            Ok(())
        })
    }

    fn association_field(&mut self, apdu: u8) -> Result<(), ApduError> {
        let mut name = "";
        let tag = self.byte("field", |tag| {
            name = field_name(apdu, tag);
            format!("{name} ({tag:02x})")
        })?;
        let length = self.length("length")?;
        self.inside(length, |walk| {
            let is_answer = apdu == 0x61;
            match (tag, walk.reader.rest()) {
                // An APDU in an octet string.
                (0xBE, [OCTET_STRING, ..]) => {
                    walk.byte("type", |_| "octet string")?;
                    let length = walk.length("length")?;
                    return walk.inside(length, Walk::inner);
                }
                (0xAA | 0xAC, secret) => {
                    let length = secret.len().saturating_sub(2);
                    walk.rest("secret", format!("a password or challenge, about {length} bytes"));
                }
                (0xA1 | 0x89 | 0x8B, content) => walk.rest("name", object_identifier(content)),
                (0xA2, [2, 1, result]) if is_answer => {
                    let text = match result {
                        0 => "accepted",
                        1 => "refused for good",
                        2 => "refused for now",
                        _ => "unknown result",
                    };
                    walk.rest("result", format!("{text} ({result})"));
                }
                (0xA3, &[source @ (0xA1 | 0xA2), 3, 2, 1, code]) if is_answer => {
                    let diagnostic = if source == 0xA1 {
                        AssociateDiagnostic::User(code)
                    } else {
                        AssociateDiagnostic::Provider(code)
                    };
                    walk.rest("diagnostic", diagnostic);
                }
                (0xA4 | 0xA6, [OCTET_STRING, _, title @ ..]) => walk.rest("system title", Octets(title.to_vec())),
                (0x80, [reason]) => walk.rest("reason", *reason),
                (_, content) => walk.rest("content", Octets(content.to_vec())),
            }
            Ok(())
        })
    }
}

const fn field_name(apdu: u8, tag: u8) -> &'static str {
    match (apdu, tag) {
        (_, 0xBE) => "user information",
        (0x60 | 0x61, 0xA1) => "application context name",
        (0x60, 0xA2) => "called AP title",
        (0x60, 0xA3) => "called AE qualifier",
        (0x60, 0xA6) => "calling AP title",
        (0x60, 0xA7) => "calling AE qualifier",
        (0x60, 0xA8) => "calling AP invocation id",
        (0x60, 0xA9) => "calling AE invocation id",
        (0x60, 0x8A) => "sender ACSE requirements",
        (0x60, 0x8B) | (0x61, 0x89) => "mechanism name",
        (0x60, 0xAC) => "calling authentication value",
        (0x61, 0xA2) => "result",
        (0x61, 0xA3) => "result source diagnostic",
        (0x61, 0xA4) => "responding AP title",
        (0x61, 0xA5) => "responding AE qualifier",
        (0x61, 0xA7) => "responding AE invocation id",
        (0x61, 0x88) => "responder ACSE requirements",
        (0x61, 0xAA) => "responding authentication value",
        (0x62 | 0x63, 0x80) => "reason",
        (_, 0x80) => "protocol version",
        _ => "unknown field",
    }
}

/// Contexts stand in an object identifier's own tag and length, mechanisms do not.
fn object_identifier(content: &[u8]) -> String {
    let bytes = content.strip_prefix(&[0x06, 0x07]).unwrap_or(content);
    match bytes.strip_prefix(&ROOT) {
        Some([1, context @ 1..=4]) => {
            let text = ["logical names", "short names", "logical names, ciphered", "short names, ciphered"];
            text.get(usize::from(*context).wrapping_sub(1)).copied().unwrap_or_default().to_string()
        }
        Some([2, mechanism]) => match mechanism {
            0 => "lowest, no proof".to_string(),
            1 => "low, a password".to_string(),
            2 => "high, the maker's own".to_string(),
            3 => "high, MD5".to_string(),
            4 => "high, SHA-1".to_string(),
            5 => "high, GMAC".to_string(),
            6 => "high, SHA-256".to_string(),
            7 => "high, ECDSA".to_string(),
            other => format!("mechanism {other}"),
        },
        _ => format!("unknown name {}", Octets(content.to_vec())),
    }
}
