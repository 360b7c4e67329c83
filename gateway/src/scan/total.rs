//! What several searches of a wire gave together, in words.

use std::time::Duration;

use plomb_mbus::{Place, ScanEnd, ScanEvent};

use super::{How, ScanLine, ScanOptions, wired::found};

/// What several searches gave together.
pub(super) struct Total {
    how: How,
    /// All speeds were tried, or none can be set from here.
    speeds_done: bool,
    frames: u64,
    found: u64,
    /// Places where something answers that is not told as a meter.
    troubles: u64,
    took: Duration,
    end: Option<ScanEnd>,
}

impl Total {
    pub(super) fn new(options: &ScanOptions, network: bool) -> Self {
        Self {
            how: options.how.clone(),
            speeds_done: options.speeds || network,
            frames: 0,
            found: 0,
            troubles: 0,
            took: Duration::ZERO,
            end: None,
        }
    }

    pub(super) fn take(&mut self, event: ScanEvent, baud: u32, tell: &mut impl FnMut(ScanLine)) {
        let trouble = match event {
            ScanEvent::Found(meter) => return tell(ScanLine::Found(found(&meter, baud))),
            ScanEvent::Collision { place } => (place, collision(&place).to_string()),
            ScanEvent::Unfit { place, got, address } => {
                let says = got.map_or_else(|| address.to_string(), |got| got.to_string());
                (place, format!("the answer is of another meter, {says}: it is not counted"))
            }
            ScanEvent::Mute { place } => {
                let what = "it acknowledges and sends no telegram: try `plomb read mbus` with a longer --timeout-ms";
                (place, what.to_string())
            }
            ScanEvent::Progress(progress) => {
                return tell(ScanLine::Progress {
                    frames: self.frames + u64::from(progress.frames),
                    found: self.found + u64::from(progress.found),
                    done_per_mille: progress.done_per_mille,
                    remaining_s: progress.remaining.map(super::seconds),
                });
            }
            ScanEvent::Speed { .. } => return,
            ScanEvent::Done { end, frames, found, took } => {
                self.frames += u64::from(frames);
                self.found += u64::from(found);
                self.took += took;
                // A search that found something outweighs a silent one at another speed.
                if self.end.is_none() || !matches!(end, ScanEnd::NobodyAnswers) {
                    self.end = Some(end);
                }
                return;
            }
        };
        self.troubles += 1;
        let (place, what) = trouble;
        tell(ScanLine::Trouble { place: place.to_string(), what });
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.end, Some(ScanEnd::Cancelled))
    }

    pub(super) fn done(&self) -> ScanLine {
        let (end, detail) = match self.end {
            Some(ScanEnd::Complete | ScanEnd::NobodyAnswers) | None if self.troubles > 0 => ("complete", self.doubt()),
            Some(ScanEnd::Complete) if self.found > 0 => ("complete", self.asked().into()),
            Some(ScanEnd::Complete | ScanEnd::NobodyAnswers) | None => ("nobody-answers", self.silence()),
            Some(ScanEnd::Noise { bytes }) => (
                "noise",
                format!(
                    "{bytes} bytes of noise came back whatever was asked: check polarity, speed, parity, and whether \
                     the adapter echoes"
                ),
            ),
            Some(ScanEnd::FrameLimit) => ("frame-limit", "too many frames: narrow the search with --mask".into()),
            Some(ScanEnd::Cancelled) => ("cancelled", "cancelled before the end: there may be more meters".into()),
        };
        let took_s = super::seconds(self.took);
        ScanLine::Done { end: end.into(), detail, frames: self.frames, found: self.found, took_s }
    }

    fn asked(&self) -> &'static str {
        match self.how {
            How::Secondary { mask: None } => "every identity was asked for",
            How::Secondary { mask: Some(_) } => "every identity of the mask was asked for",
            How::Primary { .. } => "every address of the range was asked",
        }
    }

    fn doubt(&self) -> String {
        let places = if self.troubles == 1 { "at one place" } else { "at several places" };
        let there = if self.found == 0 { "there are meters" } else { "there are more meters" };
        let what = match self.how {
            How::Secondary { .. } => {
                "search by address too (--primary 0-250), or for one maker's meters (--mask ID.MAN)"
            }
            How::Primary { .. } => "search by identity too (without --primary)",
        };
        format!("{there}: {places} something answers that could not be told as one; {what}")
    }

    fn silence(&self) -> String {
        let wires = "check power, wiring and polarity of the level converter";
        let speeds = if self.speeds_done { "" } else { "; try --speeds" };
        match &self.how {
            How::Secondary { mask: Some(mask) } => {
                format!("nobody answers to {mask}: without --mask everybody is asked")
            }
            How::Secondary { mask: None } => format!("nobody answers: {wires}{speeds}"),
            How::Primary { first: 0 | 1, last: 250.. } => format!("no address answers: {wires}{speeds}"),
            How::Primary { first, last } => {
                format!("no address from {first} to {last} answers: try --primary 0-250, or without --primary")
            }
        }
    }
}

