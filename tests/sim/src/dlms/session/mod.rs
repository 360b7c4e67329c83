//! One association of a client: opening it, its protection, its services.

mod block;
mod general;
mod opening;
mod protection;
mod service;

use super::acse;
use super::config::Mechanism;
use super::crypt::Control;
use super::meter::{Meter, Standing};
use super::value::{take_byte, take_octets};
use block::Long;
use general::Transfer;
pub(super) use protection::sealed;
use std::time::Duration;

/// Exception-response: state-error and service-error (IEC 62056-5-3, 7.3.9).
const SERVICE_NOT_ALLOWED: u8 = 1;
const SERVICE_UNKNOWN: u8 = 2;
const OPERATION_NOT_POSSIBLE: u8 = 1;
const SERVICE_NOT_SUPPORTED: u8 = 2;
const PDU_TOO_LONG: u8 = 4;
const DECIPHERING_ERROR: u8 = 5;
const COUNTER_ERROR: u8 = 6;

/// How far the association is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Idle,
    /// The client has yet to answer the meter's challenge.
    Challenged {
        to_client: Vec<u8>,
        to_meter: Vec<u8>,
    },
    Open,
}

/// An association between one client and the meter's logical device.
#[derive(Debug)]
pub(super) struct Session {
    client: u16,
    state: State,
    mechanism: Mechanism,
    ciphered: bool,
    conformance: u32,
    /// Bytes of an APDU that the client takes.
    client_bytes_max: u16,
    client_title: Vec<u8>,
    dedicated_key: Option<Vec<u8>>,
    dedicated_counter: Option<u32>,
    /// The counter of the client's opening.
    opening_counter: Option<u32>,
    long: Long,
    transfer: Transfer,
}

/// How an APDU came, and how its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wrapping {
    control: Control,
    dedicated: bool,
    /// general-glo-ciphering or general-ded-ciphering, with the title in the APDU.
    general: bool,
}

/// Why a ciphered APDU was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// It is none.
    Broken,
    /// Its tag is wrong.
    WrongKey,
    /// Its counter is not above the last; this is the least that would be.
    Counter(u32),
}

impl Session {
    pub(super) fn new(client: u16) -> Self {
        Self {
            client,
            state: State::Idle,
            mechanism: Mechanism::None,
            ciphered: false,
            conformance: 0,
            client_bytes_max: u16::MAX,
            client_title: Vec::new(),
            dedicated_key: None,
            dedicated_counter: None,
            opening_counter: None,
            long: Long::None,
            transfer: Transfer::default(),
        }
    }

    /// Takes a client's APDU; gives the meter's answer, if it answers.
    fn apdu(&mut self, meter: &mut Meter, apdu: &[u8], at: Duration) -> Option<Vec<u8>> {
        let mut rest = apdu;
        match take_byte(&mut rest)? {
            0x60 => self.open(meter, rest, at),
            0x62 => {
                self.count_release(meter, rest);
                self.close();
                (!meter.config.faults.no_rlre).then(acse::rlre)
            }
            0xC0 | 0xC1 | 0xC3 => {
                // What must be protected and isn't is not heard.
                if self.must_be_protected(meter) {
                    return Some(exception(SERVICE_NOT_ALLOWED, OPERATION_NOT_POSSIBLE));
                }
                self.serve(meter, apdu, None, at)
            }
            tag @ (0xC8 | 0xC9 | 0xCB | 0xD0 | 0xD1 | 0xD3) => {
                let dedicated = tag >= 0xD0;
                let sealed = take_octets(&mut rest)?;
                let opened = self.unprotect(meter, sealed, dedicated, false);
                self.serve_opened(meter, opened, at)
            }
            tag @ (0xDB | 0xDC) => {
                let title = take_octets(&mut rest)?;
                let sealed = take_octets(&mut rest)?;
                if self.client_title.is_empty() {
                    self.client_title = title.to_vec();
                }
                let opened = self.unprotect(meter, sealed, tag == 0xDC, true);
                self.serve_opened(meter, opened, at)
            }
            _ => Some(exception(SERVICE_UNKNOWN, SERVICE_NOT_SUPPORTED)),
        }
    }

    /// Ends the association.
    pub(super) fn close(&mut self) {
        *self = Self::new(self.client);
    }

    fn serve_opened(
        &mut self,
        meter: &mut Meter,
        opened: Result<(Vec<u8>, Wrapping), Unread>,
        at: Duration,
    ) -> Option<Vec<u8>> {
        match opened {
            Ok((plain, wrapping)) => self.serve(meter, &plain, Some(wrapping), at),
            Err(reason) => unread(meter, reason),
        }
    }

    fn serve(&mut self, meter: &mut Meter, plain: &[u8], wrapping: Option<Wrapping>, at: Duration) -> Option<Vec<u8>> {
        if self.state == State::Idle {
            return Some(exception(SERVICE_NOT_ALLOWED, OPERATION_NOT_POSSIBLE));
        }
        let is_change = matches!(plain.first(), Some(0xC1 | 0xC3)) && !matches!(self.state, State::Challenged { .. });
        if is_change {
            if meter.config.faults.deaf_changes {
                return None;
            }
            meter.changes_heard = meter.changes_heard.saturating_add(1);
            meter.config.faults.silent |= meter.config.faults.dies_at_change;
        }
        let room = self.room(meter, wrapping);
        let Some(answer) = self.service(meter, plain, room, at) else {
            return Some(exception(SERVICE_UNKNOWN, SERVICE_NOT_SUPPORTED));
        };
        if is_change && meter.config.faults.mute_changes {
            return None;
        }
        match wrapping {
            // An exception is not ciphered.
            Some(wrapping) if answer.first() != Some(&0xD8) => self.protect(meter, &answer, wrapping),
            _ => Some(answer),
        }
    }

    fn standing(&self, meter: &Meter) -> Standing {
        Standing {
            client: self.client,
            mechanism: self.mechanism.code(),
            ciphered: self.ciphered,
            conformance: self.conformance,
            send_bytes_max: self.client_bytes_max,
            take_bytes_max: pdu_bytes_max(meter),
        }
    }
}

/// Bytes of an APDU that the meter takes.
fn pdu_bytes_max(meter: &Meter) -> u16 {
    meter.config.faults.pdu_bytes_max.unwrap_or(meter.config.pdu_bytes_max)
}

fn exception(state: u8, service: u8) -> Vec<u8> {
    vec![0xD8, state, service]
}

fn unread(meter: &Meter, reason: Unread) -> Option<Vec<u8>> {
    match reason {
        Unread::Broken => Some(exception(SERVICE_UNKNOWN, OPERATION_NOT_POSSIBLE)),
        Unread::WrongKey => Some(exception(SERVICE_NOT_ALLOWED, DECIPHERING_ERROR)),
        Unread::Counter(_) if meter.config.faults.counter_silence => None,
        Unread::Counter(expected) => {
            let mut answer = exception(SERVICE_NOT_ALLOWED, COUNTER_ERROR);
            answer.extend(expected.to_be_bytes());
            Some(answer)
        }
    }
}
