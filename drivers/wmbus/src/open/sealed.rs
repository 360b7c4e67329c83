//! Decryption and authentication of one message.

use crate::afl::{Afl, Authentication, KeyInformation};
use crate::cipher::{self, BLOCK_BYTES};
use crate::key::{Key, cmac};
use crate::link::address;
use crate::open::OpenError;
use crate::security::{Counters, MessageCounter};
use crate::transport::{SecurityMode, Transport};
use aes::Aes128;
use alloc::vec::Vec;
use plomb_mbus::MeterId;

/// What the plaintext of modes 5 and 7 begins with.
pub(super) const CHECK_BYTES: [u8; 2] = [0x2F, 0x2F];

/// An encrypted or authenticated message and its key.
pub(super) struct Sealed<'s> {
    pub(super) key: &'s Key,
    pub(super) meter: MeterId,
    pub(super) transport: &'s Transport<'s>,
    pub(super) afl: Option<&'s Afl<'s>>,
    pub(super) encrypted: usize,
}

impl Sealed<'_> {
    pub(super) fn mode_5(&self, out: &mut [u8]) -> Result<(), OpenError> {
        let access = self.transport.header.access().unwrap_or_default();
        let iv = cipher::iv_of_mode_5(self.meter, access);
        self.cbc(self.key.cipher(), iv, out)
    }

    fn cbc(&self, cipher: &Aes128, iv: [u8; BLOCK_BYTES], out: &mut [u8]) -> Result<(), OpenError> {
        cipher::cbc_decrypt(cipher, iv, out.get_mut(..self.encrypted).unwrap_or_default());
        match out.first_chunk() {
            Some(&CHECK_BYTES) => Ok(()),
            _ => Err(OpenError::KeyWrong { check: "2F2F" }),
        }
    }

    /// A message with a MAC in its AFL.
    pub(super) fn authenticated(
        &self,
        counters: &Counters,
        out: &mut [u8],
    ) -> Result<Option<MessageCounter>, OpenError> {
        let mode = self.transport.header.mode();
        let Some((afl, mac)) = self.afl.and_then(|afl| Some((afl, afl.mac?))) else {
            return Err(OpenError::MacMissing { mode });
        };
        let counter = afl.counter.or(self.transport.counter).ok_or(OpenError::CounterMissing { mode })?;
        let control = afl.message_control.map_or(0, |control| control.0);
        match Authentication::from_code(control & 0x0F) {
            Authentication::Cmac(bytes) if usize::from(bytes) == mac.len() => {}
            // The last fragment of a message brings fewer bytes than its first announced.
            Authentication::Cmac(_) => return Err(OpenError::MacFailed { key_fits: None }),
            other => return Err(OpenError::MacUnsupported(other)),
        }
        let derivation = match mode {
            SecurityMode::AES_CBC_DERIVED => self.transport.extension.derivation(),
            _ => afl.key.map_or(0, KeyInformation::derivation),
        };
        if derivation != 1 {
            return Err(OpenError::DerivationUnsupported { derivation });
        }
        let length = afl.length.map(u16::to_le_bytes);
        let length = length.as_ref().map_or(&[][..], |length| length);
        let kmac = self.derive(0x01, counter);
        let expected = cmac(&kmac, &[&[control], &counter.to_le_bytes(), length, self.transport.message]);
        let right = same(expected.get(..mac.len()).unwrap_or_default(), mac);
        let opened = match mode {
            SecurityMode::AES_CBC_DERIVED if self.encrypted > 0 => {
                self.cbc(&self.derive(0x00, counter), [0; BLOCK_BYTES], out)
            }
            SecurityMode::AES_CBC if self.encrypted > 0 => self.mode_5(out),
            _ => Ok(()),
        };
        if !right {
            // Both wrong: a key that was never this meter's, which whoever typed it should be told.
            return Err(match opened {
                Err(_) => OpenError::KeyWrong { check: "the MAC, and 2F2F" },
                Ok(()) => OpenError::MacFailed { key_fits: Some(true).filter(|_| self.encrypted > 0) },
            });
        }
        opened?;
        let counted = self.count(counter, counters)?;
        // A mark that sixteen guessed bits could move would let anyone silence the meter.
        Ok(Some(counted).filter(|_| mac.len() > 2 || self.encrypted > 0))
    }

    pub(super) fn mode_10(&self, counters: &Counters, out: &mut Vec<u8>) -> Result<Option<MessageCounter>, OpenError> {
        let Transport { extension, counter, associated, .. } = *self.transport;
        let counter = counter.ok_or(OpenError::CounterMissing { mode: SecurityMode::AES_CCM })?;
        if extension.derivation() != 1 {
            return Err(OpenError::DerivationUnsupported { derivation: extension.derivation() });
        }
        let failed = OpenError::MacFailed { key_fits: None };
        let (cut, tag) = out.split_last_chunk().map(|(plain, tag)| (plain.len(), *tag)).ok_or(failed)?;
        out.truncate(cut);
        let nonce = cipher::nonce_of_mode_10(self.meter, counter);
        if !cipher::ccm_decrypt(self.derive(0x00, counter), nonce, associated, out, tag) {
            return Err(failed);
        }
        self.count(counter, counters).map(Some)
    }

    fn derive(&self, use_code: u8, counter: u32) -> Aes128 {
        let [_, _, id @ .., _, _] = address(self.meter);
        self.key.derive(use_code, counter, id)
    }

    /// Refuses a counter that is not above the last. The window is zero: radio reorders nothing.
    fn count(&self, received: u32, counters: &Counters) -> Result<MessageCounter, OpenError> {
        match counters.last(self.key.tag()) {
            Some(last) if received <= last => Err(OpenError::CounterRepeated { received, last }),
            _ => Ok(MessageCounter { key: self.key.tag(), value: received }),
        }
    }
}

/// Compares in a time that does not depend on where two codes differ.
fn same(expected: &[u8], received: &[u8]) -> bool {
    expected.len() == received.len()
        && expected.iter().zip(received).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
        && !expected.is_empty()
}
