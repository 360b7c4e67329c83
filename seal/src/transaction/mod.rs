//! Transactions of the ledger: what is signed and logged, kind by kind.
//!
//! | kind | statement | author |
//! |---|---|---|
//! | `genesis` | [`Genesis`]: the founding members | the first of them |
//! | `member` | [`Vote`]: one member's word for a change of members or quorum | a member |
//! | `certificate` | [`Certificate`]: issued or revoked | a member |
//! | `anchor` | [`Anchor`]: a batch of entries | a gateway |
//! | `sealing-key` | [`SealingKey`]: to which key its configurations and commands are sealed | a gateway |
//! | `config` | [`Config`]: a sealed configuration | an admin |
//! | `command` | [`Command`]: a sealed command | an operator |
//! | `approval` | [`Approval`]: a second operator's word for a command | another operator |
//! | `outcome` | [`Outcome`]: what became of a configuration or command | the gateway |
//!
//! What admits each is the ledger's to say; `docs/ledger.md` has the bytes and the rules.

use crate::{Anchor, Malformed, Statement, cose};

mod certificate;
mod command;
mod config;
mod genesis;
mod outcome;
mod sealing;
mod vote;

#[cfg(test)]
mod tests;

pub use certificate::{Certificate, Issue, Role, ScopedPoint, in_scope};
pub use command::{Approval, Command};
pub use config::{Config, Priority, Window};
pub use genesis::{Genesis, Member};
pub use outcome::{Effect, Outcome};
pub use sealing::{SALT_BYTES, SealingKey, commitment, sealing_key_id};
pub use vote::{MemberChange, Vote};

/// The largest transaction that a ledger takes, in bytes: C2SP tlog-tiles serves entries with lengths of 16 bits.
pub const TRANSACTION_BYTES_MAX: usize = 65_535;
/// The most members of a consortium.
pub const MEMBERS_MAX: usize = 128;
/// The most gateways, and the most points, that one certificate's scope may list.
pub const SCOPE_MAX: usize = 1024;
/// The largest X.509 certificate, in bytes.
pub const X509_BYTES_MAX: usize = 8 * 1024;
/// The largest sealed configuration, in bytes: what leaves room for the rest within [`TRANSACTION_BYTES_MAX`].
/// Configurations are packed before they are sealed.
pub const CONFIG_SEALED_BYTES_MAX: usize = 60 * 1024;
/// The largest sealed command, in bytes: a tariff's tables fit.
pub const COMMAND_SEALED_BYTES_MAX: usize = 16 * 1024;

/// What kind of transaction some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// [`Genesis`].
    Genesis,
    /// [`Certificate`].
    Certificate,
    /// [`Anchor`](crate::Anchor).
    Anchor,
    /// [`Vote`].
    Member,
    /// [`SealingKey`].
    SealingKey,
    /// [`Config`].
    Config,
    /// [`Command`].
    Command,
    /// [`Approval`].
    Approval,
    /// [`Outcome`].
    Outcome,
}

impl Kind {
    /// Every kind, with its name and its content type.
    const NAMED: [(Self, &'static str, &'static str); 9] = [
        (Self::Genesis, "genesis", Genesis::CONTENT_TYPE),
        (Self::Certificate, "certificate", Certificate::CONTENT_TYPE),
        (Self::Anchor, "anchor", Anchor::CONTENT_TYPE),
        (Self::Member, "member", Vote::CONTENT_TYPE),
        (Self::SealingKey, "sealing-key", SealingKey::CONTENT_TYPE),
        (Self::Config, "config", Config::CONTENT_TYPE),
        (Self::Command, "command", Command::CONTENT_TYPE),
        (Self::Approval, "approval", Approval::CONTENT_TYPE),
        (Self::Outcome, "outcome", Outcome::CONTENT_TYPE),
    ];

    /// In one word.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    /// From its word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind)
    }
}

/// Tells the kind of a transaction by its content type.
pub fn kind(bytes: &[u8]) -> Result<Kind, Malformed> {
    let found = cose::content_type(bytes)?;
    let kind = Kind::NAMED.iter().find(|(_, _, content_type)| *content_type == found).map(|(kind, ..)| *kind);
    kind.ok_or_else(|| Malformed::ContentType {
        expected: "that of a transaction",
        found: found.chars().take(64).collect(),
    })
}
