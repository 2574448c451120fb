modules={{ modules | join(" ") | quote }}
take {{ file.path | quote }} {{ file.mode }} {{ file.size }} {{ file.sha256 }}
# In a container modules can't be loaded but may be there: what counts is the state, not the command's success.
for module in $modules; do
    modprobe "$module" 2> /dev/null || true
    [ -d "/sys/module/$module" ] || grep -qw "$module" /proc/filesystems ||
        grep -q "/$module.ko" "/lib/modules/$(uname -r)/modules.builtin" 2> /dev/null ||
        # Built into the kernel of a container's host it is in no list, but what it brings is there. As in facts.sh.
        { [ "$module" = br_netfilter ] && [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; } ||
        fail "the kernel $(uname -r) has no module $module"
done
