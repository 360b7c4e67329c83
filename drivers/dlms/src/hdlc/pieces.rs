//! One APDU cut into numbered frames, and numbered frames put together to one APDU.

use super::frame::{LLC_COMMAND, without_llc};
use alloc::vec::Vec;
use core::ops::Range;

/// The APDU on its way to the meter, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// LLC header and APDU.
    information: Vec<u8>,
    piece_bytes: usize,
    pieces: usize,
    /// Pieces that the meter has acknowledged: the first of them.
    acknowledged: usize,
    /// Pieces that were sent at least once.
    sent: usize,
    /// N(S) of the first piece.
    first: u8,
}

/// One frame's part of an APDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// N(S).
    pub(super) number: u8,
    pub(super) range: Range<usize>,
    /// More pieces follow.
    pub(super) segmented: bool,
    /// The last of this burst.
    pub(super) last: bool,
}

impl Outgoing {
    /// The connection begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The next APDU, in pieces of at most `piece_bytes`.
    pub(super) fn load(&mut self, apdu: Vec<u8>, piece_bytes: u16) {
        self.first = self.number(self.pieces);
        self.information = apdu;
        self.information.splice(..0, LLC_COMMAND);
        self.piece_bytes = usize::from(piece_bytes.max(1));
        self.pieces = self.information.len().div_ceil(self.piece_bytes);
        (self.acknowledged, self.sent) = (0, 0);
    }

    pub(super) const fn is_acknowledged(&self) -> bool {
        self.acknowledged >= self.pieces
    }

    /// Whether an APDU waits of which no piece has left.
    pub(super) const fn is_unsent(&self) -> bool {
        self.sent == 0 && self.pieces > 0
    }

    /// Whether pieces were sent that are not acknowledged.
    pub(super) const fn has_open_pieces(&self) -> bool {
        self.acknowledged < self.sent
    }

    /// Takes an N(R). `None` when it acknowledges what was never sent: it is out of turn. Else
    /// whether it acknowledges something new.
    pub(super) fn acknowledge(&mut self, receive: u8) -> Option<bool> {
        let new = usize::from(receive.wrapping_sub(self.number(self.acknowledged)) & 7);
        let open = self.sent.saturating_sub(self.acknowledged);
        (new <= open).then(|| {
            self.acknowledged = self.acknowledged.saturating_add(new);
            new > 0
        })
    }

    /// The next pieces, from the first that is not acknowledged.
    pub(super) fn burst(&mut self, window: u8) -> Vec<Piece> {
        let end = self.acknowledged.saturating_add(usize::from(window)).min(self.pieces);
        self.sent = self.sent.max(end);
        (self.acknowledged..end).map(|at| self.piece(at, at.saturating_add(1) == end)).collect()
    }

    /// The last piece once more, with its own number.
    pub(super) fn last_piece(&self) -> Vec<Piece> {
        self.pieces.checked_sub(1).map(|at| self.piece(at, true)).into_iter().collect()
    }

    pub(super) fn bytes(&self, piece: &Piece) -> &[u8] {
        self.information.get(piece.range.clone()).unwrap_or_default()
    }

    fn piece(&self, at: usize, last: bool) -> Piece {
        let start = at.saturating_mul(self.piece_bytes);
        let end = start.saturating_add(self.piece_bytes).min(self.information.len());
        Piece { number: self.number(at), range: start..end, segmented: at.saturating_add(1) < self.pieces, last }
    }

    fn number(&self, at: usize) -> u8 {
        let [low, ..] = at.to_le_bytes();
        self.first.wrapping_add(low) & 7
    }
}

/// The meter's numbered frames.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// V(R): the number expected next.
    next: u8,
    /// The N(R) that was sent last: the meter may number from there as far as its window goes.
    told: u8,
    /// A frame went missing since.
    gap: bool,
    pub(super) assembly: Assembly,
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The one that is expected.
    Next,
    /// One before it went missing.
    Gap,
    /// It has come before.
    Past,
}

impl Incoming {
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// N(R) for a frame that is about to leave.
    pub(super) const fn tell(&mut self) -> u8 {
        (self.told, self.gap) = (self.next, false);
        self.next
    }

