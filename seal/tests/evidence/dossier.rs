//! Dossiers that no ledger which keeps its rules would make: a gateway finds them out alone.

use plomb_seal::{
    Dossier, Hash, Logged, Signed, SigningKey, Statement,
    transaction::{Approval, Certificate, Command, Issue, Role, ScopedPoint, sealing_key_id},
};

use super::street::{NOW_S, ORIGIN, Street, name};

struct Desk {
    street: Street,
    operator: SigningKey,
}

impl Desk {
    fn new() -> Self {
        Self { street: Street::new(), operator: SigningKey::from_seed(&[6; 32]) }
    }

    fn certify(&mut self, subject: &str, key: &SigningKey, change: impl FnOnce(&mut Issue)) -> Logged {
        let mut issue = Issue {
            origin: ORIGIN.into(),
            subject: name(subject),
            role: Role::Operator,
            scope: Vec::new(),
            points: Vec::new(),
            key: key.public(),
            not_before_s: 0,
            not_after_s: i64::MAX,
            x509: subject.as_bytes().to_vec(),
        };
        change(&mut issue);
        self.log(Certificate::Issue(Box::new(issue)), &SigningKey::from_seed(&[4; 32]))
    }

    fn log<T: Statement>(&mut self, statement: T, key: &SigningKey) -> Logged {
        self.street.logged(Signed::sign(statement, key).into_bytes())
    }

    fn send(&mut self, change: impl FnOnce(&mut Command)) -> Logged {
        let mut command = Command {
            origin: ORIGIN.into(),
            gateway: name("gw-1"),
            point: name("cellar-water"),
            verb: name("valve"),
            counter: 1,
            expires_ms: i64::MAX,
            needs: 1,
            commitment: Hash([1; 32]),
            recipient: sealing_key_id(&[9; 32]),
            sealed: vec![1; 80],
            reason: "burst pipe".into(),
        };
        change(&mut command);
        let operator = self.operator.clone();
        self.log(command, &operator)
    }

    fn judge(&self, parties: &[&Logged], order: &Logged, approval: Option<&Logged>) -> Result<(), &'static str> {
        let dossier = Dossier {
            genesis: self.street.credential.genesis.clone(),
            parties: parties.iter().map(|logged| (*logged).clone()).collect(),
            order: order.clone(),
            approval: approval.cloned(),
        };
        let judged = dossier.verify(ORIGIN, &name("gw-1"), &self.street.policy());
        judged.map(|_| ()).map_err(|refused| refused.rule)
    }
}

#[test]
fn certificates_must_be_there_hold_and_reach_when_the_order_is_logged() {
    let mut desk = Desk::new();
    let operator = desk.operator.clone();
    let early = desk.send(|_| {});
    let certified = desk.certify("ops", &operator, |_| {});
    assert_eq!(desk.judge(&[&certified], &early, None), Err("dossier-logged"), "certified after it sent");
    let sent = desk.send(|command| command.counter = 2);
    assert_eq!(desk.judge(&[&certified], &sent, None), Ok(()));
    let ended = desk.certify("ops", &operator, |issue| issue.not_after_s = NOW_S as i64 - 1);
    let reach = |gateway: &str, point: &str| ScopedPoint { gateway: name(gateway), point: name(point) };
    let beside = desk.certify("ops", &operator, |issue| issue.points = vec![reach("gw-1", "flat-1-heat")]);
    let local = desk.certify("ops", &operator, |issue| issue.points = vec![reach("gw-1", "cellar-water")]);
    let admin = desk.certify("ops", &operator, |issue| issue.role = Role::Admin);
    let again = desk.send(|command| command.counter = 3);
    for (certificate, judged) in [
        (&ended, Err("dossier-validity")),
        (&beside, Err("dossier-scope")),
        (&local, Ok(())),
        (&admin, Err("dossier-author")),
    ] {
        assert_eq!(desk.judge(&[certificate], &again, None), judged);
    }
    assert_eq!(desk.judge(&[&ended, &beside, &local], &again, None), Ok(()), "one that fits is enough");
    let elsewhere = desk.send(|command| command.origin = "other.example/x".into());
    assert_eq!(desk.judge(&[&local], &elsewhere, None), Err("dossier-origin"));
}

#[test]
fn one_operator_with_two_keys_is_one() {
    let mut desk = Desk::new();
    let (operator, second, other) =
        (desk.operator.clone(), SigningKey::from_seed(&[7; 32]), SigningKey::from_seed(&[8; 32]));
    let one = desk.certify("ops", &operator, |_| {});
    let same = desk.certify("ops", &second, |_| {});
    let two = desk.certify("ops-2", &other, |_| {});
    let sent = desk.send(|command| command.needs = 2);
    let approval = || Approval { origin: ORIGIN.into(), of: plomb_seal::tree::leaf_hash(&sent.transaction) };
    let by = [&operator, &second, &other].map(|key| desk.log(approval(), key));
    let parties = [&one, &same, &two];
    assert_eq!(desk.judge(&parties, &sent, Some(&by[0])), Err("dossier-approval"));
    assert_eq!(desk.judge(&parties, &sent, Some(&by[1])), Err("dossier-approval"));
    assert_eq!(desk.judge(&parties, &sent, Some(&by[2])), Ok(()));
    assert_eq!(desk.judge(&[&one, &same], &sent, Some(&by[2])), Err("dossier-author"));
}
