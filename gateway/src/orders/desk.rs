//! The desk: takes dossiers, follows what may be followed, and says what came of it.
//!
//! A configuration goes through these states, each durable before the next begins:
//!
//! ```text
//! heard ─(its time)─▶ trial kept ─▶ applied ─▶ confirmed: entry, outcome, in force   one commit
//!                                        └───▶ not confirmed: applied back; entry, outcome   one commit
//! ```
//! A power cut before the trial is kept leaves nothing: the hub sends it again. After it the daemon starts under the
//! new configuration, and the trial goes on. The outcome is in the commit that ends the trial, so there is exactly one.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use plomb_seal::{
    Dossier, Event, Hash, Name, Policy, Signed, SigningKey,
    dossier::{Ordered, Warrant},
    transaction::{self, Effect, Outcome, Priority, Window},
    tree,
};
use tracing::{info, warn};

use super::{
    cut,
    letters::Letter,
    read_hash,
    rules::{self, Refused, When},
    sealing::SealingKeys,
    state::{Applied, LETTERS_MAX, State, Trial, letter_name, text_name},
    world::{Place, World},
};
use crate::{ask::deed::Instruction, config::Config, journal::Rows, lines::Haste, status::rfc3339};

/// A waiting configuration that the hub did not send again for so long is not applied: its author may have been
/// revoked since. The hub sends what is due every minute.
pub const FRESH_MS_MAX: u64 = 150_000;
/// The most configurations that wait for their time: one for each priority, and as many that replace them.
pub const WAITING_MAX: usize = 6;
/// So many points are named in an outcome.
const NAMED_MAX: usize = 6;
/// So many refused dossiers become entries in an hour; all are in the log. A hub that lies must not fill the journal.
pub const REFUSED_ENTRIES_PER_HOUR: usize = 12;
const HOUR_MS: u64 = 3_600_000;
/// The most commands that wait until the journal was held against the ledger.
pub const HELD_MAX: usize = 64;

/// Who the gateway is, and whom it trusts.
#[derive(Debug, Clone)]
pub struct Who {
    /// Its name.
    pub gateway: Name,
    /// Its ledger.
    pub origin: String,
    /// Its key.
    pub key: SigningKey,
    /// Its policy.
    pub policy: std::sync::Arc<Policy>,
}

/// The desk of orders.
pub struct Desk<W: World> {
    pub(super) who: Who,
    pub(super) world: W,
    pub(super) keys: SealingKeys,
    pub(super) state: State,
    pub(super) waiting: Vec<Waiting>,
    pub(super) held: VecDeque<Held>,
    /// Commands that were entered, and are begun when that entry has its receipt.
    pub(super) unanchored: Vec<Unanchored>,
    pub(super) letters: BTreeMap<u64, Letter>,
    /// Rows that go with the next commit; nothing is lost if that never comes.
    pub(super) gone: Rows,
    /// When a trial ends, by the clock that only runs.
    pub(super) deadline_ms: Option<u64>,
    pub(super) refused: Option<String>,
    /// Points that were not read before the configuration on trial either: they prove nothing against it.
    pub(super) unread_before: BTreeSet<String>,
    /// When refused dossiers became entries.
    pub(super) refused_at: VecDeque<u64>,
    /// The texts of the configurations that a trial may go back to.
    pub(super) texts: BTreeMap<u64, String>,
    pub(super) founding: String,
    /// The dossier of the configuration on trial, for the copy.
    pub(super) dossier: Option<Vec<u8>>,
    /// Whether it is known here that this run found a card put back.
    pub(super) return_taken: bool,
}

/// A configuration that waits for its time.
pub(super) struct Waiting {
    pub(super) applied: Applied,
    leaf: Hash,
    priority: Priority,
    window: Option<Window>,
    text: Vec<u8>,
    dossier: Vec<u8>,
    /// When the hub sent it last.
    heard_ms: u64,
}

/// A command that waits until the journal was held against the ledger.
pub(super) struct Held {
    pub(super) leaf: Hash,
    pub(super) dossier: Vec<u8>,
}

/// A command whose entry has no receipt yet.
pub(super) struct Unanchored {
    pub(super) leaf: Hash,
    pub(super) place: Place,
    pub(super) point: String,
    pub(super) instruction: Instruction,
    /// Until when it is waited for, by the clock that only runs.
    pub(super) until_ms: u64,
    pub(super) expires_ms: i64,
}

