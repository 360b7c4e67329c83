//! Verification of an export: every check in its order, as `docs/evidence.md` numbers them.

use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec::Vec,
};

use core::fmt::Display;

pub use crate::report::{Expect, Fault, Report, Rollback, Run, Trust, Verdict};

use crate::{
    Anchor, Batch, BatchError, Body, Entry, Hash, Malformed, Name, Policy, PublicKey, Signed, Unverified,
    attest::{Attested, Unattested, attest},
    cbor::Decoder,
    credential,
    entry::Link,
    export::{Anchored, Item, Scope},
    transaction::Issue,
    tree,
};

/// The event by which a gateway enters that its journal was older than the ledger.
const ROLLBACK: &str = "rollback-noticed";

/// Verifies a whole export.
pub fn verify(bytes: &[u8], trust: Trust<'_>, expect: Expect) -> Report {
    let mut verifier = Verifier::new(trust);
    let mut from = Decoder::new(bytes);
    while verifier.report.first_bad.is_none() && !verifier.ended {
        let offset = from.offset();
        let outcome = match Item::decode(&mut from) {
            Ok(Item::End { items, digest }) => verifier.end(items, digest, bytes.get(..offset).unwrap_or_default()),
            Ok(item) => verifier.item(item),
            Err(Malformed::Encoding { offset, what: "the bytes end too early" }) if offset >= bytes.len() => {
                Err(Wrong::new("end", "the file ends before its last item: it was cut"))
            }
            Err(error) if verifier.items == 0 => {
                Err(Wrong::new("format", format!("the beginning is not that of a plomb export ({error})")))
            }
            Err(error) => Err(Wrong::new("format", error)),
        };
        match outcome {
            Ok(()) => verifier.items += 1,
            Err(wrong) => verifier.report.first_bad = Some(wrong.at(verifier.items, offset)),
        }
    }
    if verifier.report.first_bad.is_none() && !from.is_empty() {
        let wrong = Wrong::new("end", "bytes follow after the last item");
        verifier.report.first_bad = Some(wrong.at(verifier.items, from.offset()));
    }
    verifier.finish(expect)
}

struct Wrong {
    check: &'static str,
    entry: Option<(u32, u64)>,
    detail: String,
}

impl Wrong {
    fn new(check: &'static str, detail: impl Display) -> Self {
        Self { check, entry: None, detail: detail.to_string() }
    }

    fn about(self, epoch: u32, seq: u64) -> Self {
        Self { entry: Some((epoch, seq)), ..self }
    }

    fn at(self, item: u64, offset: usize) -> Fault {
        Fault { check: self.check, item, offset, entry: self.entry, detail: self.detail }
    }
}

/// The end of the chain as far as it was checked.
struct Reached {
    epoch: u32,
    next_seq: u64,
    head: Hash,
    next_batch: u64,
    anchor: Hash,
}

struct Verifier<'a> {
    trust: Trust<'a>,
    policy: Option<Policy>,
    header: Option<(Name, Scope)>,
    certificates: Vec<Issue>,
    keys: Vec<PublicKey>,
    reached: Option<Reached>,
    /// The measuring point's chain: epoch, next sequence number, hash before.
    point: Option<(u32, u64, Hash)>,
    unanchored: u64,
    /// The latest date of a checkpoint that an anchor so far names.
    not_before_s: Option<u64>,
    dates_contradict: bool,
    tail_seen: bool,
    ended: bool,
    items: u64,
    report: Report,
}

impl<'a> Verifier<'a> {
    fn new(trust: Trust<'a>) -> Self {
        let report = Report {
            verdict: Verdict::Incomplete,
            gateway: None,
            origin: None,
            scope: None,
            entries: 0,
            records: 0,
            absent: 0,
            events: 0,
            readings: 0,
            gaps: 0,
            batches: 0,
            anchored: 0,
            frames: 0,
            span: None,
            runs: Vec::new(),
            rollbacks: Vec::new(),
            not_before_s: None,
            not_after_s: None,
            first_bad: None,
            shortfalls: Vec::new(),
        };
        Self {
            trust,
            policy: None,
            header: None,
            certificates: Vec::new(),
            keys: Vec::new(),
            reached: None,
            point: None,
            unanchored: 0,
            not_before_s: None,
            dates_contradict: false,
            tail_seen: false,
            ended: false,
            items: 0,
            report,
        }
    }

