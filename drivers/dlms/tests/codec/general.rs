//! General-ciphering and agreed keys, against the standard's examples and against tampering.

use plomb_dlms::apdu::{Apdu, ApduError};
use plomb_dlms::security::agreement::{
    AgreementKey, AgreementPublicKey, Purpose, accept, ephemeral_unified, offer, one_pass, static_unified,
};
use plomb_dlms::security::general::{Envelope, GeneralCiphering, KeyChoice, KeyInfo, open, protect};
use plomb_dlms::security::signing::{SigningKey, VerifyingKey};
use plomb_dlms::security::{
    CounterRange, GeneralKeys, Key, Keys, OpenedBy, Protection, SecurityContext, SecurityError, Suite, SystemTitle,
    open_push,
};
use proptest::prelude::*;

use crate::{hex, hex_of};

const CLIENT: SystemTitle = SystemTitle([0x4D, 0x4D, 0x4D, 0x00, 0x00, 0xBC, 0x61, 0x4E]);
const SERVER: SystemTitle = SystemTitle([0x4D, 0x4D, 0x4D, 0x00, 0x00, 0x00, 0x00, 0x01]);
const TRANSACTION: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const ENCRYPTED: Protection = Protection { authenticated: false, encrypted: true };
const AUTHENTICATED: Protection = Protection { authenticated: true, encrypted: false };

/// The access-request of the standard's examples.
const REQUEST: &str = "D94000000000040100010000600100FF020100080000010000FF0202001400000D0000FF0702001400000D0000FF08\
    04000001040203090100090CFFFFFFFFFFFFFF00000000000901FF0203090101090CFFFFFFFFFFFFFF00000000000901FF02030901020\
    90CFFFFFFFFFFFFFF00000000000901FF0203090103090CFFFFFFFFFFFFFF00000000000901FF0104020809010011FF11FF11FF11FF11\
    FF11FF11FF02080901011102110111011101110111011101020809010211FF11FF11FF11FF11FF11FF11FF02080901031101110211021\
    102110211021102";
/// IEC 62056-5-3, the same under one-pass Diffie-Hellman.
const ONE_PASS_APDU: &str = "DD080102030405060708084D4D4D0000BC614E084D4D4D00000000010000010201018180C323C2BD45711DE46\
    88637D919F92E9DB8FB2DFC213A88D21C9DC8DCBA917D8170511DE1BADB360D50058F794B0960AE11FA28D392CFF907A62D13E3357B1D\
    C0B51BE089D0B682863B2217201E73A1A9031968A9B4121DCBC3281A69739AF87429F5B3AC5471E7B6A04A2C0F2F8A25FD772A317DF97\
    FC5463FEAC248EB8AB8BE81EB3100000000F435069679270C5BF4425EE5777402A6C8D51C620EED52DBB188378B836E2857D5C053E6DD\
    F27FA87409AEF502CD9618AE47017C010224FD109CC0BEB21E742D44AB40CD11908743EC90EC8C40E221D517F72228E1A26E827F43DC1\
    8ED27B5F458D66508B05A2A4CC6FED178C881AFC3BC67064689BE8BB41C80ABB3C114A31F4CB03B8B64C7E0B4CE77B2399C9334785888\
    8F92239713B38DF01C4858245827A92EF334172EA636B31CBBDF2A96AD5D035F66AA38F1A2D97D4BBA99622E6B5F18789CECB2DFB3937\
    D9F3E17F8B472098E6563238F37528374809836002AEA6E7012D2ADFAA7";
/// The text of the same under the static unified model.
const STATIC_TEXT: &str = "607581D83815281B561904E6A72B83BF3FB0B1F2A0A23A82A804B39911F6CB1B4EF9B6F76C6338ED058014FFBF4\
    A13A162E0EED11EEB8F597757A18215F28E1D3FC2D44586C4B8AFE4500B535B579506CDB925CBEFF7F1CF6BF96C583B9CF588FE8F6B01\
    A574824D7CEC597F057FFA8700AF12AD63A7FA72040439F4392C089B265F9EB1AC308239906DC04E1A8712ABE383CF92349842EBA166E\
    F2E9EB2F53D0DBA025D79875463398BBC3007BC4A6FC12780C21EE1ABF080BF0FA926242834C0AC30D55A1EF8856E7DED48621F17FDF4\
    D5B54EDDADD8741192";

