//! How the desk takes up what an earlier run left.

use std::collections::BTreeMap;

use plomb_seal::{Clock, Event, Hash, Stamp};
use tracing::{info, warn};

use super::{
    cut,
    desk::{Desk, Who, shown},
    sealing::SealingKeys,
    state::{State, TRIAL_STARTS_MAX},
    world::World,
};
use crate::{
    journal::Rows,
    status::{OrderedCommand, Orders, rfc3339},
};

/// Under which configuration a daemon begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// The founding file's.
    Founding,
    /// One of the ledger's.
    Applied(u64),
    /// One that has yet to prove itself.
    Trial(u64),
    /// The one before a trial that can't go on; with the rule.
    Back {
        /// The version; none is the founding file's.
        to: Option<u64>,
        /// The rule.
        rule: &'static str,
        /// In words.
        detail: String,
    },
}

impl State {
    /// Under which configuration to begin now.
    pub fn beginning(&self, now: Stamp) -> Beginning {
        let to = self.in_force.as_ref().map(|applied| applied.version);
        let Some(trial) = &self.trial else {
            return to.map_or(Beginning::Founding, Beginning::Applied);
        };
        let back = |rule, detail: String| Beginning::Back { to, rule, detail };
        if trial.starts >= TRIAL_STARTS_MAX {
            return back("confirm-restarts", format!("the daemon was started {} times under it", trial.starts));
        }
        let passed_ms = now.unix_ms.saturating_sub(trial.began_ms);
        if now.clock != Clock::Unset && passed_ms > i64::from(trial.confirm_s).saturating_mul(1000) {
            let what = "the gateway stopped before it had proved itself, and its time has passed";
            return back("confirm-interrupted", what.into());
        }
        Beginning::Trial(trial.next.version)
    }
}

/// What an earlier run left.
pub struct Left {
    /// The state.
    pub state: State,
    /// The statements that the ledger has not answered, by their rows.
    pub letters: BTreeMap<String, Vec<u8>>,
    /// The texts of configurations, by version.
    pub texts: BTreeMap<u64, String>,
    /// The text of the founding file.
    pub founding: String,
    /// Whether the journal shows, or lets fear, that a card was put back since that state was written.
    pub returned: bool,
    /// The journal's present epoch.
    pub epoch: u32,
}

impl<W: World> Desk<W> {
    /// A desk in a world, with what an earlier run left.
    pub fn new(who: Who, world: W, keys: SealingKeys, left: Left) -> Self {
        let Left { state, letters, texts, founding, returned, epoch } = left;
        let mut desk = Self {
            who,
            world,
            keys,
            state,
            waiting: Vec::new(),
            held: Default::default(),
            unanchored: Vec::new(),
            letters: BTreeMap::new(),
            gone: Rows::new(),
            deadline_ms: None,
            refused: None,
            unread_before: Default::default(),
            refused_at: Default::default(),
            texts,
            founding,
            dossier: None,
            return_taken: false,
        };
        desk.state.returning |= returned;
        desk.state.epoch = epoch;
        desk.post_all(letters);
        desk
    }

    /// Goes on where the earlier run stopped. The daemon runs under what [`State::beginning`] gave, or under the one
    /// before, if `fell_back` says why.
    ///
    /// # Errors
    /// Nothing goes on.
    pub async fn resume(&mut self, fell_back: Option<(&'static str, String)>) -> Result<(), W::Halt> {
        self.interrupted().await?;
        if let Some(trial) = self.state.trial.clone() {
            match fell_back {
                Some((rule, detail)) => {
                    warn!(version = trial.next.version, rule, "configuration taken back: {detail}");
                    self.rolled_back(&trial, rule, detail).await?;
                }
                None => {
                    info!(version = trial.next.version, "a configuration has yet to prove itself");
                    let passed_ms = self.world.now().unix_ms.saturating_sub(trial.began_ms);
                    let whole_ms = u64::from(trial.confirm_s).saturating_mul(1000);
                    // A clock that went back gives no more than the whole time.
                    let left_ms = whole_ms.saturating_sub(u64::try_from(passed_ms).unwrap_or(0));
                    self.deadline_ms = Some(self.world.running_ms().saturating_add(left_ms));
                }
            }
        }
        self.announce().await?;
        self.look().await
    }

    /// Enters local edits of files that have no effect: `found` are the files with the hashes that they should have
    /// and that they have.
    ///
    /// # Errors
    /// Nothing goes on.
    pub async fn edits(&mut self, found: Vec<(String, String, String)>) -> Result<(), W::Halt> {
        for (file, expected, has) in found {
            let known = self.state.edits.get(&file);
            if known == Some(&has) || (known.is_none() && expected == has) {
                continue;
            }
            let mut next = self.state.clone();
            let restored = expected == has;
            if restored {
                next.edits.remove(&file);
            } else {
                warn!(file, "edited by hand: it has no effect while a configuration of the ledger is in force");
                next.edits.insert(file.clone(), has.clone());
            }
            let details = [("file", file), ("expected", expected), ("found", has)];
            let details = details.map(|(name, value)| (name.to_string(), cut(&value))).to_vec();
            let row = next.row();
            let along = Box::new(move |_| Rows::from_iter([row]));
            let name = if restored { "configuration-restored" } else { "configuration-edited" };
            self.world.conclude(Event { name: name.into(), details }, along).await?;
            self.state = next;
            self.show();
        }
        Ok(())
    }

    /// The hashes that the founding file and the copy of the configuration in force should have.
    pub fn expected(&self) -> Option<(String, String)> {
        let in_force = self.state.in_force.as_ref()?;
        Some((self.state.founding.clone()?, in_force.hash.clone()))
    }

    /// Shows how orders stand.
    pub(super) fn show(&mut self) {
        let state = &self.state;
        let last = state.last_command.as_ref().map(|executed| OrderedCommand {
            point: executed.intent.point.clone(),
            verb: executed.intent.verb.clone(),
            counter: executed.intent.counter,
            author: executed.intent.author.clone(),
            outcome: executed.outcome.clone(),
            time: rfc3339(executed.time_ms),
        });
        let sealing_key = state.announced.as_ref().zip(self.keys.latest()).map(|(announced, (serial, secret))| {
            let logged = if announced.logged { "on the ledger" } else { "not on the ledger yet" };
            format!("{serial}, {}, {logged}", secret.key_id())
        });
        let version = state.in_force.as_ref().map_or(0, |applied| applied.version);
        let edits = state.edits.iter().map(|(file, hash)| {
            let short = hash.get(..16).unwrap_or(hash);
            format!(
                "{file} was edited by hand (now {short}…): without effect, configuration {version} of the ledger is in force"
            )
        });
        let orders = Orders {
            in_force: state.in_force.as_ref().map(shown),
            on_trial: state.trial.as_ref().map(|trial| shown(&trial.next)),
            pending: self.orders_waiting().map(shown).collect(),
            last_command: last,
            executing: state.executing.len(),
            unanswered: self.letters.len(),
            refused: self.refused.clone(),
            sealing_key,
            edits: edits.collect(),
        };
        self.world.show(orders);
    }
}

/// SHA-256 of a text, as the state keeps it.
pub fn hash_of(text: &[u8]) -> String {
    Hash::of(text).to_string()
}
