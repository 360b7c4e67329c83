//! Statements on their way to the ledger: outcomes, and the sealing key. Each is kept until the ledger shows, under the
//! gateway's own policy, that it has it.

use plomb_seal::{Answer, Event, Hash, Signed, transaction::SealingKey, tree};
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use super::{
    cut,
    desk::Desk,
    state::{Announced, letter_name, letter_number},
    world::World,
};
use crate::journal::Rows;

/// After so many refusals a statement is given up: the hub's word proves nothing, but it is not heard for ever.
pub const REFUSALS_MAX: u32 = 8;

/// A statement on its way.
pub(super) struct Letter {
    leaf: Hash,
    bytes: Vec<u8>,
    refusals: u32,
}

impl<W: World> Desk<W> {
    /// Puts a statement on its way that is kept already.
    pub(super) fn post(&mut self, number: u64, bytes: Vec<u8>) {
        self.letters.insert(number, Letter { leaf: tree::leaf_hash(&bytes), bytes: bytes.clone(), refusals: 0 });
        self.world.post(number, bytes);
    }

    /// Puts those on their way that an earlier run left.
    pub(super) fn post_all(&mut self, rows: impl IntoIterator<Item = (String, Vec<u8>)>) {
        for (name, bytes) in rows {
            if let Some(number) = letter_number(&name) {
                self.state.next_letter = self.state.next_letter.max(number.saturating_add(1));
                self.post(number, bytes);
            }
        }
    }

    /// Makes and announces a sealing key, if there is none that this gateway's key vouches for.
    pub(super) async fn announce(&mut self) -> Result<(), W::Halt> {
        let own = self.who.key.public().id().to_string();
        let latest = self.keys.latest().map(|(serial, _)| serial);
        let serial = match (&self.state.announced, latest) {
            (Some(announced), Some(serial)) if announced.serial == serial && announced.by == own => return Ok(()),
            // Made, and not announced for all that is known here: the same statement again does no harm.
            (None, Some(serial)) => serial,
            (announced, latest) => {
                let last = announced.as_ref().map_or(0, |announced| announced.serial).max(latest.unwrap_or(0));
                last.saturating_add(1)
            }
        };
        if latest != Some(serial) && !self.make_key(serial) {
            return Ok(());
        }
        let Some(key) = self.keys.latest().map(|(_, secret)| secret.public()) else { return Ok(()) };
        let (origin, gateway) = (self.who.origin.clone(), self.who.gateway.clone());
        let statement = Signed::sign(SealingKey { origin, gateway, serial, key }, &self.who.key).into_bytes();
        let mut next = self.state.clone();
        let number = next.next_letter;
        next.next_letter = number.saturating_add(1);
        let before = next.announced.replace(Announced { serial, by: own, letter: number, logged: false });
        let mut rows = std::mem::take(&mut self.gone);
        if let Some(before) = before.filter(|before| !before.logged) {
            // Its successor's number is above it: the ledger will not take it any more, or has it.
            self.letters.remove(&before.letter);
            self.world.unpost(before.letter);
            rows.insert(letter_name(before.letter), None);
        }
        rows.insert(letter_name(number), Some(statement.clone()));
        rows.extend([next.row()]);
        self.world.keep(rows).await?;
        self.state = next;
        info!(serial, "sealing key announced");
        self.post(number, statement);
        Ok(())
    }

    fn make_key(&mut self, serial: u64) -> bool {
        let mut bytes = Zeroizing::new([0; 32]);
        let made = getrandom::fill(bytes.as_mut_slice()).map_err(|error| error.to_string());
        match made.and_then(|()| self.keys.make(serial, &bytes)) {
            Ok(()) => true,
            Err(what) => {
                error!("no sealing key can be made: {what}; nothing can be sealed to this gateway");
                false
            }
        }
    }

    /// Takes what the ledger said to a statement.
    ///
    /// # Errors
    /// Nothing goes on.
    pub async fn answered(&mut self, bytes: &[u8]) -> Result<(), W::Halt> {
        let answer = match Answer::parse(bytes) {
            Ok(answer) => answer,
            Err(error) => {
                warn!("an answer that can't be read: {error}");
                return Ok(());
            }
        };
        let found = self.letters.iter_mut().find(|(_, letter)| letter.leaf == answer.of);
        let Some((&number, letter)) = found else { return Ok(()) };
        let announces = self.state.announced.as_ref().is_some_and(|announced| announced.letter == number);
        match answer.verify(&letter.bytes, &self.who.origin, &self.who.policy) {
            Ok(Some(_)) => {
                self.letters.remove(&number);
                self.world.unpost(number);
                self.gone.insert(letter_name(number), None);
                if announces {
                    if let Some(announced) = &mut self.state.announced {
                        announced.logged = true;
                    }
                    let row = self.state.row();
                    self.gone.extend([row]);
                }
                self.show();
                Ok(())
            }
            Ok(None) if announces && answer.rule == "sealing-serial" => {
                warn!("the ledger knows another sealing key of this gateway: a new one is made");
                let serial = self.keys.latest().map_or(1, |(serial, _)| serial.saturating_add(1));
                if self.make_key(serial) { self.announce().await } else { Ok(()) }
            }
            Ok(None) => {
                letter.refusals = letter.refusals.saturating_add(1);
                let (refusals, told) = (letter.refusals, format!("{}: {}", answer.rule, answer.detail));
                warn!(refusals, "the ledger refuses a statement of this gateway: {told}");
                self.refused = Some(format!("a statement of this gateway: {told}"));
                self.show();
                if refusals < REFUSALS_MAX { Ok(()) } else { self.give_up(number, &answer).await }
            }
            Err(error) => {
                warn!("an answer that does not hold: {error}");
                Ok(())
            }
        }
    }

    async fn give_up(&mut self, number: u64, answer: &Answer) -> Result<(), W::Halt> {
        let details =
            [("statement", answer.of.to_string()), ("rule", cut(&answer.rule)), ("detail", cut(&answer.detail))];
        let details = details.map(|(name, value)| (name.to_string(), value)).to_vec();
        let mut rows = std::mem::take(&mut self.gone);
        rows.insert(letter_name(number), None);
        self.world.conclude(Event { name: "statement-refused".into(), details }, Box::new(|_| rows)).await?;
        self.letters.remove(&number);
        self.world.unpost(number);
        Ok(())
    }

    /// Commits what nothing depends on, if there is any.
    ///
    /// # Errors
    /// Nothing goes on.
    pub async fn tidy(&mut self) -> Result<(), W::Halt> {
        match std::mem::take(&mut self.gone) {
            rows if rows == Rows::new() => Ok(()),
            rows => self.world.keep(rows).await,
        }
    }
}
