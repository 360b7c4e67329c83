#!/usr/bin/env python3
"""COSEM's ciphers in another language and over another library (cryptography), to
check the driver's against: protects and opens whole APDUs, wraps and agrees keys,
signs. Written from IEC 62056-5-3 §5, NIST SP 800-56A and RFC 3394.

Reads one JSON object a line, "op" and its arguments (bytes in hexadecimal), and
writes one a line: {"ok": hex} or {"error": text}. Needs the package cryptography.
"""

import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

TAG = 12
AUTHENTICATED, ENCRYPTED = 0x10, 0x20
CURVES = {1: (ec.SECP256R1(), hashes.SHA256, hashlib.sha256, 32, 16),
          2: (ec.SECP384R1(), hashes.SHA384, hashlib.sha384, 48, 32)}

# A-XDR
def length(count):
    if count < 0x80:
        return bytes([count])
    body = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(body)]) + body
def octets(body):
    return length(len(body)) + body

class Reader:
    def __init__(self, body):
        self.body, self.at = body, 0
    def take(self, count):
        part = self.body[self.at:self.at + count]
        if len(part) != count:
            raise ValueError("short")
        self.at += count
        return part
    def byte(self):
        return self.take(1)[0]
    def octets(self):
        first = self.byte()
        return self.take(first if first < 0x80 else int.from_bytes(self.take(first & 0x7F), "big"))

# AES-GCM
def gcm(key, title, counter, tag=None):
    return Cipher(algorithms.AES(key), modes.GCM(title + counter.to_bytes(4, "big"), tag, min_tag_length=TAG))
def seal(control, title, counter, key, ak, fields, plain):
    made = gcm(key, title, counter).encryptor()
    if control & AUTHENTICATED:
        made.authenticate_additional_data(bytes([control]) + ak + fields)
    if control & ENCRYPTED:
        text = made.update(plain) + made.finalize()
    else:
        made.authenticate_additional_data(plain)
        made.finalize()
        text = plain
    return text + (made.tag[:TAG] if control & AUTHENTICATED else b"")
def unseal(control, title, counter, key, ak, fields, sealed):
    if not control & AUTHENTICATED:
        return gcm(key, title, counter).encryptor().update(sealed) if control & ENCRYPTED else sealed
    text, tag = sealed[:-TAG], sealed[-TAG:]
    opened = gcm(key, title, counter, tag).decryptor()
    opened.authenticate_additional_data(bytes([control]) + ak + fields)
    if control & ENCRYPTED:
        return opened.update(text) + opened.finalize()
    opened.authenticate_additional_data(text)
    opened.finalize()
    return text

# Curves
def private_key(suite, body):
    return ec.derive_private_key(int.from_bytes(body, "big"), CURVES[suite][0])
def public_key(suite, body):
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVES[suite][0], b"\x04" + body)
def point(suite, key):
    numbers, size = key.public_numbers(), CURVES[suite][3]
    return numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
def sign(suite, key, text):
    size = CURVES[suite][3]
    r, s = decode_dss_signature(private_key(suite, key).sign(text, ec.ECDSA(CURVES[suite][1]())))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")
def verify(suite, key, text, signature):
    half = len(signature) // 2
    whole = encode_dss_signature(*(int.from_bytes(part, "big") for part in (signature[:half], signature[half:])))
    public_key(suite, key).verify(whole, text, ec.ECDSA(CURVES[suite][1]()))
def agree(suite, own, theirs, *parties, algorithm=None):
    shared = private_key(suite, own).exchange(ec.ECDH(), public_key(suite, theirs))
    last = suite - 1 if algorithm is None else algorithm
    text = bytes(3) + b"\x01" + shared + bytes.fromhex("608574050803") + bytes([last]) + b"".join(parties)
    return CURVES[suite][2](text).digest()[:CURVES[suite][4]]

