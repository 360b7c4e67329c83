#!/usr/bin/env python3
"""Single reads and a load profile with gurux-dlms; see bench-dlms. Prints one line of JSON.

gurux-dlms is GPL: it runs in this process only. Processor time is this process's own, user and system, without imports
and association.
"""

import argparse
import datetime
import json
import resource
import socket
import time

from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.objects import GXDLMSProfileGeneric, GXDLMSRegister
from gurux_dlms.objects.enums import SecuritySuite
from gurux_dlms.secure import GXDLMSSecureClient

READ_BYTES = 65536


def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, time.monotonic()


def since(begun):
    now = spent()
    return {"cpu_s": now[0] - begun[0], "wall_s": now[1] - begun[1]}


class Meter:
    """The package's client, and its socket."""

    def __init__(self, options):
        host, port = options.tcp.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = GXDLMSSecureClient(True, 1, 1, Authentication.HIGH_GMAC, None, InterfaceType.WRAPPER)
        self.client.maxReceivePDUSize = 65535
        self.client.useUtc2NormalTime = True
        self.client.increaseInvocationCounterForGMacAuthentication = True
        ciphering = self.client.ciphering
        ciphering.systemTitle = bytes.fromhex(options.title)
        ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        ciphering.securitySuite = SecuritySuite.SUITE_0
        ciphering.blockCipherKey = bytes.fromhex(options.ek)
        ciphering.authenticationKey = bytes.fromhex(options.ak)
        ciphering.invocationCounter = options.counter

    def exchange(self, frame, reply):
        received = GXByteBuffer()
        self.socket.sendall(bytes(frame))
        while not (received.available() and self.client.getData(received, reply, GXReplyData())):
            piece = self.socket.recv(READ_BYTES)
            if not piece:
                raise ConnectionError("the meter closed the connection")
            received.set(piece)

    def ask(self, frames):
        reply = GXReplyData()
        for frame in frames if isinstance(frames, list) else [frames]:
            reply.clear()
            self.exchange(frame, reply)
            while reply.isMoreData():
                self.exchange(self.client.receiverReady(reply), reply)
            if reply.error:
                raise RuntimeError("the meter refuses: %s" % reply.error)
        return reply

    def open(self):
        self.client.parseAareResponse(self.ask(self.client.aarqRequest()).data)
        self.client.parseApplicationAssociationResponse(self.ask(self.client.getApplicationAssociationRequest()).data)

    def read(self, item, index):
        return self.client.updateValue(item, index, self.ask(self.client.read(item, index)[0]).value)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("tcp", "ek", "ak", "title", "register", "profile"):
        parser.add_argument("--" + name, required=True)
    for name in ("counter", "reads", "begin", "end"):
        parser.add_argument("--" + name, type=int, required=True)
    options = parser.parse_args()
    meter = Meter(options)
    meter.open()
    register = GXDLMSRegister(options.register)
    begun, good = spent(), 0
    for _ in range(options.reads):
        good += isinstance(meter.read(register, 2), (int, float))
    single = since(begun)

    profile = GXDLMSProfileGeneric(options.profile)
    meter.read(profile, 3)
    begun = spent()
    utc = datetime.timezone.utc
    first = GXDateTime(datetime.datetime.fromtimestamp(options.begin, utc))
    last = GXDateTime(datetime.datetime.fromtimestamp(options.end, utc))
    reply = meter.ask(meter.client.readRowsByRange(profile, first, last))
    rows, total = 0, 0
    for row in meter.client.updateValue(profile, 2, reply.value):
        total += sum(int(cell) for cell in row if not isinstance(cell, GXDateTime))
        rows += 1
    ranged = since(begun)
    meter.ask(meter.client.releaseRequest())
    print(json.dumps({"good": good, "rows": rows, "sum": total, "single": single, "profile": ranged}))


if __name__ == "__main__":
    main()
