#!/bin/sh
# Called by mmdebstrap with the new root as $1, after the base layer's hook.
set -eu
cd / # the caller's directory may be closed to the namespace's users
chroot "$1" systemctl --quiet enable systemd-resolved.service
ln -sf ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"
