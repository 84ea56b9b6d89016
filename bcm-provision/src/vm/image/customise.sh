# Run by mmdebstrap on the root file system $1 of the image.
set -eu
root=$1
# No first boot by systemd's rules, which would set every unit anew; the id is made at each machine's
# own.
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_*
echo 'LABEL=bcm-root / ext4 rw,relatime 0 0' >"$root/etc/fstab"
# QEMU's user networking answers for the name servers of the host.
rm -f "$root/etc/resolv.conf"
echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
chroot "$root" systemctl --quiet enable systemd-networkd
# What a machine that is there for minutes or weeks does without; in emulation each takes seconds.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-pstore.service cloud-init-hotplugd.socket \
    systemd-networkd-wait-online.service getty@tty1.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
cat >"$root/etc/cloud/cloud.cfg.d/90_bcm.cfg" <<END
datasource_list: [NoCloud, None]
locale: false
cloud_init_modules: [seed_random, growpart, resizefs, set_hostname, update_hostname, update_etc_hosts, users-groups, ssh]
cloud_config_modules: []
cloud_final_modules: [final-message]
END
# Without looking for it at every boot.
printf 'datasource: NoCloud\n' >"$root/etc/cloud/ds-identify.cfg"
# What apt knows stays as it looks it up: reading the lists takes ten seconds in emulation, each time
# for somebody who is not root.
rm -f "$root"/var/cache/apt/archives/*.deb
chroot "$root" apt-cache gencaches
rm -rf "$root"/var/log/*.log "$root"/var/log/apt
touch "$root/etc/.updated" "$root/var/.updated"
