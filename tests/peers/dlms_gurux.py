#!/usr/bin/env python3
"""Reads a DLMS meter with gurux-dlms: its frames, its associations, its objects.

gurux-dlms is GPL: it runs in this process only. Prints one line of JSON:
{"registers": {obis: [value, scaler, unit]}, "clock": unix, "rows": [[unix, numbers...]],
"entries": [...], "objects": count, ...}, or {"error"}.
"""

import argparse
import datetime
import json
import math
import socket
import sys
import time

import serial
from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData, GXTime
from gurux_dlms.ecdsa import GXPrivateKey, GXPublicKey
from gurux_dlms.enums import Authentication, Conformance, DataType, InterfaceType, Security
from gurux_dlms.objects import (
    GXDLMSActivityCalendar,
    GXDLMSClock,
    GXDLMSData,
    GXDLMSDayProfile,
    GXDLMSDayProfileAction,
    GXDLMSDemandRegister,
    GXDLMSDisconnectControl,
    GXDLMSExtendedRegister,
    GXDLMSImageTransfer,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
    GXDLMSTokenGateway,
)
from gurux_dlms.objects.enums import SecuritySuite
from gurux_dlms.secure import GXDLMSSecureClient

AUTHENTICATIONS = {
    "none": Authentication.NONE,
    "lls": Authentication.LOW,
    "hls-md5": Authentication.HIGH_MD5,
    "hls-sha1": Authentication.HIGH_SHA1,
    "hls-sha256": Authentication.HIGH_SHA256,
    "hls-gmac": Authentication.HIGH_GMAC,
    "hls-ecdsa": Authentication.HIGH_ECDSA,
}
SECURITIES = {
    "authentication": Security.AUTHENTICATION,
    "encryption": Security.ENCRYPTION,
    "both": Security.AUTHENTICATION_ENCRYPTION,
}
SUITES = [SecuritySuite.SUITE_0, SecuritySuite.SUITE_1, SecuritySuite.SUITE_2]
REGISTERS = {3: GXDLMSRegister, 4: GXDLMSExtendedRegister, 5: GXDLMSDemandRegister}


class Socket:
    """Bytes over TCP."""

    def __init__(self, address, timeout):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout)

    def write(self, frame):
        self.socket.sendall(frame)

    def read(self):
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("the meter closed the connection")
        return received


class Datagrams:
    """Bytes over UDP."""

    def __init__(self, address, timeout):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(timeout)
        self.socket.connect((host, int(port)))

    def write(self, frame):
        self.socket.send(frame)

    def read(self):
        return self.socket.recv(65536)


class Serial:
    """Bytes over a serial port, with the opening of mode E where it is asked for."""

    def __init__(self, path, baud, timeout, mode_e):
        if mode_e:
            self.port = serial.Serial(path, 300, timeout=timeout)
            self.open_mode_e(baud)
        else:
            self.port = serial.Serial(path, baud, timeout=timeout)

    def open_mode_e(self, baud):
        self.port.write(b"/?!\r\n")
        identification = self.port.read_until(b"\n")
        if not identification.startswith(b"/") or b"\\2" not in identification:
            raise ValueError("no meter of mode E: %r" % identification)
        speed = identification[4:5]
        # As an optical head lets parity through; the meter has to bear it.
        choice = with_parity(b"\x062" + speed + b"2\r\n")
        self.port.write(choice)
        # Six characters at 300 baud; the meter takes 200 ms at least before it says something.
        time.sleep(0.3)
        self.port.baudrate = baud
        confirmed = self.port.read_until(b"\n")
        if with_parity(confirmed) != choice:
            raise ValueError("mode E was not confirmed: %r" % confirmed)

    def write(self, frame):
        self.port.write(frame)

    def read(self):
        received = self.port.read(1)
        if not received:
            raise TimeoutError("no answer")
        return received + self.port.read(self.port.in_waiting)


def with_parity(text):
    """Seven bits and their even parity in the eighth."""
    seven = [character & 0x7F for character in text]
    return bytes(character | (bin(character).count("1") % 2) << 7 for character in seven)


