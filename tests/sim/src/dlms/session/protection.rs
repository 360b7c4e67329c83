//! Ciphering of APDUs (IEC 62056-5-3, 5.7): global and dedicated keys, service-specific and general.

use super::{Session, Unread, Wrapping, pdu_bytes_max};
use crate::dlms::crypt::{BROADCAST, Control, Sealing, TAG_BYTES};
use crate::dlms::meter::Meter;
use crate::dlms::value::{take_array, take_byte, write_length};

/// What service-specific ciphering adds to an APDU, at most: tag, length, control, counter, authentication.
const SERVICE_BYTES: u16 = 1 + 3 + 5 + 12;
/// What general ciphering adds to that: the title.
const TITLE_BYTES: u16 = 9;
/// The least room that an answer's content has, however short the APDUs are.
const ROOM_BYTES_MIN: u16 = 8;

impl Session {
    /// Whether a service without ciphering is refused.
    pub(super) fn must_be_protected(&self, meter: &Meter) -> bool {
        self.ciphered && meter.config.policy & 0x0C != 0
    }

    /// Bytes that an answer may have before it is ciphered.
    pub(super) fn room(&self, meter: &Meter, wrapping: Option<Wrapping>) -> usize {
        let bytes = self.client_bytes_max.min(meter.config.faults.pdu_bytes_max.unwrap_or(u16::MAX));
        let around = match wrapping {
            None => 0,
            Some(wrapping) if wrapping.general || meter.config.general_ciphering => SERVICE_BYTES + TITLE_BYTES,
            Some(_) => SERVICE_BYTES,
        };
        bytes.saturating_sub(around).max(ROOM_BYTES_MIN).into()
    }

    /// Opens what stands behind a ciphered APDU's length.
    pub(super) fn unprotect(
        &mut self,
        meter: &mut Meter,
        sealed: &[u8],
        dedicated: bool,
        general: bool,
    ) -> Result<(Vec<u8>, Wrapping), Unread> {
        let mut rest = sealed;
        let control = Control(take_byte(&mut rest).ok_or(Unread::Broken)?);
        let counter = take_array(&mut rest).map(u32::from_be_bytes).ok_or(Unread::Broken)?;
        let keys = &meter.config.keys;
        let key = match &self.dedicated_key {
            Some(key) if dedicated => key,
            None if dedicated => return Err(Unread::WrongKey),
            _ if control.0 & BROADCAST != 0 => &keys.broadcast,
            _ => &keys.unicast,
        };
        if control.suite() != meter.config.suite || !self.policy_holds(meter, control) {
            return Err(Unread::WrongKey);
        }
        let last = if dedicated { self.dedicated_counter } else { Some(meter.config.client_counter) };
        if let Some(last) = last
            && counter <= last
        {
            meter.counters_refused = meter.counters_refused.saturating_add(1);
            return Err(Unread::Counter(last.saturating_add(1)));
        }
        let title = &self.client_title;
        let sealing = Sealing { key, authentication_key: &keys.authentication, title, counter, control };
        let plain = sealing.open(rest).ok_or(Unread::WrongKey)?;
        if dedicated {
            self.dedicated_counter = Some(counter);
        } else {
            meter.config.client_counter = counter;
        }
        Ok((plain, Wrapping { control, dedicated, general }))
    }

    /// Whether a request is protected as the policy asks.
    fn policy_holds(&self, meter: &Meter, control: Control) -> bool {
        let policy = meter.config.policy;
        (policy & 0x04 == 0 || control.is_authenticated()) && (policy & 0x08 == 0 || control.is_encrypted())
    }

    /// Ciphers an answer as its request was, and as the policy asks.
    pub(super) fn protect(&self, meter: &mut Meter, plain: &[u8], wrapping: Wrapping) -> Option<Vec<u8>> {
        let general = wrapping.general || meter.config.general_ciphering;
        let tag = match (general, wrapping.dedicated) {
            (true, false) => 0xDB,
            (true, true) => 0xDC,
            (false, false) => plain.first()? | 0x08,
            (false, true) => plain.first()? | 0x10,
        };
        let mut out = vec![tag];
        if general {
            out.push(8);
            out.extend(meter.config.system_title);
        }
        let key = self.dedicated_key.clone().filter(|_| wrapping.dedicated);
        out.extend(sealed(meter, plain, wrapping.control, key.as_deref())?);
        Some(out)
    }

    /// Whether the client proposes APDUs of a size that can be.
    pub(super) fn agreed_bytes(meter: &Meter, proposed: u16) -> u16 {
        let proposed = if proposed == 0 { u16::MAX } else { proposed };
        if meter.config.faults.pdu_bytes_max.is_some() { proposed.min(pdu_bytes_max(meter)) } else { proposed }
    }
}

/// Length, control, counter, text and tag of what the meter says under its own counter.
pub(in crate::dlms) fn sealed(
    meter: &mut Meter,
    plain: &[u8],
    control: Control,
    dedicated: Option<&[u8]>,
) -> Option<Vec<u8>> {
    if !meter.config.faults.repeats_counter {
        meter.own_counter = meter.own_counter.saturating_add(1);
    }
    let policy = meter.config.policy;
    let control =
        Control(control.0 | if policy & 0x20 != 0 { 0x10 } else { 0 } | if policy & 0x40 != 0 { 0x20 } else { 0 });
    let keys = &meter.config.keys;
    let unicast = if control.0 & BROADCAST != 0 { &keys.broadcast } else { &keys.unicast };
    let sealing = Sealing {
        key: dedicated.unwrap_or(unicast),
        authentication_key: &keys.authentication,
        title: &meter.config.system_title,
        counter: meter.own_counter,
        control,
    };
    let text = sealing.seal(plain)?;
    debug_assert!(text.len() <= plain.len() + TAG_BYTES);
    let mut out = Vec::with_capacity(text.len() + 10);
    write_length(text.len() + 5, &mut out);
    out.push(control.0);
    out.extend(meter.own_counter.to_be_bytes());
    out.extend(text);
    Some(out)
}
