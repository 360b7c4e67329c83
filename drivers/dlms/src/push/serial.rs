use super::mbus::{MbusDeframer, Transported, TransportedError};
use super::{PushConfig, PushEvent, PushLoss, PushOrigin};
use crate::hdlc::pieces::Unnumbered;
use crate::hdlc::{Control, Deframer, Found, Frame};
use alloc::vec::Vec;
use plomb_session::Instant;

/// A HAN port: both kinds of frames, looked for side by side.
#[derive(Debug, Default)]
pub(super) struct Serial {
    hdlc: Deframer,
    mbus: MbusDeframer,
    segments: Segments,
    /// When the line counts as silent inside a frame.
    silent_at: Option<Instant>,
}

/// The segments of the APDU in progress, from one origin.
#[derive(Debug, Default)]
struct Segments {
    /// HDLC: with an LLC header on the first.
    unnumbered: Unnumbered,
    /// M-Bus: numbered.
    numbered: Vec<u8>,
    origin: Option<PushOrigin>,
    /// The number of the next segment, where they have numbers.
    next: Option<u8>,
    /// When the next segment counts as lost.
    expires: Option<Instant>,
    /// M-Bus segments up to the next last one belong to an APDU whose beginning is lost.
    headless: bool,
    /// The number of the last such segment: behind 15, a 0 begins nothing.
    passed: u8,
}

impl Serial {
    pub(super) fn push(&mut self, bytes: &[u8], config: &PushConfig, now: Instant, tell: &mut impl FnMut(PushEvent)) {
        let Self { hdlc, mbus, segments, silent_at } = self;
        hdlc.push(bytes, |found| segments.hdlc(&found, config, now, tell));
        mbus.push(bytes, |found| segments.mbus(found, config, now, tell));
        let inside = hdlc.is_inside_frame() || mbus.is_inside_frame();
        *silent_at = inside.then(|| now + config.inter_octet_timeout);
    }

    pub(super) fn handle_timeout(&mut self, config: &PushConfig, now: Instant, tell: &mut impl FnMut(PushEvent)) {
        let Self { hdlc, mbus, segments, silent_at } = self;
        if silent_at.is_some_and(|at| now >= at) {
            *silent_at = None;
            hdlc.give_up(|found| segments.hdlc(&found, config, now, tell));
            mbus.give_up(|found| segments.mbus(found, config, now, tell));
        }
        if segments.expires.is_some_and(|at| now >= at) {
            let bytes = segments.bytes();
            segments.drop_all();
            tell(PushEvent::Lost(PushLoss::Incomplete { bytes }));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.silent_at, self.segments.expires].into_iter().flatten().min()
    }
}

impl Segments {
    fn bytes(&self) -> usize {
        self.unnumbered.bytes().saturating_add(self.numbered.len())
    }

    /// The APDU in progress will never be whole.
    fn drop_all(&mut self) {
        let open = self.expires.take().is_some();
        self.unnumbered.spoil();
        self.numbered.clear();
        (self.next, self.origin) = (None, None);
        self.headless |= open;
    }

    /// A segment from another origin, or with another number than is expected, ends what is in
    /// progress.
    fn follow(&mut self, origin: PushOrigin, number: Option<u8>, tell: &mut impl FnMut(PushEvent)) {
        let fits = self.origin == Some(origin) && (self.next.is_none() || self.next == number);
        if self.expires.is_some() && !fits {
            let bytes = self.bytes();
            self.drop_all();
            tell(PushEvent::Lost(PushLoss::Gap { bytes }));
        }
        self.origin = Some(origin);
    }

    fn hdlc(&mut self, found: &Found<'_>, config: &PushConfig, now: Instant, tell: &mut impl FnMut(PushEvent)) {
        match found {
            Found::Frame(frame) => self.hdlc_frame(frame, config, now, tell),
            Found::Damaged { error, addresses } => {
                // Where the header's sum is wrong, too, it may be anything, as the middle of an
                // M-Bus frame.
                let in_progress = matches!(self.origin, Some(PushOrigin::Hdlc { .. })) && self.expires.is_some();
                if addresses.is_some() || in_progress {
                    self.drop_all();
                    tell(PushEvent::Lost(PushLoss::HdlcFrame(*error)));
                }
            }
        }
    }

    fn hdlc_frame(&mut self, frame: &Frame<'_>, config: &PushConfig, now: Instant, tell: &mut impl FnMut(PushEvent)) {
        let number = match frame.control {
            Control::Ui { .. } => None,
            Control::I { send, .. } => Some(send),
            _ => return,
        };
        let origin = PushOrigin::Hdlc { source: frame.source, destination: frame.destination };
        self.follow(origin, number, tell);
        let bytes_max = config.apdu_bytes_max();
        match self.unnumbered.add(frame.information.unwrap_or_default(), frame.segmented, bytes_max) {
            Ok(Some(apdu)) => tell(PushEvent::Apdu { apdu, origin }),
            Ok(None) => {}
            Err(_) => tell(PushEvent::Lost(PushLoss::TooLong { bytes_max })),
        }
        let open = self.unnumbered.is_open();
        self.expires = open.then(|| now + config.segment_timeout);
        self.next = number.filter(|_| open).map(|number| number.wrapping_add(1) & 7);
    }

    fn mbus(
        &mut self,
        found: Result<Transported<'_>, TransportedError>,
        config: &PushConfig,
        now: Instant,
        tell: &mut impl FnMut(PushEvent),
    ) {
        let frame = match found {
            Ok(frame) => frame,
            Err(error) => {
                self.drop_all();
                tell(PushEvent::Lost(PushLoss::MbusFrame(error)));
                return;
            }
        };
        let Transported { address, source, destination, sequence, .. } = frame;
        let origin = PushOrigin::Mbus { address, source, destination };
        self.follow(origin, Some(sequence), tell);
        // The first segment has number 0; where the beginning is lost, the rest is of no use.
        self.headless = (self.headless || self.numbered.is_empty()) && (sequence != 0 || self.passed == 15);
        self.passed = if self.headless && !frame.last { sequence } else { 0 };
        let bytes_max = config.apdu_bytes_max();
        let fits = self.numbered.len().saturating_add(frame.part.len()) <= bytes_max;
        if self.headless || !fits {
            self.numbered.clear();
            (self.expires, self.next) = (None, None);
            if !fits {
                self.headless = !frame.last;
                tell(PushEvent::Lost(PushLoss::TooLong { bytes_max }));
            }
            return;
        }
        self.numbered.extend_from_slice(frame.part);
        if frame.last {
            (self.expires, self.next) = (None, None);
            let apdu = core::mem::take(&mut self.numbered);
            if !apdu.is_empty() {
                tell(PushEvent::Apdu { apdu, origin });
            }
        } else {
            self.expires = Some(now + config.segment_timeout);
            self.next = Some(sequence.wrapping_add(1) & 0x0F);
        }
    }
}
