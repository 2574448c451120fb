unit={{ unit | quote }}
systemctl enable --quiet "$unit"
systemctl reset-failed "$unit" 2> /dev/null || true
systemctl start "$unit" || not_started "$unit"
