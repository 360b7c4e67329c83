//! Failures and their exit codes, after sysexits.h.

use std::{fmt::Display, io, path::Path};

use serde_json::{Value, json};

/// Done.
pub(crate) const OK: u8 = 0;
/// `verify`: tampered. `status`: degraded. `demo`: a check failed. `ledger`: what the hub says is not proved. `config
/// propose`, `command`: done, but not as ordered.
pub(crate) const BAD: u8 = 1;
/// `status`: the daemon is down.
pub(crate) const DOWN: u8 = 2;
/// `verify`: incomplete. `config propose`, `command`: no answer in time.
pub(crate) const INCOMPLETE: u8 = 3;
/// `scan`: no meter was found. `ledger history`, `ledger gateways`: there is none.
pub(crate) const NONE_FOUND: u8 = 4;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 64;
/// The ledger refused it, by a rule.
pub(crate) const REFUSED: u8 = 65;
/// `decode`: no line could be decoded. `enrol`: refused by a rule.
pub(crate) const MALFORMED: u8 = 65;
/// `decode`, `read`, `operate`: a key is missing or wrong.
pub(crate) const KEY: u8 = 66;
/// Something that is needed is not there: the daemon, a meter.
pub(crate) const UNAVAILABLE: u8 = 69;
/// Reading or writing failed.
pub(crate) const IO: u8 = 74;
/// Not allowed.
pub(crate) const PERMISSION: u8 = 77;
/// A configuration or a policy is wrong.
pub(crate) const CONFIG: u8 = 78;
/// Ended by ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The schema of a failure as a document.
const SCHEMA: &str = "plomb.error/1";

/// Why a verb ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// Something that is needed is not there.
    #[error("{0}")]
    Unavailable(String),
    /// A meter's key is missing or wrong.
    #[error("{0}")]
    Key(String),
    /// Reading or writing failed.
    #[error("{what}: {source}")]
    Io {
        /// The file or the step.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Not allowed.
    #[error("{0}")]
    Permission(String),
    /// A configuration or a policy is wrong.
    #[error("{0}")]
    Config(String),
    /// A gateway is not taken on, or gets no new certificate.
    #[error("{rule}: {detail}")]
    NotEnrolled {
        /// The rule.
        rule: String,
        /// Why.
        detail: String,
    },
    /// The ledger refused it.
    #[error("the ledger refused it by rule {rule}: {detail}")]
    Refused {
        /// The rule.
        rule: String,
        /// What was seen.
        detail: String,
    },
    /// What a hub says does not hold under the own policy.
    #[error("what the hub says is not proved: {0}")]
    Unproved(String),
    /// Whoever read standard output has had enough: no mistake.
    #[error("standard output was closed")]
    Closed,
}

impl Failure {
    /// A failed read or write of `what`.
    pub(crate) fn io(what: impl Display, source: io::Error) -> Self {
        let what = what.to_string();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission(format!("{what}: {source}")),
            _ => Self::Io { what, source },
        }
    }

    /// A failed read or write of a file.
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::io(path.display(), source)
    }

    /// A failed write to standard output.
    pub(crate) fn stdout(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::io("standard output", source),
        }
    }

    /// For programs.
    pub(crate) fn document(&self) -> Value {
        let rule = match self {
            Self::Refused { rule, .. } | Self::NotEnrolled { rule, .. } => Some(rule),
            _ => None,
        };
        json!({
            "schema": SCHEMA, "ok": false,
            "error": { "kind": self.kind(), "message": self.to_string(), "exit_code": self.code(), "rule": rule },
        })
    }

    /// In one word.
    fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Unavailable(_) => "unavailable",
            Self::Key(_) => "key",
            Self::Io { .. } => "io",
            Self::Permission(_) => "permission",
            Self::Config(_) => "configuration",
            Self::NotEnrolled { .. } => "not-enrolled",
            Self::Refused { .. } => "refused",
            Self::Unproved(_) => "unproved",
            Self::Closed => "closed",
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Unavailable(_) => UNAVAILABLE,
            Self::Key(_) => KEY,
            Self::Io { .. } => IO,
            Self::Permission(_) => PERMISSION,
            Self::Config(_) => CONFIG,
            Self::NotEnrolled { .. } => MALFORMED,
            Self::Refused { .. } => REFUSED,
            Self::Unproved(_) => BAD,
            Self::Closed => OK,
        }
    }

    /// What the user is told; nothing when nothing is wrong.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Closed => None,
            other => Some(other.to_string()),
        }
    }
}
