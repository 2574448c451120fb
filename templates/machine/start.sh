unit={{ unit | quote }}
systemctl enable --quiet --no-reload "$unit"
systemctl daemon-reload
systemctl reset-failed "$unit" 2> /dev/null || true
systemctl start "$unit" || not_started "$unit"
