# Nothing is rolled back any more.
kept={{ path.before_upgrade }}
rm -rf "$kept.hostler-old"
[ ! -e "$kept" ] || mv -T "$kept" "$kept.hostler-old"
rm -rf "$kept.hostler-old" {{ path.kubernetes }}/tmp/kubeadm-*
