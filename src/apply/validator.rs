//! Programs of Kubernetes that validate their own settings. Each has rules of its own, and every version has others, so the program itself is
//! run: it reads and validates what it is given, and ends because of what it is not given.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::manifest::Component;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::artifact::Bundle;
use crate::scratch::Folder;

/// A program that settings are shown to.
pub struct Program {
    pub name: &'static str,
    /// The image that it is in; none: it is a program of the bundle.
    image: Option<Component>,
    /// What it gets in any case: settings may depend on those that kubeadm makes.
    base: &'static [&'static str],
    /// What makes it end once it has validated everything, before it writes, opens or starts anything. They come last, so they count.
    stop: &'static [&'static str],
    /// Parts of the errors with which it ends then: it has no others.
    ends_with: &'static [&'static str],
}

/// What no computer has.
const NOWHERE: &str = "/dev/null/none";

pub const API_SERVER: Program = Program {
    name: "kube-apiserver",
    image: Some(Component::KubeApiserver),
    base: &[
        // It would look for a default route.
        "--advertise-address=192.0.2.1",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--service-cluster-ip-range=10.96.0.0/12",
    ],
    // It has no etcd. Its certificate is made in memory.
    stop: &["--etcd-servers=", "--cert-dir="],
    // Those of its other files are not the inventory's to set.
    ends_with: &["--etcd-servers must be specified", "--service-account-key-file", "--service-account-signing-key-file"],
};

pub const CONTROLLER_MANAGER: Program = Program {
    name: "kube-controller-manager",
    image: Some(Component::KubeControllerManager),
    base: &["--allocate-node-cidrs=true", "--cluster-cidr=10.244.0.0/16", "--service-cluster-ip-range=10.96.0.0/12"],
    stop: &["--kubeconfig=/dev/null/none", "--cert-dir="],
    ends_with: &[NOWHERE],
};

pub const SCHEDULER: Program = Program {
    name: "kube-scheduler",
    image: Some(Component::KubeScheduler),
    base: &[],
    stop: &["--kubeconfig=/dev/null/none", "--cert-dir="],
    ends_with: &[NOWHERE],
};

pub const ETCD: Program = Program {
    name: "etcd",
    image: Some(Component::Etcd),
    base: &[
        "--name=one",
        "--initial-advertise-peer-urls=https://192.0.2.1:2380",
        "--initial-cluster=one=https://192.0.2.1:2380",
        "--advertise-client-urls=https://192.0.2.1:2379",
    ],
    // It opens the files of its log first.
    stop: &["--data-dir=/dev/null/none", "--log-outputs=stderr"],
    ends_with: &["not a directory"],
};

pub const PROXY: Program =
    Program { name: "kube-proxy", image: Some(Component::KubeProxy), base: &[], stop: &["--write-config-to=/dev/null"], ends_with: &[] };

pub const KUBELET: Program = Program {
    name: "kubelet",
    image: None,
    base: &[],
    // The empty name of its machine ends it, once it has looked at all about TLS, for which it need not make a certificate. Without that, the
    // cluster and the folders that it lacks would. What cgroups this computer has is no matter.
    stop: &[
        "--fail-cgroupv1=false",
        "--hostname-override= ",
        "--tls-cert-file=/dev/null/none",
        "--tls-private-key-file=/dev/null/none",
        "--kubeconfig=/dev/null/none",
        "--cert-dir=/dev/null/none",
        "--root-dir=/dev/null/none",
    ],
    ends_with: &["empty hostname is invalid", NOWHERE],
};

/// The longest that a program may take; a second is usual.
const LIMIT: Duration = Duration::from_secs(60);

impl Program {
    /// A path of it: in the bundle, or in `folder`, out of its image.
    ///
    /// # Errors
    /// The bundle does not have it, or there is no room.
    pub fn unpack(&self, bundle: &Bundle, folder: &Folder) -> Result<PathBuf> {
        match self.image {
            Some(image) => folder.program(self.name, &bundle.program_in_image(image, &format!("usr/local/bin/{}", self.name))?),
            None => bundle.program(self.name)?.with_context(|| format!("the bundle has no {}", self.name)),
        }
    }

