//! Dossiers: a configuration or command with all that a gateway needs to judge it, trusting nobody but its policy.
//!
//! What no file can show is that nothing came after: that its author was not revoked since, that no later version was
//! admitted. A gateway keeps the versions and counters that it has seen; the hub delivers what is due.

use alloc::{string::String, string::ToString, vec::Vec};
use core::fmt::Display;

use crate::{
    Logged, Malformed, Name, Policy, Signed, Unverified,
    cbor::{Decoder, Encoder},
    credential::CERTIFICATES_MAX,
    parties::Parties,
    transaction::{self, Approval, Command, Config, Issue, Kind, Role},
};

/// The largest dossier, in bytes: what one MQTT message holds.
pub const DOSSIER_BYTES_MAX: usize = 1_024_000;

/// A configuration or command, with proofs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dossier {
    /// The ledger's first transaction.
    pub genesis: Logged,
    /// The certificates of those who signed, and the votes by which later members joined, if such issued them.
    pub parties: Vec<Logged>,
    /// The configuration or command.
    pub order: Logged,
    /// The second operator's approval.
    pub approval: Option<Logged>,
}

/// What a gateway is told to do, by somebody who may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warrant {
    /// The statement.
    pub order: Ordered,
    /// The certificate of who signed it.
    pub author: Issue,
    /// The certificate of the second operator, if there is one.
    pub approved_by: Option<Issue>,
    /// Its index in the log.
    pub index: u64,
    /// The date of the checkpoint in its proof, in Unix seconds, if the policy's witnesses tell one: it was on the
    /// ledger by then.
    pub dated_s: Option<u64>,
}

/// A configuration or a command whose signature fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    /// A configuration.
    Config(Signed<Config>),
    /// A command.
    Command(Signed<Command>),
}

/// Why a dossier is no warrant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct Unwarranted {
    /// The rule that does not hold, in kebab case.
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
}

impl Unwarranted {
    pub(crate) fn new(rule: &'static str, detail: impl Display) -> Self {
        Self { rule, detail: detail.to_string() }
    }
}

impl Dossier {
    /// The bytes: `[1, [genesis, proof], [[transaction, proof], …], [order, proof], [approval, proof] / null]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(5).unsigned(crate::VERSION);
        self.genesis.encode(&mut out);
        out.array(self.parties.len());
        self.parties.iter().for_each(|logged| logged.encode(&mut out));
        self.order.encode(&mut out);
        out.optional(self.approval.as_ref(), |out, approval| approval.encode(out));
        out.finish()
    }

    /// Reads the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > DOSSIER_BYTES_MAX {
            return Err(Malformed::TooLarge { what: "a dossier", max: DOSSIER_BYTES_MAX, found: bytes.len() });
        }
        let mut from = Decoder::new(bytes);
        from.versioned(5)?;
        let genesis = Logged::decode(&mut from)?;
        let count = from.array("a list of parties", CERTIFICATES_MAX)?;
        let parties = (0..count).map(|_| Logged::decode(&mut from)).collect::<Result<_, _>>()?;
        let (order, approval) = (Logged::decode(&mut from)?, from.optional(Logged::decode)?);
        from.finish()?;
        Ok(Self { genesis, parties, order, approval })
    }

    /// Checks everything under `policy`, for this gateway of the ledger with this origin.
    ///
    /// # Errors
    /// By rule: `dossier-parties`, `dossier-form`, `dossier-origin`, `dossier-gateway`, `dossier-author`,
    /// `dossier-scope`, `dossier-logged`, `dossier-validity`, `dossier-approval`.
    pub fn verify(&self, origin: &str, gateway: &Name, policy: &Policy) -> Result<Warrant, Unwarranted> {
        let wrong = |error| Unwarranted::new("dossier-parties", error);
        let parties = Parties::read(&self.genesis, &self.parties, policy).map_err(wrong)?;
        if parties.founding.origin != origin {
            return Err(Unwarranted::new("dossier-origin", "it is of another ledger than this gateway's"));
        }
        let issues = parties.certificates(&self.parties).map(|logged| parties.issue(logged, policy));
        let issues: Vec<(u64, Issue)> = issues.collect::<Result<_, _>>().map_err(wrong)?;
        let (index, dated_s) =
            self.order.dated("the order", origin, policy).map_err(|error| Unwarranted::new("dossier-logged", error))?;
        let place = Place { origin, gateway, issues: &issues, index, dated_s };
        match transaction::kind(&self.order.transaction) {
            Ok(Kind::Config) => {
                let parsed = read::<Config>(&self.order)?;
                let config = parsed.claims();
                let author = place.author(Role::Admin, parsed.key_id(), (&config.origin, &config.gateway, None))?;
                let order = verified(parsed, author)?;
                self.without_approval(place.warrant(Ordered::Config(order), author))
            }
            Ok(Kind::Command) => {
                let parsed = read::<Command>(&self.order)?;
                let command = parsed.claims();
                let at = (command.origin.as_str(), &command.gateway, Some(&command.point));
                let author = place.author(Role::Operator, parsed.key_id(), at)?;
                let order = verified(parsed, author)?;
                self.approved(place, order, author, policy)
            }
            Ok(kind) => Err(Unwarranted::new("dossier-form", kind.name())),
            Err(error) => Err(Unwarranted::new("dossier-form", error)),
        }
    }

    fn without_approval(&self, warrant: Warrant) -> Result<Warrant, Unwarranted> {
        match self.approval {
            None => Ok(warrant),
            Some(_) => Err(Unwarranted::new("dossier-approval", "nothing is to be approved here")),
        }
    }

    /// A command that needs two operators has the approval of another than its author; one that needs one has none.
    fn approved(
        &self,
        place: Place<'_>,
        order: Signed<Command>,
        author: &Issue,
        policy: &Policy,
    ) -> Result<Warrant, Unwarranted> {
        let wrong = |detail: &dyn Display| Unwarranted::new("dossier-approval", detail);
        let Some(logged) = &self.approval else {
            let alone = order.statement().needs < 2;
            let warrant = place.warrant(Ordered::Command(order), author);
            return alone.then_some(warrant).ok_or_else(|| wrong(&"the second operator's is missing"));
        };
        if order.statement().needs < 2 {
            return Err(wrong(&"the command needs one operator alone"));
        }
        let (index, dated_s) = logged.dated("the approval", place.origin, policy).map_err(|error| wrong(&error))?;
        let parsed = read::<Approval>(logged)?;
        let command = order.statement();
        let at = (parsed.claims().origin.as_str(), &command.gateway, Some(&command.point));
        let second = Place { index, dated_s, ..place }.author(Role::Operator, parsed.key_id(), at)?;
        let approval = verified(parsed, second)?;
        if approval.statement().of != order.hash() {
            return Err(wrong(&"it is of another command"));
        }
        if second.subject == author.subject {
            return Err(wrong(&"it is by who sent the command"));
        }
        let second = second.clone();
        Ok(Warrant { approved_by: Some(second), ..place.warrant(Ordered::Command(order), author) })
    }
}

