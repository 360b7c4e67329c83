//! What the operator reads when someone was refused.

use std::io::Write;
use std::sync::{Arc, Mutex};

use plomb_broker::mqtt::Packet;
use plomb_broker::{Reason, Refused, Role};

use crate::support::{Authority, World, connect};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The one line with this reason, which must hold all the words.
    fn assert(&self, reason: Reason, words: &[&str]) {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let tag = format!("reason=\"{}\"", reason.name());
        let mut lines = text.lines().filter(|line| line.contains(&tag));
        let line = lines.next().unwrap_or_else(|| panic!("no line with {tag} in:\n{text}"));
        for word in words.iter().chain(&[reason.text(), "127.0.0.1:"]) {
            assert!(line.contains(word), "{word:?} is missing in: {line}");
        }
    }
}

#[tokio::test]
async fn a_refusal_names_peer_subject_and_rule() {
    let lines = Lines::default();
    let sink = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || sink.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = World::new().await;

    let stranger = Authority::new("Another CA").client("gw-foreign");
    let expired = world.authority.expired_client("gw-expired");
    let unknown = world.authority.client("gw-unknown");
    let stolen = world.authority.client("gw-stolen");
    world.book.write(&stolen.der, Err(Refused::Revoked { reason: "stolen in May".into() }));
    for credentials in [None, Some(&stranger), Some(&expired), Some(&unknown), Some(&stolen)] {
        if let Ok(mut peer) = world.tls(credentials).await {
            peer.send(&Packet::Connect(connect("x"))).await;
            while peer.receive().await.is_some() {}
        }
    }
    let gw = world.enrol(Role::Gateway, "gw-1");
    let mut peer = world.session(&gw).await;
    peer.subscribe(&["plomb/1/+/down/#"]).await;
    peer.publish("plomb/1/gw-2/up/batch", b"x", false).await;
    peer.ends().await;
    world.refused(Reason::PublishRefused).await;

    lines.assert(Reason::NoCertificate, &[]);
    lines.assert(Reason::ForeignCertificate, &["CN=gw-foreign"]);
    lines.assert(Reason::ExpiredCertificate, &["CN=gw-expired"]);
    lines.assert(Reason::UnknownToLedger, &["CN=gw-unknown"]);
    lines.assert(Reason::Revoked, &["CN=gw-stolen", "stolen in May"]);
    let who = "gateway gw-1";
    lines.assert(Reason::SubscribeRefused, &[who, "plomb/1/+/down/#", "plomb/1/gw-1/down/receipt"]);
    lines.assert(Reason::PublishRefused, &[who, "plomb/1/gw-2/up/batch", "plomb/1/gw-1/up/#"]);
}
