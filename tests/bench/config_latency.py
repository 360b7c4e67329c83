#!/usr/bin/env python3
"""How long a configuration takes from submission to acknowledgement, beside scp, sftp, FTP and TFTP in the same run.

Usage: config_latency.py PROGRAMS [ROUNDS]
PROGRAMS: the folder with plomb, plombd, plomb-hub and plomb-sim. Needs openssh, vsftpd, tftpd-hpa, tftp and curl;
what is missing is left out and said. Everything runs on loopback, in a folder that vanishes.

Each round of a peer copies the configuration's file to the other side and waits for the client's success: nothing is
checked, applied or recorded there. Each round of plomb proposes a configuration that differs from the one before:
checked, sealed, signed, admitted to the ledger, verified by the gateway, applied, and its outcome logged.
Each is a new process of its client; the rounds of all take turns, so that they share the machine's moods.
"""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(check, what, seconds=30):
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise SystemExit(f"config_latency: {what} did not come up in {seconds} s")
        time.sleep(0.02)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Place:
    """A folder and the processes that were started in it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.processes = []

    def start(self, arguments, log, **more):
        out = open(self.folder / log, "wb")
        process = subprocess.Popen(arguments, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **more)
        self.processes.append(process)
        return process

    def end(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def ssh(place):
    """scp and sftp to an sshd of our own, by key."""
    sshd, folder = shutil.which("sshd", path="/usr/sbin:/usr/bin"), place.folder / "ssh"
    if not sshd or not shutil.which("scp"):
        return {}
    folder.mkdir(mode=0o700)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "client.pub", folder / "authorized")
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile {folder}/pid\nSubsystem sftp internal-sftp\n"
    )
    place.start([sshd, "-D", "-f", folder / "sshd_config"], "sshd.log")
    until(lambda: listens(port), "sshd")
    common = ["-q", "-i", folder / "client", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
              "-o", "BatchMode=yes"]
    batch = folder / "batch"
    batch.write_text(f"put {place.folder}/plombd.toml {folder}/by-sftp\n")
    user = os.environ.get("USER", "root")
    return {
        "scp": ["scp", *common, "-P", str(port), place.folder / "plombd.toml", f"{user}@127.0.0.1:{folder}/by-scp"],
        "sftp": ["sftp", *common, "-P", str(port), "-b", batch, f"{user}@127.0.0.1"],
    }


def ftp(place):
    vsftpd, folder = shutil.which("vsftpd", path="/usr/sbin:/usr/bin"), place.folder / "ftp"
    if not vsftpd or not shutil.which("curl"):
        return {}
    (folder / "in").mkdir(parents=True)
    place.folder.chmod(0o755)
    folder.chmod(0o555)
    (folder / "in").chmod(0o777)
    Path("/var/run/vsftpd/empty").mkdir(parents=True, exist_ok=True)
    port = free_port()
    (place.folder / "vsftpd.conf").write_text(
        f"listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nanonymous_enable=YES\n"
        f"local_enable=NO\nwrite_enable=YES\nanon_upload_enable=YES\nanon_other_write_enable=YES\n"
        f"anon_root={folder}\nno_anon_password=YES\nsecure_chroot_dir=/var/run/vsftpd/empty\n"
        f"seccomp_sandbox=NO\nxferlog_enable=NO\n"
    )
    place.start([vsftpd, place.folder / "vsftpd.conf"], "vsftpd.log")
    until(lambda: listens(port), "vsftpd")
    return {"ftp (vsftpd)": ["curl", "-sS", "-T", place.folder / "plombd.toml", f"ftp://127.0.0.1:{port}/in/plombd.toml"]}


def tftp(place):
    tftpd, folder = shutil.which("in.tftpd", path="/usr/sbin:/usr/bin"), place.folder / "tftp"
    if not tftpd or not shutil.which("curl"):
        return {}
    folder.mkdir()
    folder.chmod(0o777)
    port = free_port()
    place.start([tftpd, "-L", "-a", f"127.0.0.1:{port}", "-c", "-p", "-s", folder], "tftpd.log")
    time.sleep(0.3)
    return {"tftp (tftpd-hpa)": ["curl", "-sS", "-T", place.folder / "plombd.toml", f"tftp://127.0.0.1:{port}/plombd.toml"]}


def percentiles(seconds):
    ordered = sorted(seconds)
    at = lambda share: ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000
    return at(0.50), at(0.99)


CONFIGURATION = """[gateway]
id = "gw-1"
state_dir = "{folder}/state"
key = "{folder}/gw-1/client.key"
certificate = "{folder}/gw-1/client.crt"
credential = "{folder}/gw-1/credential.cbor"

