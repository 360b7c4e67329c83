//! Why a DLMS meter was not read, in the words of absences.

use plomb_dlms::{apdu::AssociateDiagnostic, client::ClientFailure, link::LinkFailure, security::SecurityError};
use plomb_seal::Reason;

/// Whether the other side closed the connection.
pub(super) fn is_hung_up(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
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