const CLIENT_AGREEMENT: &str = "A51C16FF5C498FCC89323D4A9267CD71BF81FD6F6A891CD240DA7F3D6F283E65";
const CLIENT_FRESH: &str = "47DAB03842E5B6E74828EF4F449B378D7DD1A5DAE1FFCA5AE0B0BE0AD18EC57E";
const CLIENT_SIGNING: &str = "418073C239FA6125011DE4D6CD2E645780289F761BB21BFB0835CB5585E8B373";
const SERVER_AGREEMENT: &str = "AAD3FD0732E991CF52A74C66C1F2827DDC53522A2E0A169D7C4FFCC0FB5D6A4D";
const SERVER_PUBLIC: &str = "A653565B0E06070BAE9FBE140A5D2156812AEE2DD525053E3EFC850BF13BFDFFCB240BC7B77BFF5883344E7275\
    908D2287BEFA3725017295A096989D2338290B";

fn agreement(digits: &str) -> AgreementKey {
    AgreementKey::new(&hex(digits)).unwrap()
}

fn keys(suite: Suite) -> Keys {
    let key = |first: u8| Key::new(&vec![first; suite.key_bytes()]).unwrap();
    Keys { encryption: key(1), authentication: Some(key(2)), broadcast: Some(key(3)) }
}

/// One side of a pair: its own private keys, and the other's public ones.
struct Side {
    agreement: AgreementKey,
    signing: SigningKey,
}

impl Side {
    fn new(suite: Suite, filling: u8) -> Self {
        let bytes = vec![filling; if suite == Suite::Two { 48 } else { 32 }];
        Self { agreement: AgreementKey::new(&bytes).unwrap(), signing: SigningKey::new(&bytes).unwrap() }
    }

    fn keys(&self, other: &Self, wrapping: &Key) -> GeneralKeys {
        GeneralKeys {
            wrapping: Some(wrapping.clone()),
            agreement: Some(self.agreement.clone()),
            their_agreement: Some(other.agreement.public()),
            their_signing: Some(other.signing.public()),
        }
    }
}

fn hexed(key: &AgreementPublicKey) -> String {
    hex_of(&key.bytes()).to_uppercase()
}

#[test]
fn the_standard_s_one_pass_example() {
    let bytes = hex(ONE_PASS_APDU);
    let apdu = GeneralCiphering::parse(&bytes).unwrap();
    assert_eq!(apdu.emit(), bytes);
    let Some(KeyInfo::Agreed { parameters, ciphered }) = &apdu.key else { panic!("{apdu:?}") };
    assert_eq!((parameters.as_slice(), ciphered.len()), ([1].as_slice(), 128));
    let (fresh, signing) = (agreement(CLIENT_FRESH), SigningKey::new(&hex(CLIENT_SIGNING)).unwrap());
    let (public, signature) = ciphered.split_at(64);
    assert_eq!(fresh.public().bytes(), public);
    assert_eq!(signing.public().verify(public, signature), Ok(()), "the client signed its fresh key");
    assert_eq!(hexed(&agreement(SERVER_AGREEMENT).public()), SERVER_PUBLIC.replace(' ', ""));
    // The tag of the printed example fits no authentication key that it names: the text under it does.
    let theirs = AgreementPublicKey::new(&hex(SERVER_PUBLIC)).unwrap();
    let choice = KeyChoice::OnePass { fresh: &fresh, signer: &signing, theirs: &theirs };
    let envelope = Envelope { originator: CLIENT, recipient: SERVER, transaction: &TRANSACTION, counter: 0 };
    let sealed = protect(Suite::One, &keys(Suite::One), choice, &envelope, ENCRYPTED, &hex(REQUEST)).unwrap();
    let sealed = GeneralCiphering::parse(&sealed).unwrap();
    assert_eq!(sealed.content[5..], apdu.content[5..apdu.content.len() - 12]);
    let server = one_pass(&agreement(SERVER_AGREEMENT), &fresh.public(), CLIENT, SERVER).unwrap();
    let client = one_pass(&fresh, &theirs, CLIENT, SERVER).unwrap();
    assert_same(&server, &client);
}

