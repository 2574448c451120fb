"""Faults of a machine's system: disk, apt, ports, services, files."""

import time

from kind import Fault
from machine import Failed

# Holds a lock as apt and dpkg do, until it is ended.
HOLD = r"""exec perl -e '
    use Fcntl;
    $0 = "unattended-upgr";
    open(F, ">>", "/var/lib/dpkg/lock-frontend") or die;
    my $lock = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0);
    fcntl(F, F_SETLKW, $lock) or die;
    sleep 900;'"""
LISTEN = r"""exec perl -e '
    use IO::Socket::INET;
    $0 = "squatter";
    my $s = IO::Socket::INET->new(LocalPort => PORT, Listen => 1, ReuseAddr => 1) or die;
    sleep 900;'"""


class DiskFull(Fault):
    kind = "disk full"

    def inject(self, scene):
        # Whole megabytes, then what is left.
        self.machine.sh(
            "free=$(stat -f -c '%f * %S / 1048576' /); fallocate -l $(($free - 1))M /fill 2> /dev/null;"
            " dd if=/dev/zero of=/fill.rest bs=4k 2> /dev/null; sync",
            check=False,
        )

    def undo(self):
        self.machine.sh("rm -f /fill /fill.rest")


class ReadOnly(Fault):
    """What is written to can't be made read-only as a whole while somebody writes; a mount of its own over each folder can."""

    kind = "root read-only (bind remount)"
    folders = "/etc /opt /usr/local"

    def inject(self, scene):
        self.machine.sh(f"for path in {self.folders}; do mount --bind $path $path && mount -o remount,bind,ro $path; done")

    def undo(self):
        self.machine.sh(f"for path in {self.folders}; do ! grep -q \" $path ext4 ro\" /proc/mounts || umount -l $path; done")


class AptHeld(Fault):
    """By a process that lives: the wait names it, and hostler goes on when it has ended."""

    kind = "apt's lock held by a living process"
    where = "fresh"
    early = True
    weight = 1

    def inject(self, scene):
        self.machine.spawn(HOLD)

    def noticed(self, line):
        return f"{self.machine}/packages  waiting for unattended-upgr (process" in line

    def undo(self):
        self.machine.sh("pkill -9 -f '^unattended-upgr'", check=False)

    def judge(self, verb):
        # Where another fault cut the machine off meanwhile, who held it may be gone with that.
        cut = f"{self.machine}/packages  waiting for the machine to come back" in verb.log
        waited = any(self.noticed(line) for line in verb.lines)
        if f"{self.machine}/packages  started" in verb.log and not waited and not cut and verb.status == 0:
            return "the process that holds apt's lock is not named"
        return None


class AptHeldByDead(Fault):
    kind = "apt's lock left by a process that was killed"
    where = "fresh"
    early = True
    weight = 1

    def inject(self, scene):
        self.machine.spawn(HOLD)
        time.sleep(0.5)
        self.machine.sh("pkill -9 -f '^unattended-upgr'", check=False)


class HalfConfigured(Fault):
    """As dpkg leaves a package whose installation was cut between unpacking and configuring."""

    kind = "dpkg half-configured"
    where = "fresh"
    early = True
    weight = 1

    def inject(self, scene):
        self.detail = self.chance.choice(["sudo", "openssh-server", "udev", "ca-certificates"])
        self.machine.sh(
            'sed -i "/^Package: $1\\$/,/^\\$/s/^Status: .*/Status: install ok half-configured/" /var/lib/dpkg/status; dpkg --audit | grep -q .',
            arguments=[self.detail],
        )


class DpkgKilled(Fault):
    """apt and dpkg killed in the middle of their work."""

    kind = "apt and dpkg killed at work"
    where = "fresh"
    weight = 1
    at = "packages"

    def inject(self, scene):
        self.machine.sh("pkill -9 -x 'dpkg|apt-get'", check=False)


class PortTaken(Fault):
    """kubeadm refuses to join where another program listens at kubelet's port: told with the port, and done when it has gone."""

    kind = "port 10250 in use"
    where = "fresh"
    early = True
    weight = 1
    port = 10250

    def inject(self, scene):
        self.machine.spawn(LISTEN.replace("PORT", str(self.port)))

    def undo(self):
        self.machine.sh("pkill -9 -f '^squatter'", check=False)

    def judge(self, verb):
        joins = f"{self.machine}/join  started" in verb.log or f"{self.machine}/init  started" in verb.log
        if joins and verb.status != 0 and str(self.port) not in verb.log:
            return "the port is not named"
        return None


class ContainerdStopped(Fault):
    kind = "containerd stopped"
    weight = 4
    restarts = True

    def inject(self, scene):
        self.machine.sh("systemctl stop containerd", check=False)


