//! Meters behind the meter: M-Bus client (class 72).

use super::attribute::{Call, interface};
use super::read::{Octets, codes, structure};
use crate::axdr::Value;
use alloc::vec::Vec;
use plomb_session::Obis;

interface! {
    /// M-Bus client: one M-Bus meter that this meter reads (IEC 62056-6-2 §5.8.3).
    MbusClient = 72 "M-Bus client"
    attributes {
        /// The port it is on.
        mbus_port_reference = 2: Option<Obis>,
        /// Which records are captured.
        capture_definition = 3: Vec<CaptureDefinition>,
        /// Seconds between two captures.
        capture_period = 4: u32,
        /// Its primary address; 0 where none is assigned.
        primary_address = 5: u8,
        /// Its identification number, as it was sent: eight digits in BCD with most makers, a plain number with some.
        identification_number = 6: u32,
        /// Its maker, as in M-Bus.
        manufacturer_id = 7: u16,
        /// Its version, as in M-Bus.
        version = 8: u8,
        /// Its medium, as in M-Bus.
        device_type = 9: u8,
        /// The access number of its last answer.
        access_number = 10: u8,
        /// The status of its last answer.
        status = 11: u8,
        /// The alarm that it raised.
        alarm = 12: u8,
        /// The configuration field of its last answer (version 1).
        configuration = 13: u16,
        /// Whether its answers are encrypted (version 1).
        encryption_key_status = 14: MbusKeyStatus,
    }
    methods {
        slave_install = 1,
        slave_deinstall = 2,
        capture = 3,
        reset_alarm = 4,
        synchronize_clock = 5,
        data_send = 6,
        set_encryption_key = 7,
        transfer_key = 8,
    }
}

structure! {
    /// A record that is captured.
    CaptureDefinition {
        /// DIF and DIFEs.
        data_information_block: Octets,
        /// VIF and VIFEs.
        value_information_block: Octets,
    }
}

codes! {
    /// Whether a meter's answers are encrypted.
    MbusKeyStatus {
        /// There is no key.
        NO_KEY = 0 "no encryption key",
        /// This meter has the key.
        SET = 1 "encryption key set",
        /// The other meter has it.
        TRANSFERRED = 2 "encryption key transferred",
        /// Both have it.
        SET_AND_TRANSFERRED = 3 "encryption key set and transferred",
        /// Answers are encrypted.
        IN_USE = 4 "encryption key in use",
    }
}

impl MbusClient {
    /// Looks for the meter and gives it a primary address.
    #[must_use]
    pub const fn slave_install(self, primary_address: u8) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::Unsigned(primary_address))
    }

    /// Forgets the meter.
    #[must_use]
    pub const fn slave_deinstall(self) -> Call {
        Call::new(Self::CLASS, self.0, 2, Value::Integer(0))
    }

    /// Reads the meter now.
    #[must_use]
    pub const fn capture(self) -> Call {
        Call::new(Self::CLASS, self.0, 3, Value::Integer(0))
    }

    /// Forgets the alarm.
    #[must_use]
    pub const fn reset_alarm(self) -> Call {
        Call::new(Self::CLASS, self.0, 4, Value::Integer(0))
    }

    /// Sets the meter's clock by this meter's.
    #[must_use]
    pub const fn synchronize_clock(self) -> Call {
        Call::new(Self::CLASS, self.0, 5, Value::Integer(0))
    }
}
