//! Who may say and hear what: one table, and every question asked of it.

use std::fmt::Write as _;

use crate::admission::{Identity, Role, Scope};
use crate::mqtt::{TopicFilter, TopicName};

/// What a right is a right to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Publishing to topics that the filter matches.
    Publish,
    /// Subscribing to filters that the filter covers.
    Subscribe,
    /// Leaving a will on topics that the filter matches.
    Will,
}

/// Stands for the identity's own id.
const OWN: &str = "{own}";
/// Stands for each gateway of the identity's scope, or `+` for all of them.
const SCOPE: &str = "{scope}";

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Right {
    /// Whose.
    pub role: Role,
    /// To do what.
    pub act: Act,
    /// Where: a topic filter with `{own}` or `{scope}` as a level.
    pub pattern: &'static str,
}

const fn right(role: Role, act: Act, pattern: &'static str) -> Right {
    Right { role, act, pattern }
}

/// Where the newest checkpoint of the ledger stands. Everyone may hear it.
const CHECKPOINT: &str = "plomb/1/ledger/checkpoint";

/// All rights there are. What is not here is refused, and so is every topic
/// whose first level begins with `$`, `$share` among them.
pub const RIGHTS: &[Right] = &[
    right(Role::Gateway, Act::Publish, "plomb/1/{own}/up/#"),
    right(Role::Gateway, Act::Publish, "plomb/1/{own}/pub/#"),
    // No wildcard: what may be chosen freely is a filter more in a broker that forgets none.
    right(Role::Gateway, Act::Subscribe, "plomb/1/{own}/down/receipt"),
    right(Role::Gateway, Act::Subscribe, "plomb/1/{own}/down/refusal"),
    right(Role::Gateway, Act::Subscribe, "plomb/1/{own}/down/config"),
    right(Role::Gateway, Act::Subscribe, "plomb/1/{own}/down/command"),
    right(Role::Gateway, Act::Subscribe, "plomb/1/{own}/down/answer"),
    right(Role::Gateway, Act::Subscribe, CHECKPOINT),
    right(Role::Gateway, Act::Will, "plomb/1/{own}/up/status"),
    right(Role::Subscriber, Act::Subscribe, "plomb/1/{scope}/pub/#"),
    right(Role::Subscriber, Act::Subscribe, "plomb/1/{scope}/up/status"),
    right(Role::Subscriber, Act::Subscribe, CHECKPOINT),
    right(Role::Ledger, Act::Publish, "plomb/1/#"),
    right(Role::Ledger, Act::Subscribe, "plomb/1/#"),
    right(Role::Admin, Act::Subscribe, CHECKPOINT),
    right(Role::Operator, Act::Subscribe, CHECKPOINT),
    right(Role::Auditor, Act::Subscribe, CHECKPOINT),
];

/// Topics on which payloads have a bound of their own, below that of all: filter and bytes.
const PAYLOAD_BYTES_MAX: &[(&str, usize)] = &[
    ("plomb/1/+/up/outcome", 65_535), // a transaction of the ledger
];

/// The bound of a topic's own on its payloads, in bytes.
pub(crate) fn payload_bytes_max(topic: TopicName<'_>) -> Option<usize> {
    let own = |filter: &str| TopicFilter::new(filter).is_ok_and(|filter| filter.matches(topic));
    PAYLOAD_BYTES_MAX.iter().find(|(filter, _)| own(filter)).map(|(_, bytes)| *bytes)
}

/// The rights of one identity, with its id and scope filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    granted: Vec<(Act, String)>,
}

impl Rights {
    /// Looks the identity up in the table.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        let granted = RIGHTS
            .iter()
            .filter(|right| right.role == identity.role)
            .flat_map(|right| filled(right, identity).into_iter().map(|f| (right.act, f)))
            .collect();
        Self { granted }
    }

    /// May it publish there?
    #[must_use]
    pub fn may_publish(&self, topic: TopicName<'_>) -> bool {
        self.granted_for(Act::Publish).any(|filter| filter.matches(topic))
    }

    /// May it leave a will there?
    #[must_use]
    pub fn may_will(&self, topic: TopicName<'_>) -> bool {
        self.granted_for(Act::Will).any(|filter| filter.matches(topic))
    }

    /// May it hear everything that the filter asks for?
    #[must_use]
    pub fn may_subscribe(&self, asked: TopicFilter<'_>) -> bool {
        !asked.is_dollar() && self.granted_for(Act::Subscribe).any(|filter| filter.covers(asked))
    }

    /// Is the filter one of the table's own, word for word? There are as many of those as the ledger admits;
    /// of others an identity can think up as many as it likes.
    pub(crate) fn names(&self, asked: TopicFilter<'_>) -> bool {
        self.granted.iter().any(|(act, filter)| *act == Act::Subscribe && filter == asked.as_str())
    }

    /// The filters granted for an act, for a log line that says what would have been allowed.
    pub fn granted_for(&self, act: Act) -> impl Iterator<Item = TopicFilter<'_>> {
        self.granted
            .iter()
            .filter(move |(granted, _)| *granted == act)
            .filter_map(|(_, filter)| TopicFilter::new(filter).ok())
    }

    /// As [`granted_for`](Self::granted_for), in one line; `nothing` when there is none.
    pub(crate) fn in_words(&self, act: Act) -> String {
        const SHOWN_MAX: usize = 6;
        let mut words: Vec<_> = self.granted_for(act).map(|f| f.to_string()).collect();
        if words.is_empty() {
            return "nothing".to_owned();
        }
        let hidden = words.len().saturating_sub(SHOWN_MAX);
        words.truncate(SHOWN_MAX);
        if hidden > 0 {
            words.push(format!("and {hidden} more"));
        }
        words.join(", ")
    }
}

