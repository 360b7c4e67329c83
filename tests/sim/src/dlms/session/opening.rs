//! Opening an association (IEC 62056-5-3, 5.2, 6.2): who may, and the four passes of HLS.

use super::protection::sealed;
use super::{Session, State, Unread, Wrapping, pdu_bytes_max, unread};
use crate::dlms::acse::{self, Aare, Aarq, Initiate, initiate_error, initiate_response};
use crate::dlms::config::{Mechanism, PUBLIC_CLIENT};
use crate::dlms::crypt::{AUTHENTICATED, Challenge, Control, Sealing, TAG_BYTES, public_point};
use crate::dlms::meter::Meter;
use crate::dlms::object::{Reference, access, refusal};
use crate::dlms::value::{Value, take_array, take_byte, take_octets};
use crate::live::Dice;
use std::time::Duration;

/// Reasons of an initiate error.
const DLMS_VERSION_TOO_LOW: u8 = 1;
const INCOMPATIBLE_CONFORMANCE: u8 = 2;
const PDU_SIZE_TOO_SHORT: u8 = 3;
/// The shortest APDU with which anything can be said.
const PDU_BYTES_MIN: u16 = 12;
const DLMS_VERSION: u8 = 6;

impl Session {
    /// Answers an AARQ; `rest` follows its tag.
    pub(super) fn open(&mut self, meter: &mut Meter, rest: &[u8], at: Duration) -> Option<Vec<u8>> {
        self.close();
        let aarq = Aarq::read(rest)?;
        self.client_title.clone_from(&aarq.title);
        self.ciphered = aarq.context == 3;
        let refused = |reason, user| refusal_of(&aarq, reason, user);
        // Where requests must be protected, a context without ciphering is none.
        let must_cipher = self.client != PUBLIC_CLIENT && meter.config.policy & 0x0C != 0;
        if !matches!(aarq.context, 1 | 3) || must_cipher && aarq.context != 3 {
            return Some(refused(acse::CONTEXT_NOT_SUPPORTED, Vec::new()));
        }
        if let Err(reason) = self.admit(meter, &aarq) {
            return Some(refused(reason, Vec::new()));
        }
        let (initiate, wrapping) = match self.initiate(meter, &aarq) {
            Ok(opened) => opened,
            Err(Unread::Broken) => return Some(refused(acse::NO_REASON, Vec::new())),
            Err(reason) => {
                self.close();
                return unread(meter, reason);
            }
        };
        self.conformance = initiate.conformance & meter.config.conformance;
        let lacking = match initiate {
            _ if initiate.version < DLMS_VERSION => Some(DLMS_VERSION_TOO_LOW),
            _ if self.conformance == 0 => Some(INCOMPATIBLE_CONFORMANCE),
            _ if (1..PDU_BYTES_MIN).contains(&initiate.pdu_bytes_max) => Some(PDU_SIZE_TOO_SHORT),
            _ => None,
        };
        if let Some(reason) = lacking {
            self.close();
            return Some(refused(acse::NO_REASON, initiate_error(reason)));
        }
        self.client_bytes_max = Self::agreed_bytes(meter, initiate.pdu_bytes_max);
        self.dedicated_key = initiate.dedicated_key;
        self.opening_counter = wrapping.map(|_| meter.config.client_counter);
        Some(self.accepted(meter, &aarq, wrapping, at))
    }

    fn accepted(&mut self, meter: &mut Meter, aarq: &Aarq, wrapping: Option<Wrapping>, at: Duration) -> Vec<u8> {
        let plain = initiate_response(self.conformance, pdu_bytes_max(meter));
        let user = match wrapping {
            None => plain,
            Some(wrapping) => {
                let mut user =
                    if wrapping.general { [&[0xDB, 8], &meter.config.system_title[..]].concat() } else { vec![0x28] };
                user.extend(sealed(meter, &plain, wrapping.control, None).unwrap_or_default());
                user
            }
        };
        let challenge = self.mechanism.is_high().then(|| {
            let bytes = if self.mechanism == Mechanism::Ecdsa { 32 } else { 16 };
            let to_client = challenge(meter, at, bytes);
            self.state = State::Challenged { to_client: to_client.clone(), to_meter: aarq.authentication.clone() };
            (self.mechanism.code(), to_client)
        });
        if challenge.is_none() {
            self.state = State::Open;
        }
        let titled = self.ciphered || self.mechanism.is_high();
        let reason = if challenge.is_some() { acse::AUTHENTICATION_REQUIRED } else { 0 };
        let title = titled.then(|| meter.config.system_title.to_vec());
        Aare { context: aarq.context, result: acse::ACCEPTED, reason, title, challenge, user }.bytes()
    }

    /// Whether this client may come in this way.
    fn admit(&mut self, meter: &Meter, aarq: &Aarq) -> Result<(), u8> {
        let wanted = match self.client {
            PUBLIC_CLIENT => Mechanism::None,
            client if client == meter.config.client => meter.config.mechanism,
            _ => return Err(acse::NO_REASON),
        };
        self.mechanism = wanted;
        match aarq.mechanism {
            None | Some(0) if wanted != Mechanism::None => Err(acse::MECHANISM_REQUIRED),
            told if told.unwrap_or_default() != wanted.code() => Err(acse::MECHANISM_NOT_RECOGNISED),
            _ if wanted == Mechanism::Lls && aarq.authentication != meter.config.password => {
                Err(acse::AUTHENTICATION_FAILURE)
            }
            _ if wanted.is_high() && aarq.authentication.is_empty() => Err(acse::AUTHENTICATION_FAILURE),
            _ => Ok(()),
        }
    }

