use super::address::Address;
use super::config::HdlcConfig;
use super::frame::FrameError;
use crate::link::{LinkFailure, Stage};

/// More noise than this for each damaged header, and the headers are noise, too.
const NOISE_BYTES_PER_HEADER: u64 = 16;

/// What came instead of an answer since the question was first asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    pub(super) echo: bool,
    pub(super) swapped: bool,
    pub(super) other: Option<Address>,
    pub(super) damaged: u32,
    /// Of these, frames whose header was right: no noise looks like that.
    pub(super) recognised: u32,
    pub(super) last_damage: Option<FrameError>,
    pub(super) out_of_turn: u32,
    /// The deframer's count when the question was asked.
    pub(super) noise_before: u64,
}

impl Heard {
    pub(super) const fn damage(&mut self, error: FrameError, header_is_right: bool) {
        self.damaged = self.damaged.saturating_add(1);
        if header_is_right {
            self.recognised = self.recognised.saturating_add(1);
        }
        self.last_damage = Some(error);
    }

    /// What all tries together say. What points to one cause goes before what points to none.
    pub(super) fn judge(&self, config: &HdlcConfig, stage: Stage, noise_bytes: u64) -> LinkFailure {
        let noise = noise_bytes.saturating_sub(self.noise_before);
        // In long noise some bytes look like a header.
        let frames_came = self.recognised > 0 || noise < NOISE_BYTES_PER_HEADER.saturating_mul(self.damaged.into());
        match (self.other, self.last_damage) {
            (_, Some(last)) if frames_came => LinkFailure::Damaged { frames: self.damaged, last },
            _ if self.swapped => LinkFailure::SwappedAddresses,
            (Some(got), _) => LinkFailure::WrongAddress { expected: config.server, got },
            _ if noise > 0 => LinkFailure::Garbage { bytes: noise },
            _ if self.out_of_turn > 1 => LinkFailure::Sequence { frames: self.out_of_turn },
            _ => LinkFailure::Silence { stage, echo: self.echo },
        }
    }
}
