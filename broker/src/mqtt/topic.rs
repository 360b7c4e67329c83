//! Topic names and filters (§4.7), checked once and then carried as types.

use std::fmt;

use thiserror::Error;

/// Longest topic that the wire can carry, in bytes (§1.5.3).
const TOPIC_WIRE_BYTES_MAX: usize = 65_535;

/// Why a string is no topic name or filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TopicError {
    /// §4.7.3: at least one character.
    #[error("the topic is empty")]
    Empty,
    /// §4.7.3: at most 65,535 bytes.
    #[error("the topic is longer than 65,535 bytes")]
    TooLong,
    /// U+0000 is forbidden (§4.7.3), other control characters may be refused (§1.5.3) and are.
    #[error("the topic holds a control character")]
    Control,
    /// A topic name must not have one (§3.3.2.1).
    #[error("the topic name holds a wildcard")]
    Wildcard,
    /// `#` alone in the last level (§4.7.1.2), `+` alone in its level (§4.7.1.3).
    #[error("the wildcard stands where it may not")]
    WildcardPlace,
}

fn check(topic: &str) -> Result<(), TopicError> {
    if topic.is_empty() {
        Err(TopicError::Empty)
    } else if topic.len() > TOPIC_WIRE_BYTES_MAX {
        Err(TopicError::TooLong)
    } else if topic.chars().any(char::is_control) {
        Err(TopicError::Control)
    } else {
        Ok(())
    }
}

/// Where a message goes: no wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks a topic name.
    pub fn new(topic: &'a str) -> Result<Self, TopicError> {
        check(topic)?;
        if topic.contains(['+', '#']) {
            return Err(TopicError::Wildcard);
        }
        Ok(Self(topic))
    }

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a subscriber asks for: wildcards where they are legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// Checks a topic filter.
    pub fn new(filter: &'a str) -> Result<Self, TopicError> {
        check(filter)?;
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            let last = levels.peek().is_none();
            let legal = match level {
                "#" => last,
                "+" => true,
                other => !other.contains(['+', '#']),
            };
            if !legal {
                return Err(TopicError::WildcardPlace);
            }
        }
        Ok(Self(filter))
    }

    /// The filter.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether the filter's first level begins with `$`: `$SYS`, `$share` and their like.
    #[must_use]
    pub fn is_dollar(self) -> bool {
        self.0.starts_with('$')
    }

    /// Whether a message to `topic` goes to this filter (§4.7.1, §4.7.2).
    #[must_use]
    pub fn matches(self, topic: TopicName<'_>) -> bool {
        if topic.0.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut asked = topic.0.split('/');
        for level in self.0.split('/') {
            match (level, asked.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(given)) if level == given => {}
                _ => return false,
            }
        }
        asked.next().is_none()
    }

    /// Whether every topic that `asked` matches is matched by `self` too.
    #[must_use]
    pub fn covers(self, asked: TopicFilter<'_>) -> bool {
        // A first-level wildcard does not reach `$` topics (§4.7.2).
        if asked.is_dollar() && self.0.starts_with(['+', '#']) {
            return false;
        }
        // There is no empty topic: where `#` can stand for no level only by
        // matching that one, it stands for at least one.
        let asked = match asked.0 {
            "#" => "+/#",
            "/#" => "/+/#",
            other => other,
        };
        let mut asked = asked.split('/');
        for level in self.0.split('/') {
            match (level, asked.next()) {
                // Reached also when `asked` has ended: `a/#` matches `a` (§4.7.1.2).
                ("#", _) => return true,
                ("+", Some(given)) if given != "#" => {}
                (level, Some(given)) if level == given => {}
                _ => return false,
            }
        }
        asked.next().is_none()
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::new(text).unwrap()
    }

    #[test]
    fn wildcards_only_where_they_are_legal() {
        for good in ["#", "+", "a/#", "+/+/#", "a/+/b", "/", "//", "a//b", "$SYS/#"] {
            assert!(TopicFilter::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+", "##", "++", "a\0b", "a\nb"] {
            assert!(TopicFilter::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a/+", "#", "a\0", "a\u{85}"] {
            assert!(TopicName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_standards_examples_match() {
        // §4.7.1.2, §4.7.1.3, §4.7.2.1
        for (wanted, topic, matches) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/monitor/Clients", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/monitor/Clients", true),
        ] {
            assert_eq!(filter(wanted).matches(TopicName::new(topic).unwrap()), matches, "{wanted} {topic}");
        }
    }

    #[test]
    fn covering_knows_that_no_topic_is_empty() {
        for (allowed, asked, covers) in [
            ("+/#", "#", true),
            ("/+/#", "/#", true),
            ("a/+/#", "a/#", false),
            ("a/#", "a", true),
            ("a/+", "a/#", false),
            ("#", "$SYS/#", false),
            ("$SYS/#", "$SYS/a", true),
        ] {
            assert_eq!(filter(allowed).covers(filter(asked)), covers, "{allowed} {asked}");
        }
    }

    /// Topics over the letters that the filters use, one that none uses, and
    /// one level deeper than any filter: enough to tell any two filters apart.
    fn universe() -> Vec<String> {
        const LEVELS: [&str; 5] = ["a", "b", "", "z", "$d"];
        let mut topics: Vec<String> = LEVELS.iter().map(|l| (*l).to_owned()).collect();
        let mut grown = topics.clone();
        for _ in 0..4 {
            grown = grown.iter().flat_map(|t| LEVELS.iter().map(move |l| format!("{t}/{l}"))).collect();
            topics.extend(grown.iter().cloned());
        }
        topics.retain(|t| !t.is_empty());
        topics
    }

    fn a_filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("+"), Just("$d")];
        (proptest::collection::vec(level, 0..4), any::<bool>())
            .prop_map(|(mut levels, hash)| {
                if hash {
                    levels.push("#");
                }
                levels.join("/")
            })
            .prop_filter("not empty", |f| !f.is_empty())
    }

    proptest! {
        #[test]
        fn covering_is_what_a_brute_force_says(allowed in a_filter(), asked in a_filter()) {
            static UNIVERSE: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(universe);
            let (allowed, asked) = (filter(&allowed), filter(&asked));
            let truth = UNIVERSE.iter().map(|t| TopicName::new(t).unwrap())
                .all(|t| !asked.matches(t) || allowed.matches(t));
            prop_assert_eq!(allowed.covers(asked), truth, "{} covers {}", allowed, asked);
        }

        #[test]
        fn any_string_is_judged_without_panic(text in any::<String>(), other in any::<String>()) {
            let _ = TopicName::new(&text);
            if let (Ok(a), Ok(b)) = (TopicFilter::new(&text), TopicFilter::new(&other)) {
                let _ = a.covers(b);
            }
        }
    }
}
