//! What goes between the uplink and the desk of orders. Nothing in it must last: the hub sends again what is due, and
//! the desk keeps what it has to say.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// The most messages of the hub that wait for the desk.
pub const MAIL_MAX: usize = 128;
/// The most bytes of them together. What comes beyond is dropped: the hub sends what is due again.
pub const MAIL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The shortest and the longest pause before a statement without an answer is sent again in one connection.
pub const RESEND_MIN: Duration = Duration::from_secs(5);
/// See [`RESEND_MIN`].
pub const RESEND_MAX: Duration = Duration::from_secs(300);

/// What came from the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mail {
    /// A dossier: a configuration or a command.
    Order(Vec<u8>),
    /// What the ledger said to a statement of ours.
    Answer(Vec<u8>),
}

impl Mail {
    fn bytes(&self) -> usize {
        match self {
            Self::Order(bytes) | Self::Answer(bytes) => bytes.len(),
        }
    }
}

/// What is known of the ledger in this run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Counts what the hub said and the policy holds good: receipts, checkpoints.
    pub words: u64,
    /// The ledger's size at the last of them.
    pub size: u64,
    /// When that was witnessed, in Unix seconds, if the policy tells.
    pub witnessed_s: Option<u64>,
    /// Whether this journal was held against the ledger's last receipt.
    pub compared: bool,
    /// Whether that showed this journal to be older.
    pub returned: bool,
}

#[derive(Debug)]
struct Letter {
    bytes: Vec<u8>,
    /// When it was sent last in this connection, and how often.
    sent: Option<(Instant, u32)>,
}

#[derive(Debug, Default)]
struct Inner {
    mail: VecDeque<Mail>,
    mail_bytes: usize,
    letters: BTreeMap<u64, Letter>,
    ledger: Ledger,
}

/// The two pigeonholes.
#[derive(Debug, Default)]
pub struct Post {
    inner: Mutex<Inner>,
    desk: Notify,
    uplink: Notify,
}

impl Post {
    /// Hands the desk what came. False if there is no room.
    pub fn deliver(&self, mail: Mail) -> bool {
        let mut inner = self.inner();
        let bytes = inner.mail_bytes.saturating_add(mail.bytes());
        if inner.mail.len() >= MAIL_MAX || bytes > MAIL_BYTES_MAX {
            return false;
        }
        inner.mail_bytes = bytes;
        inner.mail.push_back(mail);
        drop(inner);
        self.desk.notify_one();
        true
    }

    /// The next that came.
    pub(super) fn take(&self) -> Option<Mail> {
        let mut inner = self.inner();
        let mail = inner.mail.pop_front()?;
        inner.mail_bytes = inner.mail_bytes.saturating_sub(mail.bytes());
        Some(mail)
    }

    /// Waits until something came, or the connection changed.
    pub(super) async fn rung(&self) {
        self.desk.notified().await;
    }

    /// A connection stands: all letters are to be sent in it.
    pub fn connected(&self) {
        self.inner().letters.values_mut().for_each(|letter| letter.sent = None);
        self.desk.notify_one();
    }

    /// The hub said something that the policy holds good.
    pub fn spoke(&self, size: u64, witnessed_s: Option<u64>) {
        let mut inner = self.inner();
        let ledger = &mut inner.ledger;
        ledger.words = ledger.words.saturating_add(1);
        if size >= ledger.size {
            (ledger.size, ledger.witnessed_s) = (size, witnessed_s);
        }
        drop(inner);
        self.desk.notify_one();
    }

    /// This journal was held against the ledger's last receipt; `older` if it was found to be older.
    pub fn compared(&self, older: bool) {
        let mut inner = self.inner();
        inner.ledger.compared = true;
        inner.ledger.returned |= older;
        drop(inner);
        self.desk.notify_one();
    }

    /// What is known of the ledger.
    pub fn ledger(&self) -> Ledger {
        self.inner().ledger
    }

    /// A statement to be sent until it goes again.
    pub(super) fn put(&self, number: u64, bytes: Vec<u8>) {
        self.inner().letters.insert(number, Letter { bytes, sent: None });
        self.uplink.notify_one();
    }

    pub(super) fn remove(&self, number: u64) {
        self.inner().letters.remove(&number);
    }

    /// The next statement that is to be sent now.
    pub fn due(&self, now: Instant) -> Option<Vec<u8>> {
        let mut inner = self.inner();
        let letter = inner.letters.values_mut().find(|letter| {
            letter.sent.is_none_or(|(at, times)| {
                let pause = RESEND_MIN.saturating_mul(1 << times.saturating_sub(1).min(16)).min(RESEND_MAX);
                now.duration_since(at) >= pause
            })
        })?;
        let times = letter.sent.map_or(0, |(_, times)| times);
        letter.sent = Some((now, times.saturating_add(1)));
        Some(letter.bytes.clone())
    }

    /// Waits until there may be something to send.
    pub async fn written(&self) {
        self.uplink.notified().await;
    }

    /// A panic while the lock was held can't leave this half-changed, so its poison means nothing.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_sent_once_then_with_growing_pauses_and_anew_in_each_connection() {
        let (post, begun) = (Post::default(), Instant::now());
        post.put(1, vec![1]);
        assert_eq!(post.due(begun), Some(vec![1]));
        assert_eq!(post.due(begun), None);
        assert_eq!(post.due(begun + RESEND_MIN), Some(vec![1]));
        assert_eq!(post.due(begun + RESEND_MIN * 2), None, "the second pause is longer");
        assert_eq!(post.due(begun + RESEND_MIN * 3), Some(vec![1]));
        post.connected();
        assert_eq!(post.due(begun + RESEND_MIN * 3), Some(vec![1]));
        post.remove(1);
        assert_eq!(post.due(begun + RESEND_MAX * 2), None);
    }

    #[test]
    fn mail_is_bounded_in_number_and_bytes() {
        let post = Post::default();
        for _ in 0..MAIL_MAX {
            assert!(post.deliver(Mail::Order(vec![0])));
        }
        assert!(!post.deliver(Mail::Answer(vec![0])));
        while post.take().is_some() {}
        assert!(post.deliver(Mail::Order(vec![0; MAIL_BYTES_MAX])));
        assert!(!post.deliver(Mail::Order(vec![0])));
        assert!(post.take().is_some() && post.deliver(Mail::Order(vec![0])));
    }

    #[test]
    fn an_older_checkpoint_does_not_take_the_ledger_back() {
        let post = Post::default();
        post.spoke(10, Some(7));
        post.spoke(4, Some(9));
        assert_eq!(post.ledger(), Ledger { words: 2, size: 10, witnessed_s: Some(7), ..Ledger::default() });
    }
}
