{% if host_key %}
key=/etc/ssh/ssh_host_ed25519_key
public=$(ssh-keygen -y -f "$key" < /dev/null 2> /dev/null | cut -d ' ' -f 1,2) || :
[ "$public" = {{ host_key | quote }} ] || fail "the host key $key is not the one that was seen before: run the same command again"
{% endif %}
