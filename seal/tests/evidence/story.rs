//! Stories: what one proves, and that no part of it can be another's.

use plomb_seal::{
    Dossier, Logged, Ordered, Signed, SigningKey, Statement, Story,
    sealed::Sealing,
    story::{Opened, is_story},
    transaction::{
        Approval, Certificate, Command, Config, Effect, Issue, Outcome, Priority, Role, SealingKey, sealing_key_id,
    },
    tree,
};

use super::street::{NOW_S, ORIGIN, Street, name};

const SALT: [u8; 32] = [8; 32];

/// A street with an admin and two operators, whose gateway has named its sealing key.
pub(super) struct Town {
    street: Street,
    admin: SigningKey,
    operator: SigningKey,
    second: SigningKey,
    parties: Vec<Logged>,
    sealing: [u8; 32],
}

impl Town {
    pub(super) fn new() -> Self {
        let [admin, operator, second] = [5, 6, 7].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let street = Street::new();
        let parties = street.credential.certificates.clone();
        let sealing = plomb_seal::sealed::SealingSecret::from_bytes(&[9; 32]).unwrap().public();
        let mut this = Self { street, admin, operator, second, parties, sealing };
        for (subject, role, key) in [
            ("alice", Role::Admin, this.admin.clone()),
            ("otto", Role::Operator, this.operator.clone()),
            ("olga", Role::Operator, this.second.clone()),
        ] {
            let issue = Issue {
                origin: ORIGIN.into(),
                subject: name(subject),
                role,
                scope: Vec::new(),
                points: Vec::new(),
                key: key.public(),
                not_before_s: NOW_S as i64 - 86_400,
                not_after_s: NOW_S as i64 + 365 * 86_400,
                x509: subject.as_bytes().to_vec(),
            };
            let certified = this.log(Certificate::Issue(Box::new(issue)), &SigningKey::from_seed(&[4; 32]));
            this.parties.push(certified);
        }
        let gateway = this.street.gateway.clone();
        this.log(SealingKey { origin: ORIGIN.into(), gateway: name("gw-1"), serial: 1, key: this.sealing }, &gateway);
        this
    }

    fn log<T: Statement>(&mut self, statement: T, key: &SigningKey) -> Logged {
        self.street.logged(Signed::sign(statement, key).into_bytes())
    }

    fn outcome(&mut self, of: &Logged, effect: Effect, key: &SigningKey) -> Logged {
        let (rule, detail) = match effect {
            Effect::Applied => ("", "as ordered"),
            _ => ("confirm-hub", "the hub was out of reach for 300 s"),
        };
        let outcome = Outcome {
            origin: ORIGIN.into(),
            gateway: name("gw-1"),
            of: tree::leaf_hash(&of.transaction),
            effect,
            rule: rule.into(),
            detail: detail.into(),
            epoch: 0,
            seq: 12,
            time_ms: NOW_S as i64 * 1000,
        };
        self.log(outcome, key)
    }

    fn story(&self, order: Logged, approval: Option<Logged>, outcomes: Vec<Logged>) -> Story {
        let dossier =
            Dossier { genesis: self.street.credential.genesis.clone(), parties: self.parties.clone(), order, approval };
        Story { policy: self.street.policy_text(), dossier, outcomes, opened: None }
    }

    /// A configuration that was applied, and rolled back; its author shows what it was.
    pub(super) fn configured(&mut self) -> Story {
        let (admin, gateway) = (self.admin.clone(), self.street.gateway.clone());
        let content = b"[gateway]\nid = \"gw-1\"\n".to_vec();
        let bare = Config {
            origin: ORIGIN.into(),
            gateway: name("gw-1"),
            base: 0,
            priority: Priority::Urgent,
            window: None,
            commitment: plomb_seal::Hash::ZERO,
            recipient: sealing_key_id(&self.sealing),
            sealed: Vec::new(),
            reason: "first configuration".into(),
        };
        let sealing = Sealing { recipient: &self.sealing, salt: &SALT, seed: &[2; 32] };
        let config = bare.seal(admin.public().id(), &sealing, &content).unwrap();
        let order = self.log(config, &admin);
        let outcomes = [Effect::Applied, Effect::RolledBack].map(|effect| self.outcome(&order, effect, &gateway));
        Story { opened: Some(Opened { salt: SALT, content }), ..self.story(order, None, outcomes.to_vec()) }
    }

