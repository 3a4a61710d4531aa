#!/bin/sh
# Gives a machine whose memory is, or will be, shared with others its own identity: new randomness, machine-id and SSH
# host key, the owner's key, and the current time, because it was just paused. Prints the new host key. A machine that
# resumed in another place also gets its address there.
# Run by QEMU's guest agent, with these variables: randomness, owner, and in another place mac and address.
# Under emulation each process costs a quarter of a second: use builtins wherever possible.
set -eu
: "${randomness:?}" "${owner:?}" "${mac=}" "${address=}"

set_clock() {
    read -r now </sys/class/rtc/rtc0/since_epoch
    date --set "@$now.5" >/dev/null # the RTC counts whole seconds
}

# RNDRESEEDCRNG: until then, two machines with the same memory produce the same random numbers.
renew_randomness() {
    echo "$randomness" | perl -e 'open my $random, "+<", "/dev/random" or die "$!\n"; syswrite $random, <STDIN>;
        ioctl $random, 0x5207, 0 or die "$!\n"'
}

renew_machine_id() {
    IFS=- read -r a b c d e </proc/sys/kernel/random/uuid
    echo "$a$b$c$d$e" >/etc/machine-id
}

# Docker creates a new engine id at its next start; a restart now would cost more time than all the rest.
forget_identities() {
    rm -f /etc/ssh/ssh_host_* /var/lib/docker/engine-id
}

renew_host_key() {
    ssh-keygen -q -t ed25519 -N "" -C "" -f /etc/ssh/ssh_host_ed25519_key
    read -r listener </run/sshd.pid
    kill -HUP "$listener"
}

# As /usr/lib/labgen/early does at boot. The files keep their owner.
change_owner() {
    keys=/home/vagrant/.ssh/authorized_keys
    read -r former <"$keys" || :
    [ "$former" != "$owner" ] || return 0
    echo "$owner" >"$keys"
    echo "$owner" >/etc/labgen-owner
}

# The users who were logged in are in another place.
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
    # networkd sees the card come up, and requests its address by itself.
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
