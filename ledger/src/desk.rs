//! Where subcommands ask: the same questions to a running hub, and to the ledger's file when none runs.

mod gateways;
pub(crate) mod register;

use std::{net::SocketAddr, sync::Arc};

use plomb_broker::Broker;
use plomb_seal::{Hash, Name, transaction, transaction::Kind, transaction::Role};
use plomb_view::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    LedgerError,
    block::Block,
    engine::Solo,
    enrol::{Denied, Enrolments},
    hub::{Counters, Opinion, clock_doubt, judge_clock, unix_ms},
    ledger::{Answer, Ledger},
    node::Node,
    state::{CertificateRecord, Standing},
};

pub use register::Wanted;

/// The longest request, in bytes: a transaction in hexadecimal.
pub(crate) const REQUEST_BYTES_MAX: u64 = 256 * 1024;
/// The longest answer, in bytes: a batch in hexadecimal, and its proof.
pub(crate) const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Height, checkpoint, gateways, counters.
    Status {},
    /// All certificates.
    Certificates {},
    /// Submit a transaction: any but the genesis and anchors.
    Submit {
        /// Its bytes, hexadecimal.
        transaction: String,
    },
    /// A gateway's credential file.
    Credential {
        /// The gateway.
        gateway: String,
    },
    /// A page of the history.
    History(Wanted),
    /// One transaction in full.
    Show {
        /// Its index, or its leaf hash in hexadecimal.
        transaction: String,
    },
    /// What a gateway has to do.
    Due {
        /// The gateway.
        gateway: String,
    },
    /// Members, quorum, undecided votes.
    Members {},
    /// Who asks to be taken on.
    Enrolments {},
    /// One of them, by its claim code.
    EnrolClaim {
        /// The gateway.
        gateway: String,
        /// The code, or the whole line of the QR code.
        claim: String,
    },
    /// It is approved.
    EnrolApprove {
        /// Its ticket, hexadecimal.
        ticket: String,
        /// The certificate transaction, hexadecimal.
        transaction: String,
    },
    /// It is refused.
    EnrolRefuse {
        /// The gateway.
        gateway: String,
        /// Why.
        reason: String,
    },
    /// All that wait for the operator are refused.
    EnrolRefuseOpen {
        /// Why.
        reason: String,
    },
    /// A gateway's first archived batch at or after a place.
    Batch {
        /// The gateway.
        gateway: String,
        /// The epoch.
        epoch: u32,
        /// The number.
        batch: u64,
    },
}

/// What went wrong, and whose fault it is.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// `usage`, `permission`, `refused`, `unavailable` or `io`.
    pub kind: String,
    /// In words.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", message)
    }

    pub(crate) fn permission(message: impl Into<String>) -> Self {
        Self::new("permission", message)
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        Self::new("io", error.to_string())
    }
}

impl From<Denied> for Problem {
    fn from(Denied { rule, detail }: Denied) -> Self {
        let kind = match rule {
            "enrolment-io" => "io",
            "unavailable" => "unavailable",
            _ => "refused",
        };
        Self::new(kind, format!("{rule}: {detail}"))
    }
}

/// Answers questions about one ledger.
#[derive(Debug)]
pub struct Desk {
    ledger: Arc<Ledger>,
    running: Option<Running>,
}

/// What a running hub's desk has, beside the ledger.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) node: Arc<Node<Solo>>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) counters: Arc<Counters>,
    /// What its start had to say of the clock.
    pub(crate) clock_doubt: Option<String>,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) enrolments: Option<Arc<Enrolments>>,
}

impl Desk {
    /// The desk of a running hub.
    pub(crate) fn running(running: Running) -> Self {
        Self { ledger: running.node.ledger().clone(), running: Some(running) }
    }

    /// The desk of a ledger that no hub holds open.
    pub fn at_rest(ledger: Ledger) -> Self {
        Self { ledger: Arc::new(ledger), running: None }
    }

