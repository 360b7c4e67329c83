//! Who asks to be taken on, and how far each is. Pure: time, nonces and what the ledger knows are arguments.

use std::collections::HashMap;

use plomb_seal::{
    Hash, Name, Unverified,
    enrol::{self, Claim, Confirmation, NONCE_BYTES, Opening, Request, Transcript},
};
use serde::{Deserialize, Serialize};

/// Enrolments that wait for people.
pub(crate) const ENROLMENTS_OPEN_MAX: usize = 64;
/// Of those and of begun ones, those from one address.
pub(crate) const ENROLMENTS_PER_PEER_MAX: usize = 8;
/// Requests whose nonce is not told yet.
pub(crate) const ENROLMENTS_BEGUN_MAX: usize = 256;
/// Enrolments that ended, and can still be asked about.
pub(crate) const ENROLMENTS_ENDED_MAX: usize = 256;
/// How long an enrolment may take, from the request on: one day.
pub(crate) const ENROLMENT_LIFE_MS: i64 = 24 * 3600 * 1000;
/// How long until the nonce is told.
pub(crate) const BEGUN_LIFE_MS: i64 = 10 * 60 * 1000;
/// Wrong claim codes after which an enrolment ends.
pub(crate) const CLAIMS_WRONG_MAX: u32 = 5;

/// Why not; by rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) rule: &'static str,
    pub(crate) detail: String,
}

impl Denied {
    pub(crate) fn new(rule: &'static str, detail: impl Into<String>) -> Self {
        Self { rule, detail: detail.into() }
    }
}

/// How far an enrolment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// The gateway has asked, and not told its nonce.
    Begun,
    /// It waits for the hub's operator.
    Open,
    /// The operator has approved; it waits for the installer.
    Approved {
        /// The member that issues.
        by: String,
        /// The certificate transaction, signed and not yet on the ledger; hexadecimal.
        transaction: String,
    },
    /// The certificate stands on the ledger.
    Granted {
        /// The member that issued.
        by: String,
        /// Its index in the log.
        index: u64,
    },
    /// It ended without a certificate.
    Refused {
        /// By which rule.
        rule: String,
        /// Why, in words.
        reason: String,
    },
}

impl Step {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Open => "open",
            Self::Approved { .. } => "approved",
            Self::Granted { .. } => "granted",
            Self::Refused { .. } => "refused",
        }
    }

    fn waits_for_people(&self) -> bool {
        matches!(self, Self::Open | Self::Approved { .. })
    }

    fn ended(&self) -> bool {
        matches!(self, Self::Granted { .. } | Self::Refused { .. })
    }
}

/// One gateway's enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enrolment {
    pub(crate) asked: Request,
    pub(crate) request: Vec<u8>,
    pub(crate) hub_nonce: [u8; NONCE_BYTES],
    pub(crate) gateway_nonce: Option<[u8; NONCE_BYTES]>,
    /// The address that it came from.
    pub(crate) peer: String,
    pub(crate) begun_ms: i64,
    pub(crate) claims_wrong: u32,
    pub(crate) step: Step,
}

impl Enrolment {
    pub(crate) fn ticket(&self) -> Hash {
        Request::ticket(&self.request)
    }

    fn opening(&self, origin: &str) -> Opening {
        Opening { ticket: self.ticket(), origin: origin.into(), nonce: self.hub_nonce }
    }

    /// `None` until the gateway has told its nonce.
    pub(crate) fn transcript(&self, of: Hub<'_>) -> Option<Transcript> {
        let nonce = self.gateway_nonce?;
        Some(Transcript::of(&self.request, &self.opening(of.origin), &of.key, &nonce))
    }
}

/// What a transcript has of the hub.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hub<'a> {
    /// The ledger's name.
    pub(crate) origin: &'a str,
    /// The SHA-256 of the TLS key.
    pub(crate) key: Hash,
}

/// All enrolments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Book(Vec<Enrolment>);

impl Book {
    pub(super) fn of(all: Vec<Enrolment>) -> Self {
        Self(all)
    }

    pub(crate) fn all(&self) -> &[Enrolment] {
        &self.0
    }

