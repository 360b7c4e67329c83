//! Keys and policy: security setup (class 64).

use super::attribute::{Call, interface};
use super::read::{Octets, codes, structure};
use crate::axdr::Value;
use alloc::vec;
use alloc::vec::Vec;

interface! {
    /// Security setup (IEC 62056-6-2 §5.4.7).
    SecuritySetup = 64 "security setup"
    attributes {
        /// What must be protected.
        security_policy = 2: SecurityPolicy,
        /// The security suite, 0 to 2.
        security_suite = 3: u8,
        /// The system title of the client that is or was associated.
        client_system_title = 4: Option<Octets>,
        /// The meter's own system title: eight bytes.
        server_system_title = 5: Octets,
        /// The certificates that the meter has (version 1).
        certificates = 6: Vec<CertificateInfo>,
    }
    methods {
        security_activate = 1,
        key_transfer = 2,
        key_agreement = 3,
        generate_key_pair = 4,
        generate_certificate_request = 5,
        import_certificate = 6,
        export_certificate = 7,
        remove_certificate = 8,
    }
}

codes! {
    /// Which key of a meter.
    KeyId {
        /// Enciphers what is for one meter.
        UNICAST_ENCRYPTION = 0 "global unicast encryption key",
        /// Enciphers what is for many.
        BROADCAST_ENCRYPTION = 1 "global broadcast encryption key",
        /// Goes into each tag.
        AUTHENTICATION = 2 "global authentication key",
        /// Wraps the others.
        MASTER = 3 "master key",
    }
}

/// What must be protected, whose meaning depends on the version of the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecurityPolicy(pub u8);

structure! {
    /// A certificate that a meter has.
    CertificateInfo {
        /// Whose it is.
        certificate_entity: CertificateEntity,
        /// What it is for.
        certificate_type: CertificateType,
        /// Its number.
        serial_number: Octets,
        /// Who made it.
        issuer: Octets,
        /// Whom it names.
        subject: Octets,
        /// By what other name.
        subject_alt_name: Octets,
    }
}

codes! {
    /// Whose a certificate is.
    CertificateEntity {
        /// The meter's.
        SERVER = 0 "server",
        /// The client's.
        CLIENT = 1 "client",
        /// An authority's.
        AUTHORITY = 2 "certification authority",
        /// Another's.
        OTHER = 3 "other",
    }
}

codes! {
    /// What a certificate is for.
    CertificateType {
        /// Signatures.
        DIGITAL_SIGNATURE = 0 "digital signature",
        /// Agreement on keys.
        KEY_AGREEMENT = 1 "key agreement",
        /// TLS.
        TLS = 2 "TLS",
        /// Something else.
        OTHER = 3 "other",
    }
}

impl SecuritySetup {
    /// Makes a policy hold. A policy can be made stronger, never weaker.
    #[must_use]
    pub const fn security_activate(self, policy: SecurityPolicy) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::Enum(policy.0))
    }

    /// Gives the meter new keys, each wrapped with its master key
    /// ([`security::transfer`](crate::security::transfer)). They hold from the next APDU on, this one's answer
    /// excepted.
    #[must_use]
    pub fn key_transfer(self, wrapped_keys: &[(KeyId, Vec<u8>)]) -> Call {
        let key = |(id, wrapped): &(KeyId, Vec<u8>)| {
            Value::Structure(vec![Value::Enum(id.0), Value::OctetString(wrapped.clone())])
        };
        Call::new(Self::CLASS, self.0, 2, Value::Array(wrapped_keys.iter().map(key).collect()))
    }
}

impl SecurityPolicy {
    /// What must be protected, in words, by the version of the class.
    pub fn words(self, class_version: u8) -> impl Iterator<Item = &'static str> {
        const VERSION_0: [(u8, &str); 2] = [(0x01, "all authenticated"), (0x02, "all encrypted")];
        const VERSION_1: [(u8, &str); 6] = [
            (0x04, "requests authenticated"),
            (0x08, "requests encrypted"),
            (0x10, "requests signed"),
            (0x20, "responses authenticated"),
            (0x40, "responses encrypted"),
            (0x80, "responses signed"),
        ];
        let words: &'static [(u8, &'static str)] = if class_version == 0 { &VERSION_0 } else { &VERSION_1 };
        words.iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, word)| *word)
    }
}

impl super::FromValue for SecurityPolicy {
    fn from_value(value: &Value) -> Result<Self, super::Mismatch> {
        u8::from_value(value).map(Self)
    }
}