    /// Answers.
    pub async fn answer(&self, request: Request) -> Result<Value, Problem> {
        match request {
            Request::Status {} => self.status(),
            Request::Certificates {} => Ok(self.certificates()),
            Request::Submit { transaction } => self.submit(&transaction).await,
            Request::Credential { gateway } => self.credential(&name(&gateway)?),
            Request::History(wanted) => register::history(&self.ledger, &wanted),
            Request::Show { transaction } => register::show(&self.ledger, &transaction, |_, _| true),
            Request::Due { gateway } => Ok(register::due(&self.ledger, &name(&gateway)?)),
            Request::Members {} => Ok(register::members(&self.ledger)),
            Request::Enrolments {} => Ok(self.enrolments()?.list()),
            Request::EnrolClaim { gateway, claim } => Ok(self.enrolments()?.claim(&name(&gateway)?, &claim)?),
            Request::EnrolApprove { ticket, transaction } => {
                let wrong = || Problem::usage("ticket and transaction are hexadecimal");
                let ticket = hex::decode(ticket).ok().and_then(|bytes| Hash::from_slice(&bytes)).ok_or_else(wrong)?;
                let transaction = hex::decode(transaction).map_err(|_| wrong())?;
                Ok(self.enrolments()?.approve(&ticket, &transaction)?)
            }
            Request::EnrolRefuse { gateway, reason } => Ok(self.enrolments()?.refuse(&name(&gateway)?, &reason)?),
            Request::EnrolRefuseOpen { reason } => Ok(self.enrolments()?.refuse_open(&reason)?),
            Request::Batch { gateway, epoch, batch } => self.batch(&name(&gateway)?, (epoch, batch)),
        }
    }

    fn enrolments(&self) -> Result<&Arc<Enrolments>, Problem> {
        let running = self.running.as_ref().and_then(|running| running.enrolments.as_ref());
        running.ok_or_else(|| {
            let what = "no hub runs that takes gateways on over HTTPS: start it, with [http] in hub.toml; \
                        or give --file for a request that came as a file";
            Problem::new("unavailable", what)
        })
    }

    fn status(&self) -> Result<Value, Problem> {
        let head = self.ledger.head().borrow().clone();
        let state = self.ledger.state();
        let stats = self.running.as_ref().map(|running| running.broker.stats());
        let gateways = gateways::list(&state, stats.as_ref(), unix_ms());
        let running = self.running.as_ref();
        Ok(json!({
            "schema": "plomb.hub-status/1",
            "running": running.is_some(),
            "origin": self.ledger.signers().origin,
            "height": head.height, "time": (head.height > 0).then(|| rfc3339(head.time_ms)), "size": head.size,
            "state": head.state.to_string(), "checkpoint": (head.height > 0).then_some(head.note),
            "troubles": self.troubles(),
            "gateways": gateways,
            "certificates": certificate_counts(&state),
            "batches": running.map(|running| running.counters.snapshot()),
            "transactions": running.map(|running| running.counters.orders()),
            "listen": running.map(|running| running.broker.local_addr()),
            "https": running.and_then(|running| running.https),
            "broker": stats,
        }))
    }

    /// What a person must look into, in words.
    fn troubles(&self) -> Vec<String> {
        let running = self.running.as_ref();
        let at_start = running.and_then(|running| running.clock_doubt.as_deref());
        let lost = running.and_then(|running| running.counters.snapshot().lost).map(|lost| lost.to_string());
        lost.into_iter().chain(clock_doubt(self.ledger.newest_ms(), at_start)).collect()
    }

    fn certificates(&self) -> Value {
        let state = self.ledger.state();
        let list: Vec<Value> = state
            .certificates()
            .map(|(fingerprint, record)| {
                json!({
                    "fingerprint": fingerprint.to_string(), "subject": record.subject.as_str(),
                    "role": record.role.name(), "key": record.key.id().to_string(),
                    "public_key": hex::encode(record.key.to_bytes()),
                    "scope": scope(record),
                    "not_before": rfc3339(record.not_before_s.saturating_mul(1000)),
                    "not_after": rfc3339(record.not_after_s.saturating_mul(1000)),
                    "issued_by": record.author.as_str(),
                    "revoked": record.revoked.as_ref().map(|revoked| {
                        json!({ "reason": revoked.reason, "time": rfc3339(revoked.time_ms) })
                    }),
                })
            })
            .collect();
        json!({ "schema": "plomb.hub-certificates/1", "certificates": list })
    }