#[test]
fn the_standard_s_static_unified_example() {
    let (own, theirs) = (agreement(CLIENT_AGREEMENT), AgreementPublicKey::new(&hex(SERVER_PUBLIC)).unwrap());
    let choice = KeyChoice::StaticUnified { own: &own, theirs: &theirs };
    let envelope = Envelope { originator: CLIENT, recipient: SERVER, transaction: &TRANSACTION, counter: 0 };
    let sealed = protect(Suite::One, &keys(Suite::One), choice, &envelope, ENCRYPTED, &hex(REQUEST)).unwrap();
    let sealed = GeneralCiphering::parse(&sealed).unwrap();
    assert_eq!(sealed.key, Some(KeyInfo::Agreed { parameters: vec![2], ciphered: vec![] }));
    assert_eq!(hex_of(&sealed.content[5..]).to_uppercase(), STATIC_TEXT.replace(' ', ""));
}

/// Green Book, the first message of `key_agreement`, and its signature.
#[test]
fn the_green_book_s_offer_of_a_fresh_key() {
    let public = hex(
        "2914D60E10AB705F62ED6CC349D7CB99B9AB3F3978E59278C7AF595B3AF987941372DAB6D5AF1FA867E134167E6F23DE664A6693E05F43\
         414611058D1B48F894",
    );
    let signature = hex(
        "06F0607702AA0E2435A183E2F6B1ECD19629712E389A213610C03F77B2590860EA840AF5C3FA1F2BCDF055D4744E9A01CE9A0E55026BCA\
         A4EEBEB764CED64BB3",
    );
    let signing = SigningKey::new(&hex(CLIENT_SIGNING)).unwrap();
    let mut offered = [public.clone(), signature].concat();
    assert_eq!(accept(0, &offered, &signing.public()).unwrap().bytes(), public);
    assert_eq!(accept(1, &offered, &signing.public()), Err(SecurityError::SignatureWrong), "for another key");
    offered[127] ^= 1;
    assert_eq!(accept(0, &offered, &signing.public()), Err(SecurityError::SignatureWrong));
    assert!(matches!(accept(0, &offered[..126], &signing.public()), Err(SecurityError::Unsupported(_))));
}

fn assert_same(one: &Key, other: &Key) {
    let seal = |key: &Key| plomb_dlms::security::transfer::wrap(key, key).unwrap();
    assert_eq!(seal(one), seal(other));
}

fn assert_other(one: &Key, other: &Key) {
    let seal = |key: &Key| plomb_dlms::security::transfer::wrap(key, key).unwrap();
    assert_ne!(seal(one), seal(other));
}

#[test]
fn both_sides_work_out_the_same_key_and_another_for_all_else() {
    for suite in [Suite::One, Suite::Two] {
        let (client, server) = (Side::new(suite, 7), Side::new(suite, 9));
        let offered = offer(3, &client.agreement.public(), &client.signing);
        let theirs = accept(3, &offered, &client.signing.public()).unwrap();
        let agreed = |purpose| ephemeral_unified(&server.agreement, &theirs, purpose, CLIENT, SERVER).unwrap();
        let own = server.agreement.public();
        let same = ephemeral_unified(&client.agreement, &own, Purpose::Wrapping, CLIENT, SERVER).unwrap();
        assert_eq!(same.len(), suite.key_bytes());
        assert_same(&same, &agreed(Purpose::Wrapping));
        assert_other(&same, &agreed(Purpose::Ciphering));
        let of = |transaction: &[u8]| static_unified(&client.agreement, &own, CLIENT, SERVER, transaction).unwrap();
        assert_other(&of(&[1]), &of(&[2]));
        assert_other(&of(&[]), &one_pass(&client.agreement, &own, CLIENT, SERVER).unwrap());
        let turned = one_pass(&client.agreement, &own, SERVER, CLIENT).unwrap();
        assert_other(&turned, &one_pass(&client.agreement, &own, CLIENT, SERVER).unwrap());
    }
    let (one, two) = (Side::new(Suite::One, 7), Side::new(Suite::Two, 7));
    let mixed = one_pass(&one.agreement, &two.agreement.public(), CLIENT, SERVER);
    assert!(matches!(mixed, Err(SecurityError::OtherSuite { got: 2, expected: 1 })));
}

