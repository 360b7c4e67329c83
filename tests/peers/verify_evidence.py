#!/usr/bin/env python3
"""A second verifier of exports, written from docs/evidence.md in another language
than the project's own, to keep us honest: the page must say enough, and both must
give the same verdict for every file. Numbers with § are sections of that page.

    verify_evidence.py FILE [--policy P]

prints JSON: "verdict", and "check": the first that failed, or null. Exit status:
0 proved, 1 tampered, 3 incomplete, 2 not begun. Needs the package cryptography.
"""

import argparse
import base64
import functools
import hashlib
import itertools
import json
import re
import sys
import unicodedata
from collections import namedtuple
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DEPTH_MAX = 16  # deeper than any structure of the page
ZERO = bytes(32)
Tag = namedtuple("Tag", "number item")
Map = namedtuple("Map", "pairs")
Key = namedtuple("Key", "name id key")
Signed = namedtuple("Signed", "content kid hash fits")
Entry = namedtuple("Entry", "version gateway epoch seq previous stamp body")
Anchor = namedtuple("Anchor", "version gateway epoch batch first_seq count previous head root opened closed checkpoint")
Vote = namedtuple("Vote", "version origin base change")
Issue = namedtuple("Issue", "version action origin subject role reach key not_before not_after x509")
Reached = namedtuple("Reached", "epoch next_seq head next_batch anchor")

class Fault(Exception):
    """The name of the check that failed. What can't be read is a ValueError; its caller names the check."""

def must(condition, check=None):
    if not condition:
        raise Fault(check) if check else ValueError
def attempt(check, read_it, *arguments):
    try:
        return read_it(*arguments)
    except ValueError as error:
        raise Fault(check) from error
def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

