//! Enrolment on the device: the key is made here and never leaves; what comes back is checked and laid down.
//!
//! Every step is written down before it is taken, so that a device that was switched off goes on where it was. Once
//! the nonce is told to a hub it is never told to another: who stands in the middle gets one try.

pub(crate) mod files;
mod kept;

use std::{path::Path, time::Duration};

use hyper::Method;
use plomb_seal::{
    Hash, Name, Signed, SigningKey,
    enrol::{self, Confirmation, Grant, NONCE_BYTES, Opening, Request, Transcript},
    transaction::Issue,
};
use serde_json::Value;

use crate::https::{Answered, Https, HttpsError};

pub use files::{Owner, make_key};
pub use kept::{Pending, TrustKept};

/// The longest that one question waits for the next step, in seconds.
const WAIT_S: u64 = 25;

/// Why an enrolment does not go on.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// A file does not serve.
    #[error("{0}")]
    File(String),
    /// The hub does not answer, is not the one, or refuses.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// The enrolment ended without a certificate.
    #[error("the enrolment ended: {rule}: {reason}")]
    Ended {
        /// By which rule.
        rule: String,
        /// Why.
        reason: String,
    },
    /// What the hub says makes no sense, or is not for this device.
    #[error("{0}")]
    Hub(String),
}

/// How far the hub says that the enrolment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It waits for the hub's operator.
    Open,
    /// The operator has approved; the installer is asked.
    Approved,
    /// The certificate is there.
    Granted,
}

/// One device's enrolment.
#[derive(Debug)]
pub struct Enrolment {
    pending: Pending,
    key: SigningKey,
}

impl Enrolment {
    /// Takes up what was begun in this folder; `None` if nothing was.
    pub fn resume(folder: &Path) -> Result<Option<Self>, EnrolError> {
        let Some(pending) = Pending::load(folder).map_err(EnrolError::File)? else { return Ok(None) };
        let key = files::key(folder).map_err(EnrolError::File)?;
        let asked = Request::open(&pending.request).map_err(|error| EnrolError::File(error.to_string()))?;
        if asked.key != key.public() {
            let what = "the key in client.key is not the one that was asked for; remove enrolment.json to begin anew";
            return Err(EnrolError::File(what.into()));
        }
        Ok(Some(Self { pending, key }))
    }

