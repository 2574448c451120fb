# The preparation for pyinfra. `files` and `hosts_lines` come from the inventory that run.sh writes.
from pyinfra import host
from pyinfra.operations import apt, files, server, systemd

apt.packages(packages=["conntrack", "socat", "ethtool", "iproute2", "iptables", "nftables", "mount", "kmod"])
for module in ("overlay", "br_netfilter"):
    files.line(path="/etc/modules-load.d/hostler.conf", line=module)
for key in ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"):
    server.sysctl(key=key, value=1, persist=True, persist_file="/etc/sysctl.d/90-hostler.conf")
server.shell(commands=["[ $(wc -l < /proc/swaps) -le 1 ] || swapoff -a"])
files.replace(path="/etc/fstab", text=r"^\([^#].*[[:space:]]swap[[:space:]].*\)", replace=r"# \1")
files.block(path="/etc/hosts", content=host.data.hosts_lines, marker="# hostler {mark}", begin="begin", end="end")
server.hostname(hostname=host.name)
for path in ("/etc/containerd/config.toml", "/etc/systemd/system/containerd.service", "/etc/crictl.yaml", "/etc/tmpfiles.d/hostler-cni.conf"):
    files.put(src=host.data.files + path, dest=path, mode="644", user="root", group="root")
systemd.service(service="containerd.service", running=None, enabled=True)