[hub]
address = "127.0.0.1:{mqtt}"
ca = "{folder}/gw-1/ca.crt"

[control]
socket = "{folder}/ctl.sock"

[[bus]]
name = "cellar"
protocol = "mbus"
port = "{folder}/meters"
"""
METER = """
[[meter]]
point = "flat-{n}-heat"
bus = "cellar"
address = {n}
interval_s = {interval_s}
"""


class Town:
    """A hub, a gateway with five meters on a line, and an admin."""

    def __init__(self, place, programs):
        self.folder, self.programs, self.rounds = place.folder, Path(programs), 0
        self.mqtt, https = free_port(), free_port()
        hub = self.folder / "hub"
        self.run("plomb-hub", "init", hub, "--origin", "ledger.example/bench", "--listen", f"127.0.0.1:{self.mqtt}",
                 "--http", f"127.0.0.1:{https}")
        for role, name in (("gateway", "gw-1"), ("admin", "alice")):
            self.run("plomb-hub", "certify", "--config", hub / "hub.toml", "--role", role, "--id", name,
                     "--out", self.folder / name)
        place.start([self.programs / "plomb-sim", "--street", "5", "--link", self.folder / "meters"], "sim.log")
        until(lambda: (self.folder / "meters").exists(), "the meters")
        place.start([self.programs / "plomb-hub", "--config", hub / "hub.toml"], "hub.log")
        until(lambda: listens(https), "the hub")
        self.write(900)
        place.start([self.programs / "plombd", "--config", self.folder / "plombd.toml"], "plombd.log")
        self.proposal = [
            self.programs / "plomb", "config", "propose", self.folder / "plombd.toml", "--gateway", "gw-1", "--yes",
            "--priority", "immediate", "--reason", "bench", "--as", self.folder / "alice",
            "--hub", f"https://localhost:{https}", "--wait", "30s", "--json",
        ]
        until(self.reads, "the first readings", 60)

    def run(self, program, *arguments):
        subprocess.run([self.programs / program, *arguments], check=True, **QUIET)

    def reads(self):
        status = subprocess.run([self.programs / "plomb", "status", "--json", "--socket", self.folder / "ctl.sock"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            points = json.loads(status.stdout)["points"]
        except (ValueError, KeyError):
            return False
        return len(points) == 5 and all(point["answered"] for point in points)

    def write(self, interval_s):
        text = CONFIGURATION.format(folder=self.folder, mqtt=self.mqtt)
        meters = (METER.format(n=n, interval_s=interval_s if n == 1 else 900) for n in range(1, 6))
        (self.folder / "plombd.toml").write_text(text + "".join(meters))

    def prepare(self):
        """The next configuration is another one: the same twice would be no change."""
        self.rounds += 1
        self.write(900 + self.rounds)


def once(arguments):
    began = time.perf_counter()
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"config_latency: {arguments[0]}: {done.stderr.decode()[-500:]}{done.stdout.decode()[-500:]}")
    return took


def main():
    programs, rounds = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with tempfile.TemporaryDirectory(prefix="plomb-latency-") as folder:
        place = Place(folder)
        try:
            town = Town(place, programs)
            ways = {"plomb": town.proposal}
            for peer in (ssh, ftp, tftp):
                found = peer(place)
                ways.update(found)
                if not found:
                    print(f"{peer.__name__}: not installed, left out")
            nothing = [programs / "plomb", "--version"]
            ways["(starting plomb, nothing else)"] = nothing
            times = {name: [] for name in ways}
            for _ in range(rounds):
                town.prepare()
                for name, arguments in ways.items():
                    times[name].append(once(arguments))
            size = (place.folder / "plombd.toml").stat().st_size
            print(f"{rounds} configurations of {size} bytes each way, a process of the client for each:")
            for name, seconds in times.items():
                p50, p99 = percentiles(seconds)
                print(f"{name:32} p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   mean {statistics.mean(seconds) * 1000:7.1f} ms")
        finally:
            place.end()


if __name__ == "__main__":
    main()
