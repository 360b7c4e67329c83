//! What a meter is made of and runs: SAP assignment (class 17), image transfer (class 18).

use super::attribute::interface;
use super::read::{Octets, codes, structure};
use crate::axdr::BitString;
use alloc::vec::Vec;
use plomb_session::Obis;

interface! {
    /// SAP assignment: the logical devices in a meter (IEC 62056-6-2 §5.4.5), in its management device.
    SapAssignment = 17 "SAP assignment"
    attributes {
        /// The logical devices.
        sap_assignment_list = 2: Vec<LogicalDevice>,
    }
    methods { connect_logical_device = 1, }
}

structure! {
    /// A logical device.
    LogicalDevice {
        /// Its address: upper HDLC address, or wrapper port.
        sap: u16,
        /// Its name, which begins with three letters of its maker.
        logical_device_name: Octets,
    }
}

impl SapAssignment {
    /// Where every management device has it.
    pub const STANDARD: Self = Self(Obis([0, 0, 41, 0, 0, 255]));
}

interface! {
    /// Image transfer: how far a firmware has come (§5.4.6). This project reads it and sends no firmware.
    ImageTransfer = 18 "image transfer"
    attributes {
        /// Bytes of a block.
        image_block_size = 2: u32,
        /// A bit for each block that has arrived.
        image_transferred_blocks_status = 3: BitString,
        /// The first block that hasn't.
        image_first_not_transferred_block_number = 4: u32,
        /// Whether images may be sent.
        image_transfer_enabled = 5: bool,
        /// How far it is.
        image_transfer_status = 6: ImageStatus,
        /// What the image would change.
        image_to_activate_info = 7: Vec<ImageToActivate>,
    }
    methods {
        image_transfer_initiate = 1,
        image_block_transfer = 2,
        image_verify = 3,
        image_activate = 4,
    }
}

structure! {
    /// A part that an image would change.
    ImageToActivate {
        /// Its bytes.
        image_to_activate_size: u32,
        /// What it is.
        image_to_activate_identification: Octets,
        /// Its signature.
        image_to_activate_signature: Option<Octets>,
    }
}

codes! {
    /// How far an image is.
    ImageStatus {
        /// Nothing was begun.
        NOT_INITIATED = 0 "image transfer not initiated",
        /// Blocks arrive.
        INITIATED = 1 "image transfer initiated",
        /// It is being checked.
        VERIFICATION_INITIATED = 2 "image verification initiated",
        /// It is right.
        VERIFICATION_SUCCESSFUL = 3 "image verification successful",
        /// It is wrong.
        VERIFICATION_FAILED = 4 "image verification failed",
        /// It is being put to work.
        ACTIVATION_INITIATED = 5 "image activation initiated",
        /// It works.
        ACTIVATION_SUCCESSFUL = 6 "image activation successful",
        /// It does not.
        ACTIVATION_FAILED = 7 "image activation failed",
    }
}