    /// Forgets what is too old, and of what ended the oldest.
    pub(crate) fn tidy(&mut self, now_ms: i64) {
        self.0.retain(|one| {
            let life_ms = if one.step == Step::Begun { BEGUN_LIFE_MS } else { ENROLMENT_LIFE_MS };
            // A clock that went back must not keep one for ever.
            now_ms.abs_diff(one.begun_ms) < life_ms.unsigned_abs()
        });
        let mut ended = self.0.iter().filter(|one| one.step.ended()).count();
        // The refused first: one that was granted is still to be fetched.
        for granted_too in [false, true] {
            self.0.retain(|one| {
                let droppable = matches!(one.step, Step::Refused { .. }) || (granted_too && one.step.ended());
                let drop = droppable && ended > ENROLMENTS_ENDED_MAX;
                ended -= usize::from(drop);
                !drop
            });
        }
    }

    /// A gateway asks. The same request again gets the same answer. `certified`: whether the ledger has a certificate
    /// of that name that is not revoked.
    pub(crate) fn begin(
        &mut self,
        request: &[u8],
        (peer, nonce): (&str, [u8; NONCE_BYTES]),
        (origin, certified): (&str, impl FnOnce(&Name) -> bool),
        now_ms: i64,
    ) -> Result<Opening, Denied> {
        self.tidy(now_ms);
        let asked = Request::open(request).map_err(|error| match error {
            plomb_seal::Malformed::Signature => Denied::new("enrolment-signature", error.to_string()),
            other => Denied::new("enrolment-form", other.to_string()),
        })?;
        let ticket = Request::ticket(request);
        if let Some(known) = self.0.iter().find(|one| one.ticket() == ticket) {
            return Ok(known.opening(origin));
        }
        if certified(&asked.gateway) {
            let detail = format!(
                "{} is certified already. For a box whose key is lost: revoke its certificates first; for one that \
                 still has its key, `plomb-hub certify --renew`",
                asked.gateway
            );
            return Err(Denied::new("enrolment-certified", detail));
        }
        self.is_free(&asked)?;
        if self.0.iter().filter(|one| one.peer == peer && !one.step.ended()).count() >= ENROLMENTS_PER_PEER_MAX {
            let (gone, _) = self.yielding(|one| one.peer == peer && one.step == Step::Begun).ok_or_else(|| {
                Denied::new("enrolments-per-peer-max", "too many enrolments are open from this address")
            })?;
            self.0.retain(|one| one.ticket() != gone);
        }
        if self.0.iter().filter(|one| one.step == Step::Begun).count() >= ENROLMENTS_BEGUN_MAX
            && let Some((gone, _)) = self.yielding(|one| one.step == Step::Begun)
        {
            self.0.retain(|one| one.ticket() != gone);
        }
        let enrolment = Enrolment {
            asked,
            request: request.into(),
            hub_nonce: nonce,
            gateway_nonce: None,
            peer: peer.into(),
            begun_ms: now_ms,
            claims_wrong: 0,
            step: Step::Begun,
        };
        let opening = enrolment.opening(origin);
        self.0.push(enrolment);
        Ok(opening)
    }