#[test]
fn no_point_off_the_curve_is_a_key() {
    let mut point = hex(SERVER_PUBLIC);
    assert!(AgreementPublicKey::new(&point).is_ok());
    point[63] ^= 1;
    assert!(AgreementPublicKey::new(&point).is_err(), "off the curve");
    assert!(AgreementPublicKey::new(&[0; 64]).is_err() && AgreementPublicKey::new(&[0]).is_err());
    assert!(AgreementKey::new(&[0; 32]).is_err() && AgreementKey::new(&[0xFF; 32]).is_err());
    assert!(AgreementKey::new(&[1; 31]).is_err());
    let shown = format!("{:?} {:?}", agreement(CLIENT_FRESH), GeneralKeys::default());
    assert!(shown.starts_with("AgreementKey of suite 1"), "{shown}");
}

/// Every choice of a key, with the suites that have it.
fn sealed_each_way(
    suite: Suite,
    protection: Protection,
    plain: &[u8],
    mut each: impl FnMut(&[u8], &GeneralKeys, OpenedBy),
) {
    let curve = if suite == Suite::Zero { Suite::One } else { suite };
    let (client, server) = (Side::new(curve, 7), Side::new(curve, 9));
    let fresh = Side::new(curve, 11).agreement;
    let (kek, session) =
        (Key::new(&vec![4; suite.key_bytes()]).unwrap(), Key::new(&vec![5; suite.key_bytes()]).unwrap());
    let theirs = client.agreement.public();
    let choices = [
        (KeyChoice::Global, OpenedBy::Global),
        (KeyChoice::Broadcast, OpenedBy::Broadcast),
        (KeyChoice::Wrapped { kek: &kek, key: &session }, OpenedBy::Wrapped),
        (KeyChoice::OnePass { fresh: &fresh, signer: &server.signing, theirs: &theirs }, OpenedBy::Agreed),
        (KeyChoice::StaticUnified { own: &server.agreement, theirs: &theirs }, OpenedBy::Agreed),
    ];
    let envelope = Envelope { originator: SERVER, recipient: CLIENT, transaction: &TRANSACTION, counter: 7 };
    for (choice, by) in choices.into_iter().take(if suite == Suite::Zero { 3 } else { 5 }) {
        let sealed = protect(suite, &keys(suite), choice, &envelope, protection, plain).unwrap();
        each(&sealed, &client.keys(&server, &kek), by);
    }
}

#[test]
fn what_one_side_protects_the_other_opens_and_nothing_else() {
    let plain = hex("C401C1000600000001");
    for suite in [Suite::Zero, Suite::One, Suite::Two] {
        for protection in [Protection::FULL, AUTHENTICATED, ENCRYPTED] {
            sealed_each_way(suite, protection, &plain, |sealed, general, by| {
                let open = |sealed: &[u8], least, own| {
                    open(sealed, suite, &keys(suite), general, Some(SERVER), Some(own), least)
                };
                let opened = open(sealed, protection, CLIENT).unwrap();
                assert_eq!((&opened.apdu, opened.by, opened.counter), (&plain, by, 7));
                assert_eq!((opened.title, opened.protection), (SERVER, protection));
                assert_eq!(GeneralCiphering::parse(sealed).unwrap().emit(), sealed);
                assert!(matches!(Apdu::parse(sealed), Ok(Apdu::Ciphered(_))));
                let other = Err(SecurityError::NotForUs { got: CLIENT, own: SERVER });
                assert_eq!(open(sealed, protection, SERVER), other);
                if protection != Protection::FULL {
                    assert!(matches!(open(sealed, Protection::FULL, CLIENT), Err(SecurityError::Weaker { .. })));
                }
                // Signatures take long in a test build: one bit of a byte there.
                let step = if by == OpenedBy::Agreed { 8 } else { 1 };
                for bit in (0..sealed.len() * 8).step_by(step).filter(|_| protection.authenticated) {
                    let mut wrong = sealed.to_vec();
                    wrong[bit / 8] ^= 1 << (bit % 8);
                    assert!(open(&wrong, protection, CLIENT).is_err(), "{suite:?} {by:?} bit {bit}");
                }
                for end in 0..sealed.len() {
                    assert!(open(&sealed[..end], protection, CLIENT).is_err());
                }
            });
        }
    }
}

