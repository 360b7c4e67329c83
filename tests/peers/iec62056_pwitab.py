#!/usr/bin/env python3
"""Reads a meter's readout (IEC 62056-21, mode C) with iec62056-21 (pwitab), on a serial port.

Prints one line of JSON: {"manufacturer", "identification", "readout": [[address, value, unit]]}.
"""

import argparse
import json
import sys

from iec62056_21.client import Iec6205621Client
from iec62056_21.transports import SerialTransport


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serial", required=True)
    options = parser.parse_args()
    try:
        client = Iec6205621Client(SerialTransport(options.serial, timeout=10))
        client.connect()
        answer = client.standard_readout()
        lines = [[set_.address, set_.value, set_.unit] for set_ in answer.data]
        report = {
            "manufacturer": client.manufacturer_id,
            "identification": client.identification,
            "readout": lines,
        }
        client.disconnect()
    except Exception as error:  # it raises what it likes
        report = {"error": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(report))
    return 1 if "error" in report else 0


if __name__ == "__main__":
    sys.exit(main())