    /// Where the frame with this N(S) stands, and whether it is the last that the window allows.
    pub(super) fn place(&mut self, number: u8, window: u8) -> (Place, bool) {
        let ahead = |number: u8| number.wrapping_sub(self.told) & 7;
        let (offset, expected) = (ahead(number), ahead(self.next));
        let place = match offset {
            _ if offset >= window || offset < expected => Place::Past,
            _ if offset > expected => Place::Gap,
            _ => Place::Next,
        };
        self.gap |= place == Place::Gap;
        (place, offset.saturating_add(1) == window)
    }

    /// The expected frame has been taken.
    pub(super) const fn advance(&mut self) {
        self.next = self.next.wrapping_add(1) & 7;
    }

    /// Whether the meter must be asked for more: a frame is missing, or a segment.
    pub(super) const fn wants_more(&self) -> bool {
        self.gap || self.assembly.is_open()
    }
}

/// Segments of one APDU.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assembly {
    bytes: Vec<u8>,
    open: bool,
}

/// The APDU is longer than allowed.
pub(crate) struct TooLong;

impl Assembly {
    /// Whether more segments must follow.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a segment; gives the APDU, without its LLC header, when this was the last. `None`, too,
    /// for a frame without any information.
    pub(crate) fn add(
        &mut self,
        information: &[u8],
        segmented: bool,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, TooLong> {
        let part = if self.open { information } else { without_llc(information) };
        if self.bytes.len().saturating_add(part.len()) > bytes_max {
            self.clear();
            return Err(TooLong);
        }
        self.bytes.extend_from_slice(part);
        self.open = segmented;
        if segmented || self.bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some(core::mem::take(&mut self.bytes)))
    }
}

/// Segments without numbers: a notification in UI frames. Nothing tells that one of them is missing,
/// hence what follows a damaged frame is dropped up to the last segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unnumbered {
    assembly: Assembly,
    /// Segments of a notification whose beginning is lost.
    headless: bool,
}

impl Unnumbered {
    /// Whether more segments must follow.
    pub(crate) const fn is_open(&self) -> bool {
        self.assembly.is_open()
    }

    /// Bytes of the APDU in progress.
    pub(crate) const fn bytes(&self) -> usize {
        self.assembly.bytes.len()
    }

    /// A segment was lost, and with it the APDU in progress.
    pub(crate) fn spoil(&mut self) {
        self.headless |= self.assembly.is_open();
        self.assembly.clear();
    }

    /// Takes a segment; gives the APDU when this was the last.
    pub(crate) fn add(
        &mut self,
        information: &[u8],
        segmented: bool,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, TooLong> {
        let begins = without_llc(information).len() < information.len();
        // The first of several segments has an LLC header, the others have none.
        if !begins && (self.headless || (segmented && !self.assembly.is_open())) {
            self.headless = segmented;
            return Ok(None);
        }
        self.headless = false;
        if begins {
            self.assembly.clear();
        }
        let outcome = self.assembly.add(information, segmented, bytes_max);
        self.headless = outcome.is_err() && segmented;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_modulo_eight_and_come_again_until_acknowledged() {
        let mut outgoing = Outgoing::default();
        outgoing.load([7; 97].to_vec(), 10);
        let numbers = |pieces: Vec<Piece>| pieces.iter().map(|piece| piece.number).collect::<Vec<_>>();
        assert_eq!(numbers(outgoing.burst(7)), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(outgoing.acknowledge(5), Some(true));
        assert_eq!(numbers(outgoing.burst(7)), [5, 6, 7, 0, 1]);
        assert_eq!(outgoing.acknowledge(3), None, "never sent");
        assert_eq!(outgoing.acknowledge(5), Some(false));
        assert_eq!(outgoing.acknowledge(2), Some(true));
        assert!(outgoing.is_acknowledged());
        outgoing.load([7; 1].to_vec(), 10);
        let pieces = outgoing.burst(7);
        assert_eq!(pieces, [Piece { number: 2, range: 0..4, segmented: false, last: true }]);
    }

    #[test]
    fn frames_have_their_place_in_the_window() {
        let mut incoming = Incoming::default();
        assert_eq!(incoming.place(0, 1), (Place::Next, true));
        incoming.advance();
        assert_eq!(incoming.place(0, 1), (Place::Past, true), "twice");
        incoming.tell();
        assert_eq!(incoming.place(0, 1).0, Place::Past);
        assert_eq!(incoming.place(2, 3), (Place::Gap, false));
        assert!(incoming.wants_more());
        assert_eq!(incoming.place(1, 3), (Place::Next, false));
    }
}
