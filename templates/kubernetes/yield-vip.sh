# The endpoint's address goes to another machine before this one's API server does: whoever asks there is not cut off. However the script ends,
# this machine may have it again; a machine that loses its power has it again when it starts.
trap 'systemctl start {{ systemd.vip }}' EXIT
systemctl stop {{ systemd.vip }}
