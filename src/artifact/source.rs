//! Builds a bundle from Go modules and Debian packages, for a computer that reaches those but no release sites. About 20 minutes on two cores
//! with an empty cache; finished parts stay in the cache, so an interrupted build continues where it stopped.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hostler_core::arch::Arch;
use hostler_core::digest::sha256;
use hostler_core::failure::{ExitStatus, Failure};
use hostler_core::manifest::{Component, FileKind};
use hostler_core::pins::{CNI_PLUGINS, Pins};

use super::layer::{self, Entry};
use super::writer::Writer;
use crate::event::{Events, Unit};
use crate::workstation::packages;
use crate::workstation::program::{is_installed, program, run, stream};
use crate::workstation::room::{self, Need};
use crate::workstation::task::{Task, task};
use crate::{atomic, home, user_file};

const BUILD: &str = include_str!("../../templates/bundle/build.sh");
const SOURCES: [(&str, &str); 3] = [
    ("kubernetes.go", include_str!("../../templates/bundle/kubernetes.go")),
    ("coredns.go", include_str!("../../templates/bundle/coredns.go")),
    ("pause.c", include_str!("../../templates/bundle/pause.c")),
];

/// Packages of Debian 13 with the programs that kube-proxy and flannel call, and runc.
const NETWORK_BASE: &str = "base-files,busybox-static,conntrack,iptables,libc6,nftables,runc";
const SUITE: &str = "trixie";

/// A folder with programs of an earlier build: NAME or NAME.xz; CNI plugins also as cni-plugins.tar.xz.
pub type Parts = Option<PathBuf>;

/// The result of one call of `build.sh`.
struct Part<'a> {
    name: &'static str,
    version: &'a str,
    programs: Vec<String>,
    /// The Go module it comes from.
    module: &'static str,
    /// The argument that makes its first program print its version, if it has one.
    asked: Option<&'static str>,
}

fn parts(pins: &Pins) -> Vec<Part<'_>> {
    let part = |name, version, programs: &[&str], module, asked| Part {
        name,
        version,
        programs: programs.iter().map(|&program| program.to_owned()).collect(),
        module,
        asked,
    };
    let kubernetes = format!("kubernetes-{}", pins.kubernetes);
    vec![
        // A small one first: it shows at once what is missing on this computer.
        part("pause", &pins.pause, &["pause"], "pause.c", None),
        part("crictl", &pins.crictl, &["crictl"], "sigs.k8s.io/cri-tools", Some("--version")),
        part("coredns", &pins.coredns, &["coredns"], "github.com/coredns/coredns", Some("-version")),
        part("etcd", &pins.etcd, &["etcd", "etcdctl", "etcdutl"], "go.etcd.io/etcd", Some("--version")),
        part("cni", &pins.cni, CNI_PLUGINS, "github.com/containernetworking/plugins", None),
        part("cni_flannel", &pins.cni_flannel_module, &["flannel"], "github.com/containernetworking/plugins", None),
        part("flanneld", &pins.flannel, &["flanneld"], "github.com/flannel-io/flannel", Some("--version")),
        part("containerd", &pins.containerd_module, &CONTAINERD, "github.com/containerd/containerd/v2", Some("--version")),
        part("kubernetes", &pins.kubernetes, &[&kubernetes], "k8s.io/kubernetes", None),
    ]
}

const CONTAINERD: [&str; 3] = ["containerd", "containerd-shim-runc-v2", "ctr"];

/// Creates a bundle in `place`. `hostler`: the program for hostler's own image, and its origin.
///
/// # Errors
/// A program can't be installed, a module can't be fetched, or the disk is full.
pub async fn make(pins: &Pins, arch: Arch, at_hand: &Parts, hostler: (&[u8], &str), place: &Path, events: &Events) -> Result<()> {
    packages::install("building a bundle from source", packages::SOURCE, events).await?;
    let build = home::cache()?.join("build").join(format!("{}-{arch}", pins.kubernetes));
    fs::create_dir_all(&build).with_context(|| format!("{} can't be created", build.display()))?;
    let parts = parts(pins);
    for (number, part) in (1..).zip(&parts) {
        if part.programs.iter().all(|program| build.join(program).is_file()) {
            continue;
        }
        if let Some(folder) = at_hand {
            let what = format!("look for {} {} in {}", part.name, part.version, folder.display());
            if task(events, part.name, &what, async |_| take(part, folder, &build).await).await? {
                continue;
            }
        }
        compile(part, &format!("{number} of {}", parts.len()), &build, events).await?;
    }
    let base = network_base(&build, events).await?;
    task(events, "bundle", &format!("assemble in {}", place.display()), async |task| pack(pins, arch, &build, &base, hostler, place, &task))
        .await
}

