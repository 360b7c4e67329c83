//! As whom a client asks, and what the meter granted.

use crate::apdu::{Conformance, Mechanism};
use crate::security::signing::{SigningKey, VerifyingKey};
use crate::security::{Key, SecurityContext};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use plomb_session::Obis;
use zeroize::Zeroizing;

/// The longest APDU that this client takes in one piece, in bytes, unless configured otherwise.
pub(super) const MAX_PDU_BYTES_DEFAULT: u16 = 0xFFFF;
/// The association object of most meters: the present one.
const PRESENT_ASSOCIATION: Obis = Obis([0, 0, 40, 0, 0, 255]);

/// How the client proves who it is.
#[derive(Clone)]
pub enum Proof {
    /// Not at all.
    None,
    /// A password in clear.
    Password(Zeroizing<Vec<u8>>),
    /// By challenge, with a hash over a secret: MD5, SHA-1 or SHA-256.
    Hash(Mechanism, Zeroizing<Vec<u8>>),
    /// By challenge, with GMAC under the keys of the security context.
    Gmac,
    /// By challenge, with signatures.
    Ecdsa(Box<(SigningKey, VerifyingKey)>),
}

/// As whom, with which proof and which protection an association is asked for.
#[derive(Clone, Debug)]
pub struct AssociationConfig {
    /// How the client proves who it is.
    pub proof: Proof,
    /// The keys and counters, where APDUs are protected, or proofs need titles or keys.
    pub security: Option<SecurityContext>,
    /// Whether APDUs are protected. With keys for proofs alone they are not.
    pub ciphered: bool,
    /// A key for this association alone.
    pub dedicated: Option<Key>,
    /// The client's challenge: 8 to 64 random bytes, new each time.
    pub challenge: Vec<u8>,
    /// What the client proposes.
    pub conformance: Conformance,
    /// The longest APDU that the client takes, in bytes.
    pub max_pdu_bytes: u16,
    /// The association object, for the proofs.
    pub object: Obis,
    /// Whether each answer's APDU is told, in clear, as [`ClientEvent::Answered`](super::ClientEvent::Answered).
    pub tells_answers: bool,
}

/// What the meter granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Association {
    /// What both can do.
    pub conformance: Conformance,
    /// The longest APDU that the meter takes, in bytes; 0 for any.
    pub max_pdu_bytes: u16,
}

impl AssociationConfig {
    /// The public client: no proof, no protection.
    #[must_use]
    pub fn public() -> Self {
        Self {
            proof: Proof::None,
            security: None,
            ciphered: false,
            dedicated: None,
            challenge: Vec::new(),
            conformance: Conformance::of_client(),
            max_pdu_bytes: MAX_PDU_BYTES_DEFAULT,
            object: PRESENT_ASSOCIATION,
            tells_answers: false,
        }
    }

    pub(super) const fn mechanism(&self) -> Mechanism {
        match &self.proof {
            Proof::None => Mechanism::LOWEST,
            Proof::Password(_) => Mechanism::LLS,
            Proof::Hash(mechanism, _) => *mechanism,
            Proof::Gmac => Mechanism::GMAC,
            Proof::Ecdsa(_) => Mechanism::ECDSA,
        }
    }
}

impl Association {
    /// Whether several attributes can be asked for at once.
    #[must_use]
    pub const fn with_list(&self) -> bool {
        self.conformance.has(Conformance::MULTIPLE_REFERENCES)
    }

    /// Whether parts of a profile can be asked for.
    #[must_use]
    pub const fn with_selection(&self) -> bool {
        self.conformance.has(Conformance::SELECTIVE_ACCESS)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password(_) => "Password",
            Self::Hash(..) => "Hash",
            Self::Gmac => "Gmac",
            Self::Ecdsa(_) => "Ecdsa",
        })
    }
}
