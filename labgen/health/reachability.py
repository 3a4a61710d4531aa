"""Whether the other nodes answer on the ports that the nodes of a lab use among each other."""

from collections.abc import Sequence

from labgen.health.base import Check, Seen, Verdict
from labgen.model import Lab

REFUSED = "Connection refused"
SSH_PORT = "22"
LIMIT = 10  # seconds for all to answer; emulated machines are slow
# All at once, in one process: ten nodes that do not answer cost no more time than one. It opens TCP connections
# because a wrong checksum or MTU shows as "ping works, TCP hangs".
CONNECT = """
use Socket; use Fcntl; use Errno qw(EINPROGRESS);
my ($end, %waiting) = (time + LIMIT);
for my $place (@ARGV) {
    my ($address, $port) = split /:/, $place;
    socket(my $wire, PF_INET, SOCK_STREAM, 0) or die "$!\\n";
    fcntl($wire, F_SETFL, O_NONBLOCK) or die "$!\\n";
    if (connect $wire, sockaddr_in($port, inet_aton($address))) { print "$place\\n" }
    elsif ($! == EINPROGRESS) { $waiting{fileno $wire} = [$place, $wire] }
    else { print "$place $!\\n" }
}
while (%waiting && time < $end) {
    my $ready = "";
    vec($ready, $_, 1) = 1 for keys %waiting;
    select undef, $ready, undef, 1;
    for my $number (grep { vec $ready, $_, 1 } keys %waiting) {
        my ($place, $wire) = @{delete $waiting{$number}};
        $! = unpack "i", getsockopt $wire, SOL_SOCKET, SO_ERROR;
        print $! ? "$place $!\\n" : "$place\\n";
    }
}
print "$_->[0] no answer within LIMIT s\\n" for values %waiting;
""".replace("LIMIT", str(LIMIT))


class Reachability(Check):
    name = "reachability"
    script = f"[ $# = 0 ] || perl -e '{CONNECT}' \"$@\""

    def judge(self, seen: Seen) -> Verdict | None:
        names = {node.address: node.name for node in seen.lab.nodes}
        answers = [_answer(line) for line in seen.said[self.name]]
        if not answers:
            return None  # a single node
        failed = [(names[address], port, why) for address, port, why in answers if why]
        if not failed:
            return Verdict("ok", f"all {len(answers)} ports of the other nodes answer")
        told = "; ".join(f"{node} port {port}: {why}" for node, port, why in failed)
        return Verdict("fail", told, _fix(seen.lab, failed))


def _answer(line: str) -> tuple[str, str, str]:
    place, _, why = line.partition(" ")
    address, _, port = place.partition(":")
    return address, port, why


def _fix(lab: Lab, failed: Sequence[tuple[str, str, str]]) -> str:
    deaf = [node for node, port, why in failed if why == REFUSED and port != SSH_PORT]
    if len(deaf) == len(failed):  # the machines answer, only Docker does not listen
        return f"labgen exec {lab.name} --node {deaf[0]} -- sudo systemctl restart docker"
    return f"labgen status {lab.name} --check, once those nodes are healthy"
