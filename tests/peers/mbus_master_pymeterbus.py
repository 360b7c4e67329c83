#!/usr/bin/env python3
"""Reads meters with pyMeterBus: its requests, its receiver, its decoder.

Prints one line of JSON for each primary address: {"meter", "frames": [hex],
"records": [{"value", "unit", "type", "function", "storage_number"}]}, with
"error" where pyMeterBus could not read or decode.
"""

import argparse
import decimal
import json
import sys

import meterbus
import serial

TELEGRAMS_MAX = 16
FCB = 0x20


def request(address, fcb):
    """REQ_UD2 by pyMeterBus' own frame type."""
    frame = meterbus.TelegramShort()
    frame.header.cField.parts = [meterbus.CONTROL_MASK_REQ_UD2 | fcb]
    frame.header.aField.parts = [address]
    return frame


def plain(value):
    return str(value) if isinstance(value, decimal.Decimal) else value


def read_meter(port, address):
    record = {"meter": str(address), "frames": [], "records": []}
    meterbus.send_ping_frame(port, address)
    ping = meterbus.recv_frame(port, 1)
    if ping is None or ping is False:
        record["error"] = "no acknowledgement"
        return record
    fcb = FCB
    for _ in range(TELEGRAMS_MAX):
        meterbus.send_request_frame_multi(port, address, req=request(address, fcb))
        answer = meterbus.recv_frame(port, 1)
        if answer is None or answer is False:
            record["error"] = "no telegram"
            break
        if bytes(answer).hex() in record["frames"]:
            # A meter, or a recording, that says "more" and has no more.
            break
        record["frames"].append(bytes(answer).hex())
        telegram = meterbus.load(answer)
        interpreted = json.loads(telegram.to_JSON())
        record["records"].extend(interpreted["body"]["records"])
        if not telegram.more_records_follow:
            break
        fcb ^= FCB
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", required=True)
    parser.add_argument("--baud", type=int, default=2400)
    parser.add_argument("--timeout", type=float, default=5.0)
    parser.add_argument("meters", nargs="+", type=int, help="primary addresses")
    options = parser.parse_args()
    port = serial.serial_for_url(options.port, options.baud, parity=serial.PARITY_EVEN, timeout=options.timeout)
    failures = 0
    for address in options.meters:
        port.reset_input_buffer()
        try:
            record = read_meter(port, address)
        except Exception as error:  # its decoder raises what it likes
            record = {"meter": str(address), "error": "%s: %s" % (type(error).__name__, error)}
        failures += "error" in record
        print(json.dumps(record, default=plain), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
