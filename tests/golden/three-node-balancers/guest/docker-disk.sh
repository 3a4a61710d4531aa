#!/bin/sh
# Prepares the disk for Docker's data and mounts it at /var/lib/docker, now and at every boot.
# usage: docker-disk.sh SERIAL ext4|btrfs
# The disk is found by its serial number and formatted only if it is blank.
set -eu

serial=$1
filesystem=$2
label=docker
target=/var/lib/docker

disk_with_serial() {
    for block in /sys/block/*; do
        if [ -r "$block/serial" ] && [ "$(cat "$block/serial")" = "$serial" ]; then
            echo "/dev/${block##*/}"
            return 0
        fi
    done
    return 1
}

if ! disk=$(disk_with_serial); then
    echo "no disk with the serial number $serial; there are: $(grep -H . /sys/block/*/serial 2>/dev/null | tr '\n' ' ')" >&2
    exit 1
fi

# -p reads the disk instead of blkid's cache. Status 2 means that nothing was recognised.
found=$(blkid -p -o value -s TYPE "$disk") || [ $? -eq 2 ]
if [ -z "$found" ]; then
    if [ -n "$(wipefs --noheadings "$disk")" ]; then
        echo "$disk holds something that is no file system; refusing to format it: $(wipefs --noheadings "$disk")" >&2
        exit 1
    fi
    case $filesystem in
        # Discarding blocks first would only cost time: the disk is new.
        ext4) mkfs.ext4 -q -L "$label" -E nodiscard "$disk" ;;
        btrfs) mkfs.btrfs -q --nodiscard -L "$label" "$disk" ;;
        *)
            echo "no way to make a $filesystem file system" >&2
            exit 2
            ;;
    esac
elif [ "$found" != "$filesystem" ]; then
    echo "$disk holds $found, not $filesystem; refusing to format it" >&2
    exit 1
fi

if ! grep -q "[[:space:]]${target}[[:space:]]" /etc/fstab; then
    # Without the disk the machine still boots and can be examined; Docker waits for the mount.
    # On a busy host it may take a long time until the disk appears.
    # No daemon-reload, which is expensive: systemd reads fstab at the next boot, and sees the current mount anyway.
    echo "LABEL=$label $target $filesystem nofail,x-systemd.device-timeout=15min 0 0" >>/etc/fstab
fi
mkdir -p "$target"
mountpoint -q "$target" || mount "$disk" "$target"