class Reader:
    """A client of the package and the bytes to and from its meter."""

    def __init__(self, options):
        wrapper = options.tcp or options.udp
        interface = InterfaceType.WRAPPER if wrapper else InterfaceType.HDLC
        server = options.server
        if not wrapper:
            server = GXDLMSSecureClient.getServerAddress(options.server, options.physical or 0)
        self.client = GXDLMSSecureClient(
            True, options.client, server, AUTHENTICATIONS[options.auth], options.password or None, interface
        )
        if options.address_bytes:
            self.client.serverAddressSize = options.address_bytes
        # It answers every frame, also those that are not the last of a window: windows of one frame only.
        if options.frame:
            self.client.hdlcSettings.maxInfoRX = options.frame
            self.client.hdlcSettings.maxInfoTX = options.frame
        self.client.maxReceivePDUSize = options.pdu
        # Its general block transfer is broken: no test of that.
        if options.general:
            self.client.proposedConformance |= Conformance.GENERAL_PROTECTION
        ciphering = self.client.ciphering
        ciphering.systemTitle = bytes.fromhex(options.title)
        if options.auth in ("hls-gmac", "hls-ecdsa"):
            ciphering.security = SECURITIES[options.security]
            ciphering.securitySuite = SUITES[options.suite]
            ciphering.blockCipherKey = bytes.fromhex(options.ek)
            ciphering.authenticationKey = bytes.fromhex(options.ak)
            ciphering.invocationCounter = options.counter
            self.client.increaseInvocationCounterForGMacAuthentication = True
            if options.auth == "hls-ecdsa":
                # Raw keys: the point with its first byte 04, the number alone.
                meter_key = GXPublicKey.fromRawBytes(b"\x04" + bytes.fromhex(options.meter_key))
                own_key = GXPrivateKey.fromRawBytes(bytes.fromhex(options.own_key))
                ciphering.signingKeyPair = (meter_key, own_key)
            if options.dedicated:
                ciphering.dedicatedKey = bytes.fromhex(options.dedicated)
        self.received = GXByteBuffer()
        if options.serial:
            self.port = Serial(options.serial, options.baud, options.timeout, options.mode_e)
        elif options.udp:
            self.port = Datagrams(options.udp, options.timeout)
        else:
            self.port = Socket(options.tcp or options.hdlc_tcp, options.timeout)

    def exchange(self, frame, reply):
        """One frame to the meter, and all that it says to that."""
        self.received = GXByteBuffer()
        self.port.write(bytes(frame))
        self.hear(reply)

    def hear(self, reply):
        """The next whole frame; what came behind it is kept."""
        notify = GXReplyData()
        while not (self.received.available() and self.client.getData(self.received, reply, notify)):
            self.received.set(self.port.read())
        self.received.trim()

    def ask(self, frames):
        """A request of the package, whole: frames, segments and blocks."""
        reply = GXReplyData()
        for frame in frames if isinstance(frames, list) else [frames]:
            reply.clear()
            self.exchange(frame, reply)
            while reply.isMoreData():
                following = None if reply.isStreaming() else self.client.receiverReady(reply)
                if following is None:
                    self.hear(reply)
                else:
                    self.exchange(following, reply)
            if reply.error:
                raise RuntimeError("the meter refuses: %s" % reply.error)
        return reply

    def open(self):
        snrm = self.client.snrmRequest()
        if snrm:
            self.client.parseUAResponse(self.ask(snrm).data)
        self.client.parseAareResponse(self.ask(self.client.aarqRequest()).data)
        if self.client.isAuthenticationRequired:
            self.client.parseApplicationAssociationResponse(
                self.ask(self.client.getApplicationAssociationRequest()).data
            )

    def close(self):
        self.ask(self.client.releaseRequest())
        disconnect = self.client.disconnectRequest()
        if disconnect:
            self.ask(disconnect)

    def read(self, item, index):
        reply = self.ask(self.client.read(item, index)[0])
        return self.client.updateValue(item, index, reply.value)


def unix(value):
    moment = value.value if isinstance(value, GXDateTime) else value
    return int(moment.timestamp())


def plain(cell):
    if isinstance(cell, GXDateTime):
        return unix(cell)
    return None if cell is None else int(cell)


def clock_column(profile):
    return [captured[0].objectType for captured in profile.captureObjects].index(GXDLMSClock().objectType)