    fn item(&mut self, item: Item<'_>) -> Result<(), Wrong> {
        match (item, self.items) {
            (Item::Header { gateway, scope, policy }, 0) => self.header(gateway, scope, policy),
            (Item::Ledger { genesis, certificates }, 1) => self.ledger(&genesis, &certificates),
            (Item::Whole(part, entries), 2..) if !self.tail_seen => self.whole(&part, &entries),
            (Item::Parts(part, entries), 2..) if !self.tail_seen => self.parts(&part, &entries),
            (Item::Tail(entries, frames), 2..) if !self.tail_seen => self.tail(&entries, &frames),
            _ => Err(Wrong::new("order", "this item does not belong at this place")),
        }
    }

    fn header(&mut self, gateway: Name, scope: Scope, policy: &str) -> Result<(), Wrong> {
        let parsed = Policy::parse(policy).map_err(|error| Wrong::new("policy", error))?;
        self.policy = Some(match self.trust {
            Trust::Own(own) => own.clone(),
            Trust::File => parsed,
        });
        self.report.gateway = Some(gateway.clone());
        self.report.scope = Some(scope.clone());
        self.header = Some((gateway, scope));
        Ok(())
    }

    fn ledger(&mut self, genesis: &credential::Logged, certificates: &[credential::Logged]) -> Result<(), Wrong> {
        let found = credential::verify_certificates(genesis, certificates, self.policy()?);
        self.certificates = found.map_err(|error| Wrong::new("credential", error))?;
        let (gateway, _) = self.known_header()?;
        if let Some(other) = self.certificates.iter().find(|issue| issue.subject != *gateway) {
            return Err(Wrong::new("credential", format!("a certificate is for {}, not for {gateway}", other.subject)));
        }
        self.report.origin = self.certificates.first().map(|issue| issue.origin.clone());
        self.keys = self.certificates.iter().map(|issue| issue.key).collect();
        Ok(())
    }

    fn whole(&mut self, part: &Anchored<'_>, entries: &[&[u8]]) -> Result<(), Wrong> {
        if self.known_header()?.1 != Scope::All {
            return Err(Wrong::new("scope", "a whole batch in an export of less"));
        }
        let (anchor, key) = self.anchor(part)?;
        let batch = Batch::verify_entries(anchor, entries, &key).map_err(|error| of_batch(&error, part.anchor))?;
        let (stated, hash) = (batch.anchor().statement(), batch.anchor().hash());
        let first = batch.entries().first().map(|entry| entry.statement().previous).unwrap_or(Hash::ZERO);
        self.continues(stated, first)?;
        self.reached = Some(Reached {
            epoch: stated.epoch,
            next_seq: stated.last_seq() + 1,
            head: stated.head,
            next_batch: stated.batch + 1,
            anchor: hash,
        });
        self.count(batch.entries(), part.proof.is_some());
        self.frames(batch.entries(), &part.frames)
    }

    /// A batch joins the one before it: no number left out, each hash named.
    fn continues(&mut self, anchor: &Anchor, first_previous: Hash) -> Result<(), Wrong> {
        let Some(before) = &self.reached else { return Ok(()) };
        let wrong = |what| Err(Wrong::new("anchor-chain", what).about(anchor.epoch, anchor.first_seq));
        if anchor.epoch == before.epoch {
            if anchor.batch != before.next_batch || anchor.first_seq != before.next_seq {
                return wrong("a batch is missing, doubled or out of order");
            }
            if anchor.previous != before.anchor {
                return wrong("the anchor does not name the anchor before it");
            }
            if first_previous != before.head {
                return wrong("the first entry does not continue the batch before");
            }
            return Ok(());
        }
        if anchor.epoch < before.epoch || anchor.batch != 0 || anchor.first_seq != 0 {
            return wrong("an epoch does not begin at its begin");
        }
        // A new epoch names the last anchor that the ledger had. Where this file holds another one as the
        // last, the gateway lost entries that the ledger knows.
        if anchor.previous != before.anchor {
            self.report.gaps += 1;
            self.report.shortfalls.push(format!(
                "epoch {} begins after anchors that this file does not hold: the gateway lost them, the hub's archive has them",
                anchor.epoch
            ));
        }
        Ok(())
    }

