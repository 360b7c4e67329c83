//! Finding the meters of a line (EN 13757-2 and -7), sans I/O.
//!
//! | file | what it decides |
//! |---|---|
//! | `event` | what a search tells |
//! | `config` | its limits and choices |
//! | `primary` | one address after the other |
//! | `secondary` | what to ask next in the tree of selections, and what an answer means |
//! | `branch` | where a branch of the tree forks, and whether its count fits |
//! | `likely` | which manufacturers and media to try where only they differ |
//! | `overlay` | what two answers at once still tell |
//! | `speeds` | one speed after the other |

mod branch;
mod config;
mod event;
mod likely;
mod overlay;
mod primary;
mod scan;
mod secondary;
mod speeds;
mod tally;

pub use config::{SCAN_FRAME_COUNT_MAX, SPEEDS, ScanConfig};
pub use event::{FoundMeter, Place, Progress, ScanEnd, ScanEvent, SpeedAnswer};
pub use scan::Scan;
