//! The way to the hub. The journal is the only queue: a connection is thrown away at the first trouble,
//! and nothing in it matters.
//!
//! - PUBACK frees the window and no more. Only a verified receipt moves the acknowledged cursor.
//! - What has no receipt is sent again, on every new connection and when the receipt is overdue. The ledger
//!   knows a batch by gateway, epoch, number and anchor, so sending twice does no harm.
//! - A connection without its subscriptions is none: it would bring no receipt, and look well. It ends.
//! - What stays without a receipt though it was sent twice ends the connection: a new one subscribes anew.
//! - Orders are handed to their desk, and what it has to say goes before all else.
//! - Live readings for subscribers go first; what an outage left behind follows at a set rate.

mod explain;
mod outstanding;
mod pace;
mod readings;
mod session;
mod tls;

use std::{sync::Arc, time::Duration};

use plomb_seal::{Name, Policy};
use rumqttc::tokio_rustls::rustls::ClientConfig;
use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use crate::{batcher::Anchoring, config, journal::Journal, orders::Post, status::Board};

use explain::{CONTESTED, Trouble};
use pace::Pace;
pub use tls::{ClientFiles, client_config};

/// How long a connection attempt may take, until the broker has welcomed us.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// After this long without a receipt a batch is sent again.
pub const RECEIPT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a batch is sent in one connection before that is given up: its subscription may be lost.
pub const SENDS_MAX: u32 = 2;
/// Batches that are sent for this long, while connected, without any answer are a trouble: the hub does not
/// hear them, or is not heard.
pub const UNANSWERED_MIN: Duration = Duration::from_secs(120);
/// After this long with messages under way and no PUBACK the connection is given up.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(45);
/// A connection that stood this long was good: the next pause is the shortest again.
pub const STEADY_MIN: Duration = Duration::from_secs(30);
/// The shortest and the longest pause before a new connection.
pub const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// See [`BACKOFF_MIN`].
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// The most messages under way.
pub const IN_FLIGHT_MAX: usize = 64;
/// The most events of the connection that wait to be looked at.
pub const EVENTS_MAX: usize = 64;
/// The largest message that is taken from the broker, in bytes.
pub const PACKET_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How often the broker must hear from us.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Everything that a connection needs.
#[derive(Clone)]
pub struct Uplink {
    /// The gateway.
    pub gateway: Name,
    /// Where the hub is, and how fast to send.
    pub config: config::Hub,
    /// What is sent.
    pub journal: Journal,
    /// Whom the gateway trusts to answer.
    pub policy: Arc<Policy>,
    /// Who the gateway is.
    pub tls: Arc<ClientConfig>,
    /// Shared with the batcher.
    pub anchoring: Arc<Anchoring>,
    /// Where the state is written down.
    pub board: Arc<Board>,
    /// What goes to the desk of orders, and comes from it.
    pub post: Arc<Post>,
}

impl Uplink {
    /// Runs until `stop` is true: then says offline and leaves.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut pace = Pace::new();
        while !*stop.borrow() {
            let (end, stood) = session::run(&self, stop.clone()).await;
            let Err(Trouble { text, by_the_hub }) = end else { return };
            let pause = with_jitter(pace.ended(stood, by_the_hub));
            let error = if pace.is_contested() { text + CONTESTED } else { text };
            {
                let mut board = self.board.update();
                if board.hub.last_error.as_deref() != Some(error.as_str()) {
                    warn!(hub = self.config.address, "{error}");
                }
                (board.hub.connected, board.hub.last_error) = (false, Some(error));
                board.disconnected.get_or_insert_with(std::time::Instant::now);
            }
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.changed() => {}
            }
        }
        info!("uplink stopped");
    }
}

/// Between half of a pause and all of it: gateways that lost the hub together do not come back together.
fn with_jitter(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // Without random numbers the pause is merely not spread.
    let _ = getrandom::fill(&mut random);
    pause / 2 + pause / 2 * u32::from(random[0]) / 255
}
