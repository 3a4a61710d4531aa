#!/bin/sh
# Called by mmdebstrap with the new root as $1, after the base layer's hook.
set -eu
cd / # the caller's directory may be closed to the namespace's users
root=$1
units=$root/etc/systemd/system

mask() {
    for unit in "$@"; do ln -sf /dev/null "$units/$unit"; done
}

# Done already when the box was built, or again by something cheaper.
mask kmod-static-nodes.service systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-setup-dev.service \
    systemd-sysusers.service systemd-hwdb-update.service systemd-journal-catalog-update.service \
    systemd-update-done.service ldconfig.service systemd-firstboot.service systemd-machine-id-commit.service \
    systemd-remount-fs.service sshd-keygen.service
# The logs are in memory.
mask systemd-journal-flush.service
# Not in a virtual machine that lives for a lab.
mask systemd-modules-load.service systemd-network-generator.service systemd-udev-load-credentials.service \
    systemd-networkd-persistent-storage.service systemd-random-seed.service systemd-pstore.service \
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-hibernate-clear.service \
    systemd-pcrmachine.service systemd-pcrphase.service systemd-pcrphase-sysinit.service \
    systemd-tpm2-setup.service systemd-tpm2-setup-early.service systemd-pcrextend.socket systemd-pcrlock.socket \
    systemd-sysext.socket systemd-creds.socket systemd-hostnamed.socket systemd-initctl.socket \
    systemd-ask-password-console.path systemd-ask-password-wall.path e2scrub_reap.service \
    modprobe@.service systemd-logind.service
# Mounts of what nothing here uses; /tmp is a directory on the disk, /run/lock one in /run.
mask dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-kernel-config.mount sys-fs-fuse-connections.mount tmp.mount run-lock.mount
# Work of its own accord, in the middle of somebody's measurement.
mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-tmpfiles-clean.timer
# Nobody can log in on a console: there is no password.
mask getty-static.service getty@.service serial-getty@.service
# Nothing forbids logins during the boot, so nothing has to permit them; sshd starts late enough.
mask systemd-user-sessions.service
mkdir -p "$root/etc/tmpfiles.d"
ln -sf /dev/null "$root/etc/tmpfiles.d/systemd-nologin.conf"
# Docker's "after the network is online" would wait for half a minute; its addresses are given, not sought.
mask systemd-networkd-wait-online.service

# Each generator is one more process before the first unit; only fstab's matters here.
mkdir -p "$root/etc/systemd/system-generators"
for generator in "$root"/usr/lib/systemd/system-generators/*; do
    [ "${generator##*/}" = systemd-fstab-generator ] ||
        ln -sf /dev/null "$root/etc/systemd/system-generators/${generator##*/}"
done

chroot "$root" systemctl --quiet set-default multi-user.target
chroot "$root" systemctl --quiet enable labgen-resolv.path acpid.service
# Docker's service starts containerd.
chroot "$root" systemctl --quiet disable containerd.service acpid.path acpid.socket

# The root is mounted read-write from the start, with its error behaviour from its superblock.
: >"$root/etc/fstab"
: >"$root/etc/default/locale"

# Debian's modules are xz; unpacking them is emulated, too.
for modules in "$root"/usr/lib/modules/*; do
    find "$modules" -name '*.ko.xz' -exec xz --decompress --threads=1 {} +
    chroot "$root" depmod "${modules##*/}"
done

# With this layer's configuration, which was not there when the package was installed.
chroot "$root" update-tirfs