/// Takes a part from `folder`; false if it is not there or has another version.
async fn take(part: &Part<'_>, folder: &Path, build: &Path) -> Result<bool> {
    let plugins = folder.join("cni-plugins.tar.xz");
    if part.name.starts_with("cni") && plugins.is_file() {
        let tar = xz(&plugins).await?;
        for entry in tar::Archive::new(Cursor::new(tar)).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if part.programs.contains(&name) {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes)?;
                as_published(folder, &name, "cni-plugins.tar.xz", &bytes)?;
                put(&build.join(name), &bytes)?;
            }
        }
        let whole = part.programs.iter().all(|program| build.join(program).is_file());
        if whole {
            record(part, build, &format!("parts:{}", folder.display()))?;
        }
        return Ok(whole);
    }
    let mut taken = Vec::new();
    for name in &part.programs {
        let (plain, packed) = (folder.join(name), folder.join(format!("{name}.xz")));
        let bytes = match (plain.is_file(), packed.is_file()) {
            (true, _) => user_file::whole(&plain).with_context(|| format!("{} can't be read", plain.display()))?,
            (_, true) => xz(&packed).await?,
            _ => return Ok(false),
        };
        as_published(folder, name, &format!("{name}.xz"), &bytes)?;
        taken.push((name, bytes));
    }
    if let (Some(argument), Some((name, bytes))) = (part.asked, taken.first()) {
        let asked = build.join(format!(".{name}.asked"));
        put(&asked, bytes)?;
        let output = program(&asked.to_string_lossy(), [argument]).output().await;
        fs::remove_file(&asked)?;
        let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        if !String::from_utf8_lossy(&said).contains(part.version) {
            return Ok(false);
        }
    }
    for (name, bytes) in taken {
        put(&build.join(name), &bytes)?;
    }
    record(part, build, &format!("parts:{}", folder.display()))?;
    Ok(true)
}

/// Sums beside the programs, as `sha256sum` writes them.
const SUMS: &str = "SHA256SUMS";

/// Whether a program is the one that the sums beside it name: by its own sum, or by that of the file that it was `packed` in. Without sums there
/// is nothing to compare.
///
/// # Errors
/// Refused if it differs from its sum, or if the sums name neither.
fn as_published(folder: &Path, name: &str, packed: &str, program: &[u8]) -> Result<()> {
    let Ok(sums) = user_file::read(&folder.join(SUMS), user_file::MOST_BYTES) else { return Ok(()) };
    let sums = String::from_utf8_lossy(&sums).into_owned();
    let sum_of = |name: &str| {
        let mut lines = sums.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(_, file)| file.trim_start_matches([' ', '*']).trim_start_matches("./") == name).map(|(sum, _)| sum)
    };
    let is = sha256(program);
    let packed = folder.join(packed);
    let good = match (sum_of(name), packed.file_name().and_then(|packed| sum_of(packed.to_str()?))) {
        (Some(sum), _) => sum == is,
        (None, Some(sum)) => user_file::whole(&packed).is_ok_and(|bytes| sha256(&bytes) == sum),
        (None, None) => false,
    };
    if good {
        return Ok(());
    }
    let what = format!("{name} in {} does not match its checksum in {SUMS} in the same folder: its sha256 is {is}", folder.display());
    Err(Failure::new(ExitStatus::Refused, what, "download the file again, or omit `--parts` to build it from source").into())
}