def rows_of(profile, rows):
    """Rows with the clock first, as the other client gives them."""
    at = clock_column(profile)
    listed = []
    for row in rows:
        cells = [plain(cell) for cell in row]
        listed.append([cells[at]] + cells[:at] + cells[at + 1 :])
    return listed


def read_everything(reader):
    """Every attribute of every object, by the package's own classes; what they cannot take is a problem."""
    reply = reader.ask(reader.client.getObjectsRequest())
    objects = reader.client.parseObjects(reply.data, True, False)
    problems = []
    for item in objects:
        for index in item.getAttributeIndexToRead(True):
            # The profiles are read in part elsewhere.
            if isinstance(item, GXDLMSProfileGeneric) and index == 2:
                continue
            try:
                reader.read(item, index)
            except Exception as error:  # it raises what it likes
                problems.append("%s %s: %s" % (item.logicalName, index, error))
    return len(objects), problems


def transfer_image(reader, size, report):
    image = GXDLMSImageTransfer("0.0.44.0.0.255")
    reader.read(image, 2)
    for request in image.imageTransferInitiate(reader.client, "PLM-2.5", size):
        reader.ask(request)
    for request in image.imageBlockTransfer(reader.client, bytes(size), [0]):
        reader.ask(request)
    for request in image.imageVerify(reader.client):
        reader.ask(request)
    reader.read(image, 6)
    report["image_status"] = int(image.imageTransferStatus)


def enter_token(reader, token, report):
    """Gives the meter a token, and reads what became of it."""
    gateway = GXDLMSTokenGateway("0.0.19.40.0.255")
    for request in reader.client.method(gateway, 1, bytearray(token.encode()), DataType.OCTET_STRING):
        reader.ask(request)
    reader.read(gateway, 6)
    report["token_status"] = int(gateway.statusCode)


def change_calendar(reader, name, report):
    """Writes a passive calendar of one day that is like no other, activates it, and reads the active one."""
    calendar = GXDLMSActivityCalendar("0.0.13.0.0.255")
    for index in range(6, 10):
        reader.read(calendar, index)
    calendar.calendarNamePassive = name
    action = GXDLMSDayProfileAction()
    action.startTime = GXTime("05:30:00")
    action.scriptLogicalName = "0.0.10.0.100.255"
    action.scriptSelector = 3
    day = GXDLMSDayProfile()
    day.dayId = 1
    day.daySchedules = [action]
    calendar.dayProfileTablePassive = [day]
    for index in (6, 9):
        for request in reader.client.write(calendar, index):
            reader.ask(request)
    for request in calendar.activatePassiveCalendar(reader.client):
        reader.ask(request)
    for index in range(2, 6):
        reader.read(calendar, index)
    days = calendar.dayProfileTableActive
    report["calendar"] = calendar.calendarNameActive
    report["tariffs"] = [[action.scriptSelector for action in day.daySchedules] for day in days]
    report["weeks"] = len(calendar.weekProfileTableActive)


def read_profile(reader, options, report):
    profile = GXDLMSProfileGeneric(options.profile)
    reader.read(profile, 3)
    reader.read(profile, 4)
    # Ranges are those of the sort object; without it, of the first column.
    reader.read(profile, 6)
    if options.begin:
        utc = datetime.timezone.utc
        begin = GXDateTime(datetime.datetime.fromtimestamp(options.begin, utc))
        end = GXDateTime(datetime.datetime.fromtimestamp(options.end, utc))
        reply = reader.ask(reader.client.readRowsByRange(profile, begin, end))
        report["rows"] = rows_of(profile, reader.client.updateValue(profile, 2, reply.value))
    if options.first:
        reply = reader.ask(reader.client.readRowsByEntry(profile, options.first, options.count))
        report["entries"] = rows_of(profile, reader.client.updateValue(profile, 2, reply.value))


