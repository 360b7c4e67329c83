//! `plomb tail`: entries as they become durable.

use plomb_gateway::control::{Request, TAIL_PAST_MAX};
use serde_json::Value;

use crate::{
    args::TailArgs,
    ask::{self, Place},
    cmd::interruptible,
    exit::Failure,
    show::{Out, Show, entry_line},
};

pub(super) fn tail(args: TailArgs, show: &Show) -> Result<u8, Failure> {
    if args.past > TAIL_PAST_MAX {
        return Err(Failure::Usage(format!("--past is at most {TAIL_PAST_MAX}; for more, use `plomb export`")));
    }
    let place = Place::find(&args.daemon)?;
    let show = *show;
    interruptible(move || {
        let asked = place.ask(&Request::Tail { past: args.past, point: args.point.clone() });
        let mut answer = asked.map_err(|unanswered| place.failure(unanswered))?;
        let mut out = Out::new();
        loop {
            if answer.buffer().is_empty() {
                out.flush()?;
            }
            let text = ask::line(&mut answer).map_err(|error| Failure::file(&place.socket, error))?;
            if text.is_empty() {
                out.flush()?;
                return Err(Failure::Unavailable("plombd stopped".into()));
            }
            let document: Value = serde_json::from_str(&text)
                .map_err(|error| Failure::Unavailable(format!("the daemon's entry can't be read: {error}")))?;
            if show.json {
                out.line(text.trim_end())?;
            } else {
                out.line(entry_line(&document, show.zone))?;
            }
        }
    })
}
