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
