//! Wired frames.

use plomb_gateway::normalise::mbus::{NormaliseError, record_of};
use plomb_mbus::{Body, Control, Decoded, Frame, TelegramError};

use super::told::{Link, Told, Wrong};

/// Where the CI field of a long frame is.
const CI_OFFSET: usize = 6;

/// Whether bytes look like a wired frame: nothing on the air begins so, but by a length that is none.
pub(super) fn is_wired(bytes: &[u8]) -> bool {
    match bytes {
        [0xE5] | [0x10, _, _, _, 0x16] => true,
        [0x68, length, again, 0x68, ..] => length == again || bytes.last() == Some(&0x16),
        _ => false,
    }
}

/// What a wired frame says. `None`: it is encrypted.
pub(super) fn tell(bytes: &[u8]) -> Result<Option<Told>, Wrong<'static>> {
    match Frame::parse_whole(bytes).map_err(|error| telegram_wrong(&error.into()))? {
        Frame::Ack => Ok(Some(Told { frame: Link::Ack, ..Told::default() })),
        Frame::Short { control, address } => {
            Ok(Some(Told { frame: Link::Short(control, address.0), ..Told::default() }))
        }
        Frame::Long { control, address, ci, payload } => {
            let frame = Link::Long(control, address.0, ci);
            if payload.is_empty() && !matches!(control, Control::RspUd { .. }) {
                // A control frame of the master.
                return Ok(Some(Told { frame, ..Told::default() }));
            }
            Ok(match plomb_mbus::decode(bytes) {
                Ok(decoded) => Some(long(frame, &decoded, bytes)),
                Err(TelegramError::Encrypted { .. }) => None,
                Err(error) => Some(Told { frame, wrong: Some(telegram_wrong(&error)), ..Told::default() }),
            })
        }
    }
}

fn long(frame: Link, decoded: &Decoded<'_>, bytes: &[u8]) -> Told {
    let wrong = decoded.error.map(|error| Wrong::new("record", error.to_string(), error.offset()));
    match record_of(decoded, bytes) {
        Ok(record) => {
            Told { frame, record: Some(record), more: decoded.telegram.more_follows(), wrong, ..Told::default() }
        }
        Err(NormaliseError::Refused(said)) => Told { frame, said: Some(said), ..Told::default() },
        Err(error) => match (&decoded.telegram.body, decoded.telegram.control) {
            // What a master sends carries no values, whatever its CI.
            (Body::Unknown(_), control) if !matches!(control, Control::RspUd { .. }) => {
                Told { frame, ..Told::default() }
            }
            _ => {
                let wrong = Wrong::new("unsupported", error.to_string(), CI_OFFSET);
                Told { frame, wrong: Some(wrong), ..Told::default() }
            }
        },
    }
}

fn telegram_wrong(error: &TelegramError) -> Wrong<'static> {
    Wrong::new(error.kind(), error.to_string(), error.offset())
}
