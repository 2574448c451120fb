token=$(kubeadm token generate)
take "$config.in" 600 {{ config.size }} {{ config.sha256 }}
take {{ path.coredns_patch }} 600 {{ coredns.size }} {{ coredns.sha256 }}
# printf is the shell's own: the token appears in no process list.
text=$(cat "$config.in")
(umask 077 && printf '%s\n' "${text%%{{ placeholder.token }}*}$token${text#*{{ placeholder.token }}}" > "$config")
