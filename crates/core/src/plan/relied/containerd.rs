//! What hostler relies on in containerd's configuration.

use super::Deviation;
use crate::inventory::Inventory;

/// Keys of containerd's configuration, for both names that its plugins have had.
const CRI: &[(&[&str], &str, &str)] = &[
    (
        &["io.containerd.cri.v1.runtime", "containerd", "runtimes", "runc", "options", "SystemdCgroup"],
        "true",
        "kubelet uses systemd's cgroups",
    ),
    (
        &["io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "options", "SystemdCgroup"],
        "true",
        "kubelet uses systemd's cgroups",
    ),
    (&["io.containerd.cri.v1.runtime", "containerd", "runtimes", "runc", "options", "BinaryName"], "", RUNC),
    (&["io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "options", "BinaryName"], "", RUNC),
    (&["io.containerd.cri.v1.runtime", "containerd", "runtimes", "runc", "runtime_type"], "\"io.containerd.runc.v2\"", RUNC),
    (&["io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "runtime_type"], "\"io.containerd.runc.v2\"", RUNC),
    (&["io.containerd.cri.v1.runtime", "containerd", "runtimes", "runc", "runtime_path"], "", RUNC),
    (&["io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "runtime_path"], "", RUNC),
    (&["io.containerd.cri.v1.runtime", "containerd", "runtimes", "runc", "snapshotter"], "\"overlayfs\"", SNAPSHOTTER),
    (&["io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "snapshotter"], "\"overlayfs\"", SNAPSHOTTER),
    (&["io.containerd.cri.v1.images", "snapshotter"], "\"overlayfs\"", SNAPSHOTTER),
    (&["io.containerd.grpc.v1.cri", "containerd", "snapshotter"], "\"overlayfs\"", SNAPSHOTTER),
    (&["io.containerd.service.v1.diff-service", "sync_fs"], "true", SYNCED),
    (&["io.containerd.cri.v1.images", "pinned_images", "sandbox"], "", SANDBOX),
    (&["io.containerd.grpc.v1.cri", "sandbox_image"], "", SANDBOX),
    (&["io.containerd.cri.v1.runtime", "cni", "bin_dirs"], "", CNI),
    (&["io.containerd.cri.v1.runtime", "cni", "bin_dir"], "", CNI),
    (&["io.containerd.cri.v1.runtime", "cni", "conf_dir"], "", CNI),
    (&["io.containerd.cri.v1.runtime", "cni", "conf_template"], "", CNI),
    (&["io.containerd.grpc.v1.cri", "cni", "conf_template"], "", CNI),
    (&["io.containerd.cri.v1.runtime", "containerd", "runtimes", "runc", "cni_conf_dir"], "", CNI),
    (&["io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "cni_conf_dir"], "", CNI),
    (&["io.containerd.grpc.v1.cri", "cni", "bin_dir"], "", CNI),
    (&["io.containerd.grpc.v1.cri", "cni", "conf_dir"], "", CNI),
];

const RUNC: &str = "pods run with the bundle's runc";
const SANDBOX: &str = "the sandbox image must be the bundle's, because machines may not be able to pull another one";
const SNAPSHOTTER: &str = "hostler unpacks images for overlayfs";
const SYNCED: &str = "without it, a power failure would leave empty files in images";
const NO_RUNTIME: &str = "no fragment defines this runtime, so containerd would start no pod";

/// Plugins that nothing of the cluster needs.
const UNUSED: &[&str] = &[
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.erofs",
    "io.containerd.snapshotter.v1.native",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.nri.v1.nri",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
];

const CNI: &str = "flannel's plugin and configuration are in the default folders";

/// containerd reads the pieces after hostler's own file, and what they say counts.
pub fn deviations(inventory: &Inventory, found: &mut Vec<Deviation>) {
    let pieces = || inventory.containerd.iter().filter_map(|(name, text)| Some((name, text.parse::<toml::Table>().ok()?)));
    let has_runtime = |name: &str| {
        name == "runc"
            || pieces().any(|(_, piece)| RUNTIMES.iter().any(|path| below(&piece, path).is_some_and(|all| all.get(name).is_some())))
    };
    for (name, piece) in pieces() {
        let mut deviates = |setting: String, why| {
            found.push(Deviation { place: vec!["containerd".to_owned(), name.clone()], setting, value_only: false, why, instead: "" });
        };
        let disabled = piece.get("disabled_plugins").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if disabled.iter().any(|plugin| plugin.as_str().is_none_or(|plugin| !UNUSED.contains(&plugin))) {
            deviates("disabled_plugins".to_owned(), "kubelet and hostler may need this plugin");
        }
        for path in DEFAULTS {
            if below(&piece, path).is_some_and(|name| name.as_str().is_none_or(|name| !has_runtime(name))) {
                deviates("default_runtime_name".to_owned(), NO_RUNTIME);
            }
        }
        for (path, same, why) in CRI {
            let Some(value) = below(&piece, path) else { continue };
            let is = (!same.is_empty()).then(|| format!("x = {same}").parse::<toml::Table>().ok()).flatten();
            if is.and_then(|table| table.get("x").cloned()).as_ref() != Some(value) {
                deviates(path.last().map(|key| (*key).to_owned()).unwrap_or_default(), why);
            }
        }
    }
}

/// Where runtimes are, and the name of the one for pods that ask for none.
const RUNTIMES: [&[&str]; 2] =
    [&["io.containerd.cri.v1.runtime", "containerd", "runtimes"], &["io.containerd.grpc.v1.cri", "containerd", "runtimes"]];
const DEFAULTS: [&[&str]; 2] = [
    &["io.containerd.cri.v1.runtime", "containerd", "default_runtime_name"],
    &["io.containerd.grpc.v1.cri", "containerd", "default_runtime_name"],
];

/// What a piece has below these keys of its plugins.
fn below<'a>(piece: &'a toml::Table, path: &[&str]) -> Option<&'a toml::Value> {
    path.iter().try_fold(piece.get("plugins")?, |value, key| value.get(*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::parse;

    const MACHINES: &str = "machines:\n  a: {address: 10.1.0.1, role: control-plane}\n  b: 10.1.0.2\n";

    #[test]
    fn pieces_of_containerd_are_compared_by_what_they_set() {
        let piece = |text: &str| {
            let mut inventory = parse(MACHINES, "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"));
            inventory.containerd.insert("piece".to_owned(), text.to_owned());
            let mut found = Vec::new();
            deviations(&inventory, &mut found);
            found.into_iter().map(|found| found.setting).collect::<Vec<String>>()
        };
        let runc = "containerd.runtimes.runc.options";
        for plugin in ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"] {
            assert_eq!(piece(&format!("[plugins.'{plugin}'.{runc}]\nSystemdCgroup = false\n")), ["SystemdCgroup"]);
            assert_eq!(piece(&format!("[plugins.'{plugin}'.{runc}]\nSystemdCgroup = true\n")), Vec::<String>::new());
            assert_eq!(piece(&format!("plugins.'{plugin}'.{runc} = {{BinaryName = '/usr/bin/crun'}}\n")), ["BinaryName"]);
        }
        assert_eq!(piece("[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'k8s.gcr.io/pause:3'\n"), ["sandbox"]);
        assert_eq!(piece("[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'k8s.gcr.io/pause:3'\n"), ["sandbox_image"]);
        for plugin in
            ["cri", "io.containerd.snapshotter.v1.overlayfs", "io.containerd.metadata.v1.bolt", "io.containerd.service.v1.tasks-service"]
        {
            assert_eq!(piece(&format!("disabled_plugins = ['{plugin}']\n")), ["disabled_plugins"]);
        }
        assert_eq!(piece("disabled_plugins = ['io.containerd.snapshotter.v1.zfs']\n"), Vec::<String>::new());
        assert_eq!(piece("[plugins.'io.containerd.service.v1.diff-service']\nsync_fs = false\n"), ["sync_fs"]);
        assert_eq!(piece("[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'zfs'\n"), ["snapshotter"]);
        assert_eq!(piece("[plugins.'io.containerd.cri.v1.runtime'.cni]\nconf_template = '/etc/cni.tmpl'\n"), ["conf_template"]);
        assert_eq!(piece("[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\ncni_conf_dir = '/x'\n"), ["cni_conf_dir"]);
        let default = "[plugins.'io.containerd.cri.v1.runtime'.containerd]\ndefault_runtime_name = 'nvidia'\n";
        let nvidia = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia]\nruntime_type = 'io.containerd.runc.v2'\n";
        assert_eq!(piece(default), ["default_runtime_name"]);
        assert_eq!(piece(&format!("{default}{nvidia}")), Vec::<String>::new());
        assert_eq!(piece("version = 3\n[plugins.'io.containerd.cri.v1.runtime']\nrestrict_oom_score_adj = true\n"), Vec::<String>::new());
    }
}
