"""Frames a second that pyMeterBus decodes, on one core. Usage: pymeterbus_decode.py FOLDER"""

import json
import pathlib
import sys
import time

import meterbus


def main() -> None:
    frames = []
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.hex")):
        frame = bytes.fromhex(path.read_text().strip())
        try:
            meterbus.load(frame).to_JSON()
        except Exception:  # what it can't read does not count
            continue
        frames.append(frame)
    count, begun = 0, time.process_time()
    while time.process_time() - begun < 2:
        for frame in frames:
            meterbus.load(frame).to_JSON()
        count += len(frames)
    rate = count / (time.process_time() - begun)
    print(json.dumps({"bench": "decode", "peer": "pyMeterBus", "frames": len(frames), "frames_per_s": round(rate)}))


main()
