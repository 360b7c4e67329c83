//! Faults show on the line as they are named.

use crate::wire::{Client, PAUSE, aarq, config};
use plomb_sim::dlms::{Faults, Framing, Mechanism};
use std::time::{Duration, Instant};

const RELEASE: [u8; 5] = [0x62, 3, 0x80, 1, 0];

/// What a meter with these faults answers to an opening and to a release, where it answers, and how long it
/// took without the pauses after them.
async fn heard(faults: Faults, answers: [bool; 2]) -> (Vec<u8>, Vec<u8>, Duration) {
    let mut ordered = config(Mechanism::None);
    ordered.faults = faults;
    let (_server, mut client) = Client::connect(ordered, Framing::Wrapper, 1).await;
    let begin = Instant::now();
    let mut heard = Vec::new();
    for (apdu, answers) in [aarq(None, 0xFFFF), RELEASE.to_vec()].into_iter().zip(answers) {
        let header = [0, 1, 0, 1, 0, 1, 0, u8::try_from(apdu.len()).unwrap()];
        client.say(&[&header, &apdu[..]].concat()).await;
        heard.push(if answers { client.hear().await } else { Vec::new() });
        if !answers {
            client.hear_nothing().await;
        }
    }
    (heard.remove(0), heard.remove(0), begin.elapsed().saturating_sub(PAUSE * 2))
}

#[tokio::test]
async fn each_fault_is_what_its_name_says() {
    let both = [true, true];
    let (aare, rlre, _) = heard(Faults::default(), both).await;
    assert_eq!((aare.len(), rlre.len()), (51, 13));
    heard(Faults { silent: true, ..Faults::default() }, [false, false]).await;
    let (first, _, _) = heard(Faults { drop_every: Some(2), ..Faults::default() }, [true, false]).await;
    assert_eq!(first, aare);
    let (first, second, _) = heard(Faults { bad_fcs_every: Some(2), ..Faults::default() }, both).await;
    assert_eq!((first.as_slice(), second[12]), (&aare[..], rlre[12] ^ 0x5A));
    let (first, _, _) = heard(Faults { no_rlre: true, ..Faults::default() }, [true, false]).await;
    assert_eq!(first, aare);
    let (first, _, _) = heard(Faults { close_every: Some(1), ..Faults::default() }, [true, false]).await;
    assert_eq!(first, aare[..25]);
    let (first, _, _) = heard(Faults { noise_before: vec![1, 2], ..Faults::default() }, both).await;
    assert_eq!(first, [&[1, 2], &aare[..]].concat());
    let (first, _, _) = heard(Faults { echo: true, ..Faults::default() }, both).await;
    assert_eq!(first, [&[0, 1, 0, 1, 0, 1, 0, 31], &aarq(None, 0xFFFF)[..], &aare].concat());
    let (first, _, _) = heard(Faults { pdu_bytes_max: Some(128), ..Faults::default() }, both).await;
    assert_eq!(first[47..49], [0, 128]);
    for slow in [
        Faults { delay_ms: 200, ..Faults::default() },
        Faults { trickle_ms: Some(4), ..Faults::default() },
        Faults { gap_before_last_ms: 200, ..Faults::default() },
    ] {
        let (first, second, took) = heard(slow.clone(), both).await;
        assert_eq!((first, second), (aare.clone(), rlre.clone()), "{slow:?}");
        assert!(took > Duration::from_millis(200), "{slow:?} {took:?}");
    }
}
