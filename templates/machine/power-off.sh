announce 600 "the machine to power off"
# logind asks kubelet first, which lets its pods end.
systemctl poweroff || fail "systemd did not power off the machine"
# The script ends with the machine.
sleep 590 || :
[ ! -d /run/systemd/system ] || fail "the machine is still on after 10 minutes"