    /// Of these the oldest of the address that has most of them; and how many it has.
    fn yielding(&self, of: impl Fn(&Enrolment) -> bool) -> Option<(Hash, usize)> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for one in self.0.iter().filter(|one| of(one)) {
            *counts.entry(&one.peer).or_insert(0) += 1;
        }
        let most = counts.values().max().copied()?;
        // They stand in the order in which they came.
        let oldest = self.0.iter().find(|one| of(one) && counts.get(one.peer.as_str()) == Some(&most))?;
        Some((oldest.ticket(), most))
    }

    /// Room for one more that waits for people, from this address. When there is none, one that nobody has approved gives
    /// way, of an address that has more waiting than this one would then have.
    fn make_room(&mut self, peer: &str) -> Result<(), Denied> {
        if self.0.iter().filter(|one| one.step.waits_for_people()).count() < ENROLMENTS_OPEN_MAX {
            return Ok(());
        }
        let own = self.0.iter().filter(|one| one.peer == peer && one.step.waits_for_people()).count();
        let (gone, _) =
            self.yielding(|one| one.step == Step::Open).filter(|(_, most)| *most > own + 1).ok_or_else(|| {
                let detail = "too many enrolments wait at this hub; its operator must decide some first";
                Denied::new("enrolments-open-max", detail)
            })?;
        let reason = "too many wait, most of them from its address; ask again";
        self.find_mut(&gone)?.step = Step::Refused { rule: "enrolments-open-max".into(), reason: reason.into() };
        Ok(())
    }

    /// Nobody else waits under that name.
    fn is_free(&self, asked: &Request) -> Result<(), Denied> {
        let other = |one: &&Enrolment| one.asked.gateway == asked.gateway && one.asked.key != asked.key;
        match self.0.iter().filter(|one| one.step.waits_for_people()).find(other) {
            None => Ok(()),
            Some(_) => {
                let detail = format!("another device asks to be {}; the hub's operator may refuse it", asked.gateway);
                Err(Denied::new("enrolment-taken", detail))
            }
        }
    }

    pub(crate) fn find(&self, ticket: &Hash) -> Result<&Enrolment, Denied> {
        self.0.iter().find(|one| one.ticket() == *ticket).ok_or_else(unknown)
    }

    fn find_mut(&mut self, ticket: &Hash) -> Result<&mut Enrolment, Denied> {
        self.0.iter_mut().find(|one| one.ticket() == *ticket).ok_or_else(unknown)
    }

    /// The gateway tells its nonce: now there is a transcript, and people can be asked.
    pub(crate) fn reveal(&mut self, ticket: &Hash, nonce: &[u8], now_ms: i64) -> Result<(), Denied> {
        self.tidy(now_ms);
        let found = self.find(ticket)?;
        let nonce: [u8; NONCE_BYTES] =
            nonce.try_into().map_err(|_| Denied::new("enrolment-form", "a nonce has 32 bytes"))?;
        if enrol::commitment(&nonce) != found.asked.commitment {
            return Err(Denied::new("enrolment-commitment", "the nonce is not the one that the request is bound to"));
        }
        if found.step != Step::Begun {
            return Ok(());
        }
        let (asked, peer) = (found.asked.clone(), found.peer.clone());
        self.is_free(&asked)?;
        // The same device from the start: what it asked before is no more.
        self.0
            .retain(|one| one.ticket() == *ticket || one.asked.gateway != asked.gateway || one.asked.key != asked.key);
        self.make_room(&peer)?;
        let found = self.find_mut(ticket)?;
        (found.gateway_nonce, found.step) = (Some(nonce), Step::Open);
        Ok(())
    }

    /// The hub's operator names a gateway by its claim code. Wrong codes are counted.
    pub(crate) fn claim(
        &mut self,
        gateway: &Name,
        typed: &str,
        hub: Hub<'_>,
        now_ms: i64,
    ) -> Result<Enrolment, Denied> {
        self.tidy(now_ms);
        let claim = Claim::read(typed)
            .ok_or_else(|| Denied::new("enrolment-claim", "this is no claim code: 8 characters, like 7K2M-9QXA"))?;
        let waiting = |one: &&mut Enrolment| one.asked.gateway == *gateway && one.step.waits_for_people();
        let found = self.0.iter_mut().find(waiting).ok_or_else(|| {
            Denied::new(
                "enrolment-unknown",
                format!("nobody waits as {gateway}; `plomb-hub enrol list` shows who does"),
            )
        })?;
        let fingerprint = Hash::of(&found.asked.key.to_bytes());
        let labelled = claim.label.is_none_or(|label| label == (gateway.to_string(), fingerprint));
        if labelled && found.transcript(hub).is_some_and(|transcript| transcript.claim_code() == claim.code) {
            return Ok(found.clone());
        }
        found.claims_wrong += 1;
        let left = CLAIMS_WRONG_MAX.saturating_sub(found.claims_wrong);
        if left == 0 {
            let reason = format!("{CLAIMS_WRONG_MAX} wrong claim codes");
            found.step = Step::Refused { rule: "enrolment-claims-max".into(), reason };
            let detail = "one wrong claim code too many: this enrolment ends; the gateway must ask again";
            return Err(Denied::new("enrolment-claims-max", detail));
        }
        let detail =
            format!("{gateway} shows another claim code, or was reached through somebody else; {left} tries left");
        Err(Denied::new("enrolment-claim", detail))
    }

    /// The operator approves: a certificate is ready, and waits for the installer.
    pub(crate) fn approve(&mut self, ticket: &Hash, by: &str, transaction: &[u8]) -> Result<(), Denied> {
        let found = self.find_mut(ticket)?;
        if !found.step.waits_for_people() {
            return Err(out_of_step(&found.step));
        }
        found.step = Step::Approved { by: by.into(), transaction: hex::encode(transaction) };
        Ok(())
    }

    /// The operator refuses.
    pub(crate) fn refuse(&mut self, gateway: &Name, reason: &str, now_ms: i64) -> Result<(), Denied> {
        self.tidy(now_ms);
        let waiting = |one: &&mut Enrolment| one.asked.gateway == *gateway && one.step.waits_for_people();
        let found = self.0.iter_mut().find(waiting);
        let found = found.ok_or_else(|| Denied::new("enrolment-unknown", format!("nobody waits as {gateway}")))?;
        found.step = Step::Refused { rule: "enrolment-refused".into(), reason: reason.into() };
        Ok(())
    }

    /// The operator refuses all that wait and that he has not approved; gives how many.
    pub(crate) fn refuse_open(&mut self, reason: &str, now_ms: i64) -> usize {
        self.tidy(now_ms);
        let open = self.0.iter_mut().filter(|one| one.step == Step::Open);
        open.map(|one| one.step = Step::Refused { rule: "enrolment-refused".into(), reason: reason.into() }).count()
    }

    /// The installer's word. If the phrases agree: the transaction that is to go to the ledger now.
    pub(crate) fn confirm(
        &mut self,
        ticket: &Hash,
        word: &[u8],
        hub: Hub<'_>,
        now_ms: i64,
    ) -> Result<Option<Vec<u8>>, Denied> {
        self.tidy(now_ms);
        let found = self.find_mut(ticket)?;
        let parsed = Unverified::<Confirmation>::parse(word);
        let signed = parsed.and_then(|parsed| parsed.verify(&found.asked.key));
        let signed = signed.map_err(|error| Denied::new("enrolment-signature", error.to_string()))?;
        let word = signed.statement();
        if found.transcript(hub).is_none_or(|transcript| transcript.0 != word.transcript) {
            let detail = "the gateway saw another hub, another nonce or another request than this hub";
            return Err(Denied::new("enrolment-transcript", detail));
        }
        match &found.step {
            Step::Approved { transaction, .. } if word.agreed => {
                let bytes = hex::decode(transaction);
                bytes
                    .map(Some)
                    .map_err(|_| Denied::new("enrolment-step", "the transaction that was kept can't be read"))
            }
            Step::Granted { .. } if word.agreed => Ok(None),
            Step::Open | Step::Approved { .. } if !word.agreed => {
                let reason = "the installer says that the words differ: somebody may stand in between";
                found.step = Step::Refused { rule: "enrolment-phrase".into(), reason: reason.into() };
                Ok(None)
            }
            step => Err(out_of_step(step)),
        }
    }

    /// The ledger has answered.
    pub(crate) fn settle(&mut self, ticket: &Hash, answer: Result<u64, (String, String)>) -> Result<(), Denied> {
        let found = self.find_mut(ticket)?;
        let Step::Approved { by, .. } = &found.step else { return Ok(()) };
        found.step = match answer {
            Ok(index) => Step::Granted { by: by.clone(), index },
            Err((rule, reason)) => Step::Refused { rule, reason },
        };
        Ok(())
    }
}

fn unknown() -> Denied {
    Denied::new("enrolment-unknown", "this hub knows no such enrolment; it may be older than a day: ask again")
}

fn out_of_step(step: &Step) -> Denied {
    Denied::new("enrolment-step", format!("this enrolment is {}", step.name()))
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
