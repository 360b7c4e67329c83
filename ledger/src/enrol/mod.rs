//! Gateways are taken on, and their certificates renewed: `docs/enrolment.md`.
//!
//! The hub keeps who asks ([`book`], pure) in a file of its own beside the ledger: an enrolment that is under way is
//! nobody's business but the hub's. What comes of it, the certificate, is a transaction like any other. The member's
//! keys sign it in `plomb-hub enrol approve`, before the installer's word; it goes to the ledger after that.

mod book;
mod issuing;
mod kept;
mod renewal;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use plomb_seal::{
    Hash, Name, Unverified,
    enrol::{Grant, NONCE_BYTES, Opening},
    transaction::{Certificate, Issue, Role},
};
use plomb_view::rfc3339;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::{
    LedgerError,
    engine::Solo,
    files, hub,
    ledger::{Answer, Ledger},
    node::Node,
    state::Standing,
};

pub(crate) use book::Denied;
use book::{Book, Enrolment, Hub, Step};
pub(crate) use issuing::{Authority, IssueError, Issued};

/// The file of open enrolments in the state directory.
const ENROLMENTS: &str = "enrolments.json";

/// The enrolments of a running hub.
pub(crate) struct Enrolments {
    node: Arc<Node<Solo>>,
    folder: PathBuf,
    hub_key: Hash,
    now_ms: fn() -> i64,
    book: Mutex<Book>,
    changes: watch::Sender<u64>,
}

