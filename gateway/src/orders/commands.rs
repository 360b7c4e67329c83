//! Commands: each is done at most once.
//!
//! ```text
//! heard ─▶ entry, intent with its counter ─▶ receipt for it ─▶ meter asked, read ─▶ entry, outcome
//!          one commit                                                             one commit
//! ```
//! With the receipt a card of before, put back later, is known to be old, and the command stays done once.
//! Whoever finds an intent at a start knows that the power went while the meter was asked: the command is not done
//! again, and its outcome says so. The outcome names the entry that says that it was begun: what was read after it
//! stands behind it.

use plomb_seal::{
    Event, Hash,
    dossier::Warrant,
    transaction::{self, Effect},
};
use tracing::{info, warn};

use super::{
    cut,
    desk::{Desk, Ended, HELD_MAX, Held, Unanchored},
    read_hash,
    rules::{self, Refused},
    state::{EXECUTING_MAX, Executed, Intent},
    world::{Place, World},
};
use crate::{
    ask::deed::{Certainty, Done, Undone},
    journal::Rows,
};

fn details_of(intent: &Intent) -> Vec<(&'static str, String)> {
    vec![
        ("point", intent.point.clone()),
        ("verb", intent.verb.clone()),
        ("counter", intent.counter.to_string()),
        ("author", intent.author.clone()),
    ]
}

/// How old the checkpoint may be that tells how far the ledger was when a card was put back, in seconds: a hub that
/// shows an older one could have commands of before done again.
pub const RETURN_CHECKPOINT_AGE_S_MAX: i64 = 600;

/// How long a command waits for the receipt of the entry that begins it, in milliseconds.
pub const ANCHOR_WAIT_MS_MAX: u64 = 60_000;

impl<W: World> Desk<W> {
    pub(super) async fn command(
        &mut self,
        leaf: Hash,
        command: &transaction::Command,
        warrant: &Warrant,
        dossier: &[u8],
    ) -> Result<(), W::Halt> {
        self.returned().await?;
        // Until then nobody here knows whether this card was put back.
        if self.state.returning || !self.world.ledger().compared {
            if self.held.len() < HELD_MAX && !self.held.iter().any(|held| held.leaf == leaf) {
                self.held.push_back(Held { leaf, dossier: dossier.to_vec() });
            }
            return Ok(());
        }
        let intent = Intent {
            leaf: leaf.to_string(),
            counter: command.counter,
            point: command.point.to_string(),
            verb: command.verb.to_string(),
            author: warrant.author.subject.to_string(),
            begun: None,
        };
        info!(point = intent.point, verb = intent.verb, author = intent.author, "command");
        let judged = rules::command(&self.state, command, warrant.index, self.world.now()).and_then(|()| {
            let content = rules::open_command(command, warrant.author.key.id(), &self.keys)?;
            let instruction = rules::instruction(command.verb.as_str(), &content)?;
            let busy = self.state.executing.len() >= EXECUTING_MAX;
            let room = (!busy).then_some(instruction);
            room.ok_or_else(|| Refused::by("command-busy", "too many commands are being executed"))
        });
        let instruction = match judged {
            Ok(instruction) => instruction,
            Err(refused) => return self.refuse_command(intent, refused).await,
        };
        // Durable before the meter hears of it: after a crash nobody can know whether it did.
        let begun = {
            let (state, intent) = (self.state.clone(), intent.clone());
            move |Place { epoch, seq }| {
                let mut next = state;
                next.counter = intent.counter;
                next.executing.push(Intent { begun: Some((epoch, seq)), ..intent });
                next
            }
        };
        let mut rows = std::mem::take(&mut self.gone);
        let made = begun.clone();
        let along = Box::new(move |place| {
            rows.extend([made(place).row()]);
            rows
        });
        let mut details = vec![("order".to_string(), intent.leaf.clone())];
        details.extend(details_of(&intent).into_iter().map(|(name, value)| (name.to_string(), cut(&value))));
        let place = self.world.conclude(Event { name: "command-begun".into(), details }, along).await?;
        self.state = begun(place);
        self.show();
        // A card of before is known by receipts that it does not hold: only with one for this entry is the command never
        // done twice, whatever is put back later.
        let until_ms = self.world.running_ms().saturating_add(ANCHOR_WAIT_MS_MAX);
        let (point, expires_ms) = (intent.point, command.expires_ms);
        self.unanchored.push(Unanchored { leaf, place, point, instruction, until_ms, expires_ms });
        self.world.anchor();
        self.commands_anchored().await
    }

