"""Serves the registers of a map's own test by pymodbus, over TCP: a server that is not ours."""

import argparse
import asyncio
import tomllib
import warnings

from pymodbus.datastore import ModbusDeviceContext, ModbusServerContext, ModbusSparseDataBlock
from pymodbus.server import StartAsyncTcpServer

warnings.simplefilter("ignore")


def table(runs, base):
    # The device context counts from 1.
    registers = {}
    for address, words in runs.items():
        for at, word in enumerate(words.split()):
            registers[int(address, 0) - base + at + 1] = int(word, 16)
    return ModbusSparseDataBlock(registers or {1: 0})


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", help="a register map with a [[test]]")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--unit", type=int, default=1)
    args = parser.parse_args()
    with open(args.map, "rb") as file:
        read = tomllib.load(file)
    test, base = read["test"][0], read.get("address_base", 0)
    device = ModbusDeviceContext(ir=table(test.get("input", {}), base), hr=table(test.get("holding", {}), base))
    context = ModbusServerContext(devices={args.unit: device}, single=False)
    await StartAsyncTcpServer(context, address=("127.0.0.1", args.port))


asyncio.run(main())