# Ed25519 (§2.4)
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
SMALL_ORDER_Y = {0, 1, P - 1} | {int.from_bytes(bytes.fromhex(text), "little") for text in (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")}
@functools.cache
def is_key(key):
    y = int.from_bytes(key, "little") % 2**255
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P)
    return len(key) == 32 and y < P and y not in SMALL_ORDER_Y and pow(x_squared, (P - 1) // 2, P) in (0, 1)

def signature_fits(key, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return int.from_bytes(signature[:32], "little") % 2**255 % P not in SMALL_ORDER_Y

# Deterministic CBOR (§2.1): first the item, in shortest form, then its shape

def read(octets, at=0, depth=0):
    """One item, and where it ends."""
    must(at < len(octets) and depth < DEPTH_MAX)
    major, value, at = octets[at] >> 5, octets[at] & 31, at + 1
    must(value < 28 and (major < 7 or value == 22))
    if value > 23:
        width = 1 << (value - 24)
        at, value = at + width, int.from_bytes(octets[at:at + width], "big")
        must(at <= len(octets) and value >= (24 if width == 1 else 1 << (4 * width)))
    if major < 2:
        return -1 - value if major else value, at
    if major < 4:
        must(at + value <= len(octets))
        found = octets[at:at + value]
        return found.decode("utf-8") if major == 3 else found, at + value
    items = []
    for _ in range({4: value, 5: 2 * value, 6: 1, 7: 0}[major]):
        item, at = read(octets, at, depth + 1)
        items.append(item)
    return items if major == 4 else Map(items) if major == 5 else Tag(value, items[0]) if major == 6 else None, at
def only(octets, shape):
    item, end = read(octets)
    must(end == len(octets) and fits(item, shape))
    return item

def fits(value, shape):
    """A list is an array of exactly these, a function a condition; all else stands for itself."""
    if callable(shape):
        return shape(value)
    if isinstance(shape, (list, tuple)):
        return type(value) is type(shape) and len(value) == len(shape) and all(map(fits, value, shape))
    return type(value) is type(shape) and value == shape

# Conditions on one item
number = lambda least, most: lambda value: type(value) is int and least <= value <= most
octets = lambda least, most: lambda value: type(value) is bytes and least <= len(value) <= most
long_text = lambda most: lambda value: type(value) is str and len(value.encode()) <= most
many = lambda most, shape: lambda item: type(item) is list and len(item) <= most and fits(item, [shape] * len(item))
either = lambda *shapes: lambda value: any(fits(value, shape) for shape in shapes)
text = lambda value: long_text(512)(value) and all(unicodedata.category(c) != "Cc" for c in value)
name = lambda value: type(value) is str and re.fullmatch("[a-z0-9-]{1,64}", value) is not None
public_key = lambda value: type(value) is bytes and is_key(value)

# Structures (§3, §5; drawn in §10)
U8, U16, U32, U64, COUNTER = (number(0, 2**bits - 1) for bits in (8, 16, 32, 64, 63))
INT, I8, HASH = number(-2**63, 2**63 - 1), number(-128, 127), octets(32, 32)
PROOF, POLICY, MAYBE_TEXT = long_text(20480), long_text(65536), either(text, None)
LINK = [name, COUNTER, HASH]
VALUE = either([1, Tag(4, [I8, INT])], [2, text], [3, text], [4, octets(0, 512)], [5, octets(0, 512)])
READING = [either(octets(6, 6), None), VALUE, text, text, number(0, 3), U64, U32, U32, MAYBE_TEXT, many(32, text)]
RECORD = [[text, text, text, U8, U8], many(512, READING), MAYBE_TEXT, many(32, text), many(32, HASH), text, MAYBE_TEXT]
BODY = either([1, LINK, RECORD], [2, LINK, [INT, U16, text]], [3, text, many(32, [text, text])])
ENTRY = [1, name, U32, COUNTER, HASH, [INT, either([0], [1, U32], [2, INT])], BODY]
ANCHOR = [1, name, U32, COUNTER, COUNTER, number(1, 2**32 - 1), *[HASH] * 3, INT, INT, either(long_text(16384), None)]
GENESIS = [1, 0, text, many(128, [name, public_key, octets(0, 8192)]), U32]
MEMBER_CHANGE = either([1, name, public_key, octets(0, 8192)], [2, name], [3, U32])
VOTE = [1, text, COUNTER, MEMBER_CHANGE]
ISSUE = [1, 1, text, name, number(1, 5), many(1024, name), public_key, INT, INT, octets(0, 8192)]
STATEMENT, FRAMES = octets(0, 65536), many(131072, octets(0, 65536))
LOGGED, BATCH = [STATEMENT, PROOF], [STATEMENT, either(PROOF, None)]
SCOPE = either([0], [1, name], [2, U32, COUNTER])
ITEM = either([0, "plomb-export", 1, name, SCOPE, POLICY], [1, LOGGED, many(64, LOGGED)],
              [2, *BATCH, many(4096, STATEMENT), FRAMES], [3, *BATCH, many(4096, [STATEMENT, many(63, HASH)]), FRAMES],
              [4, many(4096, STATEMENT), FRAMES], [5, U64, HASH])

def statement(raw, kind, shape, made):
    """A signed statement (§3.1), read but not yet verified."""
    must(len(raw) <= 65536)
    protected, _, payload, signature = only(raw, Tag(18, [STATEMENT, Map([]), STATEMENT, octets(64, 64)])).item
    kid = only(protected, Map([1, -8, 3, f"application/vnd.plomb.{kind}+cbor", 4, octets(8, 8)])).pairs[5]
    # Both byte strings stand in the Sig_structure as they stand in the envelope.
    end = read(raw, 2)[1]
    signed = b"\x84\x6aSignature1" + raw[2:end] + b"\x40" + raw[end + 1:-66]
    return Signed(made(*only(payload, shape)), kid, sha256(b"\0", raw),
                  lambda key: sha256(key)[:8] == kid and signature_fits(key, signed, signature))

def content_type(raw):
    """What the header of a signed statement says it is, or None if that can't be read."""
    try:
        return only(only(raw, lambda item: isinstance(item, Tag)).item[0], lambda item: isinstance(item, Map)).pairs[3]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None

# Trees, notes, policies, proofs (§4)
def root(hashes):
    half = 1 << (len(hashes) - 1).bit_length() >> 1
    return sha256(b"\1", root(hashes[:half]), root(hashes[half:])) if half else hashes[0]
def root_from_path(leaf, index, size, path):
    if size == 1 or not path:
        return leaf if (index, size, path) == (0, 1, []) else None
    half = 1 << (size - 1).bit_length() >> 1
    left = index < half
    below = (index, half) if left else (index - half, size - half)
    inner = root_from_path(leaf, *below, path[:-1])
    return inner and (sha256(b"\1", inner, path[-1]) if left else sha256(b"\1", path[-1], inner))

def from_base64(text, count=None):
    found = base64.b64decode(text.encode("ascii"), validate=True)
    must(base64.b64encode(found).decode() == text and count in (None, len(found)))
    return found
def decimal(text):
    must(re.fullmatch("0|[1-9][0-9]{0,19}", text) and int(text) < 2**64)
    return int(text)
KEY_NAME = re.compile("[^\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]+")

def note(text):
    """What is signed, the signature lines, and the checkpoint's origin, size and root."""
    must(len(text.encode()) <= 16384 and not re.search("[\0-\x09\x0b-\x1f]", text) and text.endswith("\n"))
    at = text.rindex("\n\n")
    (origin, size, top, *more), lines = text[:at].split("\n"), []
    for line in text[at + 2:-1].split("\n"):
        must(line.startswith("\u2014 "))
        key_name, signature = line[2:].split(" ", 1)
        signature = from_base64(signature)
        must(KEY_NAME.fullmatch(key_name) and len(signature) >= 4)
        lines.append((key_name, signature[:4], signature[4:]))
    must(len(lines) <= 64 and origin and all(more))
    return text[:at + 1], lines, origin, decimal(size), from_base64(top, 32)

def signing_time(key, signed, lines, cosigner):
    """None if the key did not sign, else its time: 0 for a log."""
    own = [signature for key_name, id_, signature in lines if (key_name, id_) == (key.name, key.id)]
    if own:
        time = int.from_bytes(own[0][:8], "big") if cosigner else 0
        signed = f"cosignature/v1\ntime {time}\n{signed}" if cosigner else signed
        must(len(own) == 1 and time < 2**63 and signature_fits(key.key, signed.encode(), own[0][8 * cosigner:]))
    return time if own else None

def vkey(text, type_):
    key_name, id_, key = text.split("+", 2)
    key = from_base64(key, 33)
    must(KEY_NAME.fullmatch(key_name) and key[0] == type_ and is_key(key[1:]))
    must(sha256(key_name.encode(), b"\n", key)[:4].hex() == id_)
    return Key(key_name, bytes.fromhex(id_), key[1:])

class Policy:
    def __init__(self, text):
        must(long_text(65536)(text) and not re.search("[\0-\x08\x0b-\x1f\x7f]", text))
        self.logs, self.witnesses, self.rules, self.members, self.quorums = [], [], {}, [], []
        for words in (re.findall("[^ \t]+", line) for line in text.split("\n")):
            if words and not words[0].startswith("#"):
                self.line(*words)
        for keys in self.logs, self.witnesses:
            must(len({key.key for key in keys}) == len(keys) <= 128)
        must(len(self.rules) <= 256 and "none" not in self.rules)
        must(len(set(self.members)) == len(self.members) and len(self.quorums) == 1)
    def line(self, keyword, *words):
        if keyword == "log" and len(words) in (1, 2):
            self.logs.append(vkey(words[0], 1))
        elif keyword == "witness" and len(words) in (2, 3):
            must(words[0] not in self.rules)
            self.rules[words[0]] = len(self.witnesses)
            self.witnesses.append(vkey(words[1], 4))
        elif keyword == "group" and len(words) > 2:
            group, least, *members = words
            least = {"any": "1", "all": str(len(members))}.get(least, least)
            must(re.fullmatch("0*[1-9][0-9]{0,5}", least) and int(least.lstrip("0")) <= len(members))
            must(group not in self.rules and all(member in self.rules for member in members))
            self.members += members
            self.rules[group] = int(least.lstrip("0")), [self.rules[member] for member in members]
        else:
            must(keyword == "quorum" and len(words) == 1 and words[0] in {"none", *self.rules})
            self.quorums.append(self.rules.get(words[0]))
    def check(self, signed_note):
        """Origin, size and root of a good checkpoint, and its time."""
        signed, lines, origin, size, top = note(signed_note)
        logs = [signing_time(log, signed, lines, False) for log in self.logs if log.name == origin]
        times = [signing_time(witness, signed, lines, True) for witness in self.witnesses]
        time = None if self.quorums[0] is None else quorum_time(self.quorums[0], times)
        must(any(log is not None for log in logs) and (self.quorums[0] is None or time is not None))
        return origin, size, top, time
def quorum_time(rule, times):
    if isinstance(rule, int):
        return times[rule]
    found = sorted(time for time in (quorum_time(member, times) for member in rule[1]) if time is not None)
    return found[rule[0] - 1] if len(found) >= rule[0] else None

def log_proof(text, leaf, policy):
    """Index, origin and time of a proof that holds for the leaf."""
    top, signed_note = text.split("\n\n", 1)
    magic, *lines = top.split("\n")
    if lines and lines[0].startswith("extra "):
        from_base64(lines.pop(0)[6:])
    must(magic == "c2sp.org/tlog-proof@v1" and 0 < len(lines) <= 64 and lines[0].startswith("index "))
    index, path = decimal(lines[0][6:]), [from_base64(line, 32) for line in lines[1:]]
    origin, size, expected, time = policy.check(signed_note)
    must(index < size and root_from_path(leaf, index, size, path) == expected)
    return index, origin, time

# Verification (§6)
class Verifier:
    def __init__(self, policy=None):
        self.own, self.entries, self.anchored, self.gaps = policy, 0, 0, 0
        self.reached, self.point, self.tail_seen = None, None, False
        self.latest, self.contradict = -1, False
    def verify(self, export):
        end = 0
        try:
            for n in itertools.count():
                start = end
                must(start < len(export), "end")
                item, end = attempt("format", read, export, start)
                must(fits(item, ITEM), "format")
                code, *parts = item
                must(code == n if min(code, n) < 2 else code == 5 or not self.tail_seen, "order")
                if code == 5:
                    must(parts == [n, sha256(export[:start])], "digest")
                    must(end == len(export), "end")
                    break
                (self.header, self.ledger, self.whole, self.parts, self.tail)[code](*parts)
        except Fault as fault:
            return "tampered", fault.args[0]
        whole = 0 < self.entries == self.anchored and not self.gaps and not self.contradict
        return "proved" if whole else "incomplete", None
    def header(self, _magic, _version, gateway, scope, policy):
        self.gateway, self.scope, in_file = gateway, scope, attempt("policy", Policy, policy)
        self.policy = self.own or in_file
    def ledger(self, genesis, certificates):
        founding = attempt("credential", statement, genesis[0], "member", GENESIS, lambda *items: items)
        self.origin, members, quorum = founding.content[2:]
        must(members and founding.fits(members[0][1]), "credential")
        index, origin, _ = attempt("credential", log_proof, genesis[1], founding.hash, self.policy)
        must(index == 0 and origin == self.origin, "credential")
        votes = [logged for logged in certificates if content_type(logged[0]) == "application/vnd.plomb.vote+cbor"]
        roll = self.roll(votes, members, quorum)
        self.certificates = []
        for raw, proof in (logged for logged in certificates if logged not in votes):
            signed = attempt("credential", statement, raw, "certificate", ISSUE, Issue)
            ever = [member for _, present in roll for member in present]
            author = next((member for member in ever if sha256(member[1])[:8] == signed.kid), None)
            must(author and signed.fits(author[1]), "credential")
            index, origin, _ = attempt("credential", log_proof, proof, signed.hash, self.policy)
            must(author in next(present for since, present in reversed(roll) if since <= index), "credential")
            self.certificates.append(signed.content)
            stated = origin, signed.content.origin, signed.content.role, signed.content.subject
            must(stated == (self.origin, self.origin, 1, self.gateway), "credential")
    def roll(self, votes, members, quorum):
        """The members from each index on (check 5.4)."""
        logged, roll, counts, changes = [], [(0, members)], {}, 0
        for raw, proof in votes:
            signed = attempt("credential", statement, raw, "vote", VOTE, Vote)
            index, origin, _ = attempt("credential", log_proof, proof, signed.hash, self.policy)
            must(origin == self.origin, "credential")
            logged.append((index, signed))
        for index, signed in sorted(logged, key=lambda pair: pair[0]):
            voter = next((member for member in members if sha256(member[1])[:8] == signed.kid), None)
            must(voter and signed.fits(voter[1]), "credential")
            vote = signed.content
            must((vote.origin, vote.base) == (self.origin, changes), "credential")
            voters = counts.setdefault(json.dumps(vote.change, default=bytes.hex), set())
            voters.add(voter[0])
            if len(voters) < quorum:
                continue
            code, *change = vote.change
            members = (members + [change] if code == 1
                       else [member for member in members if member[0] != change[0]] if code == 2 else members)
            quorum = change[0] if code == 3 else quorum
            counts, changes = {}, changes + 1
            roll.append((index, members))
        return roll
    def key(self, signed, keys, check):
        key = next((key for key in keys if sha256(key)[:8] == signed.kid), None)
        must(key, check)
        return key
    def anchor(self, raw, proof):
        signed = attempt("anchor", statement, raw, "anchor", ANCHOR, Anchor)
        a, key = signed.content, self.key(signed, [c.key for c in self.certificates], "anchor")
        must(signed.fits(key) and a.gateway == self.gateway, "anchor")
        before = after = index = None
        if proof is not None:
            index, origin, before = attempt("receipt", log_proof, proof, signed.hash, self.policy)
            must(origin == self.origin, "receipt")
        if a.checkpoint is not None:
            origin, size, _, after = attempt("checkpoint", self.policy.check, a.checkpoint)
            must(origin == self.origin and (index is None or size <= index), "checkpoint")
        self.latest = max(self.latest, -1 if after is None else after)
        self.contradict |= before is not None and self.latest > before
        valid = (c.key == key and c.not_before <= before <= c.not_after for c in self.certificates)
        must(before is None or any(valid), "certificate-validity")
        return a, signed.hash, key
    def entry(self, raw, key=None):
        signed = attempt("entry", statement, raw, "entry", ENTRY, Entry)
        must(signed.fits(key or self.key(signed, [c.key for c in self.certificates], "entry")), "entry")
        return signed
    def fits_scope(self, e):
        kind, *about = self.scope
        fit = kind == 0 or (kind == 1 and e.body[0] < 3 and e.body[1][0] == about[0]) or about == [e.epoch, e.seq]
        must(e.gateway == self.gateway and fit, "scope")
    def whole(self, raw, proof, entries, frames):
        must(self.scope == [0], "scope")
        a, hash_, key = self.anchor(raw, proof)
        signed = [self.entry(e, key) for e in entries]
        must(len(signed) == a.count, "count")
        must(signed[0].content.stamp[0] == a.opened, "opened")
        for i, (e, *_) in enumerate(signed):
            must((e.gateway, e.epoch, e.seq) == (a.gateway, a.epoch, a.first_seq + i), "entry-order")
            must(i == 0 or e.previous == signed[i - 1].hash, "entry-chain")
        must(signed[-1].hash == a.head, "head")
        must(root([e.hash for e in signed]) == a.root, "root")
        last = self.reached
        if last and a.epoch == last.epoch:
            must(last == (a.epoch, a.first_seq, signed[0].content.previous, a.batch, a.previous), "anchor-chain")
        elif last:
            must(a.epoch > last.epoch and a.batch == a.first_seq == 0, "anchor-chain")
            self.gaps += a.previous != last.anchor
        self.reached = Reached(a.epoch, a.first_seq + a.count, a.head, a.batch + 1, hash_)
        self.count(signed, proof is not None, frames)
    def parts(self, raw, proof, parts, frames):
        must(self.scope != [0], "scope")
        must(self.scope[0] != 2 or (len(parts) == 1 and not self.entries), "scope")
        a, hash_, key = self.anchor(raw, proof)
        if last := self.reached:
            place, following = (a.epoch, a.batch), (last.epoch, last.next_batch)
            must(place > following or (place == following and a.previous == last.anchor), "anchor-chain")
        signed = []
        for raw_entry, path in parts:
            signed.append(self.entry(raw_entry, key))
            e, index = signed[-1].content, signed[-1].content.seq - a.first_seq
            self.fits_scope(e)
            found = root_from_path(signed[-1].hash, index, a.count, path) if 0 <= index < a.count else None
            must(e.epoch == a.epoch and found == a.root, "entry-path")
            self.point_chain(signed[-1])
        self.reached = Reached(a.epoch, a.first_seq + a.count, a.head, a.batch + 1, hash_)
        self.count(signed, proof is not None, frames)
    def tail(self, entries, frames):
        must(self.scope[0] != 2 or (len(entries) == 1 and not self.entries), "scope")
        signed = [self.entry(raw) for raw in entries]
        for e in signed:
            self.fits_scope(e.content)
            self.point_chain(e) if self.scope[0] else self.gateway_chain(e)
        self.tail_seen = True
        self.count(signed, False, frames)
    def gateway_chain(self, signed):
        e, last = signed.content, self.reached or Reached(-1, 0, ZERO, 0, ZERO)
        begins = e.epoch > last.epoch and (e.seq == 0 or not self.reached)
        must(begins or (e.epoch, e.seq, e.previous) == last[:3], "entry-chain")
        self.reached = last._replace(epoch=e.epoch, next_seq=e.seq + 1, head=signed.hash)
    def point_chain(self, signed):
        kind, link, _ = signed.content.body
        if kind < 3:
            place = (signed.content.epoch, *link[1:])
            if self.point and place != self.point:
                must(place[0] > self.point[0] and place[1:] == (0, ZERO), "point-chain")
                self.gaps += 1
            self.point = place[0], place[1] + 1, signed.hash
    def count(self, signed, anchored, frames):
        self.entries, self.anchored = self.entries + len(signed), self.anchored + len(signed) * anchored
        named = {hash_ for e, *_ in signed if e.body[0] == 1 for hash_ in e.body[2][4]}
        must(all(sha256(frame) in named for frame in frames), "frame")

def main():
    arguments = argparse.ArgumentParser(description="Verifies an export of evidence.")
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--policy", type=Path, help="your own policy, in place of the one in the file")
    given = arguments.parse_args()
    try:
        policy = Policy(given.policy.read_bytes().decode("utf-8")) if given.policy else None
        export = given.file.read_bytes()
    except (OSError, ValueError) as error:
        arguments.error(f"can't read file or policy: {str(error) or 'the policy breaks its rules'}")
    verdict, check = Verifier(policy).verify(export)
    print(json.dumps({"verdict": verdict, "check": check}))
    sys.exit({"proved": 0, "tampered": 1, "incomplete": 3}[verdict])

if __name__ == "__main__":
    main()
