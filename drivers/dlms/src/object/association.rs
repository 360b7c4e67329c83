//! The association as an object (class 15): what it shows, and what it allows.

use super::attribute::{Call, interface};
use super::read::{Fields, FromValue, Mismatch, Octets, codes, elements, structure};
use crate::apdu::{Conformance, ContextName, Mechanism};
use crate::axdr::{BitString, Value};
use alloc::vec::Vec;
use plomb_session::Obis;

interface! {
    /// Association by logical names (IEC 62056-6-2 §5.4.4). The one that is open is most often at `0-0:40.0.0`, yet not
    /// with every maker.
    Association = 15 "association LN"
    attributes {
        /// The objects that this client sees, with its rights. Long: kilobytes.
        object_list = 2: Vec<ListedObject>,
        /// Who is associated.
        associated_partners_id = 3: Partners,
        /// The application context.
        application_context_name = 4: ContextName,
        /// What both sides agreed on.
        xdlms_context_info = 5: ContextInfo,
        /// How the client proves who it is.
        authentication_mechanism_name = 6: Mechanism,
        /// The password; meters do not give it away.
        secret = 7: Value,
        /// How far the association is.
        association_status = 8: AssociationStatus,
        /// The security setup that holds (version 1 and later).
        security_setup_reference = 9: Option<Obis>,
        /// The users that a client may be (version 2 and later).
        user_list = 10: Vec<User>,
        /// The user of now (version 2 and later).
        current_user = 11: User,
    }
    methods {
        reply_to_hls_authentication = 1,
        change_hls_secret = 2,
        add_object = 3,
        remove_object = 4,
        add_user = 5,
        remove_user = 6,
    }
}

structure! {
    /// An object of the list, with the client's rights.
    ListedObject {
        /// Its class.
        class_id: u16,
        /// The class's version.
        version: u8,
        /// Its logical name.
        logical_name: Obis,
        /// What the client may do.
        access_rights: AccessRights,
    }
}

structure! {
    /// What a client may do with an object.
    AccessRights {
        /// With its attributes.
        attribute_access: Vec<AttributeAccess>,
        /// With its methods.
        method_access: Vec<MethodAccess>,
    }
}

/// What a client may do with an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeAccess {
    /// The attribute.
    pub attribute_id: i8,
    /// What it may.
    pub access_mode: AccessMode,
    /// Which parts it may ask for, by selector.
    pub access_selectors: Vec<i8>,
}

structure! {
    /// What a client may do with a method.
    MethodAccess {
        /// The method.
        method_id: i8,
        /// What it may.
        access_mode: AccessMode,
    }
}

/// A right, whose meaning depends on the version of the association's class: the open association is an object of its
/// own list, which tells the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccessMode(pub u8);

/// The first version whose rights are bits.
const VERSION_OF_BITS: u8 = 3;

structure! {
    /// The two sides' addresses.
    Partners {
        /// The client's.
        client_sap: i8,
        /// The logical device's.
        server_sap: u16,
    }
}

structure! {
    /// What both sides agreed on.
    ContextInfo {
        /// What both can do.
        conformance: Conformance,
        /// The longest APDU that the meter takes, in bytes.
        max_receive_pdu_size: u16,
        /// The longest APDU that the meter sends, in bytes.
        max_send_pdu_size: u16,
        /// 6.
        dlms_version_number: u8,
        /// Not used.
        quality_of_service: i8,
        /// The dedicated key, which meters do not give away.
        cyphering_info: Octets,
    }
}

structure! {
    /// A user of a client.
    User {
        /// Its number.
        user_id: u8,
        /// Its name.
        user_name: Octets,
    }
}

codes! {
    /// How far an association is.
    AssociationStatus {
        /// There is none.
        NON_ASSOCIATED = 0 "non-associated",
        /// The meter waits for the client's proof.
        PENDING = 1 "association pending",
        /// It stands.
        ASSOCIATED = 2 "associated",
    }
}

impl Association {
    /// The association that is open, where most makers have it.
    pub const CURRENT: Self = Self(Obis([0, 0, 40, 0, 0, 255]));

    /// The client's proof, which the meter answers with its own.
    #[must_use]
    pub const fn reply_to_hls_authentication(self, proof: Vec<u8>) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::OctetString(proof))
    }
}

impl AccessMode {
    /// Whether an attribute may be read. An unknown code gives no right.
    #[must_use]
    pub const fn reads(self, association_version: u8) -> bool {
        match association_version {
            VERSION_OF_BITS.. => self.0 & 0x01 != 0,
            _ => matches!(self.0, 1 | 3 | 4 | 6),
        }
    }

    /// Whether an attribute may be written.
    #[must_use]
    pub const fn writes(self, association_version: u8) -> bool {
        match association_version {
            VERSION_OF_BITS.. => self.0 & 0x02 != 0,
            _ => matches!(self.0, 2 | 3 | 5 | 6),
        }
    }

    /// Whether a method may be called.
    #[must_use]
    pub const fn calls(self, association_version: u8) -> bool {
        match association_version {
            VERSION_OF_BITS.. => self.0 & 0x01 != 0,
            _ => matches!(self.0, 1 | 2),
        }
    }

    /// Whether an attribute's question must be authenticated.
    #[must_use]
    pub const fn wants_authentication(self, association_version: u8) -> bool {
        match association_version {
            VERSION_OF_BITS.. => self.0 & 0x04 != 0,
            _ => matches!(self.0, 4..=6),
        }
    }
}

impl FromValue for AccessMode {
    /// Methods have a boolean in version 0.
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        match value {
            Value::Boolean(byte) => Ok(Self(u8::from(*byte != 0))),
            other => u8::from_value(other).map(Self),
        }
    }
}

impl FromValue for AttributeAccess {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let mut fields = Fields::of(value)?;
        Ok(Self {
            attribute_id: fields.next("attribute_id")?,
            access_mode: fields.next("access_mode")?,
            access_selectors: fields.next::<Option<Vec<i8>>>("access_selectors")?.unwrap_or_default(),
        })
    }
}

impl FromValue for Conformance {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let bits = BitString::from_value(value)?;
        let set = (0..24).filter(|bit| bits.is_set(*bit)).map(|bit| 0x80_0000_u32 >> bit);
        Ok(Self(set.fold(0, |all, bit| all | bit)))
    }
}

/// The last part of a name under `2.16.756.5.8`: as the bytes of an object identifier, or as its parts.
fn last_part(value: &Value) -> Result<u8, Mismatch> {
    let wrong = Mismatch::new("an object identifier", value);
    let last = match value.as_octets() {
        Some([0x60, 0x85, 0x74, 0x05, 0x08, _, last]) => Some(*last),
        Some(_) => None,
        None => elements(value)?.last().and_then(|part| u8::from_value(part).ok()),
    };
    last.ok_or(wrong)
}

impl FromValue for ContextName {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        last_part(value).map(Self)
    }
}

impl FromValue for Mechanism {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        last_part(value).map(Self)
    }
}
