//! Whom a verifier trusts: C2SP tlog-policy.

use alloc::{string::String, vec::Vec};

use crate::note::{Checkpoint, KeyUse, Note, NoteError, VerifierKey};

/// The longest policy, in bytes.
pub const POLICY_BYTES_MAX: usize = 64 * 1024;
/// The most lines of one kind (log, witness, group) in a policy.
pub const POLICY_LINES_MAX: usize = 128;

/// Which logs are believed, and how many witnesses must have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    quorum: Quorum,
}

/// A rule over witnesses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// No cosignature is needed.
    None,
    /// The witness at this place in the policy's list.
    Witness(usize),
    /// At least `least` of the members.
    Group {
        /// How many.
        least: usize,
        /// Of which.
        members: Vec<Self>,
    },
}

/// A checkpoint that the policy holds valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The tree head.
    pub checkpoint: Checkpoint,
    /// When the quorum was reached: the earliest time by which enough witnesses had cosigned, in Unix
    /// seconds. `None` if the policy asks for no witness.
    pub witnessed_s: Option<u64>,
}

/// Why a policy can't be read, or why it does not hold a checkpoint valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A line of the policy is wrong.
    #[error("policy line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The policy as a whole is wrong.
    #[error("policy: {0}")]
    Whole(&'static str),
    /// The note itself is wrong, or a known key's signature does not fit.
    #[error("checkpoint: {0}")]
    Note(#[from] NoteError),
    /// No log of the policy signed.
    #[error("checkpoint of \"{0}\" is not signed by a log of the policy")]
    UnknownLog(String),
    /// Too few witnesses cosigned.
    #[error("checkpoint of \"{0}\" lacks the cosignatures that the policy's quorum asks for")]
    NoQuorum(String),
}

impl Policy {
    /// Reads a policy file.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::Whole("it is longer than 64 KiB"));
        }
        if text.bytes().any(|byte| (byte < 0x20 && byte != b'\n' && byte != b'\t') || byte == 0x7f) {
            return Err(PolicyError::Whole("it has control characters"));
        }
        let mut reader = Reader::default();
        for (index, line) in text.split('\n').enumerate() {
            reader.line(line).map_err(|what| PolicyError::Line { line: index + 1, what })?;
        }
        reader.finish()
    }

    /// Checks a signed note: signed by a log whose name is the origin, cosigned by the quorum.
    pub fn check(&self, note: &str) -> Result<Trusted, PolicyError> {
        let note = Note::parse(note)?;
        let checkpoint = note.checkpoint()?;
        let mut signed = false;
        for log in self.logs_of(&checkpoint.origin) {
            signed |= log.check(&note)?.is_some();
        }
        if !signed {
            return Err(PolicyError::UnknownLog(checkpoint.origin));
        }
        let times = self.witnesses.iter().map(|witness| witness.check(&note)).collect::<Result<Vec<_>, _>>()?;
        if self.quorum == Quorum::None {
            return Ok(Trusted { checkpoint, witnessed_s: None });
        }
        match self.quorum.reached(&times) {
            Some(time) => Ok(Trusted { checkpoint, witnessed_s: Some(time) }),
            None => Err(PolicyError::NoQuorum(checkpoint.origin)),
        }
    }

    /// A note with only those signature lines that [`Self::check`] looks at. What is embedded in evidence must
    /// hold under other policies too, and a false line is found only by those who know its key.
    pub fn known_lines(&self, note: &str) -> Result<String, PolicyError> {
        let note = Note::parse(note)?;
        let origin = note.checkpoint()?.origin;
        let known: Vec<&VerifierKey> = self.logs_of(&origin).chain(&self.witnesses).collect();
        Ok(note.with_lines_of(&known))
    }

    fn logs_of(&self, origin: &str) -> impl Iterator<Item = &VerifierKey> {
        self.logs.iter().filter(move |log| log.name == origin)
    }

    /// The logs that it believes.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }
}

impl Quorum {
    /// The earliest time by which enough had cosigned.
    fn reached(&self, times: &[Option<u64>]) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Witness(index) => times.get(*index).copied().flatten(),
            Self::Group { least, members } => {
                let mut reached: Vec<u64> = members.iter().filter_map(|member| member.reached(times)).collect();
                reached.sort_unstable();
                reached.get(least.checked_sub(1)?).copied()
            }
        }
    }
}

