//! Flags of the API server, the controller manager and the scheduler that are looked at only once they run in their pods: files must be mounted
//! there, and ports be among those of Services.

use serde_yaml::Value;

use super::settings::{API, CLUSTER};
use super::{At, Deviation};
use crate::inventory::{Inventory, within};
use crate::protocol::path as paths;

const PROGRAMS: &[&str] = &["apiServer", "controllerManager", "scheduler"];
/// Ends of the names of flags that name a file to read, or two of them (`tls-sni-cert-key`).
const FILES: &[&str] = &["file", "config", "cert-key"];
/// What kubeadm mounts into these pods.
const MOUNTED: &[&str] = &[paths::PKI, "/etc/ssl/certs", "/etc/ca-certificates", "/usr/share/ca-certificates"];
/// Folders that are wiped with a control plane, in which users may think of keeping such files.
const WIPED: &[&str] = &[paths::KUBERNETES, paths::KUBELET, paths::ETCD];
/// What the API server takes for Services of type NodePort, unless told.
const NODE_PORTS: (u16, u16) = (30000, 32767);

const NOT_MOUNTED: &str = "the program would not find the file: its pod mounts only kubeadm's own files; mount the folder with \
    `extraVolumes`";
const NOT_KEPT: &str = "a rebuilt or new control plane would not have the file: hostler wipes this folder, and sends no such file; keep it in \
    another folder, such as /etc/kube-apiserver, and mount that with `extraVolumes`";
const TAKEN: &str = "the program would not find its own files: kubeadm mounts other folders under these names and paths";

/// Names of the volumes that kubeadm gives these pods: one of the inventory with the same name replaces it.
const VOLUMES: &[&str] = &[
    "k8s-certs",
    "ca-certs",
    "etc-ca-certificates",
    "usr-share-ca-certificates",
    "usr-local-share-ca-certificates",
    "etc-pki",
    "etc-pki-ca-trust",
    "etc-pki-tls-certs",
    "kubeconfig",
    "flexvolume-dir",
];

const NO_PAGE: &str = "the status page would have no port: this range must contain `transcode.page.nodePort`, by default 30080";

/// Values in the merged ClusterConfiguration with which a program would not start, or the workload would not.
pub fn deviations(document: &Value, inventory: &Inventory, found: &mut Vec<Deviation>) {
    for program in PROGRAMS {
        let list = |key: &str| document.get(*program).and_then(|part| part.get(key)).and_then(Value::as_sequence).into_iter().flatten();
        let ends = |volume: &'_ Value| Some((volume.get("mountPath")?.as_str()?.to_owned(), volume.get("hostPath")?.as_str()?.to_owned()));
        let mounts: Vec<(String, String)> = list("extraVolumes").filter_map(ends).collect();
        for volume in list("extraVolumes") {
            let text = |key: &str| volume.get(key).and_then(Value::as_str).unwrap_or_default();
            let (name, to) = (text("name"), text("mountPath").trim_end_matches('/'));
            // The program itself is in a folder of its image.
            let hides = ["", paths::PKI, "/usr", "/usr/local", "/usr/local/bin"].contains(&to) || within(to, paths::PKI);
            if VOLUMES.contains(&name) || hides {
                found.push(Deviation::of_value(CLUSTER, &[program, "extraVolumes"], format!("{name}: {to}"), TAKEN));
            }
        }
        for argument in list("extraArgs") {
            let text = |key: &str| argument.get(key).and_then(Value::as_str).unwrap_or_default();
            let (name, value) = (text("name"), text("value"));
            let is_file = FILES.iter().any(|end| name.ends_with(end)) && value.starts_with('/');
            let why = match on_machine(value, &mounts) {
                None => NOT_MOUNTED,
                Some(path) if WIPED.iter().any(|folder| within(&path, folder)) => NOT_KEPT,
                Some(_) => continue,
            };
            if is_file {
                found.push(Deviation::of_value(CLUSTER, &[program, "extraArgs"], format!("{name}: {value}"), why));
            }
        }
    }
    let range = At::Flag(API, "service-node-port-range").last(document);
    let range = range.as_deref().and_then(|text| text.split_once('-')).and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    let (from, to) = range.unwrap_or(NODE_PORTS);
    if let Some(films) = inventory.transcode.as_ref().filter(|films| !(from..=to).contains(&films.page_port)) {
        let setting = format!("service-node-port-range: {from}-{to} without {}", films.page_port);
        found.push(Deviation::of_value(CLUSTER, API, setting, NO_PAGE));
    }
}