impl std::fmt::Debug for Enrolments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enrolments").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Enrolments {
    /// With those that the hub kept before. A file that can't be read is put aside: they ask again.
    pub(crate) fn open(node: Arc<Node<Solo>>, folder: PathBuf, hub_key: Hash, now_ms: fn() -> i64) -> Self {
        let path = folder.join(ENROLMENTS);
        let book = match files::read_text(&path) {
            Ok(text) => kept::read(&text).unwrap_or_else(|what| {
                let aside = path.with_extension("unreadable");
                error!("{}: {what}; it is kept as {}, and gateways must ask anew", path.display(), aside.display());
                let _ = std::fs::rename(&path, aside);
                Book::default()
            }),
            Err(_) => Book::default(),
        };
        Self { node, folder, hub_key, now_ms, book: Mutex::new(book), changes: watch::Sender::new(0) }
    }

    /// The SHA-256 of the hub's TLS key: its pin.
    pub(crate) fn hub_key(&self) -> Hash {
        self.hub_key
    }

    /// A counter that grows with every step of any enrolment.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn ledger(&self) -> &Arc<Ledger> {
        self.node.ledger()
    }

    fn origin(&self) -> &str {
        &self.ledger().signers().origin
    }

    fn hub(&self) -> Hub<'_> {
        Hub { origin: self.origin(), key: self.hub_key }
    }

    /// Changes the book, durably before anybody hears of it. What is refused may change it too: wrong codes count.
    fn change<T>(&self, change: impl FnOnce(&mut Book, i64) -> Result<T, Denied>) -> Result<T, Denied> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = book.clone();
        let outcome = change(&mut next, (self.now_ms)());
        if next != *book {
            let text = kept::write(&next);
            if text != kept::write(&book) {
                let path = self.folder.join(ENROLMENTS);
                files::replace_secret(&path, text.as_bytes()).map_err(|error| {
                    error!("{error}");
                    Denied::new("enrolment-io", "the hub can't write down enrolments; its log says why")
                })?;
            }
            *book = next;
            self.changes.send_modify(|count| *count += 1);
        }
        outcome
    }

    /// A gateway asks.
    pub(crate) fn begin(&self, request: &[u8], peer: &str) -> Result<Opening, Denied> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| Denied::new("enrolment-io", "the hub has no random numbers"))?;
        self.change(|book, now_ms| {
            let certified = |gateway: &Name| is_certified(self.ledger(), gateway);
            book.begin(request, (peer, nonce), (self.origin(), certified), now_ms)
        })
    }

    /// It tells its nonce.
    pub(crate) fn reveal(&self, ticket: &Hash, nonce: &[u8]) -> Result<Value, Denied> {
        let news = self.change(|book, now_ms| {
            let begun = book.find(ticket)?.step == Step::Begun;
            book.reveal(ticket, nonce, now_ms)?;
            begun.then(|| book.find(ticket).map(|one| one.asked.gateway.clone())).transpose()
        })?;
        if let Some(gateway) = news {
            info!(%gateway, "a gateway asks to be taken on: `plomb-hub enrol list`");
        }
        self.told(ticket)
    }

    /// How far it is.
    pub(crate) fn told(&self, ticket: &Hash) -> Result<Value, Denied> {
        self.change(|book, now_ms| {
            book.tidy(now_ms);
            book.find(ticket).map(told)
        })
    }

    /// The installer's word; if it is yes, the certificate goes to the ledger.
    pub(crate) async fn confirm(self: &Arc<Self>, ticket: Hash, word: Vec<u8>) -> Result<Value, Denied> {
        let this = self.clone();
        let transaction =
            blocking(move || this.change(|book, now_ms| book.confirm(&ticket, &word, this.hub(), now_ms))).await?;
        if let Some(transaction) = transaction {
            let answer = self.node.submit(transaction, None).await;
            let answer = match answer.map_err(|error| Denied::new("unavailable", error.to_string()))? {
                Answer::Admitted { index } | Answer::Known { index } => Ok(index),
                Answer::Refused(why) => Err((why.rule.to_owned(), why.detail)),
            };
            let this = self.clone();
            blocking(move || this.change(|book, _| book.settle(&ticket, answer))).await?;
        }
        let told = self.told(&ticket)?;
        let word = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
        match word("step") {
            "granted" => info!(gateway = word("gateway"), "a gateway is taken on"),
            _ => warn!(gateway = word("gateway"), rule = word("rule"), why = word("reason"), "an enrolment ended"),
        }
        Ok(told)
    }

    /// What it is handed.
    pub(crate) fn grant(&self, ticket: &Hash) -> Result<Vec<u8>, Denied> {
        let (gateway, index) = {
            let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            let found = book.find(ticket)?;
            match found.step {
                Step::Granted { index, .. } => (found.asked.gateway.clone(), index),
                _ => return Err(Denied::new("enrolment-step", format!("this enrolment is {}", found.step.name()))),
            }
        };
        Ok(self.grant_of(*ticket, gateway, index)?.to_bytes())
    }

    /// The certificate at an index of the log, with all that a gateway needs beside it.
    fn grant_of(&self, ticket: Hash, gateway: Name, index: u64) -> Result<Grant, Denied> {
        let lost = |what: &str| Denied::new("enrolment-io", format!("{what} can't be read; the hub's log says why"));
        let failed = |error: LedgerError| {
            error!("{error}");
            lost("the ledger")
        };
        let transaction = self.ledger().transaction(index).map_err(failed)?.ok_or_else(|| lost("the certificate"))?;
        let issue = issue_of(&transaction).ok_or_else(|| lost("the certificate"))?;
        let author = {
            let state = self.ledger().state();
            let record = state.certificate(&issue.fingerprint()).ok_or_else(|| lost("the certificate"))?;
            let member = state.members().iter().find(|member| member.name == record.author);
            member.map(|member| member.authority.clone())
        };
        let author = author.map_or(String::new(), |authority| files::certificate_pem(&authority));
        let file = |name: &str| {
            files::read_text(&self.folder.join(name)).map_err(|error| {
                error!("{error}");
                lost(name)
            })
        };
        let credential = self.ledger().credential(&gateway).map_err(failed)?.ok_or_else(|| lost("the credential"))?;
        Ok(Grant {
            ticket,
            gateway,
            certificate: format!("{}{author}", files::certificate_pem(&issue.x509)),
            // Whoever certified, the hub shows a certificate of its own member's authority.
            authorities: file(hub::AUTHORITY)?,
            policy: file(hub::POLICY)?,
            credential: credential.to_bytes(),
        })
    }

    /// Those that wait, for the operator. No claim codes: they come from the device.
    pub(crate) fn list(&self) -> Value {
        let tidied = self.change(|book, now_ms| {
            book.tidy(now_ms);
            Ok(book.all().iter().filter(|one| one.step != Step::Begun).map(told).collect::<Vec<_>>())
        });
        json!({
            "schema": "plomb.hub-enrolments/1", "pin": self.hub_key.to_string(),
            "enrolments": tidied.unwrap_or_default(),
        })
    }

    /// The operator names one by its claim code.
    pub(crate) fn claim(&self, gateway: &Name, typed: &str) -> Result<Value, Denied> {
        let found = self.change(|book, now_ms| book.claim(gateway, typed, self.hub(), now_ms))?;
        let phrase = found.transcript(self.hub()).map(|transcript| transcript.phrase());
        let mut told = told(&found);
        if let Some(told) = told.as_object_mut() {
            told.insert("phrase".into(), phrase.into());
            told.insert("public_key".into(), hex::encode(found.asked.key.to_bytes()).into());
            told.insert("ticket".into(), found.ticket().to_string().into());
        }
        Ok(told)
    }

    /// The operator approves, with a certificate that is signed already.
    pub(crate) fn approve(&self, ticket: &Hash, transaction: &[u8]) -> Result<Value, Denied> {
        self.change(|book, _| {
            let asked = book.find(ticket)?.asked.clone();
            let issue = issue_of(transaction).filter(|issue| {
                issue.subject == asked.gateway && issue.key == asked.key && issue.role == Role::Gateway
            });
            let Some(_) = issue else {
                return Err(Denied::new("enrolment-form", "the certificate is not for this gateway and key"));
            };
            book.approve(ticket, &self.member(transaction)?, transaction)
        })?;
        self.told(ticket)
    }

    /// Which member signed a certificate.
    fn member(&self, transaction: &[u8]) -> Result<String, Denied> {
        let no_member = || Denied::new("known-author", "it is signed by nobody who is a member of this ledger");
        let parsed = Unverified::<Certificate>::parse(transaction).map_err(|_| no_member())?;
        let state = self.ledger().state();
        let member = state.members().iter().find(|member| member.key.id() == parsed.key_id()).ok_or_else(no_member)?;
        parsed.verify(&member.key).map_err(|_| no_member())?;
        Ok(member.name.to_string())
    }

    /// The operator refuses.
    pub(crate) fn refuse(&self, gateway: &Name, reason: &str) -> Result<Value, Denied> {
        self.change(|book, now_ms| book.refuse(gateway, reason, now_ms))?;
        Ok(json!({ "gateway": gateway.as_str(), "step": "refused" }))
    }

    /// The operator refuses all that wait for him.
    pub(crate) fn refuse_open(&self, reason: &str) -> Result<Value, Denied> {
        let count = self.change(|book, now_ms| Ok(book.refuse_open(reason, now_ms)))?;
        Ok(json!({ "refused": count }))
    }
}

