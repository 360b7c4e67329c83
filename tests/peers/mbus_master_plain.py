#!/usr/bin/env python3
"""A small M-Bus master written from EN 13757-2 and -3, without a library.

Reads each meter that is named, a primary address or a secondary one
(16 hex digits: number, manufacturer, version, medium), and prints one line of
JSON for it: {"meter", "frames": [hex, ...]} or {"meter", "error"}.
"""

import argparse
import json
import sys

import serial

ACK = b"\xe5"
SELECTED = 253
TRIES = 3
TELEGRAMS_MAX = 16

# Length of a value by the lower four bits of its DIF; D is variable.
VALUE_BYTES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6, 7: 8,
               8: 0, 9: 1, 10: 2, 11: 3, 12: 4, 14: 6}


class Failed(Exception):
    """A meter that could not be read, and why."""


def checksum(body):
    return sum(body) & 0xFF


def short_frame(control, address):
    return bytes([0x10, control, address, checksum([control, address]), 0x16])


def long_frame(control, address, user):
    body = bytes([control, address]) + user
    return bytes([0x68, len(body), len(body), 0x68]) + body + bytes([checksum(body), 0x16])


def receive(port):
    """One acknowledgement or one whole long frame; None if nothing good came."""
    first = port.read(1)
    if first == ACK:
        return first
    if first != b"\x68":
        return None
    head = port.read(3)
    if len(head) != 3 or head[0] != head[1] or head[2] != 0x68:
        return None
    rest = port.read(head[0] + 2)
    if len(rest) != head[0] + 2 or rest[-1] != 0x16 or checksum(rest[:-2]) != rest[-2]:
        return None
    return first + head + rest


def ask(port, request, wanted):
    """Sends a request until an answer passes `wanted`; the same bytes each time."""
    for _ in range(TRIES):
        port.reset_input_buffer()
        port.write(request)
        port.flush()
        answer = receive(port)
        if answer is not None and wanted(answer):
            return answer
    raise Failed("no good answer to " + request.hex())


def skip_value(frame, at, dif):
    if dif & 0x0F != 0x0D:
        return at + VALUE_BYTES[dif & 0x0F]
    length = frame[at]
    at += 1
    if length <= 0xBF:
        return at + length
    if length <= 0xEF:
        return at + (length & 0x0F)
    return at + 4 * (length - 0xEC)


def more_follows(frame):
    """Whether the records end with DIF 1F (variable structure only)."""
    if frame[6] not in (0x72, 0x76):
        return False
    at, end = 19, len(frame) - 2
    while at < end:
        dif = frame[at]
        at += 1
        if dif == 0x2F:
            continue
        if dif in (0x0F, 0x1F):
            return dif == 0x1F
        last = dif
        while last & 0x80:
            last, at = frame[at], at + 1
        vif, at = frame[at], at + 1
        last = vif
        while last & 0x80:
            last, at = frame[at], at + 1
        if vif & 0x7F == 0x7C:
            at += 1 + frame[at]
        at = skip_value(frame, at, dif)
    return False


def read_meter(port, address, check):
    """All telegrams of one readout."""
    ask(port, short_frame(0x40, address), lambda answer: answer == ACK)
    return request_all(port, address, check)


def request_all(port, address, check):
    frames = []
    fcb = 0x20
    while len(frames) < TELEGRAMS_MAX:
        # The bit changes only after a good answer.
        frame = ask(port, short_frame(0x5B | fcb, address), lambda answer: answer != ACK and check(answer))
        if frame.hex() in frames:
            # A meter, or a recording, that says "more" and has no more.
            return frames
        frames.append(frame.hex())
        if not more_follows(frame):
            return frames
        fcb ^= 0x20
    raise Failed("more than %d telegrams" % TELEGRAMS_MAX)


def read_secondary(port, secondary):
    """Selects by the secondary address, and reads the one who answers."""
    digits = bytes.fromhex(secondary)
    number, manufacturer, rest = digits[:4], digits[4:6], digits[6:]
    user = bytes([0x52]) + number[::-1] + manufacturer[::-1] + rest
    port.write(short_frame(0x40, SELECTED))
    port.flush()
    receive(port)
    ask(port, long_frame(0x73, SELECTED, user), lambda answer: answer == ACK)
    return request_all(port, SELECTED, lambda answer: answer[7:11] == number[::-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", required=True, help="a serial device, or socket://host:port")
    parser.add_argument("--baud", type=int, default=2400)
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for an answer")
    parser.add_argument("meters", nargs="+", help="primary address, or 16 hex digits")
    options = parser.parse_args()
    port = serial.serial_for_url(options.port, options.baud, parity=serial.PARITY_EVEN, timeout=options.timeout)
    failures = 0
    for meter in options.meters:
        record = {"meter": meter}
        try:
            if len(meter) == 16:
                record["frames"] = read_secondary(port, meter)
            else:
                address = int(meter)
                record["frames"] = read_meter(port, address, lambda answer: answer[5] == address)
        except (Failed, IndexError, KeyError) as error:
            record["error"] = str(error)
            failures += 1
        print(json.dumps(record), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