#[derive(Default)]
struct Reader {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    names: Vec<(String, Quorum)>,
    used: Vec<String>,
    quorum: Option<Quorum>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else {
            return Ok(());
        };
        if keyword.starts_with('#') {
            return Ok(());
        }
        let words: Vec<&str> = words.collect();
        match (keyword, words.as_slice()) {
            ("log", [key] | [key, _]) => self.log(key),
            ("witness", [name, key] | [name, key, _]) => self.witness(name, key),
            ("group", [name, least, members @ ..]) if !members.is_empty() => self.group(name, least, members),
            ("quorum", [name]) => self.set_quorum(name),
            ("log" | "witness" | "group" | "quorum", _) => {
                Err(alloc::format!("\"{keyword}\" has another number of words"))
            }
            _ => Err(alloc::format!("\"{keyword}\" is not known; known are log, witness, group and quorum")),
        }
    }

    fn log(&mut self, key: &str) -> Result<(), String> {
        let key = verifier_key(key, KeyUse::Log)?;
        add_distinct(&mut self.logs, key)
    }

    fn witness(&mut self, name: &str, key: &str) -> Result<(), String> {
        let key = verifier_key(key, KeyUse::Cosigner)?;
        add_distinct(&mut self.witnesses, key)?;
        self.define(name, Quorum::Witness(self.witnesses.len() - 1))
    }

    fn group(&mut self, name: &str, least: &str, members: &[&str]) -> Result<(), String> {
        let least = match least {
            "any" => 1,
            "all" => members.len(),
            number if !number.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err("the threshold is not any, all or a decimal number".into());
            }
            number => number
                .parse()
                .ok()
                .filter(|k| (1..=members.len()).contains(k))
                .ok_or("the threshold is not any, all or 1 to the number of members")?,
        };
        let mut rules = Vec::new();
        for member in members {
            if self.used.iter().any(|used| used == member) {
                return Err(alloc::format!("\"{member}\" is a member of a group already"));
            }
            self.used.push((*member).into());
            rules.push(self.known(member)?);
        }
        self.define(name, Quorum::Group { least, members: rules })
    }

    fn set_quorum(&mut self, name: &str) -> Result<(), String> {
        let rule = if name == "none" { Quorum::None } else { self.known(name)? };
        if self.quorum.replace(rule).is_some() {
            return Err("a second quorum line".into());
        }
        Ok(())
    }

    fn known(&self, name: &str) -> Result<Quorum, String> {
        let found = self.names.iter().find(|(known, _)| known == name);
        found.map(|(_, rule)| rule.clone()).ok_or_else(|| alloc::format!("\"{name}\" is not defined above"))
    }

    fn define(&mut self, name: &str, rule: Quorum) -> Result<(), String> {
        if name == "none" || self.names.iter().any(|(known, _)| known == name) {
            return Err(alloc::format!("the name \"{name}\" is taken"));
        }
        if self.names.len() >= 2 * POLICY_LINES_MAX {
            return Err("too many witnesses and groups".into());
        }
        self.names.push((name.into(), rule));
        Ok(())
    }

    fn finish(self) -> Result<Policy, PolicyError> {
        let quorum = self.quorum.ok_or(PolicyError::Whole("it has no quorum line"))?;
        Ok(Policy { logs: self.logs, witnesses: self.witnesses, quorum })
    }
}

fn verifier_key(text: &str, usage: KeyUse) -> Result<VerifierKey, String> {
    let key = VerifierKey::parse(text).map_err(|error| alloc::format!("{error}"))?;
    if key.usage == usage { Ok(key) } else { Err("the key is of the wrong type for this line".into()) }
}

