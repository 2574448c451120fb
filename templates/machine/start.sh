unit={{ unit | quote }}
systemctl enable --quiet "$unit"
systemctl reset-failed "$unit" 2> /dev/null || true
systemctl start "$unit" || fail "$unit does not start: $(journalctl -u "$unit" -n 5 --no-pager -o cat | tr '\n' ' ')"
