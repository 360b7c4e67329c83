#!/usr/bin/env python3
"""Decodes a DLMS notification, ciphered or not, with dlms-cosem (pwitab).

Takes the APDU in hexadecimal; prints one line of JSON: {"values": [...]}, octets in hexadecimal.
"""

import argparse
import json
import sys

from dlms_cosem import utils
from dlms_cosem.protocol.xdlms import DataNotification, GeneralGlobalCipher
from dlms_cosem.security import decrypt


def plain(value):
    return bytes(value).hex() if isinstance(value, (bytes, bytearray)) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ek")
    parser.add_argument("--ak")
    parser.add_argument("apdu")
    options = parser.parse_args()
    apdu = bytes.fromhex(options.apdu)
    if apdu[0] == GeneralGlobalCipher.TAG:
        general = GeneralGlobalCipher.from_bytes(apdu)
        apdu = decrypt(
            general.security_control,
            general.system_title,
            general.invocation_counter,
            bytes.fromhex(options.ek),
            general.ciphered_text,
            bytes.fromhex(options.ak),
        )
    notification = DataNotification.from_bytes(bytes(apdu))
    values = utils.parse_as_dlms_data(notification.body)
    print(json.dumps({"values": [plain(value) for value in values]}))


if __name__ == "__main__":
    sys.exit(main())
