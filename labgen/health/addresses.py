"""The machine's name, and its planned address on its network card."""

from labgen.health.base import Check, Seen, Verdict


class Addresses(Check):
    name = "addresses"
    script = """
read -r name </proc/sys/kernel/hostname
echo "$name"
for card in /sys/class/net/*; do
    read -r mac <"$card/address"
    echo "${card##*/} $mac"
done
ip -4 -o address show
"""

    def judge(self, seen: Seen) -> Verdict:
        node = seen.node
        name, *lines = seen.said[self.name]
        macs = {fields[1]: fields[0] for line in lines if len(fields := line.split()) == 2}
        addresses = {fields[3].partition("/")[0]: fields[1] for line in lines if len(fields := line.split()) > 3}
        if name != node.name:
            return Verdict("fail", f"its host name is {name!r}", seen.command("sudo hostname " + node.name))
        if node.mac not in macs:
            return Verdict("fail", f"no network card with {node.mac}", f"labgen stop {seen.lab.name}, then start")
        if addresses.get(node.address) != macs[node.mac]:
            held = [address for address, card in addresses.items() if card == macs[node.mac]]
            evidence = f"{macs[node.mac]} has {', '.join(held) or 'no address'}, not {node.address}"
            return Verdict("fail", evidence, seen.command("sudo networkctl reconfigure " + macs[node.mac]))
        return Verdict("ok", f"{node.address} on {macs[node.mac]}")