fn filled(right: &Right, identity: &Identity) -> Vec<String> {
    if !right.pattern.contains(SCOPE) {
        return vec![right.pattern.replace(OWN, &identity.id)];
    }
    match &identity.scope {
        Scope::All => vec![right.pattern.replace(SCOPE, "+")],
        Scope::Gateways(ids) => ids.iter().map(|id| right.pattern.replace(SCOPE, id)).collect(),
    }
}

/// The same table as an access list for mosquitto, for a deployment where it
/// takes the embedded broker's place.
///
/// mosquitto must require client certificates and take the user name from
/// the certificate's CN (`require_certificate true`,
/// `use_identity_as_username true`), and ids must be unique over all roles:
/// the gateways' `pattern` lines hold for every user name. `others` are the
/// identities that are not gateways; gateways need no line of their own.
#[must_use]
pub fn mosquitto_acl<'a>(others: impl IntoIterator<Item = &'a Identity>) -> String {
    let mut text = String::from("# Generated from the table of rights. %u is the certificate's CN.\n");
    for right in RIGHTS.iter().filter(|r| r.role == Role::Gateway) {
        let access = match right.act {
            Act::Publish => "write",
            Act::Subscribe => "read",
            Act::Will => continue, // checked as a publication
        };
        let _ = writeln!(text, "pattern {access} {}", right.pattern.replace(OWN, "%u"));
    }
    for identity in others.into_iter().filter(|i| i.role != Role::Gateway) {
        let _ = writeln!(text, "\nuser {}", identity.id);
        for (act, filter) in Rights::of(identity).granted {
            let access = match act {
                Act::Publish => "write",
                Act::Subscribe => "read",
                Act::Will => continue,
            };
            let _ = writeln!(text, "topic {access} {filter}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(role: Role, id: &str, scope: Scope) -> Identity {
        Identity { id: id.into(), role, scope, fingerprint: [0; 32] }
    }

    fn gateway() -> Rights {
        Rights::of(&identity(Role::Gateway, "gw-1", Scope::Gateways([].into())))
    }

    fn only(ids: &[&str]) -> Scope {
        Scope::Gateways(ids.iter().map(|i| (*i).to_owned()).collect())
    }

    fn hears(rights: &Rights, filter: &str) -> bool {
        rights.may_subscribe(TopicFilter::new(filter).unwrap())
    }

    fn says(rights: &Rights, topic: &str) -> bool {
        rights.may_publish(TopicName::new(topic).unwrap())
    }

    #[test]
    fn a_gateway_speaks_for_itself_alone() {
        let gw = gateway();
        for yes in [
            "plomb/1/gw-1/up/batch",
            "plomb/1/gw-1/up/status",
            "plomb/1/gw-1/up/outcome",
            "plomb/1/gw-1/pub/p1/reading",
        ] {
            assert!(says(&gw, yes), "{yes}");
        }
        for no in [
            "plomb/1/gw-2/up/batch",
            "plomb/1/gw-10/up/batch",
            "plomb/1/gw-1/down/receipt",
            "plomb/1/gw-1/down/answer",
            "plomb/1/gw-2/up/outcome",
            "plomb/1/ledger/checkpoint",
            "plomb/2/gw-1/up/batch",
            "$SYS/x",
            "$share/g/plomb/1/gw-1/up/batch",
        ] {
            assert!(!says(&gw, no), "{no}");
        }
        assert!(gw.may_will(TopicName::new("plomb/1/gw-1/up/status").unwrap()));
        assert!(!gw.may_will(TopicName::new("plomb/1/gw-1/up/batch").unwrap()));
        assert!(!gw.may_will(TopicName::new("plomb/1/gw-2/up/status").unwrap()));
    }

    #[test]
    fn a_gateway_hears_what_is_sent_to_it() {
        let gw = gateway();
        for yes in ["receipt", "refusal", "config", "command", "answer"] {
            assert!(hears(&gw, &format!("plomb/1/gw-1/down/{yes}")), "{yes}");
        }
        assert!(hears(&gw, CHECKPOINT));
        for no in [
            "#",
            "plomb/1/gw-1/down/#",
            "plomb/1/gw-1/down/+",
            "plomb/1/gw-1/down/x0",
            "plomb/1/gw-1/down/receipt/#",
            "plomb/1/+/down/#",
            "plomb/1/gw-2/down/receipt",
            "plomb/1/gw-2/down/config",
            "plomb/1/+/down/command",
            "plomb/1/gw-1/up/#",
            "plomb/1/gw-1/#",
            "$share/g/plomb/1/gw-1/down/#",
            "$SYS/#",
            "+/1/gw-1/down/x",
        ] {
            assert!(!hears(&gw, no), "{no}");
        }
    }

    #[test]
    fn a_subscriber_hears_its_scope_and_says_nothing() {
        let all = Rights::of(&identity(Role::Subscriber, "utility", Scope::All));
        for yes in ["plomb/1/+/pub/#", "plomb/1/gw-9/pub/+/reading", "plomb/1/+/up/status", CHECKPOINT] {
            assert!(hears(&all, yes), "{yes}");
        }
        for no in [
            "plomb/1/+/up/#",
            "plomb/1/+/up/batch",
            "plomb/1/+/up/outcome",
            "plomb/1/#",
            "plomb/1/+/down/receipt",
            "plomb/1/+/down/config",
        ] {
            assert!(!hears(&all, no), "{no}");
        }
        let some = Rights::of(&identity(Role::Subscriber, "retailer", only(&["gw-1", "gw-2"])));
        assert!(hears(&some, "plomb/1/gw-2/pub/#") && hears(&some, "plomb/1/gw-1/up/status"));
        assert!(!hears(&some, "plomb/1/+/pub/#") && !hears(&some, "plomb/1/gw-3/pub/x/reading"));
        let none = Rights::of(&identity(Role::Subscriber, "new", only(&[])));
        assert!(!hears(&none, "plomb/1/gw-1/pub/#") && hears(&none, CHECKPOINT));
        for rights in [&all, &some, &none] {
            assert!(!says(rights, "plomb/1/gw-1/pub/p/reading") && !says(rights, CHECKPOINT));
            assert_eq!(rights.in_words(Act::Publish), "nothing");
        }
    }

    #[test]
    fn what_the_table_names_is_told_from_what_it_covers() {
        let all = Rights::of(&identity(Role::Subscriber, "utility", Scope::All));
        let names = |rights: &Rights, filter: &str| rights.names(TopicFilter::new(filter).unwrap());
        assert!(names(&all, "plomb/1/+/pub/#") && names(&all, CHECKPOINT) && names(&gateway(), CHECKPOINT));
        assert!(!names(&all, "plomb/1/gw-1/pub/#") && !names(&gateway(), "plomb/1/gw-1/up/#"));
    }

    #[test]
    fn nobody_reaches_a_dollar_topic_not_even_the_ledger() {
        for role in [Role::Gateway, Role::Subscriber, Role::Ledger, Role::Admin, Role::Operator, Role::Auditor] {
            let rights = Rights::of(&identity(role, "x", Scope::All));
            for filter in ["$share/g/plomb/1/#", "$SYS/#", "$x", "#", "+/+"] {
                assert!(!hears(&rights, filter), "{role} {filter}");
            }
        }
    }

    #[test]
    fn every_pattern_is_a_filter() {
        for right in RIGHTS {
            assert!(TopicFilter::new(right.pattern).is_ok(), "{}", right.pattern);
        }
    }

    #[test]
    fn mosquitto_gets_the_same_table() {
        let others = [
            identity(Role::Subscriber, "utility", Scope::All),
            identity(Role::Subscriber, "retailer", only(&["gw-1"])),
            identity(Role::Ledger, "hub", Scope::All),
        ];
        let expected = "\
# Generated from the table of rights. %u is the certificate's CN.
pattern write plomb/1/%u/up/#
pattern write plomb/1/%u/pub/#
pattern read plomb/1/%u/down/receipt
pattern read plomb/1/%u/down/refusal
pattern read plomb/1/%u/down/config
pattern read plomb/1/%u/down/command
pattern read plomb/1/%u/down/answer
pattern read plomb/1/ledger/checkpoint

user utility
topic read plomb/1/+/pub/#
topic read plomb/1/+/up/status
topic read plomb/1/ledger/checkpoint

user retailer
topic read plomb/1/gw-1/pub/#
topic read plomb/1/gw-1/up/status
topic read plomb/1/ledger/checkpoint

user hub
topic write plomb/1/#
topic read plomb/1/#
";
        assert_eq!(mosquitto_acl(&others), expected);
    }
}
