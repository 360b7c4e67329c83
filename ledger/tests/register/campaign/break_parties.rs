//! One transaction against each rule of members, certificates and anchors: right, but for that rule.

use plomb_ledger::state::{State, VOTES_OPEN_MAX, Verdict};
use plomb_seal::{
    Anchor, Hash, SigningKey,
    note::Checkpoint,
    transaction::{Certificate, Genesis, Member, MemberChange, Role, Vote},
};

use super::stage::Stage;
use crate::{
    cast::{Party, certificate, command, genesis, sign, signers},
    common::{ORIGIN, name},
};

fn stranger() -> SigningKey {
    SigningKey::from_seed(&[250; 32])
}

impl Stage {
    pub fn against_parties(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        match rule {
            "transaction-size" => Some(vec![0; 65_536 + self.chance.below(100)]),
            "transaction-form" => self.malformed(),
            "signature" => self.wrongly_signed(),
            "genesis-first" | "genesis-members" => self.against_genesis(rule),
            "genesis-once" => {
                let members = [&self.founders[0]];
                let origin = format!("ledger.example/{}", self.made);
                Some(sign(Genesis { origin, ..genesis(&members, 1) }, &self.founders[0].key))
            }
            _ if rule.starts_with("member-") => self.against_votes(rule),
            _ if rule.starts_with("anchor-") => self.against_anchors(rule),
            _ => self.against_certificates(rule),
        }
    }

    fn malformed(&mut self) -> Option<Vec<u8>> {
        if self.chance.one_in(2) {
            let len = 1 + self.chance.below(200);
            let mut bytes: Vec<u8> = (0..len).map(|_| self.chance.next().to_le_bytes()[0]).collect();
            bytes[0] = 0xd3;
            return Some(bytes);
        }
        // A statement that was cut off.
        let at = self.chance.below(self.ground.log.len());
        let whole = &self.ground.log[at].0;
        let cut = self.chance.below(whole.len());
        Some(whole[..cut].to_vec())
    }

    fn wrongly_signed(&mut self) -> Option<Vec<u8>> {
        let (_, gateway) = self.ready()?;
        let operator = self.holder(Role::Operator, &[])?;
        let mut bytes = sign(command(&self.ground.state, &gateway, self.time_ms), &self.parties[operator].key);
        let at = bytes.len() - 1 - self.chance.below(64);
        bytes[at] ^= 1 << self.chance.below(8);
        Some(bytes)
    }

    /// On a ledger that has no members yet: judged, and counted here.
    fn against_genesis(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        let empty = crate::ground::Ground::new(&signers(), false);
        assert!(empty.state == State::default());
        let founder = &self.founders[0];
        let transaction = match rule {
            "genesis-first" => sign(self.vote_for(MemberChange::Quorum(1)), &founder.key),
            _ => {
                let mut wrong = genesis(&[founder, &self.founders[1]], 2);
                match self.chance.below(5) {
                    0 => wrong.quorum = 3,
                    1 => wrong.quorum = 0,
                    2 => wrong.members[1] = wrong.members[0].clone(),
                    3 => wrong.origin = "two words".into(),
                    _ => wrong.members[1].authority = vec![1, 2, 3],
                }
                sign(wrong, &founder.key)
            }
        };
        match empty.judge(&transaction, self.time_ms) {
            Verdict::Refused(refused) => assert_eq!(refused.rule, rule, "{}", refused.detail),
            other => panic!("{rule} let it pass: {other:?}"),
        }
        *self.refused.entry(rule).or_insert(0) += 1;
        None
    }

    fn against_votes(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        let consortium = self.ground.state.consortium().unwrap();
        let at = self.member();
        let next = consortium.quorum % 3 + 1;
        let wanted = if next as usize > consortium.members.len() { 1 } else { next };
        let other = MemberChange::Quorum(wanted);
        match rule {
            "member-origin" => {
                let vote = Vote { origin: "other.example/x".into(), ..self.vote_for(other) };
                Some(sign(vote, &self.founders[at].key))
            }
            "member-known-author" => {
                let gone = self
                    .founders
                    .iter()
                    .rposition(|one| self.ground.state.members().iter().all(|m| m.name != one.name));
                let key = gone.map_or_else(stranger, |gone| self.founders[gone].key.clone());
                Some(sign(self.vote_for(other), &key))
            }
            "member-base" => {
                let base =
                    if self.chance.one_in(2) { consortium.changes + 1 } else { consortium.changes.checked_sub(1)? };
                // Not the bytes of a vote that counted then.
                let change = MemberChange::Quorum(1000 + u32::try_from(self.fresh()).unwrap());
                Some(sign(Vote { base, ..self.vote_for(change) }, &self.founders[at].key))
            }
            "member-change" => {
                let change = self.impossible();
                Some(sign(self.vote_for(change), &self.founders[at].key))
            }
            "member-vote-once" => {
                let vote = self.vote_for(other);
                if self.voted(at, &vote) {
                    return Some(self.founders[at].sign_anew(vote));
                }
                if consortium.quorum > 1 && consortium.quorum != wanted && self.votes_of(at) < VOTES_OPEN_MAX {
                    let voters = consortium.ballots.iter().find(|one| one.statement == vote.ballot());
                    if voters.is_none_or(|one| one.voters.len() + 1 < consortium.quorum as usize) {
                        self.admits(sign(vote.clone(), &self.founders[at].key));
                        return Some(self.founders[at].sign_anew(vote));
                    }
                }
                None
            }
            "member-votes-max" => {
                if consortium.quorum < 2 || consortium.members.len() >= plomb_seal::transaction::MEMBERS_MAX {
                    return None;
                }
                let candidate = self.founders.iter().rposition(|one| one.name.as_str() > "member-z0");
                let template = match candidate {
                    Some(at) => self.founders[at].member(),
                    None => {
                        self.founders.push(crate::cast::Founder::new("member-z1", self.time_ms / 1000));
                        self.founders.last().unwrap().member()
                    }
                };
                loop {
                    let id = name(&format!("wanted-{}", self.fresh()));
                    let vote = self.vote_for(MemberChange::Add(Box::new(Member { name: id, ..template.clone() })));
                    let transaction = sign(vote, &self.founders[at].key);
                    if self.votes_of(at) >= VOTES_OPEN_MAX {
                        return Some(transaction);
                    }
                    self.admits(transaction);
                }
            }
            _ => None,
        }
    }

