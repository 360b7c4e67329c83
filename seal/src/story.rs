//! Stories: one order from its author to what became of it, in one file that proves itself offline.
//!
//! What a [`Dossier`] shows to a gateway a story shows to anybody, and more: the gateway's answers, and, if its author
//! wants it known, what was sealed.
//!
//! What no file can show is that nothing came after: an answer, a later version, a revocation.

use alloc::{string::String, vec::Vec};

use crate::{
    Dossier, Hash, Logged, Malformed, Name, Ordered, Policy, Signed, Unverified, Unwarranted, Warrant,
    cbor::{Decoder, Encoder},
    dossier::DOSSIER_BYTES_MAX,
    parties::Parties,
    policy::POLICY_BYTES_MAX,
    transaction::{
        self, CONFIG_SEALED_BYTES_MAX, Command, Config, Effect, Issue, Kind, Outcome, Role, SALT_BYTES, commitment,
    },
};

/// The most answers in a story: a gateway gives one, and takes it back at most once. Room for what is refused twice.
pub const OUTCOMES_MAX: usize = 8;
/// The largest story, in bytes: a dossier, answers, a policy and a content.
pub const STORY_BYTES_MAX: usize = DOSSIER_BYTES_MAX + OUTCOMES_MAX * 96 * 1024;

const MAGIC: &str = "plomb-story";
const ITEMS: usize = 9;

/// One order and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The policy under which it was made. It proves nothing to whoever got the file from a stranger.
    pub policy: String,
    /// Ledger, parties, order, approval. Among the parties are the gateway's certificates.
    pub dossier: Dossier,
    /// The gateway's answers, in the order of the log.
    pub outcomes: Vec<Logged>,
    /// What was sealed, if it is to be known.
    pub opened: Option<Opened>,
}

/// What was sealed, with what shows that it was this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The salt of the commitment.
    pub salt: [u8; SALT_BYTES],
    /// The content.
    pub content: Vec<u8>,
}

/// What a story proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// Who ordered what, and who approved it.
    pub warrant: Warrant,
    /// Where the approval stands in the log, and the date by which it was there.
    pub approved: Option<(u64, Option<u64>)>,
    /// What became of it, in the gateway's words.
    pub answers: Vec<Answered>,
    /// Whether the content in the file is what was sealed; `None` if there is none.
    pub content: Option<Vec<u8>>,
}

/// One answer of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The statement.
    pub outcome: Signed<Outcome>,
    /// The certificate of the key that signed it.
    pub gateway: Issue,
    /// Its index in the log.
    pub index: u64,
    /// The date by which it was there, in Unix seconds, if the policy's witnesses tell one.
    pub dated_s: Option<u64>,
}

impl Proved {
    /// The last that the gateway said.
    pub fn effect(&self) -> Option<Effect> {
        self.answers.last().map(|answer| answer.outcome.statement().effect)
    }
}

/// Whether bytes begin as a story does. Says nothing about the rest.
pub fn is_story(bytes: &[u8]) -> bool {
    let mut from = Decoder::new(bytes);
    from.array("a story", usize::MAX).is_ok() && from.text("the file's first word", MAGIC.len()).ok() == Some(MAGIC)
}

