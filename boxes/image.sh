#!/bin/sh
# The last hook: makes the new root ($1) a disk that boots by itself, without loop mounts. Runs in mmdebstrap's
# namespace, where file owners are right; works in the new root's /run, which stays empty in the box.
# From the environment: LABGEN_DISK_BYTES, LABGEN_ROOT_UUID, SOURCE_DATE_EPOCH.
set -eu
cd / # the caller's directory may be closed to the namespace's users
root=$1
work=$root/run/labgen
first_sector=2048
mkdir -p "$work/root" "$work/out"

# mmdebstrap cleans up after this hook, too late for the disk.
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb \
    "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/var/log/apt/* "$root"/var/log/*.log \
    "$root"/var/cache/ldconfig/aux-cache "$root"/var/lib/dpkg/*-old "$root"/var/tmp/*

# What the box's version is computed from.
# shellcheck disable=SC2016 # dpkg-query's own fields
chroot "$root" dpkg-query -W -f '${Package}:${Architecture} ${Version}\n' | LC_ALL=C sort >"$work/out/packages"
cp "$root/etc/debian_version" "$work/out/debian_version"
readlink "$root/vmlinuz" | sed 's/.*vmlinuz-//' >"$work/out/kernel"
sed -n "s/^linux[16]* [^ ]* //; s/ \$emulated//; s/\$root_uuid/$LABGEN_ROOT_UUID/p" "$root/boot/grub/grub.cfg" >"$work/out/cmdline"
sed -n 's/^ *set emulated="\(.*\)"$/\1/p' "$root/boot/grub/grub.cfg" >"$work/out/emulated"
cp -L "$root/vmlinuz" "$work/out/vmlinuz"
cp -L "$root/initrd.img" "$work/out/initrd.img"
chmod 0644 "$work/out/initrd.img"

# The new root without what is mounted on it (proc, sys, dev), without this work directory, and without what
# mmdebstrap still needs in /tmp: the configuration that keeps its apt away from the host's.
disk=$work/disk
truncate -s "$LABGEN_DISK_BYTES" "$disk"
# shellcheck disable=SC2016 # expanded by the inner shell
unshare --mount sh -eu -c '
    mount --bind "$1" "$2/root"
    mount -t tmpfs none "$2/root/run"
    mount -t tmpfs -o mode=1777 none "$2/root/tmp"
    # Features named one by one, so that the host'"'"'s mke2fs.conf has no say and every GRUB can read them.
    mke2fs -q -t ext4 -F -U "$LABGEN_ROOT_UUID" -E "offset=$4,hash_seed=$LABGEN_ROOT_UUID,lazy_itable_init=1" -m 1 -e remount-ro \
        -O none,has_journal,ext_attr,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file \
        -O dir_nlink,extra_isize,resize_inode -J size=32 -L labgen -d "$2/root" "$2/disk" "$3"
' mke2fs "$root" "$work" "$((LABGEN_DISK_BYTES / 1024 - first_sector / 2))k" "$((first_sector * 512))"

grub=/usr/lib/grub/i386-pc
cat >"$work/grub.cfg" <<EOF
set root_uuid=$LABGEN_ROOT_UUID
export root_uuid
search --fs-uuid --set=root \$root_uuid
configfile /boot/grub/grub.cfg
EOF
grub-mkimage -O i386-pc -d "$grub" -p /boot/grub -c "$work/grub.cfg" -o "$work/core.img" \
    biosdisk part_msdos ext2 search search_fs_uuid configfile normal test smbios linux linux16

# boot.img reads the rest of GRUB from the second sector, up to the first partition.
dd if="$grub/boot.img" of="$disk" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$disk" bs=512 seek=1 conv=notrunc status=none
printf 'label: dos\nlabel-id: 0x6c616267\nstart=%s, type=83, bootable\n' "$first_sector" |
    sfdisk --quiet --no-reread "$disk"
qemu-img convert -q -c -O qcow2 -o compression_type=zstd "$disk" "$work/out/box.img"
rm "$disk"