    /// Begins: makes the key if there is none, and a request.
    pub fn begin(
        folder: &Path,
        gateway: Name,
        hub: Option<(String, TrustKept)>,
        owner: Owner,
        time_s: i64,
    ) -> Result<Self, EnrolError> {
        let key = make_key(folder, owner).map_err(EnrolError::File)?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| EnrolError::File(format!("no random numbers: {error}")))?;
        let request = Request { gateway, key: key.public(), commitment: enrol::commitment(&nonce), time_s };
        let request = Signed::sign(request, &key).into_bytes();
        let pending = Pending { hub, request, nonce, opening: None, hub_key: None, revealed: false };
        pending.save(folder).map_err(EnrolError::File)?;
        Ok(Self { pending, key })
    }

    /// Goes to another hub, or knows it by something else: as long as the nonce was told to none.
    ///
    /// # Errors
    /// It was told, or goes by files; or nothing can be written down.
    pub fn turn_to(&mut self, hub: (String, TrustKept), folder: &Path) -> Result<(), EnrolError> {
        if self.pending.revealed || self.pending.hub.is_none() {
            let what = "another enrolment is under way; remove enrolment.json to begin anew";
            return Err(EnrolError::File(what.into()));
        }
        self.pending.hub = Some(hub);
        self.pending.save(folder).map_err(EnrolError::File)
    }

    /// What is kept of it.
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The name that is asked for.
    pub fn gateway(&self) -> Result<Name, EnrolError> {
        let asked = Request::open(&self.pending.request).map_err(|error| EnrolError::File(error.to_string()))?;
        Ok(asked.gateway)
    }

    /// The key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// What both sides have seen; `None` until the hub has answered and the nonce was told.
    pub fn transcript(&self) -> Option<Transcript> {
        let (opening, hub_key) = (self.pending.opening.as_ref()?, self.pending.hub_key.as_ref()?);
        let told = self.pending.revealed;
        told.then(|| Transcript::of(&self.pending.request, opening, hub_key, &self.pending.nonce))
    }

    /// Asks the hub and tells the nonce: now there are claim code and phrase.
    pub async fn open(&mut self, hub: &Https, folder: &Path) -> Result<Transcript, EnrolError> {
        if !self.pending.revealed {
            let answered = ask(hub, Method::POST, "/enrol/requests", self.pending.request.clone()).await?;
            let opening = Opening::parse(&answered.body)
                .map_err(|error| EnrolError::Hub(format!("the hub's answer can't be read: {error}")))?;
            if opening.ticket != self.ticket() {
                return Err(EnrolError::Hub("the hub answers another request".into()));
            }
            let kept = &mut self.pending;
            (kept.opening, kept.hub_key, kept.revealed) = (Some(opening), Some(answered.hub_key), true);
            // Before it is told: whatever happens now, it is told to no other hub and under no other nonce.
            self.pending.save(folder).map_err(EnrolError::File)?;
        }
        let path = format!("/enrol/requests/{}/reveal", self.ticket());
        let answered = ask(hub, Method::POST, &path, self.pending.nonce.to_vec()).await?;
        self.same_hub(&answered)?;
        self.transcript().ok_or_else(|| EnrolError::Hub("the hub's answer is missing".into()))
    }

    fn ticket(&self) -> Hash {
        Request::ticket(&self.pending.request)
    }

    fn path(&self, step: &str) -> String {
        format!("/enrol/requests/{}{step}", self.ticket())
    }

    /// The phrase speaks of one TLS key: a hub that shows another in the middle of it is another.
    fn same_hub(&self, answered: &Answered) -> Result<(), EnrolError> {
        if self.pending.hub_key.is_some_and(|key| key != answered.hub_key) {
            return Err(EnrolError::Hub(
                "who answers there has another key than at the beginning: somebody may stand in between, or the hub \
                 got a new key. Remove enrolment.json to begin anew"
                    .into(),
            ));
        }
        Ok(())
    }

    /// How far it is; waits until it is not at `from` any more, for a bounded time.
    pub async fn progress(&self, hub: &Https, from: Option<&Progress>) -> Result<Progress, EnrolError> {
        let query = match from {
            Some(Progress::Open) => format!("?step=open&wait_s={WAIT_S}"),
            Some(Progress::Approved) => format!("?step=approved&wait_s={WAIT_S}"),
            Some(Progress::Granted) | None => String::new(),
        };
        let path = self.path(&query);
        let answered = hub.ask(Method::GET, &path, Vec::new(), Duration::from_secs(WAIT_S)).await?;
        self.same_hub(&answered)?;
        step(&answered.json())
    }

    /// The installer's word.
    pub async fn confirm(&self, hub: &Https, agreed: bool) -> Result<Progress, EnrolError> {
        let transcript = self.transcript().ok_or_else(|| EnrolError::Hub("there is nothing to confirm yet".into()))?;
        let word = Signed::sign(Confirmation { transcript: transcript.0, agreed }, &self.key).into_bytes();
        let answered = ask(hub, Method::POST, &self.path("/confirm"), word).await?;
        step(&answered.json())
    }

    /// Fetches what is granted, checks it, and lays it down.
    pub async fn fetch(&self, hub: &Https, folder: &Path, owner: Owner) -> Result<Issue, EnrolError> {
        let answered = ask(hub, Method::GET, &self.path("/grant"), Vec::new()).await?;
        self.same_hub(&answered)?;
        self.take(&answered.body, folder, owner)
    }

    /// Checks a grant, and lays it down. The enrolment is over then.
    pub fn take(&self, grant: &[u8], folder: &Path, owner: Owner) -> Result<Issue, EnrolError> {
        let grant =
            Grant::parse(grant).map_err(|error| EnrolError::Hub(format!("the grant can't be read: {error}")))?;
        let issue = grant
            .check(&self.ticket(), &self.gateway()?, &self.key.public(), None)
            .map_err(|error| EnrolError::Hub(format!("the grant does not hold: {error}")))?;
        files::lay_down(folder, &grant, owner).map_err(EnrolError::File)?;
        Pending::forget(folder).map_err(EnrolError::File)?;
        Ok(issue)
    }
}

async fn ask(hub: &Https, method: Method, path: &str, body: Vec<u8>) -> Result<Answered, EnrolError> {
    Ok(hub.ask(method, path, body, Duration::ZERO).await?)
}

fn step(told: &Value) -> Result<Progress, EnrolError> {
    let word = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match word("step").as_str() {
        "open" | "begun" => Ok(Progress::Open),
        "approved" => Ok(Progress::Approved),
        "granted" => Ok(Progress::Granted),
        "refused" => Err(EnrolError::Ended { rule: word("rule"), reason: word("reason") }),
        other => Err(EnrolError::Hub(format!("the hub names a step that is not known here: \"{other}\""))),
    }
}
