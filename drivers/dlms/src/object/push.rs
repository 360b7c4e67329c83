//! What a meter tells by itself: push setup (class 40).

use super::attribute::{Call, interface};
use super::read::{Fields, FromValue, Mismatch, Octets, codes, structure};
use crate::axdr::{DateTime, Value};
use alloc::vec::Vec;
use plomb_session::Obis;

interface! {
    /// Push setup: what is sent, where to, and when (IEC 62056-6-2 §5.4.8).
    PushSetup = 40 "push setup"
    attributes {
        /// What a notification holds, in its order.
        push_object_list = 2: Vec<PushObject>,
        /// Where it goes.
        send_destination_and_method = 3: PushDestination,
        /// When it may be sent; empty for always.
        communication_window = 4: Vec<CommunicationWindow>,
        /// The most seconds that the first try is put off by, at random.
        randomisation_start_interval = 5: u16,
        /// How often it is tried again.
        number_of_retries = 6: u8,
        /// How long between two tries.
        repetition_delay = 7: RepetitionDelay,
        /// The port that it leaves by (version 1 and later).
        port_reference = 8: Option<Obis>,
        /// The client that it is for (version 1 and later).
        push_client_sap = 9: i8,
        /// How it is protected (version 1 and later).
        push_protection_parameters = 10: Vec<Value>,
        /// What is done about a lost one (version 2 and later).
        push_operation_method = 11: PushOperation,
        /// What of a profile needs no confirmation (version 2 and later).
        confirmation_parameters = 12: Value,
        /// When one was last confirmed (version 2 and later).
        last_confirmation_date_time = 13: Option<DateTime>,
    }
    methods { push = 1, reset = 2, }
}

/// An attribute that is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushObject {
    /// The object's class.
    pub class_id: u16,
    /// The object.
    pub logical_name: Obis,
    /// The attribute; 0 for all of them.
    pub attribute_index: i8,
    /// Which element, from 1; 0 for the whole.
    pub data_index: u16,
    /// Which rows of a profile (version 2 and later).
    pub restriction: Option<Value>,
    /// Which columns of a profile (version 3).
    pub columns: Option<Value>,
}

structure! {
    /// Where a push goes.
    PushDestination {
        /// How it travels.
        transport_service: PushTransport,
        /// The address there: host and port, telephone number, …
        destination: Octets,
        /// How it is coded.
        message: PushMessage,
    }
}

structure! {
    /// When a push may be sent; parts that repeat are open.
    CommunicationWindow {
        /// From.
        start_time: Option<DateTime>,
        /// To.
        end_time: Option<DateTime>,
    }
}

/// How long a meter waits before it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepetitionDelay {
    /// Always so many seconds (versions 0 and 1).
    Seconds(u16),
    /// Longer each time (version 2 and later).
    Growing {
        /// Seconds at first.
        min: u16,
        /// Hundredths that a wait is multiplied by for the next.
        exponent: u16,
        /// Seconds at most.
        max: u16,
    },
}

codes! {
    /// How a push travels; 200 and above are makers' own.
    PushTransport {
        /// TCP.
        TCP = 0 "TCP",
        /// UDP.
        UDP = 1 "UDP",
        /// FTP.
        FTP = 2 "FTP",
        /// Mail.
        SMTP = 3 "SMTP",
        /// Short message.
        SMS = 4 "SMS",
        /// HDLC.
        HDLC = 5 "HDLC",
        /// M-Bus.
        MBUS = 6 "M-Bus",
        /// ZigBee.
        ZIGBEE = 7 "ZigBee",
        /// Through a gateway.
        GATEWAY = 8 "DLMS gateway",
    }
}

codes! {
    /// How a push is coded; 128 and above are makers' own.
    PushMessage {
        /// As an APDU.
        A_XDR = 0 "A-XDR",
        /// As XML.
        XML = 1 "XML",
    }
}

codes! {
    /// What is done about a lost push.
    PushOperation {
        /// It is sent again when sending failed.
        RETRY_ON_FAILURE = 0 "unconfirmed, retry on failure of the lower layer",
        /// It is sent again when the lower layer does not confirm it.
        RETRY_ON_MISSING = 1 "unconfirmed, retry on missing confirmation of the lower layer",
        /// It is sent again until the client confirms it.
        CONFIRMED = 2 "confirmed, retry on missing confirmation of the client",
    }
}

impl PushSetup {
    /// Pushes now.
    #[must_use]
    pub const fn push(self) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::Integer(0))
    }
}

impl FromValue for PushObject {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        let mut fields = Fields::of(value)?;
        Ok(Self {
            class_id: fields.next("class_id")?,
            logical_name: fields.next("logical_name")?,
            attribute_index: fields.next("attribute_index")?,
            data_index: fields.next("data_index")?,
            restriction: fields.later("restriction")?,
            columns: fields.later("columns")?,
        })
    }
}

impl FromValue for RepetitionDelay {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        if value.as_elements().is_none() {
            return u16::from_value(value).map(Self::Seconds);
        }
        let mut fields = Fields::of(value)?;
        let min = fields.next("repetition_delay_min")?;
        let exponent = fields.next("repetition_delay_exponent")?;
        Ok(Self::Growing { min, exponent, max: fields.next("repetition_delay_max")? })
    }
}
