# Makes a disk, a kernel and an initial RAM disk out of the archive $1 of a root file system, in the
# folder $2. Run as root, or where it seems so.
set -eu
archive=$1
folder=$2
label=$3
root=$folder/root
mkdir "$root"
# Devices are made at boot.
tar --numeric-owner --exclude='./dev/*' -xpf "$archive" -C "$root"
rm "$archive"
cp "$root"/boot/vmlinuz-* "$folder/vmlinuz"
cp "$root"/boot/initrd.img-* "$folder/initrd"
# With room for a kernel that is installed before the disk has grown.
size=$(($(du -sm "$root" | cut -f1) * 5 / 4 + 256))
mkfs.ext4 -q -L "$label" -d "$root" "$folder/disk" "${size}M"
rm -rf "$root"