# Whole APDUs
def protect(a):
    suite, control, plain = a["suite"], a["control"], a["plain"]
    key, fields, header = a["ek"], b"", b""
    form = a["form"]
    if form in ("service", "dedicated-service"):
        plus = 8 if form == "service" else 16
        outer = plain[0] + plus if plain[0] >= 0xC0 else plain[0] + 4 * plus
    elif form in ("general", "dedicated"):
        outer, header = (0xDB if form == "general" else 0xDC), octets(a["title"])
    else:
        outer = 0xDD
        fields = b"".join(map(octets, (a["transaction"], a["title"], a["recipient"], a["time"], a["other"])))
        if form == "identified":
            info = b"\x01\x00\x00"
        elif form == "none":
            info = b"\x00"
        elif form == "wrapped":
            key = a["key"]
            info = b"\x01\x01\x00" + octets(aes_key_wrap(a["kek"], key))
        elif form == "one-pass":
            fresh = point(suite, private_key(suite, a["private"]).public_key())
            key = agree(suite, a["private"], a["public"], a["title"], a["recipient"])
            info = b"\x01\x02\x01\x01" + octets(fresh + sign(suite, a["signer"], fresh))
        else:
            key = agree(suite, a["private"], a["public"], a["title"], octets(a["transaction"]), a["recipient"])
            info = b"\x01\x02\x01\x02\x00"
        header = fields + info
    sealed = seal(control, a["title"], a["counter"], key, a["ak"], fields, plain)
    return bytes([outer]) + header + octets(bytes([control]) + a["counter"].to_bytes(4, "big") + sealed)
def unprotect(a):
    suite, key, fields, title = a["suite"], a["ek"], b"", a.get("title")
    reader = Reader(a["apdu"])
    outer = reader.byte()
    if outer in (0xDB, 0xDC):
        title = reader.octets()
    elif outer == 0xDD:
        transaction, title, recipient, _, _ = (reader.octets() for _ in range(5))
        fields = reader.body[1:reader.at]
        if reader.byte():
            choice = reader.byte()
            if choice == 0:
                reader.byte()
            elif choice == 1:
                reader.byte()
                key = aes_key_unwrap(a["kek"], reader.octets())
            elif reader.octets() == b"\x01":
                both = reader.octets()
                fresh, signature = both[:len(both) // 2], both[len(both) // 2:]
                verify(suite, a["signer"], fresh, signature)
                key = agree(suite, a["private"], fresh, title, recipient)
            else:
                reader.octets()
                key = agree(suite, a["private"], a["public"], title, octets(transaction), recipient)
    content = reader.octets()
    return unseal(content[0], title, int.from_bytes(content[1:5], "big"), key, a["ak"], fields, content[5:])

# High level security: the prover answers the other's challenge.
def proof(a):
    prover, other, theirs, own = a["title"], a["recipient"], a["challenge"], a["own"]
    secret, mechanism = a["kek"], a["mechanism"]
    if mechanism == 3:
        return hashlib.md5(theirs + secret).digest()
    if mechanism == 4:
        return hashlib.sha1(theirs + secret).digest()
    if mechanism == 6:
        return hashlib.sha256(secret + prover + other + theirs + own).digest()
    if mechanism == 7:
        return sign(a["suite"], a["private"], prover + other + theirs + own)
    control = AUTHENTICATED | a["suite"]
    tag = seal(control, prover, a["counter"], a["ek"], a["ak"], b"", theirs)[-TAG:]
    return bytes([control]) + a["counter"].to_bytes(4, "big") + tag

OPS = {
    "proof": proof,
    "protect": protect,
    "open": unprotect,
    "wrap": lambda a: aes_key_wrap(a["kek"], a["key"]),
    "unwrap": lambda a: aes_key_unwrap(a["kek"], a["wrapped"]),
    "public": lambda a: point(a["suite"], private_key(a["suite"], a["private"]).public_key()),
    "sign": lambda a: sign(a["suite"], a["private"], a["text"]),
    "verify": lambda a: verify(a["suite"], a["public"], a["text"], a["signature"]) or b"",
    "agree": lambda a: agree(a["suite"], a["private"], a["public"], a["title"], a["recipient"],
                             algorithm=a["algorithm"]),
}

for line in sys.stdin:
    asked = {name: bytes.fromhex(value) if isinstance(value, str) and name not in ("op", "form") else value
             for name, value in json.loads(line).items()}
    try:
        answer = {"ok": OPS[asked["op"]](asked).hex()}
    except (InvalidTag, InvalidSignature, InvalidUnwrap, ValueError, KeyError) as error:
        answer = {"error": type(error).__name__}
    print(json.dumps(answer), flush=True)