def read(reader, options):
    report = {"registers": {}}
    for told in options.registers:
        name, class_id = told.split(":")
        register = REGISTERS[int(class_id)](name)
        number, scaler = (3, 4) if class_id == "5" else (2, 3)
        # Without its scaler, the package gives the register's own number.
        value = reader.read(register, number)
        reader.read(register, scaler)
        report["registers"][name] = [value, round(math.log10(register.scaler)), int(register.unit)]
    if options.list:
        items = [(GXDLMSRegister(name.split(":")[0]), 2) for name in options.registers if name.endswith(":3")]
        values = []
        for request in reader.client.readList(items):
            reply = reader.ask(request)
            values.extend(reply.value)
        report["list"] = values
    clock = GXDLMSClock("0.0.1.0.0.255")
    reader.read(clock, 2)
    report["clock"] = unix(clock.time)
    if options.set_clock:
        clock.time = GXDateTime(datetime.datetime.fromtimestamp(options.set_clock, datetime.timezone.utc))
        reader.ask(reader.client.write(clock, 2))
        reader.read(clock, 2)
        report["clock_set"] = unix(clock.time)
    if options.data:
        value = reader.read(GXDLMSData(options.data), 2)
        report["data"] = value.decode() if isinstance(value, (bytes, bytearray)) else value
    if options.profile:
        read_profile(reader, options, report)
    if options.objects:
        reply = reader.ask(reader.client.getObjectsRequest())
        report["objects"] = len(reader.client.parseObjects(reply.data, False, False))
    if options.all:
        report["objects"], report["problems"] = read_everything(reader)
    if options.write:
        label = GXDLMSData("0.0.96.1.1.255")
        label.value = options.write.encode()
        for request in reader.client.write(label, 2):
            reader.ask(request)
    if options.image:
        transfer_image(reader, options.image, report)
    if options.token:
        enter_token(reader, options.token, report)
    if options.calendar:
        change_calendar(reader, options.calendar, report)
    if options.switch:
        control = GXDLMSDisconnectControl("0.0.96.3.10.255")
        request = control.remoteDisconnect if options.switch == "off" else control.remoteReconnect
        reader.ask(request(reader.client))
        reader.read(control, 2)
        report["connected"] = control.outputState
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--tcp")
    place.add_argument("--udp")
    place.add_argument("--hdlc-tcp")
    place.add_argument("--serial")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--mode-e", action="store_true")
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--client", type=int, default=16)
    parser.add_argument("--server", type=int, default=1)
    parser.add_argument("--physical", type=int)
    parser.add_argument("--address-bytes", type=int)
    parser.add_argument("--frame", type=int)
    parser.add_argument("--auth", default="none", choices=sorted(AUTHENTICATIONS))
    parser.add_argument("--suite", type=int, default=0)
    parser.add_argument("--password", default="")
    parser.add_argument("--ek", default="00" * 16)
    parser.add_argument("--ak", default="00" * 16)
    parser.add_argument("--title", default="504C430000000001")
    parser.add_argument("--security", default="both", choices=sorted(SECURITIES))
    parser.add_argument("--meter-key")
    parser.add_argument("--own-key")
    parser.add_argument("--dedicated")
    parser.add_argument("--general", action="store_true")
    parser.add_argument("--counter", type=int, default=1)
    parser.add_argument("--pdu", type=int, default=65535)
    parser.add_argument("--data", help="a data object to read")
    parser.add_argument("--profile")
    parser.add_argument("--begin", type=int)
    parser.add_argument("--end", type=int)
    parser.add_argument("--first", type=int)
    parser.add_argument("--count", type=int)
    parser.add_argument("--objects", action="store_true")
    parser.add_argument("--list", action="store_true", help="read the registers with a list, too")
    parser.add_argument("--switch", choices=["off", "on"])
    parser.add_argument("--all", action="store_true", help="read every attribute of every object")
    parser.add_argument("--write", help="a label for the meter")
    parser.add_argument("--image", type=int, help="transfer an image of so many bytes")
    parser.add_argument("--set-clock", type=int)
    parser.add_argument("--token", help="a token of prepayment for the meter")
    parser.add_argument("--calendar", help="the name of a tariff calendar to put in force")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("registers", nargs="*", help="OBIS:CLASS")
    options = parser.parse_args()
    try:
        reader = Reader(options)
        reader.open()
        report = read(reader, options)
        reader.close()
        report["next_counter"] = reader.client.ciphering.invocationCounter
    except Exception as error:  # it raises what it likes
        report = {"error": "%s: %s" % (type(error).__name__, error)}
        if options.trace:
            raise
    print(json.dumps(report))
    return 1 if "error" in report else 0


if __name__ == "__main__":
    sys.exit(main())