#[test]
fn each_missing_key_is_named() {
    let plain = hex("C401C1000600000001");
    let mut missing = Vec::new();
    sealed_each_way(Suite::One, Protection::FULL, &plain, |sealed, general, _| {
        let mut keys = keys(Suite::One);
        keys.broadcast = None;
        let open = |general: &GeneralKeys| {
            open(sealed, Suite::One, &keys, general, Some(SERVER), Some(CLIENT), Protection::FULL).err()
        };
        let without = |change: fn(&mut GeneralKeys)| {
            let mut fewer = general.clone();
            change(&mut fewer);
            open(&fewer)
        };
        missing.extend([
            open(general),
            without(|keys| keys.wrapping = None),
            without(|keys| keys.agreement = None),
            without(|keys| keys.their_agreement = None),
            without(|keys| keys.their_signing = None),
        ]);
    });
    let named: Vec<_> = missing.into_iter().flatten().collect();
    let broadcast = SecurityError::KeyMissing("broadcast");
    let mut expected = vec![broadcast; 5];
    expected.extend(["key encrypting", "own agreement", "meter's signing"].map(SecurityError::KeyMissing));
    expected.extend(["own agreement", "meter's agreement"].map(SecurityError::KeyMissing));
    assert_eq!(named, expected);
}

#[test]
fn an_answer_under_a_made_key_counts_for_its_question_once() {
    let plain = hex("C401C1000600000001");
    let range = CounterRange { next: 100, end: 200 };
    let mut client = SecurityContext::new(Suite::One, CLIENT, keys(Suite::One), range).unwrap();
    assert_eq!(client.protect_general(KeyChoice::Global, &plain), Err(SecurityError::TitleMissing));
    client.set_meter(SERVER);
    let (own, meter) = (Side::new(Suite::One, 7), Side::new(Suite::One, 9));
    let (kek, session) = (Key::new(&[4; 16]).unwrap(), Key::new(&[5; 16]).unwrap());
    client.set_general(own.keys(&meter, &kek));
    let choice = KeyChoice::Wrapped { kek: &kek, key: &session };
    let asked = GeneralCiphering::parse(&client.protect_general(choice, &hex("C001C100080000010000FF0200")).unwrap());
    let transaction = asked.unwrap().transaction;
    let answer = |transaction: &[u8], counter| {
        let envelope = Envelope { originator: SERVER, recipient: CLIENT, transaction, counter };
        protect(Suite::One, &keys(Suite::One), choice, &envelope, Protection::FULL, &plain).unwrap()
    };
    assert_eq!(client.open(&answer(&[0; 8], 1)), Err(SecurityError::OtherTransaction));
    let right = answer(&transaction, 1);
    assert_eq!(client.open(&right).unwrap().apdu, plain);
    assert_eq!(client.open(&right), Err(SecurityError::OtherTransaction), "repeated");
}

#[test]
fn each_key_has_its_own_count() {
    let plain = hex("C401C1000600000001");
    let range = |next| CounterRange { next, end: 200 };
    let side = |title, next| SecurityContext::new(Suite::Zero, title, keys(Suite::Zero), range(next)).unwrap();
    let (mut client, mut meter) = (side(CLIENT, 1), side(SERVER, 100));
    client.set_meter(SERVER);
    let global = meter.protect(&plain).unwrap();
    assert!(client.open(&global).is_ok());
    let dedicated = Key::new(&[9; 16]).unwrap();
    let mut meter = side(SERVER, 5);
    meter.set_dedicated(dedicated.clone());
    client.set_dedicated(dedicated);
    let sealed = meter.protect(&plain).unwrap();
    assert_eq!(client.open(&sealed).unwrap().by, OpenedBy::Dedicated);
    assert_eq!(client.open(&sealed), Err(SecurityError::Repeated { got: 5, last: 5 }));
    assert_eq!(client.open(&global), Err(SecurityError::Repeated { got: 100, last: 100 }));
    assert_eq!(client.received(), Some(100), "the dedicated key's count is not kept");
    let envelope = Envelope { originator: SERVER, recipient: CLIENT, transaction: &[], counter: 3 };
    let keys = keys(Suite::Zero);
    let broadcast = protect(Suite::Zero, &keys, KeyChoice::Broadcast, &envelope, Protection::FULL, &plain).unwrap();
    assert!(client.open(&broadcast).is_ok());
    assert_eq!(client.open(&broadcast), Err(SecurityError::Repeated { got: 3, last: 3 }));
    let pushed = |last| open_push(&broadcast, Suite::Zero, None, &keys, Protection::FULL, last);
    assert!(pushed(Some(2)).is_ok());
    assert_eq!(pushed(Some(3)), Err(SecurityError::Repeated { got: 3, last: 3 }));
}

