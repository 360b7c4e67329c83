//! How the box itself fares: power, disk, flash, memory, heat, adapters. Shown in the status; what crosses a threshold
//! is an event, and one again when it is back.
//!
//! | module | what it does |
//! |---|---|
//! | [`measure`] | reads what the kernel tells; nothing of it needs rights |
//! | [`watch`] | holds the measures against thresholds. Pure |

pub mod measure;
pub mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use plomb_seal::{Event, Occurrence};
use tokio::{sync::watch as told, time::sleep};
use tracing::{info, warn};

use crate::{
    config,
    journal::{Journal, JournalError},
    status::Board,
};
use measure::measure;
use watch::Watch;

/// Measures the box again and again, until told to stop.
pub async fn run(
    config: config::Vitals,
    state_dir: PathBuf,
    journal: Journal,
    board: Arc<Board>,
    mut stop: told::Receiver<bool>,
) -> Result<(), JournalError> {
    let period = Duration::from_secs(config.period_s.into());
    let mut watch = Watch::new(config);
    loop {
        let vitals = measure(std::path::Path::new("/"), &state_dir);
        let turns = watch.take(&vitals);
        {
            let mut written = board.update();
            written.vitals = Some(vitals);
            written.vital_troubles = watch.troubles();
        }
        for turn in turns {
            if turn.bad {
                warn!(what = turn.what, "{}", turn.detail);
            } else {
                info!(what = turn.what, "{}", turn.detail);
            }
            let details = vec![("what".into(), turn.what.into()), ("value".into(), turn.detail)];
            let event = Event { name: turn.name.into(), details };
            match journal.append(Occurrence::Event(event), Vec::new()).await {
                Ok(_) | Err(JournalError::Full { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        tokio::select! {
            () = sleep(period) => {}
            _ = stop.changed() => return Ok(()),
        }
    }
}