fn add_distinct(keys: &mut Vec<VerifierKey>, key: VerifierKey) -> Result<(), String> {
    if keys.len() >= POLICY_LINES_MAX {
        return Err("too many lines of this kind".into());
    }
    if keys.iter().any(|known| known.key == key.key) {
        return Err("the same public key stands in an earlier line".into());
    }
    keys.push(key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use base64ct::{Base64, Encoding};

    use super::*;
    use crate::{Hash, SigningKey, note::cosign};

    fn key(seed: u8, name: &str, usage: KeyUse) -> (SigningKey, VerifierKey) {
        let secret = SigningKey::from_seed(&[seed; 32]);
        let public = VerifierKey { name: name.into(), key: secret.public(), usage };
        (secret, public)
    }

    #[test]
    fn a_quorum_is_dated_by_the_cosignature_that_completes_it() {
        let (log, log_key) = key(1, "l.example/x", KeyUse::Log);
        let witnesses: Vec<_> = (2..5).map(|n| key(n, &format!("w{n}"), KeyUse::Cosigner)).collect();
        let mut text = format!("# whom we trust\nlog {log_key}\n");
        for (n, (_, witness)) in witnesses.iter().enumerate() {
            text += &format!("witness W{n} {witness}\n");
        }
        let policy = Policy::parse(&(text.clone() + "group two 2 W0 W1 W2\nquorum two\n")).unwrap();
        let checkpoint = Checkpoint { origin: "l.example/x".into(), size: 3, root: Hash([5; 32]) };
        let mut note = checkpoint.sign(&log);
        assert_eq!(policy.check(&note), Err(PolicyError::NoQuorum("l.example/x".into())));
        for (n, time) in [(0, 300), (2, 100), (1, 200)] {
            let (secret, public) = &witnesses[n];
            note = cosign(&note, &public.name, secret, time).unwrap();
        }
        assert_eq!(policy.check(&note).unwrap().witnessed_s, Some(200));
        let all = Policy::parse(&(text.clone() + "group g all W0 W1 W2\nquorum g\n")).unwrap();
        assert_eq!(all.check(&note).unwrap().witnessed_s, Some(300));
        let none = Policy::parse(&(text + "quorum none\n")).unwrap();
        assert_eq!(none.check(&note).unwrap(), Trusted { checkpoint, witnessed_s: None });
    }

    #[test]
    fn lines_of_keys_that_a_policy_does_not_know_are_left_out() {
        let (log, log_key) = key(1, "l.example/x", KeyUse::Log);
        let (witness, witness_key) = key(2, "w", KeyUse::Cosigner);
        let (_, later_key) = key(3, "later", KeyUse::Cosigner);
        let known = format!("log {log_key}\nwitness W {witness_key}\n");
        let policy = Policy::parse(&format!("{known}quorum W\n")).unwrap();
        let auditor = Policy::parse(&format!("{known}witness L {later_key}\nquorum W\n")).unwrap();
        let checkpoint = Checkpoint { origin: "l.example/x".into(), size: 3, root: Hash([5; 32]) };
        let honest = cosign(&checkpoint.sign(&log), "w", &witness, 100).unwrap();
        assert_eq!(policy.known_lines(&honest).as_ref(), Ok(&honest));
        // The line has the name and id of the auditor's witness, and no signature of it.
        let id = Base64::encode_string(&[&later_key.id()[..], &[0; 72]].concat());
        let junk = format!("{honest}— later {id}\n");
        assert!(policy.check(&junk).is_ok());
        assert_eq!(auditor.check(&junk), Err(NoteError::Signature("later".into()).into()));
        let kept = policy.known_lines(&junk).unwrap();
        assert_eq!((kept.as_str(), auditor.check(&kept)), (honest.as_str(), policy.check(&honest)));
    }

    #[test]
    fn wrong_policies_name_their_line() {
        let (_, log) = key(1, "l", KeyUse::Log);
        let (_, witness) = key(2, "w", KeyUse::Cosigner);
        for (text, line) in [
            (format!("log {log}\nlog {log}\nquorum none\n"), 2),
            (format!("log {witness}\nquorum none\n"), 1),
            (format!("witness W {witness}\ngroup g 2 W\n"), 2),
            (format!("witness W {witness}\ngroup g any W\ngroup h any W\n"), 3),
            ("quorum W\n".to_string(), 1),
            ("quorum none\nquorum none\n".to_string(), 2),
            ("trust me\n".to_string(), 1),
        ] {
            assert!(matches!(Policy::parse(&text), Err(PolicyError::Line { line: l, .. }) if l == line), "{text}");
        }
        assert_eq!(Policy::parse(""), Err(PolicyError::Whole("it has no quorum line")));
    }
}