#[test]
fn what_the_standard_does_not_have_is_refused_by_name() {
    let open = |bytes: &[u8]| {
        let general = GeneralKeys { agreement: Some(agreement(CLIENT_AGREEMENT)), ..GeneralKeys::default() };
        open(bytes, Suite::One, &keys(Suite::One), &general, Some(SERVER), Some(CLIENT), Protection::NONE).unwrap_err()
    };
    let with = |key| {
        let content = [[0x31].as_slice(), &[0; 20]].concat();
        let (originator, recipient) = (SERVER.0.to_vec(), CLIENT.0.to_vec());
        GeneralCiphering { transaction: vec![], originator, recipient, time: vec![], other: vec![], key, content }
            .emit()
    };
    let scheme = |parameters| Some(KeyInfo::Agreed { parameters, ciphered: vec![1] });
    for parameters in [vec![], vec![0], vec![2], vec![3], vec![1, 1]] {
        assert_eq!(open(&with(scheme(parameters))), SecurityError::Unsupported("this scheme of key agreement"));
    }
    assert_eq!(open(&with(Some(KeyInfo::Identified(2)))), SecurityError::Unsupported("a key with this number"));
    let wrapped = Some(KeyInfo::Wrapped { kek: 1, wrapped: vec![0; 24] });
    assert_eq!(open(&with(wrapped)), SecurityError::Unsupported("a key with this number"));
    let mut wrong = with(Some(KeyInfo::Identified(0)));
    wrong[23] = 3;
    let choice = ApduError::UnknownChoice { what: "key-info", choice: 3, offset: 23 };
    assert_eq!(open(&wrong), SecurityError::Malformed(choice));
    assert_eq!(open(&with(None)), SecurityError::TagWrong, "no key-info: the global key");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        fields in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 8),
        choice in 0u8..5,
        id: u8,
    ) {
        let mut fields = fields.into_iter();
        let mut next = || fields.next().unwrap();
        let key = match choice {
            0 => None,
            1 => Some(KeyInfo::Identified(id)),
            2 => Some(KeyInfo::Wrapped { kek: id, wrapped: next() }),
            _ => Some(KeyInfo::Agreed { parameters: next(), ciphered: next() }),
        };
        let apdu = GeneralCiphering {
            transaction: next(),
            originator: next(),
            recipient: next(),
            time: next(),
            other: next(),
            key,
            content: next(),
        };
        prop_assert_eq!(GeneralCiphering::parse(&apdu.emit()), Ok(apdu));
    }

    #[test]
    fn any_plain_apdu_comes_back(content in proptest::collection::vec(any::<u8>(), 0..300), authenticated: bool, encrypted: bool) {
        let protection = Protection { authenticated, encrypted };
        // Nothing but an APDU is taken without a tag.
        let plain = if authenticated { content } else { hex("C401C1000600000001") };
        sealed_each_way(Suite::Zero, protection, &plain, |sealed, general, _| {
            let keys = keys(Suite::Zero);
            let opened = open(sealed, Suite::Zero, &keys, general, Some(SERVER), Some(CLIENT), protection);
            assert_eq!(opened.unwrap().apdu, plain);
        });
    }

    #[test]
    fn any_bytes_are_opened_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120), key in 0u8..4, kind in 0u8..4) {
        let general = GeneralKeys { wrapping: Some(Key::new(&[4; 16]).unwrap()), ..GeneralKeys::default() };
        let framed = [&[0xDD, 0, 0, 0, 0, 0, key, kind], bytes.as_slice()].concat();
        for bytes in [bytes, framed] {
            let _ = open(&bytes, Suite::Zero, &keys(Suite::Zero), &general, Some(SERVER), None, Protection::NONE);
            let _ = VerifyingKey::new(&bytes);
        }
    }
}