    /// Begins the commands whose entries have their receipts; ends those that waited too long.
    pub(super) async fn commands_anchored(&mut self) -> Result<(), W::Halt> {
        let (running_ms, now_ms) = (self.world.running_ms(), self.world.now().unix_ms);
        for waiting in std::mem::take(&mut self.unanchored) {
            let leaf = waiting.leaf.to_string();
            let Some(intent) = self.state.executing.iter().find(|intent| intent.leaf == leaf).cloned() else {
                continue;
            };
            let receipted = self.world.is_receipted(waiting.place);
            if !receipted && running_ms < waiting.until_ms {
                self.unanchored.push(waiting);
            } else if !receipted {
                let what = "the ledger gave no receipt for the entry that begins it; the meter was not asked";
                self.end_command(intent, Effect::Failed, "command-not-anchored", what.into()).await?;
            } else if now_ms > waiting.expires_ms {
                let what = "it expired while its entry was anchored; the meter was not asked";
                self.end_command(intent, Effect::Expired, "command-expired", what.into()).await?;
            } else if let Err((rule, detail)) = self.world.begin(waiting.leaf, &waiting.point, waiting.instruction) {
                self.refuse_command(intent, Refused::by(rule, detail)).await?;
            }
        }
        Ok(())
    }

    async fn refuse_command(&mut self, intent: Intent, refused: Refused) -> Result<(), W::Halt> {
        let Refused { effect, rule, detail } = refused;
        warn!(point = intent.point, verb = intent.verb, rule, "command refused: {detail}");
        self.end_command(intent, effect, rule, detail).await
    }

    /// Takes what came of a command.
    ///
    /// # Errors
    /// Nothing goes on.
    pub async fn done(&mut self, order: Hash, came: Result<Done, Undone>) -> Result<(), W::Halt> {
        let leaf = order.to_string();
        let Some(intent) = self.state.executing.iter().find(|intent| intent.leaf == leaf).cloned() else {
            return Ok(());
        };
        match came {
            Ok(Done { detail, .. }) => self.end_command(intent, Effect::Applied, "", detail).await,
            Err(Undone { rule, detail, certainty }) => {
                let detail = match certainty {
                    Certainty::NotDone => detail,
                    Certainty::Unknown => format!("{detail}; whether the meter did it is not known"),
                };
                self.end_command(intent, Effect::Failed, rule, detail).await
            }
        }
    }

    /// Says of commands that were under way when the power went that nobody knows.
    pub(super) async fn interrupted(&mut self) -> Result<(), W::Halt> {
        for intent in self.state.executing.clone() {
            let what = "the gateway stopped while the meter was asked; it is not done again";
            warn!(point = intent.point, verb = intent.verb, "{what}");
            self.end_command(intent, Effect::Failed, "command-interrupted", what.into()).await?;
        }
        Ok(())
    }

    async fn end_command(
        &mut self,
        intent: Intent,
        effect: Effect,
        rule: &'static str,
        detail: String,
    ) -> Result<(), W::Halt> {
        let mut next = self.state.clone();
        next.executing.retain(|other| other.leaf != intent.leaf);
        next.counter = next.counter.max(intent.counter);
        let outcome = [effect.name(), rule, &detail].into_iter().filter(|part| !part.is_empty());
        let outcome = outcome.collect::<Vec<_>>().join(": ");
        let time_ms = self.world.now().unix_ms;
        next.last_command = Some(Executed { intent: intent.clone(), outcome, time_ms });
        let (leaf, more) = (read_hash(&intent.leaf), details_of(&intent));
        let begun = intent.begun.map(|(epoch, seq)| Place { epoch, seq });
        self.end(Ended { leaf, what: "command", effect, rule, detail, more, begun }, next, Rows::new()).await
    }

    /// Looks whether a card was put back, and how far the ledger was then.
    pub(super) async fn returned(&mut self) -> Result<(), W::Halt> {
        let ledger = self.world.ledger();
        if ledger.returned && !self.return_taken {
            (self.return_taken, self.state.returning) = (true, true);
        }
        let now_s = self.world.now().unix_ms / 1000;
        let fresh = ledger
            .witnessed_s
            .is_none_or(|at| i64::try_from(at).is_ok_and(|at| now_s.saturating_sub(at) <= RETURN_CHECKPOINT_AGE_S_MAX));
        if !self.state.returning || ledger.words == 0 || !ledger.compared || !fresh {
            return Ok(());
        }
        let mut next = self.state.clone();
        (next.returning, next.returned_at, next.epoch) = (false, ledger.size, self.world.epoch());
        warn!(size = ledger.size, "a card was put back: commands of before are not followed");
        self.world.keep(Rows::from_iter([next.row()])).await?;
        self.state = next;
        Ok(())
    }

    /// Takes commands up that waited until the journal was held against the ledger.
    pub(super) async fn commands_held(&mut self) -> Result<(), W::Halt> {
        if self.state.returning || !self.world.ledger().compared {
            return Ok(());
        }
        for Held { dossier, .. } in std::mem::take(&mut self.held) {
            Box::pin(self.take(&dossier)).await?;
        }
        Ok(())
    }
}
