//! What holds at a time: certificates, configurations, commands. Derived from the state, never stored, as time
//! passes without transactions.

use plomb_seal::{
    Hash, Name,
    transaction::{Effect, Kind, Priority},
};

use super::{CertificateRecord, Order, Register, State};

/// Whether a certificate holds, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It holds.
    Holds,
    /// It was revoked, for this reason.
    Revoked(&'a str),
    /// The time is before its begin or after its end.
    OutsideValidity,
    /// Who issued it is no member any more.
    IssuerLeft(&'a Name),
}

/// Where a configuration or command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// A configuration that the gateway has not answered.
    Pending,
    /// A configuration that was not answered before one that is at least as urgent, or later in force, took its
    /// place.
    Superseded,
    /// A command that waits for a second operator.
    AwaitsApproval,
    /// A command that all who must have signed, and that the gateway has not answered.
    Released,
    /// Not answered, and its author's certificate was revoked meanwhile: nobody should follow it.
    Withdrawn,
    /// Done; a configuration: in force.
    Applied,
    /// A configuration that was in force until a later one was.
    Replaced,
    /// The gateway refused it.
    Refused,
    /// A configuration that was taken back.
    RolledBack,
    /// A command whose time has passed.
    Expired,
    /// It went wrong.
    Failed,
}

/// What a gateway has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// [`Kind::Config`] or [`Kind::Command`].
    pub kind: Kind,
    /// How urgent; commands go at once.
    pub priority: Priority,
    /// Its index in the log.
    pub index: u64,
    /// Its leaf hash.
    pub transaction: Hash,
}

impl Status {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Superseded => "superseded",
            Self::AwaitsApproval => "awaits-approval",
            Self::Released => "released",
            Self::Withdrawn => "withdrawn",
            Self::Applied => "applied",
            Self::Replaced => "replaced",
            Self::Refused => "refused",
            Self::RolledBack => "rolled-back",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }
}

impl CertificateRecord {
    /// Whether it holds at this time, by this state.
    pub fn standing<'a>(&'a self, state: &State, time_ms: i64) -> Standing<'a> {
        match &self.revoked {
            Some(revoked) => Standing::Revoked(&revoked.reason),
            None if !state.members().iter().any(|member| member.name == self.author) => {
                Standing::IssuerLeft(&self.author)
            }
            None if !self.covers(time_ms) => Standing::OutsideValidity,
            None => Standing::Holds,
        }
    }
}

impl State {
    /// Where a configuration or command stands at this time.
    pub fn status(&self, leaf: &Hash, order: &Order, time_ms: i64) -> Status {
        let register = self.register(order.gateway());
        match order.answer().map(|answer| answer.effect) {
            Some(Effect::Applied) => match order {
                Order::Config(_) if !in_force(register, leaf) => Status::Replaced,
                _ => Status::Applied,
            },
            Some(Effect::Refused) => Status::Refused,
            Some(Effect::RolledBack) => Status::RolledBack,
            Some(Effect::Expired) => Status::Expired,
            Some(Effect::Failed) => Status::Failed,
            None => self.unanswered(leaf, order, time_ms),
        }
    }

    fn unanswered(&self, leaf: &Hash, order: &Order, time_ms: i64) -> Status {
        match order {
            Order::Config(config) => {
                let register = self.register(&config.gateway);
                let waits =
                    register.is_some_and(|register| register.pending.iter().any(|one| one.transaction == *leaf));
                match waits {
                    false => Status::Superseded,
                    true if self.is_withdrawn(&config.certificate) => Status::Withdrawn,
                    true => Status::Pending,
                }
            }
            Order::Command(command) if command.expires_ms < time_ms => Status::Expired,
            Order::Command(command) if self.is_withdrawn(&command.certificate) => Status::Withdrawn,
            Order::Command(command) if command.is_released() => Status::Released,
            Order::Command(_) => Status::AwaitsApproval,
        }
    }

    /// What a gateway has to do at this time: the most urgent first, then the oldest.
    pub fn due(&self, gateway: &Name, time_ms: i64) -> Vec<Due> {
        let Some(register) = self.register(gateway) else { return Vec::new() };
        let configs = register.pending.iter().filter(|one| !self.is_withdrawn(&one.certificate)).map(|one| Due {
            kind: Kind::Config,
            priority: one.priority,
            index: one.index,
            transaction: one.transaction,
        });
        let ready = register.open.iter().filter(|one| one.released && one.expires_ms >= time_ms);
        let commands = ready.filter(|one| !self.is_withdrawn(&one.certificate)).map(|one| Due {
            kind: Kind::Command,
            priority: Priority::Immediate,
            index: one.index,
            transaction: one.transaction,
        });
        let mut due: Vec<Due> = configs.chain(commands).collect();
        due.sort_unstable_by_key(|due| (std::cmp::Reverse(due.priority), due.index));
        due
    }

    /// Whether an author's certificate was taken away. One that merely ended stood when it signed.
    pub(super) fn is_withdrawn(&self, certificate: &Hash) -> bool {
        let standing = self.certificate(certificate).map(|record| record.standing(self, 0));
        matches!(standing, None | Some(Standing::Revoked(_) | Standing::IssuerLeft(_)))
    }
}

fn in_force(register: Option<&Register>, leaf: &Hash) -> bool {
    register.and_then(|register| register.applied).is_some_and(|applied| applied.transaction == *leaf)
}