/// How an order ended.
pub(super) struct Ended {
    pub(super) leaf: Hash,
    pub(super) what: &'static str,
    pub(super) effect: Effect,
    pub(super) rule: &'static str,
    pub(super) detail: String,
    pub(super) more: Vec<(&'static str, String)>,
    /// Where the entry stands that says that it was begun, if there is one: the outcome names it then.
    pub(super) begun: Option<Place>,
}

impl<W: World> Desk<W> {
    /// The world that it is in.
    pub fn world(&mut self) -> &mut W {
        &mut self.world
    }

    /// What it knows for good.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes a dossier from the hub. What is known already is passed over.
    ///
    /// # Errors
    /// Nothing goes on.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<(), W::Halt> {
        let dossier = match Dossier::parse(bytes) {
            Ok(dossier) => dossier,
            Err(error) => return self.unwarranted(None, "dossier-form", error.to_string()).await,
        };
        let leaf = tree::leaf_hash(&dossier.order.transaction);
        let now_ms = self.world.running_ms();
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.leaf == leaf) {
            waiting.heard_ms = now_ms;
            return Ok(());
        }
        if self.state.knows(&leaf.to_string()) || self.letters.len() >= LETTERS_MAX {
            return Ok(());
        }
        let warrant = match dossier.verify(&self.who.origin, &self.who.gateway, &self.who.policy) {
            Ok(warrant) => warrant,
            Err(error) => return self.unwarranted(Some(leaf), error.rule, error.detail).await,
        };
        match &warrant.order {
            Ordered::Config(config) => {
                let config = config.statement().clone();
                self.configuration(leaf, &config, &warrant, bytes).await
            }
            Ordered::Command(command) => {
                let command = command.statement().clone();
                self.command(leaf, &command, &warrant, bytes).await
            }
        }
    }

    /// A dossier that shows no right to give this order. Nothing is said of it on the ledger: whoever sends broken
    /// dossiers must not be able to end orders that are good. It is an entry, once.
    async fn unwarranted(&mut self, leaf: Option<Hash>, rule: &'static str, detail: String) -> Result<(), W::Halt> {
        let told = format!("{}{rule}: {detail}", leaf.map(|leaf| format!("order {leaf}: ")).unwrap_or_default());
        if self.refused.as_ref() == Some(&told) {
            return Ok(());
        }
        warn!("an order that is not taken: {told}");
        self.refused = Some(told);
        let now_ms = self.world.running_ms();
        self.refused_at.retain(|at_ms| now_ms.saturating_sub(*at_ms) < HOUR_MS);
        if self.refused_at.len() >= REFUSED_ENTRIES_PER_HOUR {
            self.show();
            return Ok(());
        }
        self.refused_at.push_back(now_ms);
        let mut details = vec![("rule".to_string(), rule.to_string()), ("detail".to_string(), cut(&detail))];
        details.extend(leaf.map(|leaf| ("order".to_string(), leaf.to_string())));
        let rows = std::mem::take(&mut self.gone);
        self.world.conclude(Event { name: "order-refused".into(), details }, Box::new(|_| rows)).await?;
        self.show();
        Ok(())
    }

    async fn configuration(
        &mut self,
        leaf: Hash,
        config: &transaction::Config,
        warrant: &Warrant,
        dossier: &[u8],
    ) -> Result<(), W::Halt> {
        let applied = Applied {
            version: config.version(),
            leaf: leaf.to_string(),
            hash: String::new(),
            author: warrant.author.subject.to_string(),
            reason: config.reason.clone(),
            priority: config.priority.name().into(),
            applied_ms: self.world.now().unix_ms,
        };
        info!(version = applied.version, author = applied.author, priority = applied.priority, "configuration");
        let opened = rules::version(&self.state, config.version()).and_then(|()| {
            let twin = self.waiting.iter().any(|waiting| waiting.applied.version == config.version());
            if twin {
                let what = format!("another configuration with version {} is here already", config.version());
                return Err(Refused::by("config-version", what));
            }
            rules::open_config(config, warrant.author.key.id(), &self.keys)
        });
        let text = match opened {
            Ok(text) => text,
            Err(refused) => return self.refuse(leaf, &applied, refused).await,
        };
        let waiting = Waiting {
            applied: Applied { hash: Hash::of(&text).to_string(), ..applied },
            leaf,
            priority: config.priority,
            window: config.window,
            text,
            dossier: dossier.to_vec(),
            heard_ms: self.world.running_ms(),
        };
        self.consider(waiting).await
    }

    /// Applies a configuration, or lets it wait, or refuses it.
    async fn consider(&mut self, waiting: Waiting) -> Result<(), W::Halt> {
        let running = self.world.running().await;
        let judged = rules::version(&self.state, waiting.applied.version).and_then(|()| {
            let config = rules::read(&waiting.text, &running)?;
            let when = rules::when(waiting.priority, waiting.window, &running.orders, self.world.now())?;
            Ok((config, when))
        });
        let (config, when) = match judged {
            Ok(judged) => judged,
            Err(refused) => return self.refuse(waiting.leaf, &waiting.applied, refused).await,
        };
        let hub_changes = match self.world.check(&config).await {
            Ok(changes) => changes,
            Err(what) => {
                let refused = Refused::by("config-meaning", what);
                return self.refuse(waiting.leaf, &waiting.applied, refused).await;
            }
        };
        if when != When::Now || self.state.trial.is_some() {
            return self.wait(waiting);
        }
        if config == running {
            return self.unchanged(waiting).await;
        }
        self.try_out(waiting, config, hub_changes).await
    }

    /// The ledger lets a newer one of at least the same priority take the place of an older one.
    fn wait(&mut self, waiting: Waiting) -> Result<(), W::Halt> {
        let (version, priority) = (waiting.applied.version, waiting.priority);
        self.waiting.retain(|other| other.applied.version > version || other.priority > priority);
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push(waiting);
        }
        self.show();
        Ok(())
    }

    /// The same content as runs already: nothing is begun and nothing ended.
    async fn unchanged(&mut self, waiting: Waiting) -> Result<(), W::Halt> {
        let mut next = self.state.clone();
        next.tried = waiting.applied.version;
        self.put_in_force(&mut next, &waiting.applied);
        let text = String::from_utf8_lossy(&waiting.text).into_owned();
        let rows = Rows::from([(text_name(waiting.applied.version), Some(waiting.text))]);
        self.texts.insert(waiting.applied.version, text);
        self.dossier = Some(waiting.dossier);
        let ended = ended(waiting.leaf, &waiting.applied, Effect::Applied, "", "no change".into());
        self.end(ended, next, rows).await?;
        self.copies();
        Ok(())
    }

    async fn try_out(&mut self, waiting: Waiting, config: Config, hub_changed: bool) -> Result<(), W::Halt> {
        let version = waiting.applied.version;
        let haste = if waiting.priority == Priority::Immediate { Haste::Now } else { Haste::AfterPoll };
        let confirm_ms = u64::from(config.orders.confirm_s).saturating_mul(1000);
        let mut next = self.state.clone();
        next.tried = version;
        next.trial = Some(Trial {
            next: waiting.applied.clone(),
            began_ms: self.world.now().unix_ms,
            confirm_s: config.orders.confirm_s,
            hub_changed,
            reading_before: self.world.standing().reading,
            starts: 0,
        });
        let mut rows = std::mem::take(&mut self.gone);
        let text = String::from_utf8_lossy(&waiting.text).into_owned();
        rows.insert(text_name(version), Some(waiting.text));
        rows.extend([next.row()]);
        self.world.keep(rows).await?;
        self.texts.insert(version, text);
        self.state = next;
        self.waiting.retain(|other| other.applied.version > version);
        self.deadline_ms = Some(self.world.running_ms().saturating_add(confirm_ms));
        self.dossier = Some(waiting.dossier);
        self.unread_before = self.world.unread().into_iter().collect();
        if let Err(what) = self.world.apply(config, haste).await? {
            return self.roll_back("config-apply", what).await;
        }
        info!(version, "configuration applied; it has yet to prove itself");
        self.confirm().await
    }

    /// Ends a trial, if it can be ended now.
    pub(super) async fn confirm(&mut self) -> Result<(), W::Halt> {
        let Some(trial) = self.state.trial.clone() else { return Ok(()) };
        let standing = self.world.standing();
        let hub = !standing.has_hub || (standing.connected && (standing.spoke || !trial.hub_changed));
        let meter = standing.reading || !trial.reading_before;
        let in_time = self.deadline_ms.is_some_and(|deadline| self.world.running_ms() < deadline);
        let unread: Vec<String> =
            self.world.unread().into_iter().filter(|point| !self.unread_before.contains(point)).collect();
        // Each line that it changes has the whole time to be read; what was not is told.
        if hub && meter && (unread.is_empty() || !in_time) {
            let mut next = self.state.clone();
            next.trial = None;
            self.put_in_force(&mut next, &trial.next);
            let reached = if standing.has_hub { "hub and meters are reached" } else { "meters are reached" };
            let detail = match unread.as_slice() {
                [] => reached.into(),
                unread => format!("{reached}, but for {}: not read within {} s", named(unread), trial.confirm_s),
            };
            let ended = ended(leaf_of(&trial.next), &trial.next, Effect::Applied, "", detail);
            self.deadline_ms = None;
            self.end(ended, next, Rows::new()).await?;
            info!(version = trial.next.version, "configuration confirmed");
            self.copies();
            return Ok(());
        }
        if in_time {
            self.show();
            return Ok(());
        }
        let seconds = trial.confirm_s;
        match hub {
            false => self.roll_back("confirm-no-hub", format!("the hub was not reached within {seconds} s")).await,
            true => self.roll_back("confirm-no-meter", format!("no meter was read within {seconds} s")).await,
        }
    }

    /// Brings the configuration before the trial back into force, and says so.
    pub(super) async fn roll_back(&mut self, rule: &'static str, detail: String) -> Result<(), W::Halt> {
        let Some(trial) = self.state.trial.clone() else { return Ok(()) };
        warn!(version = trial.next.version, rule, "configuration taken back: {detail}");
        let text = match &self.state.in_force {
            Some(applied) => self.texts.get(&applied.version).unwrap_or(&self.founding),
            None => &self.founding,
        };
        let before = Config::read("the configuration before", text).map_err(|error| error.to_string());
        let back = match before.and_then(Config::settled) {
            Ok(config) => self.world.apply(config, Haste::Now).await?,
            Err(what) => Err(what),
        };
        let detail = match back {
            Ok(()) => detail,
            Err(what) => format!("{detail}; and the one before can't come back: {what}"),
        };
        self.rolled_back(&trial, rule, detail).await
    }

    /// Says that a configuration was taken back; the one before runs already.
    pub(super) async fn rolled_back(
        &mut self,
        trial: &Trial,
        rule: &'static str,
        detail: String,
    ) -> Result<(), W::Halt> {
        let mut next = self.state.clone();
        next.trial = None;
        self.deadline_ms = None;
        self.refused = Some(format!("configuration {}: taken back, {rule}: {detail}", trial.next.version));
        let ended = ended(leaf_of(&trial.next), &trial.next, Effect::RolledBack, rule, detail);
        self.end(ended, next, Rows::new()).await
    }

    fn put_in_force(&self, next: &mut State, applied: &Applied) {
        if next.in_force.is_none() {
            next.founding = Some(Hash::of(self.founding.as_bytes()).to_string());
        }
        let applied = Applied { applied_ms: self.world.now().unix_ms, ..applied.clone() };
        next.before = next.in_force.replace(applied);
    }

    async fn refuse(&mut self, leaf: Hash, applied: &Applied, refused: Refused) -> Result<(), W::Halt> {
        let Refused { effect, rule, detail } = refused;
        warn!(version = applied.version, rule, "configuration refused: {detail}");
        self.refused = Some(format!("configuration {}: {rule}: {detail}", applied.version));
        self.end(ended(leaf, applied, effect, rule, detail), self.state.clone(), Rows::new()).await
    }

    /// Enters how an order ended, says it on the ledger, and goes on in another state: one commit.
    pub(super) async fn end(&mut self, ended: Ended, mut next: State, rows: Rows) -> Result<(), W::Halt> {
        let Ended { leaf, what, effect, rule, detail, more, begun } = ended;
        let number = next.next_letter;
        next.next_letter = number.saturating_add(1);
        next.answer(&leaf.to_string());
        let mut details = vec![("order".to_string(), leaf.to_string()), ("effect".into(), effect.name().into())];
        details.extend([("rule", rule.to_string()), ("detail", detail.clone())].map(|(k, v)| (k.into(), cut(&v))));
        details.extend(more.into_iter().map(|(name, value)| (name.to_string(), cut(&value))));
        details.retain(|(_, value)| !value.is_empty());
        let statement = {
            let (who, time_ms) = (self.who.clone(), self.world.now().unix_ms);
            move |place: Place| {
                let Place { epoch, seq } = begun.unwrap_or(place);
                let (origin, gateway) = (who.origin.clone(), who.gateway.clone());
                let (rule, detail) = (rule.to_string(), cut(&detail));
                let outcome = Outcome { origin, gateway, of: leaf, effect, rule, detail, epoch, seq, time_ms };
                Signed::sign(outcome, &who.key).into_bytes()
            }
        };
        let mut all = std::mem::take(&mut self.gone);
        all.extend(self.state.texts_gone(&next));
        all.extend(rows);
        all.extend([next.row()]);
        let made = statement.clone();
        let along = Box::new(move |place| {
            all.insert(letter_name(number), Some(made(place)));
            all
        });
        let place = self.world.conclude(Event { name: what.into(), details }, along).await?;
        self.state = next;
        let kept = self.state.kept();
        self.texts.retain(|version, _| kept.contains(&Some(*version)));
        self.post(number, statement(place));
        self.show();
        Ok(())
    }

    /// Time passes, or something may have changed: what waited is looked at.
    ///
    /// # Errors
    /// Nothing goes on.
    pub async fn look(&mut self) -> Result<(), W::Halt> {
        self.returned().await?;
        self.confirm().await?;
        self.commands_held().await?;
        self.commands_anchored().await?;
        let now_ms = self.world.running_ms();
        self.waiting.retain(|waiting| now_ms.saturating_sub(waiting.heard_ms) <= FRESH_MS_MAX);
        while self.state.trial.is_none() {
            let orders = self.world.running().await.orders;
            let now = self.world.now();
            // One that is too late is due too: it is refused.
            let due = |waiting: &Waiting| {
                !matches!(rules::when(waiting.priority, waiting.window, &orders, now), Ok(When::Later(_)))
            };
            let due = self.waiting.iter().enumerate().filter(|(_, waiting)| due(waiting));
            let first = due.max_by_key(|(_, waiting)| (waiting.priority, Reverse(waiting.applied.version)));
            let Some((index, _)) = first else { break };
            let waiting = self.waiting.remove(index);
            self.consider(waiting).await?;
        }
        self.show();
        Ok(())
    }

    /// In how many milliseconds [`look`](Self::look) has something to see at the latest, if nothing happens before.
    pub async fn next_look_ms(&self) -> Option<u64> {
        let now_ms = self.world.running_ms();
        let orders = self.world.running().await.orders;
        let waits = self.waiting.iter().filter_map(|waiting| {
            match rules::when(waiting.priority, waiting.window, &orders, self.world.now()) {
                Ok(When::Later(wait_ms)) => u64::try_from(wait_ms).ok(),
                _ => None,
            }
        });
        let deadline = self.deadline_ms.map(|deadline| deadline.saturating_sub(now_ms));
        let anchored = self.unanchored.iter().map(|waiting| waiting.until_ms.saturating_sub(now_ms));
        waits.chain(deadline).chain(anchored).min()
    }

    fn copies(&mut self) {
        let text = |applied: &Option<Applied>| applied.as_ref().and_then(|applied| self.texts.get(&applied.version));
        let Some(applied) = text(&self.state.in_force).cloned() else { return };
        let previous = text(&self.state.before).cloned();
        self.world.copy(&applied, previous.as_deref(), self.dossier.as_deref());
        // What was edited there is written over now: that is no edit any more.
        self.state.edits.retain(|file, _| !file.ends_with(super::APPLIED));
        self.show();
    }

    pub(super) fn orders_waiting(&self) -> impl Iterator<Item = &Applied> {
        self.waiting.iter().map(|waiting| &waiting.applied)
    }
}

/// Some names, and how many more.
fn named(points: &[String]) -> String {
    let first = points.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match points.len().saturating_sub(NAMED_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// The leaf hash of a configuration that is remembered.
pub(super) fn leaf_of(applied: &Applied) -> Hash {
    read_hash(&applied.leaf)
}

fn ended(leaf: Hash, applied: &Applied, effect: Effect, rule: &'static str, detail: String) -> Ended {
    let more = vec![
        ("version", applied.version.to_string()),
        ("author", applied.author.clone()),
        ("priority", applied.priority.clone()),
        ("reason", applied.reason.clone()),
        ("hash", applied.hash.clone()),
    ];
    Ended { leaf, what: "configuration", effect, rule, detail, more, begun: None }
}

/// How a configuration is shown.
pub(super) fn shown(applied: &Applied) -> crate::status::OrderedConfig {
    let Applied { version, leaf, hash, author, reason, priority, applied_ms } = applied.clone();
    let time = rfc3339(applied_ms);
    crate::status::OrderedConfig { version, author, reason, priority, time, transaction: leaf, hash }
}