    fn parts(&mut self, part: &Anchored<'_>, entries: &[(&[u8], Vec<Hash>)]) -> Result<(), Wrong> {
        if self.known_header()?.1 == Scope::All {
            return Err(Wrong::new("scope", "a part of a batch in an export of all"));
        }
        self.one_if_single(entries.len())?;
        let (anchor, key) = self.anchor(part)?;
        let (stated, hash) = (anchor.statement(), anchor.hash());
        if let Some(before) = &self.reached {
            let later = (stated.epoch, stated.batch) >= (before.epoch, before.next_batch);
            let adjacent = stated.epoch == before.epoch && stated.batch == before.next_batch;
            if !later || (adjacent && stated.previous != before.anchor) {
                return Err(Wrong::new("anchor-chain", "the batches are out of order, or do not name each other"));
            }
        }
        let mut verified = Vec::with_capacity(entries.len());
        for (bytes, path) in entries {
            let entry = self.entry(bytes, &key)?;
            let (epoch, seq) = (entry.statement().epoch, entry.statement().seq);
            let index = seq.checked_sub(stated.first_seq).filter(|_| epoch == stated.epoch);
            let root = index.and_then(|index| tree::root_from_path(entry.hash(), index, stated.count.into(), path));
            if root != Some(stated.root) {
                let what = "the path does not lead from the entry to the anchor's root";
                return Err(Wrong::new("entry-path", what).about(epoch, seq));
            }
            self.point_chain(&entry)?;
            verified.push(entry);
        }
        self.reached = Some(Reached {
            epoch: stated.epoch,
            next_seq: stated.last_seq() + 1,
            head: stated.head,
            next_batch: stated.batch + 1,
            anchor: hash,
        });
        self.count(&verified, part.proof.is_some());
        self.frames(&verified, &part.frames)
    }

    fn tail(&mut self, entries: &[&[u8]], frames: &[&[u8]]) -> Result<(), Wrong> {
        let whole = self.known_header()?.1 == Scope::All;
        self.one_if_single(entries.len())?;
        let mut verified = Vec::with_capacity(entries.len());
        for bytes in entries {
            let key_id = Unverified::<Entry>::parse(bytes).map_err(|error| Wrong::new("entry", error))?.key_id();
            let key = self.keys.iter().find(|key| key.id() == key_id).copied();
            let key = key.ok_or_else(|| Wrong::new("entry", format!("no certificate is for key {key_id}")))?;
            let entry = self.entry(bytes, &key)?;
            if whole {
                self.tail_chain(&entry)?;
            } else {
                self.point_chain(&entry)?;
            }
            verified.push(entry);
        }
        self.tail_seen = true;
        self.count(&verified, false);
        self.frames(&verified, frames)
    }

    fn tail_chain(&mut self, signed: &Signed<Entry>) -> Result<(), Wrong> {
        let entry = signed.statement();
        if let Some(before) = &self.reached {
            let follows = entry.epoch == before.epoch && entry.seq == before.next_seq && entry.previous == before.head;
            let begins = entry.epoch > before.epoch && entry.seq == 0;
            if !follows && !begins {
                return Err(Wrong::new("entry-chain", "the entry does not continue the one before it")
                    .about(entry.epoch, entry.seq));
            }
        }
        let (next_batch, anchor) =
            self.reached.as_ref().map_or((0, Hash::ZERO), |before| (before.next_batch, before.anchor));
        self.reached =
            Some(Reached { epoch: entry.epoch, next_seq: entry.seq + 1, head: signed.hash(), next_batch, anchor });
        Ok(())
    }

    /// Parses and checks an anchor with its receipt and its checkpoint; gives it with the key that signed.
    fn anchor(&mut self, part: &Anchored<'_>) -> Result<(Signed<Anchor>, PublicKey), Wrong> {
        let parsed = Unverified::<Anchor>::parse(part.anchor).map_err(|error| Wrong::new("anchor", error))?;
        let key_id = parsed.key_id();
        let key = self.keys.iter().find(|key| key.id() == key_id).copied();
        let key = key.ok_or_else(|| Wrong::new("anchor", format!("no certificate is for key {key_id}")))?;
        let anchor = parsed.verify(&key).map_err(|error| Wrong::new("anchor", error))?;
        let stated = anchor.statement();
        let place = (stated.epoch, stated.first_seq);
        let wrong = |check, detail: String| Wrong::new(check, detail).about(place.0, place.1);
        if stated.gateway != self.known_header()?.0 {
            return Err(wrong("anchor", format!("it is of gateway {}", stated.gateway)));
        }
        let dates = attest(&anchor, &key, part.proof, self.policy()?, &self.certificates)
            .map_err(|Unattested { check, detail }| wrong(check, detail))?;
        self.date(dates, place);
        self.report.batches += 1;
        Ok((anchor, key))
    }