/// Where an order stands, and who may have signed it.
#[derive(Clone, Copy)]
struct Place<'a> {
    origin: &'a str,
    gateway: &'a Name,
    issues: &'a [(u64, Issue)],
    index: u64,
    dated_s: Option<u64>,
}

impl<'a> Place<'a> {
    /// The certificate by which a key signs: of the role, logged before the order, valid at its date, reaching what
    /// the order is for; and the order is for this gateway of this ledger.
    fn author(
        self,
        role: Role,
        key: crate::KeyId,
        (origin, gateway, point): (&str, &Name, Option<&Name>),
    ) -> Result<&'a Issue, Unwarranted> {
        if origin != self.origin {
            return Err(Unwarranted::new("dossier-origin", "it is meant for another ledger"));
        }
        if gateway != self.gateway {
            return Err(Unwarranted::new("dossier-gateway", "it is for another gateway"));
        }
        let own = |(_, issue): &&(u64, Issue)| issue.role == role && issue.key.id() == key;
        let mut seen = Unwarranted::new("dossier-author", "its key is in no certificate that is here and fits");
        for (index, issue) in self.issues.iter().filter(own) {
            let valid = self.dated_s.is_none_or(|dated_s| {
                i64::try_from(dated_s).is_ok_and(|at| (issue.not_before_s..=issue.not_after_s).contains(&at))
            });
            if *index >= self.index {
                seen = Unwarranted::new("dossier-logged", "its author was certified after it");
            } else if !valid {
                seen = Unwarranted::new("dossier-validity", "its author's certificate did not hold then");
            } else if !issue.reaches(gateway, point) {
                seen = Unwarranted::new("dossier-scope", "it is beyond its author's scope");
            } else {
                return Ok(issue);
            }
        }
        Err(seen)
    }

    fn warrant(self, order: Ordered, author: &Issue) -> Warrant {
        Warrant { order, author: author.clone(), approved_by: None, index: self.index, dated_s: self.dated_s }
    }
}

fn read<T: crate::Statement>(logged: &Logged) -> Result<Unverified<'_, T>, Unwarranted> {
    Unverified::parse(&logged.transaction).map_err(|error| Unwarranted::new("dossier-form", error))
}

fn verified<T: crate::Statement>(parsed: Unverified<'_, T>, author: &Issue) -> Result<Signed<T>, Unwarranted> {
    parsed.verify(&author.key).map_err(|error| Unwarranted::new("dossier-author", error))
}
