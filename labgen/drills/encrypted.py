"""What somebody on the wire can read of a plain and of an encrypted overlay network."""

import secrets
import time
from dataclasses import dataclass

from labgen.drills import extras, nodes
from labgen.drills.base import Drill
from labgen.drills.stage import Stage
from labgen.errors import GuestError
from labgen.parallel import on_each

NAMES = {"plain": "labgen-drill-plain", "encrypted": "labgen-drill-encrypted"}
OPTIONS: dict[str, tuple[str, ...]] = {"plain": (), "encrypted": ("--opt", "encrypted")}
SECONDS = 30  # of capturing
BEFORE = 4.0  # seconds until the capture has begun
REQUESTS = 5
# Perl is in every Debian machine. It reads what arrives at the network card that has the address: packets of VXLAN
# (UDP to port 4789), of IPsec (protocol 50), and those of both that contain the marker.
CAPTURE = r"""
use strict;
my ($address, $marker, $seconds) = @ARGV;
my ($card) = `ip -o -4 addr show to $address` =~ /^\d+: (\S+)/ or die "no card has $address\n";
open my $file, "<", "/sys/class/net/$card/ifindex" or die "$card: $!\n";
chomp(my $index = <$file>);
socket(my $wire, 17, 3, 0x0300) or die "socket: $!\n";
bind($wire, pack("S n i S C C a8", 17, 3, $index, 0, 0, 0, "")) or die "bind: $!\n";
my ($vxlan, $esp, $readable, $end) = (0, 0, 0, time + $seconds);
while ((my $left = $end - time) > 0) {
    my $bits = "";
    vec($bits, fileno($wire), 1) = 1;
    select($bits, undef, undef, $left) > 0 or next;
    sysread($wire, my $packet, 65536) or next;
    next if length $packet < 38 or unpack("n", substr($packet, 12, 2)) != 0x0800;
    my $protocol = ord substr($packet, 23, 1);
    my $is_vxlan = $protocol == 17 && unpack("n", substr($packet, 36, 2)) == 4789;
    next unless $is_vxlan || $protocol == 50;
    $is_vxlan ? $vxlan++ : $esp++;
    $readable++ if index($packet, $marker) >= 0;
}
print "$vxlan $esp $readable\n";
"""


@dataclass(frozen=True)
class Captured:
    """How many packets arrived. :param readable: those in which the request can be read."""

    vxlan: int
    esp: int
    readable: int

    def __str__(self) -> str:
        return f"{self.vxlan} packets of VXLAN, {self.esp} of IPsec; the request is readable in {self.readable}"


class Encrypted(Drill):
    name = "encrypted"
    about = "Packets of a plain and of an encrypted network, captured"
    hypothesis = "A request can be read on the wire of a plain overlay network, and not on that of an encrypted one."
    needs_service = False

    def refuse(self, stage: Stage) -> None:
        nodes.require_another_node(stage)

    def run(self, stage: Stage) -> None:
        image = extras.bring_image(stage)
        captured = {kind: self._captured(stage, kind, image) for kind in NAMES}
        plain, encrypted = captured["plain"], captured["encrypted"]
        stage.check("on the plain network the request is readable", plain.readable > 0, str(plain))
        stage.check("on the encrypted network packets of IPsec arrive", encrypted.esp > 0, str(encrypted))
        stage.check("on the encrypted network the request is not readable", not encrypted.readable)

    def _captured(self, stage: Stage, kind: str, image: str) -> Captured:
        """What arrives at one node while a container on another one sends requests to a container there."""
        name, marker = NAMES[kind], secrets.token_hex(16)
        extras.make_network(stage, name, *OPTIONS[kind])
        extras.make_service(stage, name, ["--mode", "global", "--network", name], image)
        tasks = extras.tasks(stage, name)
        sender, receiver = list(tasks)[:2]
        address = extras.address(stage, receiver, tasks[receiver], name)
        own = stage.lab.plan.node(receiver).address

        def capture() -> str:
            command = ["sudo", "-n", "perl", "-e", CAPTURE, own, marker, str(SECONDS)]
            result = stage.there.connection(receiver).run(command, limit=SECONDS + 60)
            if result.status:
                raise GuestError(f"{receiver}: nothing can be captured", result.tail)
            return result.stdout

        def send() -> str:
            time.sleep(BEFORE)
            url = f"http://{address}/?{marker}"
            words = ["exec", tasks[sender].container, "wget", "-q", "-T", "10", "-O", "-", url]
            return "".join(stage.on(sender, *words) for _ in range(REQUESTS))

        stage.progress.step(f"capturing on {receiver} what {sender} sends over the {kind} network", stage="watch")
        answers = on_each({"capture": capture, "send": send}, lambda work: work())
        found = Captured(*map(int, answers["capture"].split()))
        command = f"{receiver}$ tcpdump -A 'udp port 4789 or esp'"
        stage.saw(f"captured between {sender} and {receiver}, {kind}: {found}", answers["capture"], command)
        return found
