"""How long a box takes until SSH answers, and from an empty disk to a ready Docker: trimmed and stock.

    python benchmarks/boot.py --build              # with internet: builds the boxes that are missing
    sudo python benchmarks/boot.py [--direct]      # in a network namespace

Boots each box with bare QEMU (emulated, one virtual CPU, 1 GiB), one after another, with the same arguments,
on a tap device with a separate DHCP server; no internet, no libvirt, no Vagrant. Prints wall-clock seconds and
the CPU seconds that QEMU used, which other work on the host disturbs less, and the ratios trimmed/stock. Builds
missing boxes with: labgen box build; only this benchmark uses the stock box.
"""

import argparse
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from labgen import boxes
from labgen.boxes import Box

TAP, HOST, GUEST, MAC = "labgenbench0", "10.209.77.1", "10.209.77.2", "52:54:00:6c:67:62"
DOCKER = """set -e
modprobe btrfs
mkfs.btrfs -q -f /dev/vdb
mkdir -p /etc/docker /var/lib/docker
mount /dev/vdb /var/lib/docker
echo '{daemon}' >/etc/docker/daemon.json
systemctl start docker
docker info -f '{{{{.Driver}}}}'
"""
PLAIN = {"storage-driver": "btrfs"}


class Log:
    """Progress on the screen."""

    def step(self, text: str, node: str | None = None) -> None:
        print(text, flush=True)

    done = step

    def note(self, text: str) -> None:
        print(text, flush=True)


@contextmanager
def network(directory: Path) -> Iterator[None]:
    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    ip("tuntap", "add", TAP, "mode", "tap")
    try:
        ip("address", "add", f"{HOST}/24", "dev", TAP)
        ip("link", "set", TAP, "up")
        dnsmasq = subprocess.Popen(
            ["dnsmasq", "-k", "--conf-file=/dev/null", f"--interface={TAP}", "--except-interface=lo",
             "--bind-interfaces", f"--dhcp-range={HOST},static", f"--dhcp-host={MAC},{GUEST}", "--no-resolv",
             f"--dhcp-leasefile={directory}/leases", f"--pid-file={directory}/dnsmasq.pid", "--no-ping", "--no-hosts",
             f"--log-facility={directory}/dnsmasq.log"],
        )  # fmt: skip
        try:
            yield
        finally:
            dnsmasq.terminate()
            dnsmasq.wait()
    finally:
        ip("link", "delete", TAP)


class Machine:
    """A running QEMU."""

    def __init__(self, box: Box, directory: Path, key: Path, append: str | None) -> None:
        self.key = key
        for name, backing in {"root": ["-b", str(box.image), "-F", "qcow2"], "data": []}.items():
            size = ["10G"] if name == "data" else []
            disk = directory / f"{name}.qcow2"
            disk.unlink(missing_ok=True)
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(disk), *size], check=True)
        public = base64.b64encode(key.with_suffix(".pub").read_bytes()).decode()
        credential = "type=11,value=io.systemd.credential.binary:labgen."
        direct = ["-kernel", str(box.kernel), "-initrd", str(box.initrd), "-append", append] if append else []
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-cpu", "Nehalem,-cx16", "-m", "1024", "-smp", "1",
             "-nodefaults", "-display", "none", "-serial", f"file:{directory}/{box.name}.console",
             "-drive", f"file={directory}/root.qcow2,if=virtio", "-drive", f"file={directory}/data.qcow2,if=virtio",
             "-netdev", f"tap,id=n,ifname={TAP},script=no,downscript=no",
             "-device", f"virtio-net-pci,netdev=n,mac={MAC}", "-device", "virtio-rng-pci",
             "-smbios", f"{credential}authorized_keys={public}",
             "-smbios", f"{credential}hostname={base64.b64encode(b'bench').decode()}", *direct],
        )  # fmt: skip

    def spent(self) -> tuple[float, float]:
        """Seconds since the start: wall-clock time and CPU time."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return time.monotonic() - self.started, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_for_ssh(self, limit: float = 600) -> None:
        while self.spent()[0] < limit:
            try:
                socket.create_connection((GUEST, 22), timeout=5).close()
                self.ssh("true")
            except (OSError, subprocess.CalledProcessError):
                time.sleep(0.2)
                continue
            return
        raise SystemExit("no SSH")

    def ssh(self, script: str) -> str:
        command = ["ssh", "-i", str(self.key), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
                   "-o", "UserKnownHostsFile=/dev/null", f"vagrant@{GUEST}", script]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def booted(box: Box, append: str | None) -> Iterator[Machine]:
    """A machine that accepts a login. :param append: the kernel's command line; None: the box's own boot loader."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="labgen-bench-")))
        stack.enter_context(network(directory))
        key = directory / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        machine = Machine(box, directory, key, append)
        stack.callback(machine.stop)
        machine.wait_for_ssh()
        yield machine


def measure(box: Box, daemon: dict[str, object], append: str | None, keep: bool) -> dict[str, tuple[float, float]]:
    with booted(box, append) as machine:
        ssh = machine.spent()
        script = DOCKER.format(daemon=json.dumps(daemon)).replace("'", "'\\''")
        machine.ssh(f"sudo sh -c '{script}'")
        docker = machine.spent()
        if keep:
            input(f"ssh -i {machine.key} vagrant@{GUEST}; Enter ends it")
        return {"boot to SSH": ssh, "Docker from an empty disk": (docker[0] - ssh[0], docker[1] - ssh[1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--box", default="debian13")
    parser.add_argument("--direct", action="store_true", help="boot the kernel without BIOS and GRUB")
    parser.add_argument("--daemon", default=json.dumps(PLAIN), help="daemon.json of the trimmed box")
    parser.add_argument("--build", action="store_true", help="only build the boxes that are missing")
    parser.add_argument("--only", choices=["trimmed", "stock"])
    parser.add_argument("--keep", action="store_true", help="wait for Enter before each machine is ended")
    options = parser.parse_args()
    results: dict[str, dict[str, tuple[float, float]]] = {}
    for kind in ["trimmed", "stock"]:
        if options.only not in (None, kind):
            continue
        trimmed = kind == "trimmed"
        box = boxes.find(options.box, trimmed)
        if options.build:
            box = box or boxes.build(options.box, Log(), trimmed)
            print(f"{box.name} {box.version}")
            continue
        if not box:
            raise SystemExit(f"the {kind} {options.box} is not built: {sys.argv[0]} --build")
        daemon = json.loads(options.daemon) if trimmed else PLAIN
        append = box.cmdline if options.direct else None
        results[kind] = measure(box, daemon, append, options.keep)
        for goal, (wall, cpu) in results[kind].items():
            print(f"{kind:8} {goal:26} {wall:6.1f} s  {cpu:6.1f} CPU s", flush=True)
    if len(results) == 2:
        for goal, stock in results["stock"].items():
            wall, cpu = (ours / theirs for ours, theirs in zip(results["trimmed"][goal], stock, strict=True))
            print(f"ratio    {goal:26} {wall:6.2f}    {cpu:6.2f}")


if __name__ == "__main__":
    main()
