#!/usr/bin/env python3
"""Opens what is sealed in a configuration or command, written from RFC 9180 and docs/ledger.md (§2.4) in another
language and on other primitives than the project's own.

    open_sealed.py TRANSACTION SECRET-HEX

prints the content, and ends with 0 if it opens and fits its commitment. Needs the packages cbor2 and cryptography.
"""

import hashlib
import hmac
import sys
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEM = b"KEM" + (0x0020).to_bytes(2, "big")
SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0003))
# Where the sealed content, its recipient and its commitment stand in each statement.
PLACES = {"config": (8, 7, 6), "command": (10, 9, 8)}


def extract(suite, salt, label, keying):
    return hmac.digest(salt, b"HPKE-v1" + suite + label + keying, "sha256")


def expand(suite, key, label, info, length):
    info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    out, block = b"", b""
    for number in range(1, 3):
        block = hmac.digest(key, block + info + bytes([number]), "sha256")
        out += block
    return out[:length]


def open_base(secret, encapsulated, ciphertext, info, aad):
    """RFC 9180: Decap (§4.1), KeySchedule (§5.1) in base mode, Open with the first nonce (§5.2)."""
    own = X25519PrivateKey.from_private_bytes(secret)
    shared = own.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    context = encapsulated + own.public_key().public_bytes_raw()
    shared = expand(KEM, extract(KEM, b"", b"eae_prk", shared), b"shared_secret", context, 32)
    schedule = b"\0" + extract(SUITE, b"", b"psk_id_hash", b"") + extract(SUITE, b"", b"info_hash", info)
    key_source = extract(SUITE, shared, b"secret", b"")
    key = expand(SUITE, key_source, b"key", schedule, 32)
    nonce = expand(SUITE, key_source, b"base_nonce", schedule, 12)
    return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, aad)


def main():
    envelope = cbor2.loads(Path(sys.argv[1]).read_bytes()).value
    header, payload = cbor2.loads(envelope[0]), cbor2.loads(envelope[2])
    kind = header[3].removeprefix("application/vnd.plomb.").removesuffix("+cbor")
    sealed_at, recipient_at, commitment_at = PLACES[kind]
    secret = bytes.fromhex(sys.argv[2])
    public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    assert hashlib.sha256(public).digest()[:8] == payload[recipient_at], "sealed to another key"
    sealed = payload[sealed_at]
    payload[sealed_at] = b""
    aad = cbor2.dumps([header[4], cbor2.dumps(payload, canonical=True)], canonical=True)
    opened = open_base(secret, sealed[:32], sealed[32:], b"plomb/1", aad)
    assert hashlib.sha256(opened).digest() == payload[commitment_at], "not what the statement commits to"
    sys.stdout.buffer.write(opened[32:])


main()