/// The path on the machine of a path in a program's pod; none: nothing is mounted there. `mounts`: in the pod, and on the machine.
fn on_machine(path: &str, mounts: &[(String, String)]) -> Option<String> {
    let of_inventory = mounts.iter().find_map(|(to, from)| {
        let rest = path.strip_prefix(to.trim_end_matches('/')).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        Some(format!("{}{rest}", from.trim_end_matches('/')))
    });
    of_inventory.or_else(|| MOUNTED.iter().any(|folder| within(path, folder)).then(|| path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::parse;

    #[test]
    fn a_file_has_to_be_mounted_and_the_page_needs_its_port() {
        let plain = "machines: {a: {address: 10.1.0.1, role: control-plane}}\n";
        let films = "transcode: {inbox: 'nfs://10.1.0.9/films', library: 'nfs://10.1.0.9/plex', owner: {uid: 1000, gid: 100}, folders: {Movies: {}}}\n";
        let count = |inventory: &str, document: &str| {
            let mut found = Vec::new();
            let inventory = parse(inventory, "").unwrap_or_else(|problems| panic!("{problems}"));
            deviations(&serde_yaml::from_str(document).expect("YAML"), &inventory, &mut found);
            found.len()
        };
        let policy = "apiServer: {extraArgs: [{name: audit-policy-file, value: /etc/audit/policy.yaml}]}";
        let mounted = "apiServer: {extraArgs: [{name: audit-policy-file, value: /etc/audit/policy.yaml}], extraVolumes: [{name: a, hostPath: /x, \
                       mountPath: /etc/audit}]}";
        for (volume, count_is) in [
            ("name: audit, hostPath: /srv/audit, mountPath: /etc/audit", 0),
            ("name: more, hostPath: /etc/kubernetes/more, mountPath: /etc/kubernetes/more", 0),
            ("name: k8s-certs, hostPath: /srv/pki, mountPath: /srv/pki", 1),
            ("name: mine, hostPath: /srv/pki, mountPath: /etc/kubernetes/pki/", 1),
            ("name: mine, hostPath: /srv/pki, mountPath: /etc/kubernetes/pki/etcd", 1),
            ("name: mine, hostPath: /, mountPath: /", 1),
            ("name: mine, hostPath: /opt, mountPath: /usr/local/bin", 1),
        ] {
            for program in PROGRAMS {
                assert_eq!(count(plain, &format!("{program}: {{extraVolumes: [{{{volume}}}]}}")), count_is, "{volume}");
            }
        }
        let range = "apiServer: {extraArgs: [{name: service-node-port-range, value: 31000-31010}]}";
        assert_eq!([count(plain, policy), count(plain, mounted), count(plain, range)], [1, 0, 0]);
        assert_eq!([count(&format!("{plain}{films}"), range), count(&format!("{plain}{films}"), "{}")], [1, 0]);
        assert_eq!(count(plain, "apiServer: {extraArgs: [{name: tls-sni-cert-key, value: '/etc/a.crt,/etc/a.key'}]}"), 1);
        assert_eq!(count(plain, "scheduler: {extraArgs: [{name: config, value: /etc/scheduler.yaml}]}"), 1);
        assert_eq!(count(plain, &format!("apiServer: {{extraArgs: [{{name: oidc-ca-file, value: {}/oidc.crt}}]}}", paths::PKI)), 1);
        assert_eq!(count(plain, "apiServer: {extraArgs: [{name: oidc-ca-file, value: /etc/ssl/certs/oidc.crt}]}"), 0);
        let kept = "apiServer: {extraArgs: [{name: audit-policy-file, value: /etc/audit/policy.yaml}], extraVolumes: [{name: a, hostPath: \
                    /etc/kubernetes/audit/, mountPath: /etc/audit/}]}";
        assert_eq!(count(plain, kept), 1, "it is wiped with the machine");
    }
}