    /// A command that two operators signed.
    pub(super) fn commanded(&mut self) -> Story {
        let (operator, second, gateway) = (self.operator.clone(), self.second.clone(), self.street.gateway.clone());
        let bare = Command {
            origin: ORIGIN.into(),
            gateway: name("gw-1"),
            point: name("cellar-water"),
            verb: name("valve"),
            counter: 1,
            expires_ms: (NOW_S as i64 + 86_400) * 1000,
            needs: 2,
            commitment: plomb_seal::Hash::ZERO,
            recipient: sealing_key_id(&self.sealing),
            sealed: Vec::new(),
            reason: "burst pipe".into(),
        };
        let sealing = Sealing { recipient: &self.sealing, salt: &SALT, seed: &[3; 32] };
        let command = bare.seal(operator.public().id(), &sealing, b"close").unwrap();
        let order = self.log(command, &operator);
        let of = tree::leaf_hash(&order.transaction);
        let approval = self.log(Approval { origin: ORIGIN.into(), of }, &second);
        let outcome = self.outcome(&order, Effect::Applied, &gateway);
        self.story(order, Some(approval), vec![outcome])
    }

    fn judge(&self, story: &Story) -> Result<(), &'static str> {
        story.verify(&self.street.policy()).map(|_| ()).map_err(|refused| refused.rule)
    }
}

#[test]
fn a_story_tells_who_ordered_what_and_what_became_of_it() {
    let mut town = Town::new();
    let story = town.configured();
    let bytes = story.to_bytes();
    assert!(is_story(&bytes) && !is_story(&town.street.export_all()));
    assert_eq!(Story::parse(&bytes).as_ref(), Ok(&story));
    let proved = story.verify(&town.street.policy()).unwrap();
    assert_eq!((proved.warrant.author.subject.as_str(), proved.answers.len()), ("alice", 2));
    assert_eq!(proved.effect(), Some(Effect::RolledBack));
    assert_eq!(proved.content.as_deref(), Some(b"[gateway]\nid = \"gw-1\"\n".as_slice()));
    assert!(proved.answers[0].index > proved.warrant.index && proved.answers[0].dated_s.is_some());
    let commanded = town.commanded().verify(&town.street.policy()).unwrap();
    assert!(matches!(commanded.warrant.order, Ordered::Command(_)));
    assert_eq!(commanded.warrant.approved_by.map(|issue| issue.subject), Some(name("olga")));
    assert!(commanded.approved.is_some_and(|(index, _)| index > commanded.warrant.index));
}

#[test]
fn no_part_can_be_another_one_s() {
    let mut town = Town::new();
    let (story, other) = (town.configured(), town.commanded());
    let with = |change: &dyn Fn(&mut Story)| {
        let mut bent = story.clone();
        change(&mut bent);
        bent
    };
    assert_eq!(town.judge(&story), Ok(()));
    let foreign = with(&|story| story.outcomes = other.outcomes.clone());
    assert_eq!(town.judge(&foreign), Err("story-outcome"), "of another order");
    let turned = with(&|story| story.outcomes.reverse());
    assert_eq!(town.judge(&turned), Err("story-outcome"), "what was taken back was never applied after");
    let unlogged = with(&|story| story.outcomes[0].proof = story.outcomes[1].proof.clone());
    assert_eq!(town.judge(&unlogged), Err("story-outcome"));
    let anonymous = with(&|story| drop(story.dossier.parties.remove(0)));
    assert_eq!(town.judge(&anonymous), Err("story-outcome"), "the gateway's certificate is missing");
    let masked = with(&|story| drop(story.dossier.parties.remove(1)));
    assert_eq!(town.judge(&masked), Err("dossier-author"));
    let lied = with(&|story| story.opened.as_mut().unwrap().content.push(b'#'));
    assert_eq!(town.judge(&lied), Err("story-content"));
    let alone = Story { dossier: Dossier { approval: None, ..other.dossier.clone() }, ..other };
    assert_eq!(town.judge(&alone), Err("dossier-approval"));
}

#[test]
fn an_answer_by_another_key_is_none() {
    let mut town = Town::new();
    let mut story = town.configured();
    let admin = town.admin.clone();
    story.outcomes = vec![town.outcome(&story.dossier.order.clone(), Effect::Applied, &admin)];
    assert_eq!(town.judge(&story), Err("story-outcome"), "an admin speaks for no gateway");
}

/// Bytes count: one that is bent breaks the file's form, a signature, a proof or the commitment. Only the policy
/// that the file names for strangers is nobody's word.
#[test]
fn a_bent_byte_is_noticed() {
    let mut town = Town::new();
    let bytes = town.configured().to_bytes();
    let policy = town.street.policy_text();
    let start = bytes.windows(policy.len()).position(|window| window == policy.as_bytes()).unwrap();
    // Every seventh: each is a whole verification, and every field is longer than that.
    for place in (0..bytes.len()).step_by(7).filter(|place| !(start..start + policy.len()).contains(place)) {
        let mut bent = bytes.clone();
        bent[place] ^= 0x20;
        let judged = Story::parse(&bent).map(|story| town.judge(&story));
        assert!(!matches!(judged, Ok(Ok(()))), "byte {place}");
    }
    for len in 0..bytes.len() {
        assert!(Story::parse(&bytes[..len]).is_err(), "{len} bytes");
    }
}
