#!/bin/sh
# Makes a machine somebody's own whose memory others have, or will have: new randomness, machine-id and SSH host key,
# the owner's key, and the time, for it has just stood still. Prints the new host key. One that woke up in another place
# also gets its address there.
# Run by the hypervisor's agent, with what it needs in variables: randomness, owner, and for another place mac, address.
# Under emulation each process costs a quarter of a second: builtins wherever there is one.
set -eu
: "${randomness:?}" "${owner:?}" "${mac=}" "${address=}"

set_clock() {
    read -r now </sys/class/rtc/rtc0/since_epoch
    date --set "@$now.5" >/dev/null # it counts whole seconds
}

# RNDRESEEDCRNG: until then two machines with the same memory draw the same numbers.
renew_randomness() {
    echo "$randomness" | perl -e 'open my $random, "+<", "/dev/random" or die "$!\n"; syswrite $random, <STDIN>;
        ioctl $random, 0x5207, 0 or die "$!\n"'
}

renew_machine_id() {
    IFS=- read -r a b c d e </proc/sys/kernel/random/uuid
    echo "$a$b$c$d$e" >/etc/machine-id
}

# Docker takes a new one at its next start; a restart now would cost more than all the rest.
forget_identities() {
    rm -f /etc/ssh/ssh_host_* /var/lib/docker/engine-id
}

renew_host_key() {
    ssh-keygen -q -t ed25519 -N "" -C "" -f /etc/ssh/ssh_host_ed25519_key
    read -r listener </run/sshd.pid
    kill -HUP "$listener"
}

# As /usr/lib/labgen/early does at boot. The files stay whose they are.
change_owner() {
    keys=/home/vagrant/.ssh/authorized_keys
    read -r former <"$keys" || :
    [ "$former" != "$owner" ] || return 0
    echo "$owner" >"$keys"
    echo "$owner" >/etc/labgen-owner
}

# Those who were logged in are elsewhere.
end_sessions() {
    read -r listener </run/sshd.pid
    while read -r process; do
        [ "$process" != "$listener" ] || continue
        read -r name <"/proc/$process/comm" || continue
        case $name in sshd*) kill "$process" || : ;; esac
    done </sys/fs/cgroup/system.slice/ssh.service/cgroup.procs
}

move() {
    for device in /sys/class/net/e*; do card=${device##*/}; done
    read -r current <"$device/address"
    case "$current $(ip -4 -o addr show dev "$card")" in "$mac "*" $address/"*) return 0 ;; esac
    # networkd sees the card come up, and asks for its address by itself.
    ip -batch - <<END
link set $card down
link set $card address $mac
link set $card up
END
}

set_clock
renew_randomness
renew_machine_id
[ -z "$mac" ] || end_sessions
change_owner
forget_identities
renew_host_key
[ -z "$mac" ] || move
read -r key </etc/ssh/ssh_host_ed25519_key.pub
echo "$key"