class ContainerdKilled(Fault):
    kind = "containerd killed with -9"
    restarts = True

    def inject(self, scene):
        self.machine.sh("pkill -9 -x containerd", check=False)


class KubeletCrashes(Fault):
    """Its configuration makes no sense to it, so that it ends again and again."""

    kind = "kubelet crash-looping"
    where = "node"
    weight = 4
    restarts = True

    def inject(self, scene):
        self.machine.sh("sed -i 's/^clusterDNS:/clusterDNS: 12\\nnonsense:/' /var/lib/kubelet/config.yaml; systemctl restart kubelet", check=False)


class KubeletFlag(Fault):
    """An option that kubelet does not know, by a file that is not hostler's: what is not mended is named."""

    kind = "kubelet crash-looping by a file of others"
    where = "node"
    weight = 1
    restarts = True
    file = "/etc/systemd/system/kubelet.service.d/50-others.conf"

    def inject(self, scene):
        self.machine.sh(
            f"printf '[Service]\\nEnvironment=KUBELET_EXTRA_ARGS=--no-such-option\\n' > {self.file}; systemctl daemon-reload; systemctl restart kubelet",
            check=False,
        )

    def undo(self):
        self.machine.sh(f"rm -f {self.file}; systemctl daemon-reload; systemctl reset-failed kubelet; systemctl restart kubelet", check=False)


# What hostler puts on a machine, as `find` takes it.
INSTALLED = r"""
{
    find /opt/hostler/current/bin/ /opt/hostler/current/cni/ /opt/hostler/verified /etc/containerd /etc/hostler \
        /usr/local/lib/hostler -type f
    ls /etc/crictl.yaml /etc/tmpfiles.d/hostler-cni.conf /etc/modules-load.d/hostler.conf /etc/sysctl.d/90-hostler.conf /etc/hosts \
        /etc/hostname /var/lib/kubelet/config.yaml \
        /etc/systemd/system/containerd.service /etc/systemd/system/kubelet.service /etc/systemd/system/kubelet.service.d/10-kubeadm.conf \
        /etc/systemd/system/hostler-*
} 2> /dev/null | grep -v hostler-new | sort -u"""
# What kubeadm puts there in hostler's name.
KUBEADM = r"""
find /etc/kubernetes /var/lib/kubelet/kubeadm-flags.env "$(readlink -f /var/lib/kubelet/pki/kubelet-server-current.pem)" -type f ! -name '*.old' ! -path '*/tmp/*' \
    2> /dev/null | sort"""

# Programs that run can't be written to, so the half is another file; a program has a name in the store as well.
CUT = r'''
head -c "$(($(stat -c %s "$1") / 2))" "$1" > "$1.half"
chmod --reference="$1" "$1.half"
find /opt/hostler/store ! -path "$1" -samefile "$1" -exec ln -f "$1.half" {} \; 2> /dev/null
mv -f "$1.half" "$1"'''


class HalfWritten(Fault):
    """A file as a power failure may leave it: its first half. `path`: which, else one that was not drawn so often."""

    kind = "half-written file"
    weight = 6
    restarts = True
    listed = INSTALLED
    # Of all rounds of a campaign: path -> how often.
    seen = {}

    def __init__(self, machine, chance, path=None):
        super().__init__(machine, chance)
        self.path = path
        self.half = None

    @classmethod
    def paths(cls, machine):
        """All that are there now, longer than a byte."""
        return machine.sh(f'for path in $({cls.listed}); do [ "$(stat -c %s "$path")" -lt 2 ] || echo "$path"; done').split()

    def inject(self, scene):
        paths = [self.path] if self.path else self.paths(self.machine)
        if not paths:
            raise Failed("nothing is installed yet")
        fewest = min(self.seen.get(path, 0) for path in paths)
        self.path = self.chance.choice([path for path in paths if self.seen.get(path, 0) == fewest])
        HalfWritten.seen[self.path] = self.seen.get(self.path, 0) + 1
        self.detail = self.path
        self.machine.sh(CUT, arguments=[self.path])
        self.half = self.sum()

    def sum(self):
        return self.machine.sh('[ ! -e "$1" ] || sha256sum < "$1"', arguments=[self.path])

    def left(self):
        # What is not in that list of what was verified is hashed again.
        if self.path == "/opt/hostler/verified" or not self.half or self.sum() != self.half:
            return None
        return f"{self.path} of {self.machine} is still half of itself"


class HalfWrittenByKubeadm(HalfWritten):
    kind = "half-written file of kubeadm"
    where = "node"
    weight = 2
    listed = KUBEADM


KINDS = [
    DiskFull, ReadOnly, AptHeld, AptHeldByDead, HalfConfigured, DpkgKilled, PortTaken, ContainerdStopped, ContainerdKilled, KubeletCrashes,
    KubeletFlag, HalfWritten, HalfWrittenByKubeadm,
]  # fmt: skip