/// Keeps where a part came from beside it, for the manifest.
fn record(part: &Part<'_>, build: &Path, source: &str) -> Result<()> {
    let file = build.join(format!(".{}.source", part.name));
    atomic::write(&file, source.as_bytes(), 0o644).with_context(|| format!("{} can't be written", file.display()))
}

/// Where the part came from: `built`, unless it was taken from elsewhere.
fn origin(name: &str, build: &Path, built: &str) -> String {
    user_file::whole(&build.join(format!(".{name}.source")))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|source| source.starts_with("parts:"))
        .unwrap_or_else(|| built.to_owned())
}

async fn xz(path: &Path) -> Result<Vec<u8>> {
    let output = program("xz", [Path::new("-dc"), path]).output().await.context("`xz` can't be started")?;
    if !output.status.success() {
        bail!("{} can't be unpacked: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Writes a program atomically.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic::write(path, bytes, 0o755).with_context(|| format!("{} can't be written", path.display()))
}

/// Builds a part; `place`: which it is, and of how many.
async fn compile(part: &Part<'_>, place: &str, build: &Path, events: &Events) -> Result<()> {
    if part.name != "pause" {
        require_go().await?;
        require_room(part).await?;
    }
    let scripts = build.join("scripts");
    fs::create_dir_all(&scripts)?;
    for (name, text) in SOURCES.iter().chain(&[("build.sh", BUILD)]) {
        fs::write(scripts.join(name), text)?;
    }
    task(events, part.name, &format!("build {} {} from source, part {place}", part.name, part.version), async |task| {
        let mut command = program("sh", [scripts.join("build.sh").as_os_str(), part.name.as_ref(), part.version.as_ref()]);
        command.env("HOSTLER_BUILD", build);
        let mut packages = Packages::default();
        // Go prints each module that it fetches and each package that it builds.
        stream(&mut command, |line| match line.strip_prefix("go: downloading ") {
            Some(module) => task.line(&format!("fetch {module}")),
            None => {
                if let Some((done, total)) = packages.line(line) {
                    task.progress(done, total, Unit::Items);
                }
            }
        })
        .await
    })
    .await
}

/// How many of a program's Go packages are built, as `build.sh` prints it.
#[derive(Debug, Default)]
struct Packages {
    done: u64,
    total: u64,
}

impl Packages {
    /// Takes in a line: `# PACKAGE` for each that will be built, then `PACKAGE` when it is. Done and total, if the line changed them.
    fn line(&mut self, line: &str) -> Option<(u64, u64)> {
        if let Some(package) = line.strip_prefix("# ") {
            if package.contains(' ') {
                return None;
            }
            if self.done > 0 {
                // The part's next program.
                *self = Packages::default();
            }
            self.total += 1;
        } else if line.starts_with("go: ") || line.contains(' ') || self.done == self.total {
            return None;
        } else {
            self.done += 1;
        }
        Some((self.done, self.total))
    }
}

/// Bytes that Go's caches take when nothing of a bundle is built yet: the modules, and what is compiled from them.
const MODULES: u64 = 2_500_000_000;
const COMPILED: u64 = 2_500_000_000;

/// # Errors
/// Refused where Go's caches would fill the disk. What they hold already counts as free.
async fn require_room(part: &Part<'_>) -> Result<()> {
    let caches = run("go", ["env", "GOMODCACHE", "GOCACHE"]).await?;
    let what = format!("Go's cache while building {}", part.name);
    let needs = caches.lines().zip([MODULES, COMPILED]).map(|(folder, bytes)| Need {
        what: what.clone(),
        folder: folder.into(),
        bytes: bytes.saturating_sub(used(Path::new(folder))),
    });
    room::check(&needs.collect::<Vec<_>>(), "free up disk space, or use `--bundle` to pass a bundle made on another computer")
}

/// Bytes of the files below a folder; what can't be read counts nothing.
fn used(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => used(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// The oldest Go that Kubernetes 1.36 is built with.
const GO: (u32, u32) = (1, 26);

async fn require_go() -> Result<()> {
    let hint = "install Go from https://go.dev/dl, or pass a bundle that was made on another computer with `--bundle`";
    let refused = |what: String| anyhow::Error::from(Failure::new(ExitStatus::Refused, what, hint));
    if !is_installed("go") {
        return Err(refused(format!("Go {}.{} or later is needed, but Go is not installed on this computer", GO.0, GO.1)));
    }
    let version = run("go", ["env", "GOVERSION"]).await?;
    let mut numbers = version.trim().trim_start_matches("go").split('.').map_while(|number| number.parse::<u32>().ok());
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < GO {
        return Err(refused(format!("Go {}.{} or later is needed, but this computer has {}", GO.0, GO.1, version.trim())));
    }
    Ok(())
}

/// The root file system that the network images share, as tar: Debian packages, unpacked only.
async fn network_base(build: &Path, events: &Events) -> Result<Vec<u8>> {
    let finished = build.join("network-base.tar");
    if !finished.is_file() {
        task(events, "debian", &format!("fetch packages from Debian {SUITE}: {NETWORK_BASE}"), async |task| {
            let part = build.join(".network-base.tar");
            let options = ["--variant=extract", "--format=tar"];
            let mut command = program("mmdebstrap", options);
            command.arg(format!("--include={NETWORK_BASE}")).arg(SUITE).arg(&part).env("SOURCE_DATE_EPOCH", "0");
            stream(&mut command, |line| task.line(line.trim_start_matches("I: "))).await?;
            Ok(fs::rename(&part, &finished)?)
        })
        .await?;
    }
    user_file::whole(&finished).with_context(|| format!("{} can't be read", finished.display()))
}

fn pack(pins: &Pins, arch: Arch, build: &Path, base: &[u8], hostler: (&[u8], &str), place: &Path, task: &Task) -> Result<()> {
    let read = |name: &str| user_file::whole(&build.join(name)).with_context(|| format!("{} can't be read", build.join(name).display()));
    let mut bundle = Writer::begin(place, &pins.kubernetes, arch)?;
    let kubernetes = read(&format!("kubernetes-{}", pins.kubernetes))?;
    let (base, runc) = layer::network_base(base)?;
    let debian = format!("debian:{SUITE}");
    let references: std::collections::BTreeMap<Component, String> = pins.images().into_iter().collect();
    let reference = |component| references[&component].clone();

    task.line("programs");
    let source = origin("kubernetes", build, &format!("source:k8s.io/kubernetes@v{}", pins.kubernetes));
    for name in ["kubeadm", "kubelet", "kubectl"] {
        bundle.file(name, &pins.kubernetes, FileKind::Program, &source, &kubernetes)?;
    }
    bundle.file("runc", SUITE, FileKind::Program, &debian, &runc)?;
    for part in parts(pins) {
        let (kind, on_machines): (_, &[&str]) = match part.name {
            "containerd" => (FileKind::Program, &CONTAINERD),
            "crictl" => (FileKind::Program, &["crictl"]),
            "etcd" => (FileKind::Program, &["etcdctl", "etcdutl"]),
            "cni" => (FileKind::CniPlugin, CNI_PLUGINS),
            "cni_flannel" => (FileKind::CniPlugin, &["flannel"]),
            _ => continue,
        };
        for name in on_machines {
            let built = format!("source:{}@v{}", part.module, part.version);
            bundle.file(name, part.version, kind, &origin(part.name, build, &built), &read(name)?)?;
        }
    }

    task.line("images");
    let program = layer::layer(&[Entry::Program("usr/local/bin/kubernetes", &kubernetes)])?;
    let components = [
        (Component::KubeApiserver, "kube-apiserver"),
        (Component::KubeControllerManager, "kube-controller-manager"),
        (Component::KubeScheduler, "kube-scheduler"),
        (Component::KubeProxy, "kube-proxy"),
    ];
    for (component, name) in components {
        let path = format!("usr/local/bin/{name}");
        let link = layer::layer(&[Entry::Link(&path, "kubernetes")])?;
        let mut layers: Vec<&[u8]> = vec![&program, &link];
        if component == Component::KubeProxy {
            layers.insert(0, &base);
        }
        bundle.compose(component, &reference(component), &format!("/{path}"), &source, &layers)?;
    }
    let (etcd, etcdctl, etcdutl) = (read("etcd")?, read("etcdctl")?, read("etcdutl")?);
    let entries = ["usr/local/bin/etcd", "usr/local/bin/etcdctl", "usr/local/bin/etcdutl"];
    let layer =
        layer::layer(&[Entry::Program(entries[0], &etcd), Entry::Program(entries[1], &etcdctl), Entry::Program(entries[2], &etcdutl)])?;
    let source = origin("etcd", build, &format!("source:go.etcd.io/etcd@v{}", pins.etcd));
    bundle.compose(Component::Etcd, &reference(Component::Etcd), "/usr/local/bin/etcd", &source, &[&layer])?;
    let layer = layer::layer(&[Entry::Program("coredns", &read("coredns")?)])?;
    bundle.compose(
        Component::Coredns,
        &reference(Component::Coredns),
        "/coredns",
        &origin("coredns", build, &format!("source:github.com/coredns/coredns@v{}", pins.coredns)),
        &[&layer],
    )?;
    let layer = layer::layer(&[Entry::Program("pause", &read("pause")?)])?;
    bundle.compose(Component::Pause, &reference(Component::Pause), "/pause", &origin("pause", build, "source:pause.c"), &[&layer])?;
    let layer = layer::layer(&[Entry::Program("opt/bin/flanneld", &read("flanneld")?)])?;
    let source = origin("flanneld", build, &format!("source:github.com/flannel-io/flannel@v{} {debian}", pins.flannel));
    bundle.compose(Component::Flannel, &reference(Component::Flannel), "/opt/bin/flanneld", &source, &[&base, &layer])?;
    bundle.hostler(hostler.0, hostler.1)?;
    bundle.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bundle says of programs that were not built here where they came from, and takes none that differs from the sums beside it.
    #[tokio::test]
    async fn parts_are_recorded_and_compared_with_their_sums() {
        let folder = tempfile::tempdir().unwrap();
        let (parts, build) = (folder.path().join("parts"), folder.path().join("build"));
        fs::create_dir(&parts).unwrap();
        fs::create_dir(&build).unwrap();
        let part = Part { name: "pause", version: "1", programs: vec!["pause".to_owned()], module: "pause.c", asked: None };
        assert!(!take(&part, &parts, &build).await.unwrap());
        assert_eq!(origin("pause", &build, "source:pause.c"), "source:pause.c");
        fs::write(parts.join("pause"), "a program").unwrap();
        assert!(take(&part, &parts, &build).await.unwrap());
        assert_eq!(origin("pause", &build, "source:pause.c"), format!("parts:{}", parts.display()));
        for (sums, good) in [
            (format!("{}  pause\n", sha256(b"a program")), true),
            (format!("{} *pause\n", sha256(b"a program")), true),
            (format!("{}  pause\n", sha256(b"another")), false),
            (format!("{}  other\n", sha256(b"a program")), false),
            (String::new(), false),
        ] {
            fs::write(parts.join(SUMS), &sums).unwrap();
            let taken = take(&part, &parts, &build).await;
            assert_eq!(taken.is_ok(), good, "{sums}");
            assert!(good || ExitStatus::of(&taken.unwrap_err()) == ExitStatus::Refused, "{sums}");
        }
    }

    #[test]
    fn packages_are_counted_before_they_are_built_for_each_program_of_a_part() {
        let lines = [
            ("go: added sigs.k8s.io/yaml v1.6.0", None),
            ("# internal/cpu", Some((0, 1))),
            ("# import config", None),
            ("# net/http", Some((0, 2))),
            ("internal/cpu", Some((1, 2))),
            ("net/http", Some((2, 2))),
            ("runtime/cgo", None),
            ("# go.etcd.io/etcd/etcdctl/v3", Some((0, 1))),
            ("go: warning: ignoring symlink", None),
            ("go.etcd.io/etcd/etcdctl/v3", Some((1, 1))),
        ];
        let mut packages = Packages::default();
        for (line, expected) in lines {
            assert_eq!(packages.line(line), expected, "{line}");
        }
    }
}
