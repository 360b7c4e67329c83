//! Why nothing came of a conversation.

use crate::apdu::{ApduError, AssociateDiagnostic, ConfirmedServiceError, ExceptionResponse};
use crate::link::{LinkFailure, SendError};
use crate::security::SecurityError;
use thiserror::Error;

/// Why nothing came of a conversation, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClientFailure {
    /// The link failed.
    #[error("{0}")]
    Link(#[from] LinkFailure),
    /// Nothing came back to the request for an association.
    #[error("no answer to the association request: check framing (HDLC or wrapper), client and server address")]
    NoAnswer,
    /// The link went down while an answer was due.
    #[error("the meter ended the connection: check framing, client address and authentication; try again later")]
    Dropped,
    /// The meter refuses the association.
    #[error("{}", refused(*diagnostic, *passing, *password))]
    Refused {
        /// Why, in the meter's word.
        diagnostic: AssociateDiagnostic,
        /// Whether only for now.
        passing: bool,
        /// Whether a password was shown, rather than a key.
        password: bool,
    },
    /// The meter refuses the initiation.
    #[error("the meter refuses the association: {0}")]
    Initiation(ConfirmedServiceError),
    /// The invocation counter is behind the meter's.
    #[error("the meter does not take the invocation counter{}: the keys are used by another program, or somebody answers in its place", expects(*expected))]
    CounterOutOfStep {
        /// What the meter expects, if it says so.
        expected: Option<u32>,
    },
    /// The meter can't serve.
    #[error("the meter answers with an exception: {0}")]
    Exception(ExceptionResponse),
    /// The meter says in clear, in an association that is ciphered, that it can't serve. Nothing proves that it said so.
    #[error("the meter answers with an error in clear: {0}; nothing of this round is taken")]
    ErrorInClear(ConfirmedServiceError),
    /// The cipher.
    #[error("{0}")]
    Security(#[from] SecurityError),
    /// The meter did not prove that it knows the secret.
    #[error(
        "the meter's proof is wrong: it does not know the secret, or another device answers; nothing of it is taken"
    )]
    MeterNotProven,
    /// The meter can't open what the client sends.
    #[error(
        "the meter can't decipher the request: encryption key, authentication key, suite or the client's system title is not the one that it knows"
    )]
    KeysRefused,
    /// The meter refuses the client's proof.
    #[error("the meter does not take the proof: check the keys and the system title")]
    ProofRefused,
    /// What came is no APDU.
    #[error("the answer can't be read: {0}")]
    Malformed(#[from] ApduError),
    /// An APDU that answers no question that was asked.
    #[error(
        "the meter answers {got} where {expected} was asked for: try again; if it stays so, the meter needs another profile"
    )]
    Unexpected {
        /// What came.
        got: &'static str,
        /// What was due.
        expected: &'static str,
    },
    /// Blocks do not follow each other.
    #[error("block {got} came where {expected} was due")]
    Block {
        /// What came.
        got: u32,
        /// What was due.
        expected: u32,
    },
    /// The answer is longer than is taken.
    #[error("the answer is longer than {bytes_max} bytes: ask for less at once")]
    TooLong {
        /// How much is taken.
        bytes_max: usize,
    },
    /// The configuration lacks something.
    #[error("{0}")]
    Config(&'static str),
    /// An APDU could not be sent.
    #[error("{0}")]
    Send(#[from] SendError),
}

fn refused(diagnostic: AssociateDiagnostic, passing: bool, password: bool) -> alloc::string::String {
    let advice = match diagnostic {
        AssociateDiagnostic::User(13) if password => "the password is wrong",
        AssociateDiagnostic::User(13) => {
            "a key is wrong, or the client's system title is not the one that the meter knows"
        }
        AssociateDiagnostic::User(11) => "the meter knows another way of authentication for this client",
        AssociateDiagnostic::User(12 | 14) => "the meter wants this client to authenticate",
        AssociateDiagnostic::User(2) => "the meter wants this client with ciphering, or without",
        AssociateDiagnostic::User(3) => "the meter knows another system title of this client",
        _ => "check client address, authentication and keys",
    };
    let when = if passing { " for now" } else { "" };
    alloc::format!("the meter refuses the association{when} ({diagnostic}): {advice}")
}

fn expects(expected: Option<u32>) -> alloc::string::String {
    expected.map(|counter| alloc::format!(" (it expects {counter} or more)")).unwrap_or_default()
}

impl ClientFailure {
    /// A short word for the kind of failure, stable for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Link(failure) => failure.kind(),
            Self::NoAnswer => "silence",
            Self::Dropped => "dropped",
            Self::Refused { .. } | Self::Initiation(_) => "association refused",
            Self::CounterOutOfStep { .. } => "counter out of step",
            Self::Exception(_) | Self::ErrorInClear(_) => "exception",
            Self::Security(error) => error.kind(),
            Self::MeterNotProven => "meter not proven",
            Self::KeysRefused => "key wrong",
            Self::ProofRefused => "proof refused",
            Self::Malformed(_) => "malformed",
            Self::Unexpected { .. } | Self::Block { .. } => "unexpected",
            Self::TooLong { .. } => "too long",
            Self::Config(_) => "configuration",
            Self::Send(_) => "send",
        }
    }

    /// Whether a disturbance on the way may be to blame, so that another association may do better. `associated` says
    /// whether both sides had proved themselves: a wrong key does not get so far.
    #[must_use]
    pub const fn may_be_passing(&self, associated: bool) -> bool {
        match self {
            Self::Dropped | Self::Block { .. } => true,
            // In an association, it may be another's word.
            Self::Exception(_) | Self::ErrorInClear(_) => associated,
            Self::Link(failure) => !matches!(
                failure,
                LinkFailure::WrongAddress { .. }
                    | LinkFailure::SwappedAddresses
                    | LinkFailure::WrongPort { .. }
                    | LinkFailure::Silence { stage: crate::link::Stage::Connect, .. }
                    | LinkFailure::TooLong { .. }
            ),
            Self::Security(SecurityError::TagWrong | SecurityError::Malformed(_))
            | Self::Malformed(_)
            | Self::Unexpected { .. } => associated,
            _ => false,
        }
    }

    /// Whether the meter's count may be ahead of ours: then its counter object tells.
    #[must_use]
    pub const fn may_be_counter(&self) -> bool {
        matches!(self, Self::CounterOutOfStep { .. } | Self::Dropped | Self::NoAnswer | Self::ProofRefused)
            || matches!(self, Self::Refused { password: false, .. } | Self::Exception(_) | Self::Initiation(_))
            || matches!(
                self,
                Self::Link(LinkFailure::Silence { .. } | LinkFailure::Lost | LinkFailure::NoAnswer { .. })
            )
    }
}