    /// Takes the dates of an anchor. Its lower date holds for all later ones too: each names the one before.
    /// Once any contradict, a witness's clock was wrong, and no date of the file is worth anything.
    fn date(&mut self, dates: Attested, (epoch, seq): (u32, u64)) {
        if self.report.batches == 0 {
            self.report.not_before_s = dates.not_before_s;
        }
        self.not_before_s = self.not_before_s.max(dates.not_before_s);
        self.report.not_after_s = dates.not_after_s.or(self.report.not_after_s);
        let all = Attested { not_before_s: self.not_before_s, not_after_s: dates.not_after_s };
        if all.dates_contradict() && !self.dates_contradict {
            self.dates_contradict = true;
            self.report.shortfalls.push(format!(
                "dates contradict: the receipt for entry {seq} of epoch {epoch} is dated before a checkpoint that its \
                 anchor, or one before it, names; a witness's clock was wrong, so the file has no dates"
            ));
        }
    }

    fn entry(&self, bytes: &[u8], key: &PublicKey) -> Result<Signed<Entry>, Wrong> {
        let parsed = Unverified::<Entry>::parse(bytes).map_err(|error| Wrong::new("entry", error))?;
        let (epoch, seq) = (parsed.claims().epoch, parsed.claims().seq);
        let entry = parsed.verify(key).map_err(|error| Wrong::new("entry", error).about(epoch, seq))?;
        let (gateway, scope) = self.known_header()?;
        let fits = match scope {
            Scope::All => true,
            Scope::Point(point) => entry.statement().body.link().is_some_and(|link| link.point == *point),
            Scope::Entry { epoch, seq } => (entry.statement().epoch, entry.statement().seq) == (*epoch, *seq),
        };
        if entry.statement().gateway != *gateway || !fits {
            return Err(Wrong::new("scope", "the entry is not one that the export is about").about(epoch, seq));
        }
        Ok(entry)
    }

    /// In an export of one entry there is one.
    fn one_if_single(&self, entries: usize) -> Result<(), Wrong> {
        match self.known_header()?.1 {
            Scope::Entry { .. } if entries != 1 || self.report.entries > 0 => {
                Err(Wrong::new("scope", "an export of one entry holds another number of them"))
            }
            _ => Ok(()),
        }
    }

    /// In an export of one point, each of its entries names the one before.
    fn point_chain(&mut self, signed: &Signed<Entry>) -> Result<(), Wrong> {
        let entry = signed.statement();
        let Some(Link { seq, previous, .. }) = entry.body.link() else { return Ok(()) };
        if let Some((epoch, next, before)) = self.point {
            let follows = entry.epoch == epoch && *seq == next && *previous == before;
            let begins = entry.epoch > epoch && *seq == 0 && *previous == Hash::ZERO;
            if !follows && !begins {
                let what = "an entry of the measuring point is missing or out of order";
                return Err(Wrong::new("point-chain", what).about(entry.epoch, entry.seq));
            }
            if begins {
                // A point's chain begins anew with each epoch, so its end in the epoch before can't be seen.
                self.report.gaps += 1;
                self.report.shortfalls.push(format!(
                    "epoch {} follows epoch {epoch}: whether the point had more entries in between can be seen only in a whole export",
                    entry.epoch
                ));
            }
        }
        self.point = Some((entry.epoch, seq + 1, signed.hash()));
        Ok(())
    }

