//! Any bytes as the payload of each transaction of the ledger, as a whole one, as a dossier, a story, an answer and a
//! recipient: no panic, and what is read is written to the byte again. What says that it is sealed to a key is opened
//! with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_seal::{
    Anchor, Answer, Dossier, KeyId, Recipient, SealingSecret, Statement, Story,
    cbor::{Decoder, Encoder},
    transaction::{self, Approval, Certificate, Command, Config, Genesis, Outcome, SealingKey, Vote},
};

fn read_once<T: Statement>(payload: &[u8]) {
    let mut from = Decoder::new(payload);
    if let Ok(statement) = T::decode(&mut from)
        && from.is_empty()
    {
        let mut out = Encoder::new();
        statement.encode(&mut out);
        assert_eq!(out.finish(), payload);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = transaction::kind(bytes);
    if let Ok(dossier) = Dossier::parse(bytes) {
        assert_eq!(dossier.to_bytes(), bytes);
    }
    if let Ok(story) = Story::parse(bytes) {
        assert_eq!(story.to_bytes(), bytes);
    }
    if let Ok(answer) = Answer::parse(bytes) {
        assert_eq!(answer.to_bytes(), bytes);
    }
    if let Ok(recipient) = Recipient::parse(bytes) {
        assert_eq!(recipient.to_bytes(), bytes);
    }
    if let (Ok(secret), Ok(config)) =
        (SealingSecret::from_bytes(&[9; 32]), Config::decode(&mut Decoder::new(bytes)))
    {
        let config = Config { recipient: secret.key_id(), ..config };
        let _ = config.open(KeyId([1; 8]), &secret);
    }
    read_once::<Genesis>(bytes);
    read_once::<Vote>(bytes);
    read_once::<Certificate>(bytes);
    read_once::<Anchor>(bytes);
    read_once::<SealingKey>(bytes);
    read_once::<Config>(bytes);
    read_once::<Command>(bytes);
    read_once::<Approval>(bytes);
    read_once::<Outcome>(bytes);
});