impl Story {
    /// The bytes: `["plomb-story", 1, policy, genesis, [party, …], order, approval / null, [outcome, …],
    /// [salt, content] / null]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(ITEMS).text(MAGIC).unsigned(crate::VERSION).text(&self.policy);
        self.dossier.genesis.encode(&mut out);
        encode_list(&self.dossier.parties, &mut out);
        self.dossier.order.encode(&mut out);
        out.optional(self.dossier.approval.as_ref(), |out, approval| approval.encode(out));
        encode_list(&self.outcomes, &mut out);
        out.optional(self.opened.as_ref(), |out, opened| {
            out.array(2).bytes(&opened.salt).bytes(&opened.content);
        });
        out.finish()
    }

    /// Reads the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > STORY_BYTES_MAX {
            return Err(Malformed::TooLarge { what: "a story", max: STORY_BYTES_MAX, found: bytes.len() });
        }
        let mut from = Decoder::new(bytes);
        let start = from.clone();
        let len = from.array("a story", usize::MAX)?;
        if from.text("the file's first word", MAGIC.len()).ok() != Some(MAGIC) {
            return Err(start.wrong("this is no plomb story"));
        }
        from.version()?;
        if len != ITEMS {
            return Err(start.wrong("a story of this version has another number of items"));
        }
        let policy = from.text("a policy", POLICY_BYTES_MAX)?.into();
        let genesis = Logged::decode(&mut from)?;
        let parties = decode_list("a list of parties", crate::credential::CERTIFICATES_MAX, &mut from)?;
        let (order, approval) = (Logged::decode(&mut from)?, from.optional(Logged::decode)?);
        let outcomes = decode_list("a list of outcomes", OUTCOMES_MAX, &mut from)?;
        let opened = from.optional(|from| {
            from.array_exact(2)?;
            let salt = from.bytes_exact()?;
            Ok(Opened { salt, content: from.bytes_max("a content", CONFIG_SEALED_BYTES_MAX)?.into() })
        })?;
        from.finish()?;
        Ok(Self { policy, dossier: Dossier { genesis, parties, order, approval }, outcomes, opened })
    }

    /// The gateway and the ledger that the order names. Believe nothing of it yet.
    pub fn claims(&self) -> Result<(Name, String), Malformed> {
        let order = &self.dossier.order.transaction;
        if transaction::kind(order)? == Kind::Command {
            let parsed = Unverified::<Command>::parse(order)?;
            return Ok((parsed.claims().gateway.clone(), parsed.claims().origin.clone()));
        }
        let parsed = Unverified::<Config>::parse(order)?;
        Ok((parsed.claims().gateway.clone(), parsed.claims().origin.clone()))
    }

    /// Checks everything under `policy`.
    ///
    /// # Errors
    /// By the rules of [`Dossier::verify`], and `story-outcome`, `story-content`.
    pub fn verify(&self, policy: &Policy) -> Result<Proved, Unwarranted> {
        let (gateway, origin) = self.claims().map_err(|error| Unwarranted::new("dossier-form", error))?;
        let warrant = self.dossier.verify(&origin, &gateway, policy)?;
        let approved = match &self.dossier.approval {
            Some(approval) => Some(
                approval
                    .dated("the approval", &origin, policy)
                    .map_err(|error| Unwarranted::new("dossier-approval", error))?,
            ),
            None => None,
        };
        let answers = self.answers(&warrant, (&gateway, &origin), policy)?;
        let content = self.content(&warrant.order)?;
        Ok(Proved { warrant, approved, answers, content })
    }

    fn content(&self, order: &Ordered) -> Result<Option<Vec<u8>>, Unwarranted> {
        let Some(Opened { salt, content }) = &self.opened else { return Ok(None) };
        let committed = match order {
            Ordered::Config(config) => config.statement().commitment,
            Ordered::Command(command) => command.statement().commitment,
        };
        if commitment(salt, content) != committed {
            return Err(Unwarranted::new("story-content", "the content is not the one that the order commits to"));
        }
        Ok(Some(content.clone()))
    }

    /// The gateway's answers: each of this order, logged after it and after the one before, signed by a key that was
    /// the gateway's then.
    fn answers(
        &self,
        warrant: &Warrant,
        (gateway, origin): (&Name, &str),
        policy: &Policy,
    ) -> Result<Vec<Answered>, Unwarranted> {
        let (order, mut before) = (warrant.order.hash(), warrant.index);
        let parties = &self.dossier.parties;
        let read = Parties::read(&self.dossier.genesis, parties, policy);
        let read = read.map_err(|error| Unwarranted::new("dossier-parties", error))?;
        let mut issues = Vec::new();
        for logged in read.certificates(parties) {
            let (index, issue) =
                read.issue(logged, policy).map_err(|error| Unwarranted::new("dossier-parties", error))?;
            if issue.role == Role::Gateway && issue.subject == *gateway {
                issues.push((index, issue));
            }
        }
        let mut answers = Vec::new();
        for logged in &self.outcomes {
            let answer = answer(logged, (order, origin, gateway), &issues, policy)?;
            if answer.index <= before {
                return Err(Unwarranted::new("story-outcome", "it was logged before what it answers, or out of order"));
            }
            before = answer.index;
            answers.push(answer);
        }
        Ok(answers)
    }
}

impl Ordered {
    /// The leaf hash of the statement.
    pub fn hash(&self) -> Hash {
        match self {
            Self::Config(config) => config.hash(),
            Self::Command(command) => command.hash(),
        }
    }
}

fn answer(
    logged: &Logged,
    (order, origin, gateway): (Hash, &str, &Name),
    issues: &[(u64, Issue)],
    policy: &Policy,
) -> Result<Answered, Unwarranted> {
    let wrong = |detail: &dyn core::fmt::Display| Unwarranted::new("story-outcome", detail);
    let (index, dated_s) = logged.dated("the outcome", origin, policy).map_err(|error| wrong(&error))?;
    let parsed = Unverified::<Outcome>::parse(&logged.transaction).map_err(|error| wrong(&error))?;
    let claims = parsed.claims();
    if claims.of != order || claims.gateway != *gateway || claims.origin != origin {
        return Err(wrong(&"it answers another order"));
    }
    let held = |issue: &Issue| {
        dated_s.is_none_or(|dated_s| {
            i64::try_from(dated_s).is_ok_and(|at| (issue.not_before_s..=issue.not_after_s).contains(&at))
        })
    };
    let fits = |(at, issue): &&(u64, Issue)| *at < index && issue.key.id() == parsed.key_id() && held(issue);
    let (_, issue) = issues
        .iter()
        .find(fits)
        .ok_or_else(|| wrong(&"its key is in no certificate of the gateway that is here and held then"))?;
    let outcome = parsed.verify(&issue.key).map_err(|error| wrong(&error))?;
    Ok(Answered { outcome, gateway: issue.clone(), index, dated_s })
}

fn encode_list(list: &[Logged], out: &mut Encoder) {
    out.array(list.len());
    list.iter().for_each(|logged| logged.encode(out));
}

fn decode_list(what: &'static str, max: usize, from: &mut Decoder<'_>) -> Result<Vec<Logged>, Malformed> {
    let count = from.array(what, max)?;
    (0..count).map(|_| Logged::decode(from)).collect()
}
