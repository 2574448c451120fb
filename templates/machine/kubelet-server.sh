# kubelet asks the API server that its kubeconfig names. All else in that stays.
PATH={{ path.bin }}:$PATH
file={{ path.kubelet_kubeconfig }}
server={{ server | quote }}
# With the mode and owner of the old one.
cp -p "$file" "$file.hostler-new"
sed "s|^\( *server:\).*|\1 $server|" "$file" > "$file.hostler-new"
grep -qxF "server: $server" << END || fail "$file names no API server"
$(sed 's/^ *//' "$file.hostler-new")
END
# The file may be in place when this is cut: the mark says that the kubelet that runs does not know it yet.
record {{ mark.kubelet }} "$run"
mv -f "$file.hostler-new" "$file"
systemctl restart {{ systemd.kubelet }} || not_started {{ systemd.kubelet }}
await 90 "kubelet to be healthy" kubectl --server http://127.0.0.1:{{ port.kubelet_health }} get --raw /healthz
rm -f {{ path.applied }}/{{ mark.kubelet }}
