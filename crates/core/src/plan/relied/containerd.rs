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
    (&["io.containerd.cri.v1.images", "pinned_images", "sandbox"], "", SANDBOX),
    (&["io.containerd.grpc.v1.cri", "sandbox_image"], "", SANDBOX),
    (&["io.containerd.cri.v1.runtime", "cni", "bin_dirs"], "", CNI),
    (&["io.containerd.cri.v1.runtime", "cni", "bin_dir"], "", CNI),
    (&["io.containerd.cri.v1.runtime", "cni", "conf_dir"], "", CNI),
    (&["io.containerd.grpc.v1.cri", "cni", "bin_dir"], "", CNI),
    (&["io.containerd.grpc.v1.cri", "cni", "conf_dir"], "", CNI),
];

const RUNC: &str = "pods run with the bundle's runc";
const SANDBOX: &str = "the sandbox image must be the bundle's, because machines may not be able to pull another one";
const CNI: &str = "flannel's plugin and configuration are in the default folders";

/// containerd reads the pieces after hostler's own file, and what they say counts.
pub fn deviations(inventory: &Inventory, found: &mut Vec<Deviation>) {
    for (name, text) in &inventory.containerd {
        let Ok(piece) = text.parse::<toml::Table>() else { continue };
        let mut deviates = |setting: String, why| {
            found.push(Deviation { place: vec!["containerd".to_owned(), name.clone()], setting, value_only: false, why, instead: "" });
        };
        let disabled = piece.get("disabled_plugins").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if disabled.iter().filter_map(toml::Value::as_str).any(|plugin| plugin.contains("cri") || plugin.contains("overlayfs")) {
            deviates("disabled_plugins".to_owned(), "kubelet starts pods through this plugin");
        }
        let plugins = piece.get("plugins");
        for (path, same, why) in CRI {
            let value = plugins.and_then(|plugins| path.iter().try_fold(plugins, |value, key| value.get(*key)));
            let Some(value) = value else { continue };
            let is = (!same.is_empty()).then(|| format!("x = {same}").parse::<toml::Table>().ok()).flatten();
            if is.and_then(|table| table.get("x").cloned()).as_ref() != Some(value) {
                deviates(path.last().map(|key| (*key).to_owned()).unwrap_or_default(), why);
            }
        }
    }
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
        assert_eq!(piece("disabled_plugins = ['cri']\n"), ["disabled_plugins"]);
        assert_eq!(piece("version = 3\n[plugins.'io.containerd.cri.v1.runtime']\nrestrict_oom_score_adj = true\n"), Vec::<String>::new());
    }
}
