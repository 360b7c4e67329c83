//! Why a DLMS meter was not read, in the words of absences.

use plomb_dlms::{apdu::AssociateDiagnostic, client::ClientFailure, link::LinkFailure, security::SecurityError};
use plomb_seal::Reason;

/// Whether the other side closed the connection.
pub(super) fn is_hung_up(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// What a client shows of itself, and what it hides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shows {
    /// It proves who it is.
    pub(super) proof: bool,
    /// It enciphers what it says.
    pub(super) cipher: bool,
}

/// Why there is no reading, with words that blame no secret which was not in play: who answers may be anybody.
pub(super) fn told(failure: &ClientFailure, shows: Shows) -> (Reason, String) {
    match failure {
        ClientFailure::KeysRefused if !shows.cipher => (
            Reason::Refused,
            "the meter answers that it can't decipher, and nothing was enciphered: does it take this client in clear? \
             Check client and authentication"
                .into(),
        ),
        ClientFailure::Refused { diagnostic: diagnostic @ AssociateDiagnostic::User(13), passing, .. }
            if !shows.proof && !shows.cipher =>
        {
            let when = if *passing { " for now" } else { "" };
            let advice = "it wants this client to authenticate, which it does not; check client and authentication";
            (Reason::Refused, format!("the meter refuses the association{when} ({diagnostic}): {advice}"))
        }
        failure => (reason_of(failure), failure.to_string()),
    }
}

/// Why there is no reading.
pub(super) fn reason_of(failure: &ClientFailure) -> Reason {
    match failure {
        ClientFailure::Link(link) => match link {
            LinkFailure::Silence { .. } | LinkFailure::NoAnswer { .. } | LinkFailure::Lost => Reason::Timeout,
            LinkFailure::WrongAddress { .. } | LinkFailure::SwappedAddresses | LinkFailure::WrongPort { .. } => {
                Reason::OtherMeter
            }
            LinkFailure::Damaged { .. } => Reason::Checksum,
            LinkFailure::Refused | LinkFailure::Busy { .. } => Reason::Busy,
            _ => Reason::Malformed,
        },
        ClientFailure::Security(error) => reason_of_security(error),
        ClientFailure::MeterNotProven | ClientFailure::ProofRefused | ClientFailure::KeysRefused => Reason::Key,
        ClientFailure::Dropped => Reason::Timeout,
        ClientFailure::Refused { diagnostic: AssociateDiagnostic::User(13), .. } => Reason::Key,
        ClientFailure::NoAnswer => Reason::Timeout,
        ClientFailure::Refused { .. }
        | ClientFailure::Initiation(_)
        | ClientFailure::CounterOutOfStep { .. }
        | ClientFailure::Exception(_)
        | ClientFailure::ErrorInClear(_) => Reason::Refused,
        _ => Reason::Malformed,
    }
}

/// Why an APDU was not taken.
pub(crate) fn reason_of_security(error: &SecurityError) -> Reason {
    match error {
        SecurityError::TagWrong
        | SecurityError::Nonsense(_)
        | SecurityError::KeyMissing(_)
        | SecurityError::KeyLength { .. }
        | SecurityError::SignatureWrong => Reason::Key,
        SecurityError::Repeated { .. } | SecurityError::OtherTransaction => Reason::Replayed,
        SecurityError::OtherTitle { .. } | SecurityError::NotForUs { .. } => Reason::OtherMeter,
        _ => Reason::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_blamed_that_was_not_in_play() {
        let refused =
            ClientFailure::Refused { diagnostic: AssociateDiagnostic::User(13), passing: false, password: true };
        let shows = |proof, cipher| Shows { proof, cipher };
        for failure in [ClientFailure::KeysRefused, refused] {
            let (reason, text) = told(&failure, shows(false, false));
            assert_eq!(reason, Reason::Refused, "{text}");
            assert!(
                !text.contains("key") && !text.contains("password") && text.to_lowercase().contains("check"),
                "{text}"
            );
            assert_eq!(told(&failure, shows(true, true)), (Reason::Key, failure.to_string()));
        }
        let (reason, text) = told(&ClientFailure::KeysRefused, shows(true, false));
        assert!(reason == Reason::Refused && text.contains("nothing was enciphered"), "a password enciphers nothing");
        assert_eq!(told(&refused, shows(true, false)).0, Reason::Key, "the password is wrong");
    }
}
