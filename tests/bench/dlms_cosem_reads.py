#!/usr/bin/env python3
"""Single reads and a load profile with dlms-cosem; see bench-dlms. Prints one line of JSON.

Processor time is this process's own, user and system, without imports and association.
"""

import argparse
import datetime
import json
import logging
import resource
import time

import structlog
from dlms_cosem import cosem, enumerations, utils
from dlms_cosem.client import DlmsClient
from dlms_cosem.cosem.capture_object import CaptureObject
from dlms_cosem.cosem.selective_access import RangeDescriptor
from dlms_cosem.io import BlockingTcpIO, TcpTransport
from dlms_cosem.parsers import ProfileGenericBufferParser
from dlms_cosem.security import HighLevelSecurityGmacAuthentication

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
Interface = enumerations.CosemInterface


def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, time.monotonic()


def since(begun):
    now = spent()
    return {"cpu_s": now[0] - begun[0], "wall_s": now[1] - begun[1]}


def attribute(interface, name, index):
    return cosem.CosemAttribute(interface, cosem.Obis(*[int(group) for group in name.split(".")]), index)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("tcp", "ek", "ak", "title", "register", "profile"):
        parser.add_argument("--" + name, required=True)
    for name in ("counter", "reads", "begin", "end"):
        parser.add_argument("--" + name, type=int, required=True)
    options = parser.parse_args()
    host, port = options.tcp.rsplit(":", 1)
    client = DlmsClient(
        transport=TcpTransport(1, 1, BlockingTcpIO(host, int(port), timeout=10), timeout=10),
        authentication=HighLevelSecurityGmacAuthentication(),
        encryption_key=bytes.fromhex(options.ek),
        authentication_key=bytes.fromhex(options.ak),
        security_suite=0,
        client_system_title=bytes.fromhex(options.title),
        client_initial_invocation_counter=options.counter,
        max_pdu_size=65535,
    )
    client.connect()
    client.associate()
    register = attribute(Interface.REGISTER, options.register, 2)
    begun, good = spent(), 0
    for _ in range(options.reads):
        good += isinstance(utils.parse_as_dlms_data(client.get(register)), int)
    single = since(begun)

    captured = utils.parse_as_dlms_data(client.get(attribute(Interface.PROFILE_GENERIC, options.profile, 3)))
    columns = [cosem.CosemAttribute(Interface(one[0]), cosem.Obis.from_bytes(one[1]), one[2]) for one in captured]
    begun = spent()
    utc = datetime.timezone.utc
    selection = RangeDescriptor(
        restricting_object=CaptureObject(attribute(Interface.CLOCK, "0.0.1.0.0.255", 2), 0),
        from_value=datetime.datetime.fromtimestamp(options.begin, utc),
        to_value=datetime.datetime.fromtimestamp(options.end, utc),
    )
    raw = client.get(attribute(Interface.PROFILE_GENERIC, options.profile, 2), selection)
    rows, total = 0, 0
    for row in ProfileGenericBufferParser(columns, 15).parse_bytes(raw):
        total += sum(column.value for column in row if column.attribute.interface != Interface.CLOCK)
        rows += 1
    profile = since(begun)
    client.release_association()
    client.disconnect()
    print(json.dumps({"good": good, "rows": rows, "sum": total, "single": single, "profile": profile}))


if __name__ == "__main__":
    main()
