#!/bin/sh
# Called by mmdebstrap with the new root as $1, after all packages are in.
set -eu
cd / # the caller's directory may be closed to the namespace's users
root=$1

# The owner whom Vagrant expects. "*" is no password and, unlike "!", no locked account either.
chroot "$root" useradd --uid 1000 --create-home --shell /bin/bash --password '*' --groups docker,sudo vagrant
install -d -m 0700 -o 1000 -g 1000 "$root/home/vagrant/.ssh"
chmod 0440 "$root/etc/sudoers.d/vagrant"

# Nothing that identifies one machine. mmdebstrap copied the build host's name and resolver.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/etc/resolv.conf" "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
: >"$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"

printf 'UUID=%s / ext4 errors=remount-ro 0 1\n' "$LABGEN_ROOT_UUID" >"$root/etc/fstab"

chroot "$root" systemctl --quiet enable \
    systemd-networkd.service labgen-early.service labgen-hostkey.service labgen-new-owner.service labgen-clock.timer \
    docker.service
chroot "$root" systemctl --quiet disable docker-registry.service haproxy.service nginx.service
