//! Who may take part changes while the hub runs: open connections of those who no longer may end, and a member that
//! joins needs no restart.

use super::*;
use crate::site::Peer;

/// Far below the minute after which the guard looks by itself, far above what a busy machine needs. How long it takes
/// is measured by the benchmark `answers`; the promise is a second.
const REVOKED_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_closes_an_open_connection_of_every_role_at_once() {
    let site = Site::new();
    let roles = ["gateway", "admin", "operator", "subscriber", "auditor"];
    for role in roles {
        site.certify(role, &format!("the-{role}"));
    }
    let (_running, at) = site.start();
    for role in roles {
        let id = format!("the-{role}");
        let mut peer = site.connect(&id, &id, at);
        peer.subscribe(topic::CHECKPOINT).await;
        peer.on(topic::CHECKPOINT).await;
        let watching = tokio::spawn(async move {
            let error = peer.is_cut_off().await;
            (std::time::Instant::now(), error, peer)
        });
        assert!(site.ask(&["revoke", "--id", &id, "--reason", "left"]).status.success());
        let revoked = std::time::Instant::now();
        let (cut, _, mut peer) = watching.await.unwrap();
        assert!(cut.saturating_duration_since(revoked) < REVOKED_WITHIN, "{role}: {:?}", cut - revoked);
        let again = peer.is_cut_off().await;
        let refused = ConnectReturnCode::NotAuthorized;
        assert!(matches!(again, ConnectionError::ConnectionRefused(code) if code == refused), "{role}: {again:?}");
    }
}

/// Votes, as a member's folder or as the hub's own member.
fn vote(site: &Site, member: &[&str], what: &[&str]) -> Value {
    let config = site.config().display().to_string();
    let out = hub().args(["member", "vote", "--config", &config, "--json"]).args(member).args(what).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

async fn heard(peer: &mut Peer) {
    peer.subscribe(topic::CHECKPOINT).await;
    peer.on(topic::CHECKPOINT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_joins_is_let_in_at_once_and_one_that_leaves_is_cut_off() {
    let site = Site::new();
    let own = site.certify("subscriber", "billing");
    let (_running, at) = site.start();
    let mut billing = Peer::connect(&own, "billing", at);
    heard(&mut billing).await;

    let retailer = site.path("retailer").display().to_string();
    assert!(hub().args(["member", "new", &retailer, "--name", "retailer"]).output().unwrap().status.success());
    vote(&site, &[], &["add", &format!("{retailer}/member.json")]);
    let out = site.path("shop").display().to_string();
    let certify = ["certify", "--role", "subscriber", "--id", "shop", "--out", &out, "--member", &retailer, "--json"];
    site.json(&certify);
    let mut shop = Peer::connect(&site.path("shop"), "shop", at);
    heard(&mut shop).await;

    assert_eq!(vote(&site, &[], &["remove", "retailer"])["took_effect"], true);
    shop.is_cut_off().await;
    // Its authority is none any more: TLS itself refuses.
    assert!(!matches!(shop.is_cut_off().await, ConnectionError::ConnectionRefused(_)));
    heard(&mut billing).await;
}