fn told(one: &Enrolment) -> Value {
    let (by, index, rule, reason) = match &one.step {
        Step::Approved { by, .. } => (Some(by), None, None, None),
        Step::Granted { by, index } => (Some(by), Some(index), None, None),
        Step::Refused { rule, reason } => (None, None, Some(rule), Some(reason)),
        Step::Begun | Step::Open => (None, None, None, None),
    };
    json!({
        "schema": "plomb.enrolment/1", "gateway": one.asked.gateway.as_str(), "step": one.step.name(),
        "fingerprint": Hash::of(&one.asked.key.to_bytes()).to_string(), "peer": one.peer,
        "since": rfc3339(one.begun_ms), "expires": rfc3339(one.begun_ms.saturating_add(book::ENROLMENT_LIFE_MS)),
        "by": by, "index": index, "rule": rule, "reason": reason,
    })
}

fn issue_of(transaction: &[u8]) -> Option<Issue> {
    match Unverified::<Certificate>::parse(transaction).ok()?.claims() {
        Certificate::Issue(issue) => Some((**issue).clone()),
        Certificate::Revoke { .. } => None,
    }
}

/// Whether the ledger has a certificate of that name, of any role, that was not taken away.
fn is_certified(ledger: &Ledger, name: &Name) -> bool {
    let state = ledger.state();
    state.certificates().any(|(_, record)| {
        let taken_away = matches!(record.standing(&state, 0), Standing::Revoked(_) | Standing::IssuerLeft(_));
        record.subject == *name && !taken_away
    })
}

/// On a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Denied> + Send + 'static) -> Result<T, Denied> {
    let stopped = |_| Denied::new("unavailable", "the hub stops");
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}