    async fn submit(&self, transaction: &str) -> Result<Value, Problem> {
        let bytes = hex::decode(transaction).map_err(|_| Problem::usage("the transaction is not hexadecimal"))?;
        match transaction::kind(&bytes) {
            Ok(Kind::Anchor) => return Err(Problem::usage("an anchor comes to the hub with its batch, over MQTT")),
            Ok(Kind::Genesis) => return Err(Problem::usage("the genesis is made by `plomb-hub init`")),
            Ok(_) => {}
            Err(error) => return Err(Problem::usage(format!("this is no transaction: {error}"))),
        }
        match commit(&self.ledger, self.running.as_ref().map(|running| &running.node), bytes).await? {
            Answer::Refused(refused) => Err(Problem::new("refused", refused.to_string())),
            Answer::Admitted { index } | Answer::Known { index } => Ok(json!({ "index": index })),
        }
    }

    fn credential(&self, gateway: &Name) -> Result<Value, Problem> {
        let found = self.ledger.credential(gateway)?;
        let credential =
            found.ok_or_else(|| Problem::usage(format!("no gateway \"{gateway}\" was ever certified here")))?;
        Ok(json!({ "credential": hex::encode(credential.to_bytes()) }))
    }

    fn batch(&self, gateway: &Name, from: (u32, u64)) -> Result<Value, Problem> {
        let Some(found) = self.ledger.archived(gateway, from)? else {
            return Ok(Value::Null);
        };
        let proof = self.ledger.receipt(&found.anchor)?.map(|receipt| receipt.proof);
        Ok(json!({
            "epoch": found.epoch, "batch": found.batch, "anchor": found.anchor.to_string(),
            "bytes": found.bytes.map(hex::encode), "proof": proof,
        }))
    }
}

/// Brings a transaction to the ledger: through the node, or as a block of its own when none runs.
pub(crate) async fn commit(
    ledger: &Ledger,
    node: Option<&Arc<Node<Solo>>>,
    transaction: Vec<u8>,
) -> Result<Answer, Problem> {
    if let Some(node) = node {
        let answer = node.submit(transaction, None).await;
        return answer.map_err(|error| Problem::new("unavailable", error.to_string()));
    }
    if let Opinion::Implausible(why) = judge_clock(ledger.newest_ms(), unix_ms()) {
        return Err(Problem::new("unavailable", why));
    }
    let block = Block { height: ledger.height() + 1, time_ms: unix_ms(), transactions: vec![transaction] };
    let mut answers = ledger.deliver(&block, &[])?;
    answers.pop().ok_or_else(|| Problem::new("io", "the ledger gave no answer"))
}

/// Gateways by name, points as `gateway/point`.
fn scope(record: &CertificateRecord) -> Vec<String> {
    let points = record.points.iter().map(|one| format!("{}/{}", one.gateway, one.point));
    record.scope.iter().map(ToString::to_string).chain(points).collect()
}

fn certificate_counts(state: &crate::state::State) -> Value {
    let now_ms = unix_ms();
    let mut counts = std::collections::HashMap::new();
    for (_, record) in state.certificates() {
        let status = match record.standing(state, now_ms) {
            Standing::Revoked(_) | Standing::IssuerLeft(_) => "revoked",
            Standing::Holds => "valid",
            Standing::OutsideValidity => "expired",
        };
        *counts.entry((record.role, status)).or_insert(0u64) += 1;
    }
    let roles = [Role::Gateway, Role::Admin, Role::Operator, Role::Subscriber, Role::Auditor];
    let count = |role, status| counts.get(&(role, status)).copied().unwrap_or(0);
    roles
        .into_iter()
        .map(|role| {
            let of = json!({
                "valid": count(role, "valid"), "expired": count(role, "expired"), "revoked": count(role, "revoked"),
            });
            (role.name().to_owned(), of)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn name(text: &str) -> Result<Name, Problem> {
    text.parse().map_err(|error: plomb_seal::NameError| Problem::usage(error.to_string()))
}