    /// What the program at `path` says about `arguments` and variables of its environment, one error each.
    ///
    /// # Errors
    /// It does not run on this computer, or it does not end.
    pub fn objections(&self, path: &Path, arguments: &[String], environment: &[(String, String)]) -> Result<Vec<String>> {
        let mut command = Command::new(path);
        command.arg0(self.name).args(self.base).args(arguments).args(self.stop);
        command.env_clear().envs(environment.iter().cloned()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn()?;
        let process = Pid::from_raw(child.id().cast_signed());
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = output.recv_timeout(LIMIT) else {
            kill(process, Signal::SIGKILL)?;
            anyhow::bail!("{} did not finish within {} s", self.name, LIMIT.as_secs());
        };
        let output = output?;
        let mut found = match output.status.success() {
            // kube-proxy has done what it was told.
            true if self.ends_with.is_empty() => Vec::new(),
            // `--help`, `--version`: with what makes every program stop in vain.
            true => vec![format!("{} would print its help or version and exit instead of running", self.name)],
            false => errors(&String::from_utf8_lossy(&output.stderr)),
        };
        found.retain(|error| !self.ends_with.iter().any(|end| error.contains(end)));
        Ok(found)
    }
}

/// The errors among what a program printed, without the time, the place in its source and its usage.
fn errors(output: &str) -> Vec<String> {
    let etcd = |line: &str| -> Option<String> {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_error = matches!(entry.get("level")?.as_str()?, "fatal" | "error") || entry.get("msg")?.as_str()?.starts_with("failed to");
        is_error.then(|| entry.get("error").and_then(serde_json::Value::as_str).map(str::to_owned)).flatten()
    };
    let logged = |line: &str| Some(line.split_once("err=\"")?.1.trim_end().strip_suffix('"')?.replace("\\\"", "\"").replace("\\n", ", "));
    let plain = |line: &str| {
        let known = ["Error: ", "panic: "].iter().find_map(|start| line.strip_prefix(start));
        known.or_else(|| (line.starts_with("flag provided but") || line.starts_with("invalid value")).then_some(line)).map(str::to_owned)
    };
    // The last one ended it.
    let found = output.lines().rev().find_map(|line| plain(line).or_else(|| logged(line)).or_else(|| etcd(line)));
    let error = found.unwrap_or_else(|| output.trim().lines().last().unwrap_or("the program exited without a message").to_owned());
    // kubelet surrounds what is wrong.
    let error = error.split_once(", path: &").map_or(error.as_str(), |(error, _)| error);
    let error = error.split_once(" configuration, error: ").map_or(error, |(_, error)| error);
    let error = error.rsplit_once(" while setting defaults, error: ").map_or(error, |(_, error)| error);
    let error = error.trim_start_matches("failed validate: ").trim_start_matches("failed complete: ");
    let all = error.strip_prefix('[').and_then(|error| error.strip_suffix(']'));
    all.map_or_else(|| vec![error.to_owned()], |all| all.split(", ").map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_are_found_in_what_a_program_prints() {
        for (said, error) in [
            ("Usage:\n  --v level   x\n\nError: unknown flag: --no-such\n", "unknown flag: --no-such"),
            (
                "E1129 08:17:30.2 6384 run.go:72] \"command failed\" err=\"unrecognized feature gate: NoSuch\"\n",
                "unrecognized feature gate: NoSuch",
            ),
            ("E1129 1] \"command failed\" err=\"invalid value \\\"x\\\"\"\n", "invalid value \"x\""),
            (
                "E1129 1] \"command failed\" err=\"failed to validate kubelet configuration, error: invalid configuration: maxPods -5 must not \
                 be a negative number, path: &TypeMeta{Kind:,}\"\n",
                "invalid configuration: maxPods -5 must not be a negative number",
            ),
            (
                "E1129 1] \"command failed\" err=\"failed validate: [A.B: Invalid value: 77, C: Invalid value]\"\n",
                "A.B: Invalid value: 77|C: Invalid value",
            ),
            (
                "panic: failed to merge global KubeletConfiguration while setting defaults, error: unrecognized feature gate: NoSuch\n\n\
                 goroutine 1 [running]:\nmain.main()\n",
                "unrecognized feature gate: NoSuch",
            ),
            (
                "{\"level\":\"info\",\"msg\":\"Running: \",\"args\":[]}\n{\"level\":\"warn\",\"msg\":\"failed to verify \
                 flags\",\"error\":\"--heartbeat-interval must be >0 (set to 0ms)\"}\n",
                "--heartbeat-interval must be >0 (set to 0ms)",
            ),
            ("flag provided but not defined: -nosuch\nUsage:\n\n  etcd\n", "flag provided but not defined: -nosuch"),
            ("exec format error", "exec format error"),
            ("", "the program exited without a message"),
        ] {
            assert_eq!(errors(said).join("|"), error);
        }
    }
}
