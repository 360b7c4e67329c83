//! Any bytes as a datagram and as a stream of wrapped APDUs. The first byte says how it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_dlms::annotate;
use plomb_dlms::push::{PushConfig, PushFraming, PushReceiver};
use plomb_dlms::wrapper::{ClientLink, Transport, Wrapped, WrapperConfig};
use plomb_session::Instant;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, stream)) = bytes.split_first() else { return };
    if let Ok(Some((wrapped, consumed))) = Wrapped::parse(stream) {
        assert_eq!(wrapped.emit().expect("an APDU that was read fits"), stream[..consumed]);
    }
    assert_eq!(annotate::wrapper(stream).iter().map(|one| one.length).sum::<usize>(), stream.len());
    let mut receiver = PushReceiver::new(PushConfig::new(PushFraming::Wrapper));
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut link = ClientLink::new(WrapperConfig::new(16, 1, transport));
        link.connect(Instant::ORIGIN);
        link.send(vec![0xC0]).expect("the link is free");
        for piece in stream.chunks(usize::from(*cut).max(1)) {
            link.handle_input(piece, Instant::ORIGIN);
            receiver.handle_input(piece, Instant::ORIGIN);
        }
    }
});