fn collision(place: &Place) -> &'static str {
    match place {
        Place::Primary(_) => {
            "what comes back is damaged: several meters share this address (search by identity, or readdress one), or \
             the line is disturbed (`plomb read mbus PORT --address N` says how)"
        }
        Place::Selection(selection) if selection.is_whole() => {
            "several meters have this one identity: use --primary, they can be read by address only. Or it is one, \
             and its answers are damaged"
        }
        Place::Selection(_) => {
            "several meters answer and no question tells them apart: use --primary, or --mask with their maker"
        }
    }
}

#[cfg(test)]
mod tests {
    use plomb_mbus::{Address, SecondaryAddress};

    use super::*;
    use crate::scan::Wish;

    fn done(how: How, speeds: bool, events: &[ScanEvent]) -> (String, String) {
        let options = ScanOptions { how, speeds, lasts_s: 1, wish: Wish::default() };
        let mut total = Total::new(&options, false);
        events.iter().for_each(|event| total.take(event.clone(), 2400, &mut |_| {}));
        match total.done() {
            ScanLine::Done { end, detail, .. } => (end, detail),
            other => panic!("{other:?}"),
        }
    }

    fn ended(end: ScanEnd, found: u32) -> ScanEvent {
        ScanEvent::Done { end, frames: 9, found, took: Duration::from_millis(13_795) }
    }

    #[test]
    fn who_answers_and_is_not_told_is_never_nobody() {
        let collision = ScanEvent::Collision { place: Place::Selection(SecondaryAddress::ANY) };
        let everybody = || How::Secondary { mask: None };
        for found in [0, 1] {
            let (end, detail) = done(everybody(), false, &[collision.clone(), ended(ScanEnd::Complete, found)]);
            assert!(end == "complete" && detail.contains("--primary"), "{end}: {detail}");
            assert!(!detail.contains("every identity") && !detail.contains("nobody"), "{detail}");
        }
        let place = Place::Primary(Address(3));
        let (_, detail) =
            done(How::Primary { first: 1, last: 9 }, false, &[ScanEvent::Mute { place }, ended(ScanEnd::Complete, 1)]);
        assert!(detail.contains("by identity"), "{detail}");
    }

    #[test]
    fn silence_is_told_of_what_was_asked() {
        let nobody = [ended(ScanEnd::NobodyAnswers, 0)];
        let told = |how, speeds| done(how, speeds, &nobody).1;
        assert!(told(How::Secondary { mask: None }, false).ends_with("try --speeds"));
        assert!(told(How::Secondary { mask: None }, true).ends_with("level converter"));
        let mask = told(How::Secondary { mask: Some("21FFFFFF".into()) }, false);
        assert!(mask.contains("21FFFFFF") && !mask.contains("polarity"), "{mask}");
        assert!(told(How::Primary { first: 1, last: 3 }, false).contains("from 1 to 3"));
    }
}
