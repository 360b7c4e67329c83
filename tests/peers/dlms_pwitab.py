#!/usr/bin/env python3
"""Reads a DLMS meter with dlms-cosem (pwitab): its transports, its associations, its parsers.

Prints one line of JSON: {"registers": {obis: [value, scaler, unit]}, "clock": unix,
"rows": [[unix, numbers...]], "objects": count, ...}, or {"error"}.
"""

import argparse
import datetime
import json
import logging
import sys

import structlog
from dlms_cosem import cosem, enumerations, utils
from dlms_cosem.client import DlmsClient
from dlms_cosem.cosem.capture_object import CaptureObject
from dlms_cosem.cosem.selective_access import RangeDescriptor
from dlms_cosem.io import BlockingTcpIO, HdlcTransport, SerialIO, TcpTransport
from dlms_cosem.parsers import AssociationObjectListParser, ProfileGenericBufferParser
from dlms_cosem.security import (
    HighLevelSecurityGmacAuthentication,
    LowLevelSecurityAuthentication,
    NoSecurityAuthentication,
)
from dlms_cosem.time import datetime_from_bytes

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

Interface = enumerations.CosemInterface
CLASSES = {1: Interface.DATA, 3: Interface.REGISTER, 4: Interface.EXTENDED_REGISTER, 5: Interface.DEMAND_REGISTER}


class Hdlc(HdlcTransport):
    """Its HDLC, byte by byte: read to the next flag, a frame whose check sequence ends in 7E would never end."""

    def recv_frame(self):
        return self.io.recv(1)


def obis(text):
    return cosem.Obis(*[int(group) for group in text.split(".")])


def attribute(interface, name, index):
    return cosem.CosemAttribute(interface=interface, instance=obis(name), attribute=index)


def transport(options):
    if options.serial:
        port = SerialIO(options.serial, options.baud, timeout=options.timeout)
    else:
        host, port_number = (options.tcp or options.hdlc_tcp).rsplit(":", 1)
        port = BlockingTcpIO(host, int(port_number), timeout=options.timeout)
    if options.tcp:
        return TcpTransport(options.client, options.server, port, timeout=options.timeout)
    return Hdlc(
        options.client, options.server, port, server_physical_address=options.physical, timeout=options.timeout
    )


def client(options):
    if options.auth == "lls":
        authentication = LowLevelSecurityAuthentication(options.password.encode())
    elif options.auth == "hls-gmac":
        authentication = HighLevelSecurityGmacAuthentication()
    else:
        authentication = NoSecurityAuthentication()
    secure = options.auth == "hls-gmac"
    return DlmsClient(
        transport=transport(options),
        authentication=authentication,
        encryption_key=bytes.fromhex(options.ek) if secure else None,
        authentication_key=bytes.fromhex(options.ak) if secure else None,
        security_suite=options.suite,
        client_system_title=bytes.fromhex(options.title) if secure else None,
        client_initial_invocation_counter=options.counter,
        max_pdu_size=options.pdu,
    )


def value(reader, interface, name, index):
    return utils.parse_as_dlms_data(reader.get(attribute(interface, name, index)))


def read_register(reader, name, class_id):
    interface = CLASSES[class_id]
    number, scaler = (3, 4) if class_id == 5 else (2, 3)
    exponent, unit = value(reader, interface, name, scaler)
    return [value(reader, interface, name, number), exponent, unit]


def read_rows(reader, options):
    interface = Interface.PROFILE_GENERIC
    captured = value(reader, interface, options.profile, 3)
    columns = [
        cosem.CosemAttribute(Interface(column[0]), cosem.Obis.from_bytes(column[1]), column[2]) for column in captured
    ]
    utc = datetime.timezone.utc
    restricting = CaptureObject(attribute(Interface.CLOCK, "0.0.1.0.0.255", 2), 0)
    selection = RangeDescriptor(
        restricting_object=restricting,
        from_value=datetime.datetime.fromtimestamp(options.begin, utc),
        to_value=datetime.datetime.fromtimestamp(options.end, utc),
    )
    raw = reader.get(attribute(interface, options.profile, 2), selection)
    rows = []
    for row in ProfileGenericBufferParser(columns, options.period // 60).parse_bytes(raw):
        clock = [int(column.value.timestamp()) for column in row if column.attribute.interface == Interface.CLOCK]
        rows.append(clock + [column.value for column in row if column.attribute.interface != Interface.CLOCK])
    return rows


def read(reader, options):
    report = {"registers": {}}
    for told in options.registers:
        name, class_id = told.split(":")
        report["registers"][name] = read_register(reader, name, int(class_id))
    clock, _ = datetime_from_bytes(value(reader, Interface.CLOCK, "0.0.1.0.0.255", 2))
    report["clock"] = int(clock.timestamp())
    if options.data:
        report["data"] = value(reader, Interface.DATA, options.data, 2)
        if isinstance(report["data"], (bytes, bytearray)):
            report["data"] = bytes(report["data"]).decode()
    if options.profile:
        report["rows"] = read_rows(reader, options)
    if options.objects:
        listed = reader.get(attribute(Interface.ASSOCIATION_LN, "0.0.40.0.0.255", 2))
        report["objects"] = len(AssociationObjectListParser.parse_bytes(listed))
    if options.switch:
        method = {"off": 1, "on": 2}[options.switch]
        reader.action(cosem.CosemMethod(Interface.DISCONNECT_CONTROL, obis("0.0.96.3.10.255"), method), b"\x0f\x00")
        report["connected"] = value(reader, Interface.DISCONNECT_CONTROL, "0.0.96.3.10.255", 2)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--tcp")
    place.add_argument("--hdlc-tcp")
    place.add_argument("--serial")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--client", type=int, default=16)
    parser.add_argument("--server", type=int, default=1)
    parser.add_argument("--physical", type=int)
    parser.add_argument("--auth", default="none")
    parser.add_argument("--suite", type=int, default=0)
    parser.add_argument("--password", default="")
    parser.add_argument("--ek")
    parser.add_argument("--ak")
    parser.add_argument("--title")
    parser.add_argument("--counter", type=int, default=1)
    parser.add_argument("--pdu", type=int, default=65535)
    parser.add_argument("--data", help="a data object to read")
    parser.add_argument("--profile")
    parser.add_argument("--period", type=int, default=900)
    parser.add_argument("--begin", type=int)
    parser.add_argument("--end", type=int)
    parser.add_argument("--objects", action="store_true")
    parser.add_argument("--switch", choices=["off", "on"])
    parser.add_argument("registers", nargs="*", help="OBIS:CLASS")
    options = parser.parse_args()
    reader = client(options)
    try:
        reader.connect()
        reader.associate()
        report = read(reader, options)
        reader.release_association()
        reader.disconnect()
        report["next_counter"] = reader.client_invocation_counter
    except Exception as error:  # it raises what it likes
        report = {"error": "%s: %s" % (type(error).__name__, error)}
        if "--trace" in sys.argv:
            raise
    print(json.dumps(report))
    return 1 if "error" in report else 0


if __name__ == "__main__":
    sys.exit(main())