    /// What the client proposes, out of its ciphering if it has one.
    fn initiate(&mut self, meter: &mut Meter, aarq: &Aarq) -> Result<(Initiate, Option<Wrapping>), Unread> {
        let mut rest = aarq.user.as_slice();
        let general = match rest.first() {
            Some(0x21) => false,
            Some(0xDB) => true,
            _ if self.must_be_protected(meter) => return Err(Unread::Broken),
            _ => return Ok((Initiate::read(rest).ok_or(Unread::Broken)?, None)),
        };
        take_byte(&mut rest);
        if general {
            take_octets(&mut rest).ok_or(Unread::Broken)?;
        }
        let sealed = take_octets(&mut rest).ok_or(Unread::Broken)?;
        let (plain, wrapping) = self.unprotect(meter, sealed, false, general)?;
        Ok((Initiate::read(&plain).ok_or(Unread::Broken)?, Some(wrapping)))
    }

    /// A release may have a ciphered initiate-request, whose counter counts.
    pub(super) fn count_release(&mut self, meter: &mut Meter, rest: &[u8]) {
        if let Some(release) = Aarq::read(rest) {
            // Released it is, whatever stands in there.
            let _counted = self.initiate(meter, &release);
        }
    }

    /// The client's answer to the challenge, as a method of the association object; and the meter's to the
    /// client's.
    pub(super) fn reply_to_hls(
        &mut self,
        meter: &mut Meter,
        reference: Reference,
        parameter: Option<&Value>,
    ) -> Result<Option<Value>, u8> {
        let State::Challenged { to_client, to_meter } = self.state.clone() else { return Err(refusal::OTHER) };
        let expected = Reference { class: 15, name: access::ASSOCIATION, index: 1 };
        let answered = parameter.and_then(Value::octets).filter(|_| reference == expected);
        let proof = answered.and_then(|answer| self.prove(meter, answer, &to_client, &to_meter));
        match proof {
            Some(proof) => {
                self.state = State::Open;
                Ok(Some(Value::Octets(proof)))
            }
            None => {
                self.state = State::Idle;
                Err(refusal::DENIED)
            }
        }
    }

    fn prove(&self, meter: &mut Meter, answer: &[u8], to_client: &[u8], to_meter: &[u8]) -> Option<Vec<u8>> {
        if self.mechanism == Mechanism::Gmac {
            return self.prove_by_gmac(meter, answer, to_client, to_meter);
        }
        let config = &meter.config;
        let clients = Challenge {
            secret: &config.hls_secret,
            own_title: &self.client_title,
            peer_title: &config.system_title,
            asked: to_client,
            other: to_meter,
        };
        let meters = Challenge {
            own_title: &config.system_title,
            peer_title: &self.client_title,
            asked: to_meter,
            other: to_client,
            ..clients
        };
        if self.mechanism == Mechanism::Ecdsa {
            let public = public_point(&config.client_signing_key);
            return clients.is_signed(&public, answer).then(|| meters.sign(&config.signing_key))?;
        }
        (clients.digest(self.mechanism)? == answer).then(|| meters.digest(self.mechanism))?
    }

    fn prove_by_gmac(&self, meter: &mut Meter, answer: &[u8], to_client: &[u8], to_meter: &[u8]) -> Option<Vec<u8>> {
        let mut rest = answer;
        let control = Control(take_byte(&mut rest)?);
        let counter = u32::from_be_bytes(take_array(&mut rest)?);
        // The counter moves on from the opening's; that of the APDU around this was checked already.
        let least = self.opening_counter.unwrap_or(meter.config.client_counter);
        if control.0 != AUTHENTICATED | meter.config.suite || rest.len() != TAG_BYTES || counter <= least {
            return None;
        }
        meter.own_counter = meter.own_counter.saturating_add(1);
        let keys = &meter.config.keys;
        let clients = Sealing {
            key: &keys.unicast,
            authentication_key: &keys.authentication,
            title: &self.client_title,
            counter,
            control,
        };
        clients.open(&[to_client, rest].concat())?;
        let own = Sealing { title: &meter.config.system_title, counter: meter.own_counter, ..clients };
        let sealed = own.seal(to_meter)?;
        let tag = sealed.get(to_meter.len()..)?;
        let proof = [&[control.0], &meter.own_counter.to_be_bytes()[..], tag].concat();
        meter.config.client_counter = meter.config.client_counter.max(counter);
        Some(proof)
    }
}

fn refusal_of(aarq: &Aarq, reason: u8, user: Vec<u8>) -> Vec<u8> {
    let context = if matches!(aarq.context, 1 | 3) { aarq.context } else { 1 };
    Aare { context, result: acse::REJECTED, reason, title: None, challenge: None, user }.bytes()
}

/// A challenge that does not come again: drawn from the seed, the counter and the instant.
fn challenge(meter: &Meter, at: Duration, bytes: usize) -> Vec<u8> {
    let nanos = u64::try_from(at.as_nanos()).unwrap_or_default();
    let mut dice = Dice(meter.config.seed ^ nanos.rotate_left(17) ^ u64::from(meter.own_counter));
    (0..bytes.div_ceil(8)).flat_map(|_| dice.roll().to_be_bytes()).take(bytes).collect()
}
