//! OMS telegrams (Open Metering System, volume 2): without protection, security profile A (mode 5) and
//! profile B (mode 7 with key derivation and authentication).

use crate::mbus::Identity;
use aes::Aes128;
use cbc::cipher::{Block, BlockModeEncrypt, KeyIvInit};
use cmac::{Cmac, KeyInit, Mac};

/// An AES-128 key.
pub type Key = [u8; 16];

const SND_NR: u8 = 0x44;
/// Short transport header.
const CI_SHORT: u8 = 0x7A;
/// Short extended link layer (ELL-I).
const CI_ELL: u8 = 0x8C;
/// Authentication and fragmentation layer.
const CI_AFL: u8 = 0x90;
/// Message control, counter and MAC are present.
const AFL_CONTROL: u16 = 0x2C00;
/// Message counter present, CMAC of eight bytes.
const AFL_MESSAGE_CONTROL: u8 = 0x25;
/// Key derivation with the message counter.
const KDF_A: u8 = 0x10;
/// Fills the last block.
const FILLER: u8 = 0x2F;
const BLOCK_BYTES: usize = 16;

/// What stands before the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelegramHead {
    /// Who sends.
    pub identity: Identity,
    /// The access number.
    pub access: u8,
    /// The status byte.
    pub status: u8,
}

/// A telegram without protection, without CRCs.
#[must_use]
pub fn plain(head: &TelegramHead, records: &[u8]) -> Vec<u8> {
    let mut body = vec![CI_SHORT, head.access, head.status, 0x00, 0x00];
    body.extend_from_slice(records);
    linked(&head.identity, &body)
}

/// A telegram in security mode 5: AES-CBC under the meter's key. The beginning of the chain is the
/// address and eight times the access number.
#[must_use]
pub fn mode_5(head: &TelegramHead, key: &Key, records: &[u8]) -> Vec<u8> {
    let padded = padded(records);
    let address = address(&head.identity);
    let mut chain = [head.access; 16];
    chain.iter_mut().zip(address).for_each(|(byte, part)| *byte = part);
    let mut body = vec![CI_SHORT, head.access, head.status, blocks(&padded) << 4, 0x05];
    body.extend(encrypted(key, &chain, &padded));
    linked(&head.identity, &body)
}

/// A telegram in security mode 7: AES-CBC and CMAC under keys derived from the meter's key, its
/// identification and the message counter.
#[must_use]
pub fn mode_7(head: &TelegramHead, key: &Key, counter: u32, records: &[u8]) -> Vec<u8> {
    let padded = padded(records);
    let id = head.identity.id.to_le_bytes();
    let derived = |purpose: u8| {
        let mut input = vec![purpose];
        input.extend(counter.to_le_bytes());
        input.extend(id);
        input.extend([0x07; 7]);
        cmac(key, &input)
    };
    let mut transport = vec![CI_SHORT, head.access, head.status, blocks(&padded) << 4, 0x07, KDF_A];
    transport.extend(encrypted(&derived(0x00), &[0; 16], &padded));
    let mut covered = vec![AFL_MESSAGE_CONTROL];
    covered.extend(counter.to_le_bytes());
    covered.extend_from_slice(&transport);
    let mac = cmac(&derived(0x01), &covered);
    let mut body = vec![CI_ELL, 0x20, head.access, CI_AFL, 15];
    body.extend(AFL_CONTROL.to_le_bytes());
    body.push(AFL_MESSAGE_CONTROL);
    body.extend(counter.to_le_bytes());
    body.extend(mac.iter().take(8));
    body.extend(transport);
    linked(&head.identity, &body)
}

/// Manufacturer, identification, version, type: the order of the link layer.
fn address(identity: &Identity) -> [u8; 8] {
    let [m, n] = identity.manufacturer.to_le_bytes();
    let [a, b, c, d] = identity.id.to_le_bytes();
    [m, n, a, b, c, d, identity.version, identity.medium]
}

/// L, C and address before `body`. What is too long for an L-field is cut; no meter here is.
fn linked(identity: &Identity, body: &[u8]) -> Vec<u8> {
    let mut telegram = vec![0, SND_NR];
    telegram.extend(address(identity));
    telegram.extend_from_slice(body);
    telegram.truncate(256);
    let l = u8::try_from(telegram.len() - 1).unwrap_or(u8::MAX);
    telegram.iter_mut().take(1).for_each(|first| *first = l);
    telegram
}

/// The check bytes 2F 2F, the records, and filler up to a whole block.
fn padded(records: &[u8]) -> Vec<u8> {
    let mut padded = vec![FILLER, FILLER];
    padded.extend_from_slice(records);
    padded.resize(padded.len().next_multiple_of(BLOCK_BYTES), FILLER);
    padded
}

fn blocks(padded: &[u8]) -> u8 {
    u8::try_from(padded.len() / BLOCK_BYTES).unwrap_or(15).min(15)
}

fn encrypted(key: &Key, chain: &[u8; 16], padded: &[u8]) -> Vec<u8> {
    let mut encryptor = cbc::Encryptor::<Aes128>::new(key.into(), chain.into());
    let mut out = Vec::with_capacity(padded.len());
    for piece in padded.chunks(BLOCK_BYTES) {
        let mut block = Block::<Aes128>::default();
        block.iter_mut().zip(piece).for_each(|(byte, part)| *byte = *part);
        encryptor.encrypt_block(&mut block);
        out.extend_from_slice(&block);
    }
    out
}

fn cmac(key: &Key, input: &[u8]) -> Key {
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.into());
    mac.update(input);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// The meter of OMS volume 2, annex N.2, and its records.
    const IDENTITY: Identity = Identity { id: 0x1234_5678, manufacturer: 0x1593, version: 0x33, medium: 0x03 };
    const RECORDS: &str = "0C1427048502046D32371F1502FD170000";

    #[test]
    fn the_printed_telegram_of_annex_n_2_1() {
        let head = TelegramHead { identity: IDENTITY, access: 0x2A, status: 0 };
        let key = bytes("0102030405060708090A0B0C0D0E0F11").try_into().unwrap();
        let mut telegram = mode_5(&head, &key, &bytes(RECORDS));
        // The printed one also has the bit of a synchronous transmission.
        assert_eq!(telegram[13..15], [0x20, 0x05]);
        telegram[14] = 0x25;
        let printed = "2E4493157856341233037A2A0020255923C95AAA26D1B2E7493B013EC4A6F6D3529B520EDFF0EA6DEFC99D6D69EBF3";
        assert_eq!(telegram, bytes(printed));
    }

    #[test]
    fn the_printed_telegram_of_annex_n_2_3() {
        let head = TelegramHead { identity: IDENTITY, access: 0x75, status: 0 };
        let key = bytes("000102030405060708090A0B0C0D0E0F").try_into().unwrap();
        let telegram = mode_7(&head, &key, 0x0AB3, &bytes(RECORDS));
        let printed = "434493157856341233038C2075900F002C25B30A000021924D4F2FB66E017A7500200710\
                       9058475F4BC91DF878B80A1B0F98B629024AAC727942BFC549233C0140829B93";
        assert_eq!(telegram, bytes(&printed.replace(' ', "")));
    }
}
