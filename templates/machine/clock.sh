# systemd-timesyncd is part of Debian and Ubuntu; chrony is taken where somebody installed it.
for unit in chrony.service chronyd.service ntpsec.service systemd-timesyncd.service; do
    systemctl cat "$unit" > /dev/null 2>&1 && break
    unit=
done
[ -n "$unit" ] || fail "no time service is installed: install systemd-timesyncd or chrony"
systemctl enable --now "$unit"