    fn impossible(&mut self) -> MemberChange {
        let consortium = self.ground.state.consortium().unwrap();
        let member = consortium.members[0].clone();
        match self.chance.below(6) {
            0 => MemberChange::Quorum(consortium.quorum),
            1 => MemberChange::Quorum(u32::try_from(consortium.members.len()).unwrap() + 1),
            2 => MemberChange::Quorum(0),
            3 => MemberChange::Remove(name("nobody")),
            4 => MemberChange::Add(Box::new(Member { name: name("renamed"), ..member })),
            _ => MemberChange::Add(Box::new(Member { key: stranger().public(), ..member })),
        }
    }

    fn against_certificates(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        let (member, now_s) = (self.member(), self.time_ms / 1000);
        let at = self.holder(Role::Operator, &[])?;
        let issuer_key = self.founders[member].key.clone();
        let right = self.founders[member].issue(&Party::new("newcomer", Role::Subscriber, &[]), now_s);
        let issue = || right.clone();
        let revoke = |fingerprint| Certificate::Revoke { origin: ORIGIN.into(), fingerprint, reason: "lost".into() };
        let transaction = match rule {
            "known-author" => sign(certificate(&issue()), &stranger()),
            "certificate-origin" => {
                let mut issue = issue();
                issue.origin = "other.example/x".into();
                sign(certificate(&issue), &issuer_key)
            }
            "certificate-unique" => {
                // The same key under another name.
                let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
                    &self.parties[at].pair.serialize_der().as_slice().into(),
                    &rcgen::PKCS_ED25519,
                );
                let twin = Party { pair: pair.unwrap(), ..Party::new("twin", Role::Operator, &[]) };
                sign(certificate(&self.founders[member].issue(&twin, now_s)), &issuer_key)
            }
            "certificate-role" => {
                let taken = ["gw-0", "boss", "op-a"][self.chance.below(3)];
                self.parties.iter().find(|party| party.name.as_str() == taken && party.fingerprint != Hash::ZERO)?;
                let party = Party::new(taken, Role::Auditor, &[]);
                sign(certificate(&self.founders[member].issue(&party, now_s)), &issuer_key)
            }
            "certificate-validity" => {
                let mut issue = issue();
                issue.not_after_s = if self.chance.one_in(2) { issue.not_before_s } else { now_s - 1 };
                sign(certificate(&issue), &issuer_key)
            }
            "certificate-fields-match-x509" => {
                let mut issue = issue();
                match self.chance.below(4) {
                    0 => issue.subject = name("somebody-else"),
                    1 => issue.key = stranger().public(),
                    2 => issue.not_after_s += 1,
                    _ => *issue.x509.last_mut().unwrap() ^= 1,
                }
                sign(certificate(&issue), &issuer_key)
            }
            "revoke-known" => sign(revoke(Hash::of(&self.fresh().to_be_bytes())), &issuer_key),
            "revoke-author" => {
                let fingerprint = self.parties[at].fingerprint;
                if self.ground.state.certificate(&fingerprint)?.author == self.founders[member].name {
                    return None;
                }
                sign(revoke(fingerprint), &issuer_key)
            }
            _ => return None,
        };
        Some(transaction)
    }

    fn against_anchors(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        let at = self.holder(Role::Gateway, &[])?;
        let gateway = self.parties[at].name.clone();
        let right = self.next_anchor(&gateway);
        let (key, far) = (self.parties[at].key.clone(), right.epoch + 1_001);
        let anchor = match rule {
            "anchor-known-certificate" => {
                let retired = self.parties[at].retired.last().cloned();
                return Some(sign(right, &retired.unwrap_or_else(stranger)));
            }
            "anchor-no-fork" => {
                let batch = right.batch.checked_sub(1)?;
                let first_seq = right.first_seq.checked_sub(3)?;
                Anchor { batch, first_seq, head: Hash::of(&self.fresh().to_be_bytes()), ..right }
            }
            "anchor-continuous" => match self.chance.below(4) {
                0 => Anchor { batch: right.batch + 1, ..right },
                1 => Anchor { first_seq: right.first_seq + 1, ..right },
                2 => Anchor { previous: Hash([9; 32]), ..right },
                _ => Anchor { epoch: right.epoch + 1, batch: 1, ..right },
            },
            "anchor-epoch" => Anchor { epoch: far, batch: 0, first_seq: 0, ..right },
            "anchor-checkpoint" => {
                let checkpoint = |size, root| Checkpoint { origin: ORIGIN.into(), size, root };
                let note = match self.chance.below(4) {
                    0 => "no note".into(),
                    1 => checkpoint(3, Hash([1; 32])).sign(&stranger()),
                    2 => checkpoint(self.ground.log.len() as u64 + 1, Hash([1; 32])).sign(&signers().log),
                    _ => checkpoint(1, Hash([1; 32])).sign(&signers().log),
                };
                Anchor { checkpoint: Some(note), ..right }
            }
            _ => return None,
        };
        Some(sign(anchor, &key))
    }
}
