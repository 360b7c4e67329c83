#!/usr/bin/env python3
"""A monitor of the log, written from C2SP tlog-tiles, tlog-checkpoint, signed-note and tlog-cosignature alone, in
another language than the project's own: what the hub serves must be the tree that its checkpoint speaks of.

    monitor_tiles.py https://HOST:PORT --ca FILE --policy FILE [--cert FILE --key FILE]

Checks the note's signatures by the keys of the policy; fetches every bundle of entries and every tile of hashes;
rebuilds the root from the entries, and each tile from the one below; prints JSON. Exit status: 0 all agrees, 1 not.
Needs the package cryptography.
"""

import argparse
import base64
import hashlib
import http.client
import json
import ssl
import sys
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf(entry):
    return sha256(b"\x00" + entry)


def root(hashes):
    """The root of RFC 6962 over hashes of leaves, or of complete subtrees of one height but for the last."""
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return sha256(b"\x01" + root(hashes[:split]) + root(hashes[split:]))


class Log:
    def __init__(self, hub, ca, cert, key):
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if cert:
            context.load_cert_chain(cert, key)
        place = urlsplit(hub)
        self.connection = http.client.HTTPSConnection(place.hostname, place.port, context=context)

    def get(self, path, content_type):
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body[:200])
        assert answer.getheader("content-type").split(";")[0] == content_type, (path, answer.getheader("content-type"))
        return body

    def tile(self, level, index, width):
        digits = f"{index:03}" if index < 1000 else f"{index:0{-(-len(str(index)) // 3) * 3}}"
        groups = [digits[at:at + 3] for at in range(0, len(digits), 3)]
        path = "/".join(["x" + group for group in groups[:-1]] + groups[-1:])
        part = "" if width == WIDTH else f".p/{width}"
        return self.get(f"/tile/{level}/{path}{part}", "application/octet-stream")


def keys(policy):
    """The verifier keys that a policy names: log and witnesses."""
    found = {}
    for line in policy.splitlines():
        words = line.split()
        if words and words[0] in ("log", "witness"):
            vkey = words[1] if words[0] == "log" else words[2]
            name, key_id, data = vkey.split("+", 2)
            raw = base64.b64decode(data)
            assert sha256(name.encode() + b"\n" + raw)[:4].hex() == key_id, "the key's id is not its own"
            found[words[0]] = (name, bytes.fromhex(key_id), raw[0], Ed25519PublicKey.from_public_bytes(raw[1:]))
    return found


def checkpoint(note, policy):
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    lines = {}
    for line in signatures.splitlines():
        dash, name, data = line.split(" ")
        assert dash == "\u2014"
        raw = base64.b64decode(data)
        lines[(name, raw[:4])] = raw[4:]
    by = keys(policy)
    name, key_id, algorithm, key = by["log"]
    assert algorithm == 1
    key.verify(lines[(name, key_id)], text.encode())
    witness, key_id, algorithm, key = by["witness"]
    assert algorithm == 4
    cosignature = lines[(witness, key_id)]
    time_s = int.from_bytes(cosignature[:8], "big")
    key.verify(cosignature[8:], f"cosignature/v1\ntime {time_s}\n{text}".encode())
    origin, size, root_hash = text.splitlines()[:3]
    assert origin == name, "the origin is the log's name"
    assert str(int(size)) == size
    return int(size), base64.b64decode(root_hash), time_s


def parts(count):
    """Index and width of the tiles that hold so many."""
    full = [(index, WIDTH) for index in range(count // WIDTH)]
    return full + ([(count // WIDTH, count % WIDTH)] if count % WIDTH else [])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("hub")
    for name in ("--ca", "--policy", "--cert", "--key"):
        arguments.add_argument(name)
    given = arguments.parse_args()
    log = Log(given.hub, given.ca, given.cert, given.key)
    with open(given.policy, encoding="utf-8") as file:
        policy = file.read()
    note = log.get("/checkpoint", "text/plain").decode()
    size, wanted, time_s = checkpoint(note, policy)

    entries = []
    for index, width in parts(size):
        bundle = log.tile("entries", index, width)
        count = len(entries)
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            assert len(bundle) >= 2 + length
            entries.append(bundle[2:2 + length])
            bundle = bundle[2 + length:]
        assert len(entries) - count == width, "a bundle has as many entries as its path says"

    below = [leaf(entry) for entry in entries]
    from_entries = root(below)
    tiles, level = 0, 0
    while True:
        served = []
        for index, width in parts(len(below)):
            tile = log.tile(level, index, width)
            assert len(tile) == 32 * width
            served += [tile[at:at + 32] for at in range(0, len(tile), 32)]
            tiles += 1
        assert served == below, f"tiles of level {level}"
        # The next level has a hash for each full tile of this one.
        below = [root(served[at:at + WIDTH]) for at in range(0, len(served) // WIDTH * WIDTH, WIDTH)]
        if not below:
            break
        level += 1
    agrees = from_entries == wanted
    json.dump({"size": size, "root": wanted.hex(), "agrees": agrees, "tiles": tiles, "levels": level + 1,
               "time_s": time_s}, sys.stdout)
    print()
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
