//! The switch in the supply: disconnect control (class 70), and the limiter (class 71) that may open it.

use super::attribute::{Call, interface};
use super::read::{codes, structure};
use super::script::ScriptSelection;
use crate::axdr::{DateTime, Value};
use alloc::vec::Vec;
use plomb_session::Obis;

interface! {
    /// Disconnect control (IEC 62056-6-2 §5.5.8).
    DisconnectControl = 70 "disconnect control"
    attributes {
        /// Whether the supply is on: what the switch does.
        output_state = 2: bool,
        /// What the switch is allowed to do.
        control_state = 3: ControlState,
        /// Who may open and close it.
        control_mode = 4: ControlMode,
    }
    methods { remote_disconnect = 1, remote_reconnect = 2, }
}

codes! {
    /// What the switch is allowed to do.
    ControlState {
        /// The supply is off.
        DISCONNECTED = 0 "disconnected",
        /// The supply is on.
        CONNECTED = 1 "connected",
        /// The supply is off until someone at the meter closes the switch.
        READY_FOR_RECONNECTION = 2 "ready for reconnection",
    }
}

codes! {
    /// Who may open and close the switch.
    ControlMode {
        /// Nobody: it is always closed.
        NONE = 0 "always connected",
        /// Open: all. Close: remote makes ready, by hand.
        MODE_1 = 1 "disconnection remote, manual, local; reconnection by hand after remote release",
        /// Open: all. Close: remote, or by hand when ready.
        MODE_2 = 2 "disconnection remote, manual, local; reconnection remote or by hand",
        /// Open: remote, local. Close: remote makes ready, by hand.
        MODE_3 = 3 "disconnection remote, local; reconnection by hand after remote release",
        /// Open: remote, local. Close: remote, or by hand when ready.
        MODE_4 = 4 "disconnection remote, local; reconnection remote or by hand",
        /// As mode 1, and the meter may close it itself when ready.
        MODE_5 = 5 "disconnection remote, manual, local; reconnection by hand or local after remote release",
        /// As mode 3, and the meter may close it itself when ready.
        MODE_6 = 6 "disconnection remote, local; reconnection by hand or local after remote release",
    }
}

interface! {
    /// Limiter: acts when a value stays above or below a threshold (§5.5.9).
    Limiter = 71 "limiter"
    attributes {
        /// What is watched.
        monitored_value = 2: MonitoredValue,
        /// The threshold that holds, in the watched value's own scale.
        threshold_active = 3: Value,
        /// The threshold of normal times.
        threshold_normal = 4: Value,
        /// The threshold of emergencies.
        threshold_emergency = 5: Value,
        /// Seconds above the threshold until it acts.
        min_over_threshold_duration = 6: u32,
        /// Seconds below the threshold until it acts.
        min_under_threshold_duration = 7: u32,
        /// When there is an emergency.
        emergency_profile = 8: EmergencyProfile,
        /// The emergencies that concern this meter.
        emergency_profile_group_id_list = 9: Vec<u16>,
        /// Whether there is an emergency now.
        emergency_profile_active = 10: bool,
        /// What it does.
        actions = 11: LimiterActions,
    }
    methods {}
}

structure! {
    /// An attribute that is watched.
    MonitoredValue {
        /// The object's class.
        class_id: u16,
        /// The object.
        logical_name: Obis,
        /// The attribute.
        attribute_index: i8,
    }
}

structure! {
    /// An emergency.
    EmergencyProfile {
        /// Its number.
        emergency_profile_id: u16,
        /// When it begins; `None` for never.
        emergency_activation_time: Option<DateTime>,
        /// How many seconds it lasts.
        emergency_duration: u32,
    }
}

structure! {
    /// What a limiter does.
    LimiterActions {
        /// Above the threshold.
        action_over_threshold: ScriptSelection,
        /// Below it.
        action_under_threshold: ScriptSelection,
    }
}

impl DisconnectControl {
    /// Cuts the supply.
    #[must_use]
    pub const fn remote_disconnect(self) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::Integer(0))
    }

    /// Gives the supply back, or allows that it is given back:
    /// [`ControlMode::closes_remotely`] says which.
    #[must_use]
    pub const fn remote_reconnect(self) -> Call {
        Call::new(Self::CLASS, self.0, 2, Value::Integer(0))
    }
}

impl ControlMode {
    /// Whether a remote reconnection closes the switch. Where it doesn't, it makes the switch ready, and someone at the
    /// meter closes it: a state of "ready for reconnection" is then success. `None` for an unknown mode.
    #[must_use]
    pub const fn closes_remotely(self) -> Option<bool> {
        match self {
            Self::MODE_2 | Self::MODE_4 => Some(true),
            Self::MODE_1 | Self::MODE_3 | Self::MODE_5 | Self::MODE_6 => Some(false),
            // Nothing to close: it is never open.
            Self::NONE => Some(true),
            Self(_) => None,
        }
    }

    /// Whether a remote disconnection opens the switch. `None` for an unknown mode.
    #[must_use]
    pub const fn opens_remotely(self) -> Option<bool> {
        match self.0 {
            0 => Some(false),
            1..=6 => Some(true),
            _ => None,
        }
    }
}