    fn count(&mut self, entries: &[Signed<Entry>], anchored: bool) {
        for signed in entries {
            let entry = signed.statement();
            let place = (entry.epoch, entry.seq);
            self.report.span = Some((self.report.span.map_or(place, |(first, _)| first), place));
            match self.report.runs.last_mut() {
                Some(run) if run.epoch == entry.epoch => run.last = entry.seq,
                _ => self.report.runs.push(Run { epoch: entry.epoch, first: entry.seq, last: entry.seq }),
            }
            self.report.entries += 1;
            match &entry.body {
                Body::Record(_, record) => {
                    self.report.records += 1;
                    self.report.readings += record.readings.len() as u64;
                }
                Body::Absent(..) => self.report.absent += 1,
                Body::Event(event) => {
                    self.report.events += 1;
                    if event.name == ROLLBACK {
                        let (epoch, seq) = place;
                        self.report.rollbacks.push(Rollback { epoch, seq, unix_ms: entry.stamp.unix_ms });
                    }
                }
            }
        }
        let count = entries.len() as u64;
        if anchored { self.report.anchored += count } else { self.unanchored += count }
    }

    /// Every raw frame is one that a record of the same item names.
    fn frames(&mut self, entries: &[Signed<Entry>], frames: &[&[u8]]) -> Result<(), Wrong> {
        let named: BTreeSet<Hash> = entries
            .iter()
            .filter_map(|signed| match &signed.statement().body {
                Body::Record(_, record) => Some(record.frames.iter().copied()),
                _ => None,
            })
            .flatten()
            .collect();
        if frames.iter().any(|frame| !named.contains(&Hash::of(frame))) {
            return Err(Wrong::new("frame", "a raw frame is not one that a record names"));
        }
        self.report.frames += frames.len() as u64;
        Ok(())
    }

    fn end(&mut self, items: u64, digest: Hash, before: &[u8]) -> Result<(), Wrong> {
        if self.items < 2 {
            return Err(Wrong::new("order", "the file ends before it says whose entries it holds"));
        }
        if items != self.items || digest != Hash::of(before) {
            return Err(Wrong::new("digest", "the bytes are not those that were written"));
        }
        self.ended = true;
        Ok(())
    }

    fn finish(mut self, expect: Expect) -> Report {
        let report = &mut self.report;
        if self.dates_contradict {
            (report.not_before_s, report.not_after_s) = (None, None);
        }
        if self.unanchored > 0 {
            let entries = if self.unanchored == 1 { "entry has" } else { "entries have" };
            report.shortfalls.push(format!("{} {entries} no receipt of the ledger yet", self.unanchored));
        }
        if report.entries == 0 {
            report.shortfalls.push("the export holds no entries".to_string());
        }
        if let Some((epoch, seq)) = expect.reaches
            && !report.runs.iter().any(|run| run.epoch == epoch && (run.first..=run.last).contains(&seq))
        {
            report.gaps += 1;
            report.shortfalls.push(format!(
                "the export does not reach entry {seq} of epoch {epoch}, which is known to exist (entries that a \
                 gateway entered again in a later epoch have other numbers there)"
            ));
        }
        report.verdict = match (&report.first_bad, report.shortfalls.is_empty()) {
            (Some(_), _) => Verdict::Tampered,
            (None, true) => Verdict::Proved,
            (None, false) => Verdict::Incomplete,
        };
        self.report
    }

    fn policy(&self) -> Result<&Policy, Wrong> {
        self.policy.as_ref().ok_or_else(|| Wrong::new("order", "the header is missing"))
    }

    fn known_header(&self) -> Result<&(Name, Scope), Wrong> {
        self.header.as_ref().ok_or_else(|| Wrong::new("order", "the header is missing"))
    }
}

/// Names the check that a batch failed, and the entry where it did.
fn of_batch(error: &BatchError, anchor: &[u8]) -> Wrong {
    let (check, index) = match error {
        BatchError::Batch(_) | BatchError::Size => ("format", None),
        BatchError::Anchor(_) => ("anchor", None),
        BatchError::Entry { index, .. } => ("entry", Some(*index)),
        BatchError::Order { index, .. } => ("entry-order", Some(*index)),
        BatchError::Chain { index } => ("entry-chain", Some(*index)),
        BatchError::Count { .. } => ("count", None),
        BatchError::Head => ("head", None),
        BatchError::Opened => ("opened", None),
        BatchError::Root => ("root", None),
    };
    let wrong = Wrong::new(check, error);
    match (Unverified::<Anchor>::parse(anchor), index) {
        (Ok(anchor), Some(index)) => wrong.about(anchor.claims().epoch, anchor.claims().first_seq + index as u64),
        _ => wrong,
    }
}
