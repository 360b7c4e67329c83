use alloc::{string::ToString, vec};

use super::*;
use crate::transaction::Priority;

const AUTHOR: KeyId = KeyId([7; 8]);

fn secret() -> SealingSecret {
    SealingSecret::from_bytes(&[9; 32]).unwrap()
}

fn bare() -> Config {
    Config {
        origin: "ledger.example/street".into(),
        gateway: "gw-1".parse().unwrap(),
        base: 4,
        priority: Priority::Urgent,
        window: None,
        commitment: Hash([0; 32]),
        recipient: KeyId([0; 8]),
        sealed: vec![],
        reason: "a new meter".into(),
    }
}

fn sealed(content: &[u8]) -> Config {
    let sealing = Sealing { recipient: &secret().public(), salt: &[1; 32], seed: &[2; 32] };
    bare().seal(AUTHOR, &sealing, content).unwrap()
}

#[test]
fn what_is_sealed_opens_for_its_gateway_alone() {
    let config = sealed(b"[gateway]\n");
    assert_eq!(config.open(AUTHOR, &secret()).unwrap(), b"[gateway]\n");
    assert_eq!(config.sealed.len(), b"[gateway]\n".len() + OVERHEAD_BYTES);
    let other = SealingSecret::from_bytes(&[8; 32]).unwrap();
    assert!(matches!(config.open(AUTHOR, &other), Err(SealError::OtherKey { .. })));
    let renamed = Config { recipient: other.key_id(), ..config };
    assert_eq!(renamed.open(AUTHOR, &other), Err(SealError::Broken), "the name alone opens nothing");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let config = sealed(b"x");
    for bit in 0..config.sealed.len() * 8 {
        let mut bent = config.clone();
        bent.sealed[bit / 8] ^= 1 << (bit % 8);
        let found = bent.open(AUTHOR, &secret());
        // X25519 ignores the highest bit of a public key; HPKE hashes the key as it was sent, so it fails as well.
        assert_eq!(found, Err(SealError::Broken), "bit {bit}");
    }
}

#[test]
fn it_fits_one_statement_of_one_author() {
    let config = sealed(b"x");
    assert_eq!(config.open(KeyId([6; 8]), &secret()), Err(SealError::Broken), "another author");
    for bent in [
        Config { base: 5, ..config.clone() },
        Config { priority: Priority::Immediate, ..config.clone() },
        Config { gateway: "gw-2".parse().unwrap(), ..config.clone() },
        Config { reason: "another".to_string(), ..config.clone() },
        Config { origin: "ledger.example/town".to_string(), ..config.clone() },
    ] {
        assert_eq!(bent.open(AUTHOR, &secret()), Err(SealError::Broken));
    }
    // The commitment is bound too; so a false one is made by an author who seals it.
    let lie = Config { commitment: commitment(&[1; 32], b"y"), ..bare() };
    let sealing = Sealing { recipient: &secret().public(), salt: &[1; 32], seed: &[2; 32] };
    let mut lie = Config { recipient: secret().key_id(), ..lie };
    lie.sealed = sealing.seal(b"x", &lie.bound_to(AUTHOR), CONFIG_SEALED_BYTES_MAX).unwrap();
    assert_eq!(lie.open(AUTHOR, &secret()), Err(SealError::Commitment));
}

#[test]
fn bounds_and_hopeless_keys_are_told() {
    let sealing = Sealing { recipient: &secret().public(), salt: &[1; 32], seed: &[2; 32] };
    let most = vec![0; CONFIG_SEALED_BYTES_MAX - OVERHEAD_BYTES];
    assert_eq!(bare().seal(AUTHOR, &sealing, &most).unwrap().open(AUTHOR, &secret()).unwrap(), most);
    let more = vec![0; most.len() + 1];
    assert!(matches!(bare().seal(AUTHOR, &sealing, &more), Err(SealError::TooLarge { .. })));
    let small_order = Sealing { recipient: &[0; 32], ..sealing };
    assert_eq!(bare().seal(AUTHOR, &small_order, b"x"), Err(SealError::Key));
    for length in [0, 31, 32, 47, 79] {
        let short = Config { sealed: vec![0; length], recipient: secret().key_id(), ..bare() };
        assert_eq!(short.open(AUTHOR, &secret()), Err(SealError::Broken));
    }
}
