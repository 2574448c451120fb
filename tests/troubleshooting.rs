//! docs/troubleshooting.md quotes what hostler says. Its table of refusals is made from the refusals' type and from the plans of tests/plan:
//! `UPDATE=1` writes it. Its other quotes are found in the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hostler_core::arch::Arch;
use hostler_core::films::Owner;
use hostler_core::inventory::{MachineName, Role};
use hostler_core::plan::hint::{Command, Hint};
use hostler_core::plan::refusal::{Share, Unchangeable, Why};

use crate::literals::literals_of_sources;

mod literals;

/// One row of the table: what is refused, what to do, and what causes it.
struct Example {
    variant: usize,
    why: Why,
    hint: Hint,
    cause: &'static str,
}

/// Examples of every variant of `Why`. A variant without one does not compile.
macro_rules! examples {
    ($($variant:pat => [$(($why:expr, $hint:expr, $cause:expr)),+ $(,)?]),+ $(,)?) => {
        /// The place of the variant in the list.
        fn variant_of(why: &Why) -> usize {
            let mut place = 0;
            $(
                if matches!(why, $variant) {
                    return place;
                }
                place += 1;
            )+
            // Exhaustive, so that the list is.
            match why {
                $($variant => place,)+
            }
        }

        fn examples() -> Vec<Example> {
            vec![$($(Example { variant: variant_of(&$why), why: $why, hint: $hint, cause: $cause }),+),+]
        }
    };
}

fn named(name: &str) -> MachineName {
    MachineName::new(name).expect("a machine's name")
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn rebuild(name: &str) -> Command {
    Command::Rebuild { machine: named(name), take_over: false }
}

fn dead(node: &str) -> Command {
    Command::Remove { node: node.to_owned(), dead: true }
}

fn restore(name: &str) -> Command {
    Command::Restore(named(name))
}

fn unchangeable(key: Unchangeable, is: &str, asked: &str) -> (Why, Hint) {
    (Why::Unchangeable { key, is: is.to_owned(), asked: asked.to_owned() }, Hint::KeepAsIs { key, is: is.to_owned() })
}

fn share(what: &'static str, path: &str) -> Share {
    Share { what, path: path.to_owned() }
}

const FILMS: Owner = Owner { uid: 1000, gid: 100 };

examples! {
    Why::AtWork { .. } => [(
        Why::AtWork { step: "rainbowdash/images-node".to_owned(), run: "20260102T030405Z-77 of pinkiepie@bakery".to_owned(), seconds: 42 },
        Hint::LetItEnd,
        "another hostler is running a step there, or one whose connection was lost"
    )],
    Why::ControlPlaneElsewhere { .. } => [(
        Why::ControlPlaneElsewhere { is: named("twilightsparkle"), named: named("fluttershy"), written: false },
        Hint::WriteRole(named("twilightsparkle")),
        "without roles, the first machine of the inventory is the control plane of a new cluster, and the cluster has another one"
    )],
    Why::RolesUnknown { .. } => [(
        Why::RolesUnknown { unreachable: vec![named("rainbowdash"), named("twilightsparkle")] },
        Hint::WriteRoles,
        "no role is written, and any of these machines may be the control plane"
    )],
    Why::ControlPlaneUnknown { .. } => [
        (
            Why::ControlPlaneUnknown { lost: vec![named("twilightsparkle")], cluster: true },
            Hint::TurnOn,
            "machines are in a cluster, but no control plane that could say what it consists of was reached"
        ),
        (
            Why::ControlPlaneUnknown { lost: vec![named("twilightsparkle")], cluster: false },
            Hint::TurnOn,
            "a new cluster could destroy the one that this control plane holds"
        ),
    ],
    Why::OtherMachine { .. } => [(
        Why::OtherMachine { found: strings(&["52:54:00:aa:bb:cc"]), expected: "52:54:00:12:34:56".to_owned() },
        Hint::RightMachine,
        "the router gave the address to another machine, or the network card was replaced"
    )],
    Why::NoSystemd => [(Why::NoSystemd, Hint::InstallSystemd, "hostler's services are systemd units")],
    Why::UnknownArchitecture { .. } => [(
        Why::UnknownArchitecture { machine: "amd64/../../../tmp/evil".to_owned() },
        Hint::KnownArchitecture,
        "there are programs for amd64 and arm64 only; what else a machine says of itself is shown, and used for nothing"
    )],
    Why::Architecture { .. } => [(
        Why::Architecture { is: Arch::Arm64, bundles: vec![Arch::Amd64] },
        Hint::BundleFor { arch: Arch::Arm64 },
        "programs are built for one architecture"
    )],
    Why::Foreign { .. } => [(
        Why::Foreign { platforms: strings(&["k3s"]) },
        Hint::RemovePlatform,
        "k3s, Docker or another product's containerd is on it"
    )],
    Why::WipeInterrupted => [(
        Why::WipeInterrupted,
        Hint::FinishWipe(rebuild("rainbowdash")),
        "parts of the old cluster are deleted, others are not"
    )],
    Why::RestoreInterrupted => [(
        Why::RestoreInterrupted,
        Hint::FinishRestore(restore("twilightsparkle")),
        "etcd's data may be incomplete"
    )],
    Why::NotBlank { .. } => [(
        Why::NotBlank { leftovers: strings(&["/etc/kubernetes/pki", "/var/lib/etcd/member"]) },
        Hint::WipeFirst { command: Command::TakeOver(named("fluttershy")), leave: false },
        "it blocks kubeadm, and it may hold data; the plan with `--take-over` names what is deleted"
    )],
    Why::ReadOnly { .. } => [(
        Why::ReadOnly { paths: strings(&["/"]) },
        Hint::FindReadOnly,
        "the kernel remounts the file system of a failing disk"
    )],
    Why::Disk { .. } => [(
        Why::Disk { free: 900, needed: 1500 },
        Hint::MakeRoom,
        "programs, images and pods need space"
    )],
    Why::Port { .. } => [
        (
            Why::Port { port: 10250, by: "squatter".to_owned() },
            Hint::FreePort { port: 10250 },
            "kubelet, etcd or the API server needs that port"
        ),
        (
            Why::Port { port: 6443, by: String::new() },
            Hint::FreePort { port: 6443 },
            "the same, by a program whose name can't be read"
        ),
    ],
    Why::Damaged { .. } => [
        (
            Why::Damaged { paths: strings(&["/etc/kubernetes/kubelet.conf"]) },
            Hint::Undamage { command: rebuild("rainbowdash"), backup: false },
            "a power failure truncated what kubeadm wrote there"
        ),
        (
            Why::Damaged { paths: strings(&["/etc/kubernetes/pki/ca.key"]) },
            Hint::PutBack,
            "the same, on the only control plane, of a file that can't be made again"
        ),
    ],
    Why::Missing { .. } => [
        (
            Why::Missing { paths: strings(&["/var/lib/kubelet/pki/kubelet-client-current.pem"]) },
            Hint::Clean(rebuild("rainbowdash")),
            "someone deleted it"
        ),
        (
            Why::Missing { paths: strings(&["/etc/kubernetes/pki/ca.key"]) },
            Hint::PutBack,
            "the same, on a control plane: what the whole cluster trusts can't be made again"
        ),
        (
            Why::Missing { paths: strings(&["/var/lib/etcd/member"]) },
            Hint::RestoreCluster(restore("twilightsparkle")),
            "etcd's data is gone, or on a disk that is not mounted"
        ),
    ],
    Why::CertificateExpired { .. } => [(
        Why::CertificateExpired { certificate: "kubelet-client".to_owned() },
        Hint::Clean(rebuild("rainbowdash")),
        "the machine was off for a long time: kubelet can't ask for another with one that has expired"
    )],
    Why::OtherCluster { .. } => [
        (
            Why::OtherCluster { server: Some("https://10.0.0.1:6443".to_owned()) },
            Hint::WipeFirst { command: Command::TakeOver(named("twilightsparkle")), leave: true },
            "its certificates are from another certificate authority"
        ),
        (
            Why::OtherCluster { server: Some("https://10.0.0.1:6443".to_owned()) },
            Hint::ForgetOnly(dead("rainbowdash")),
            "`remove` does not take a machine out of a cluster that is not this one"
        ),
    ],
    Why::RoleChanged { .. } => [
        (
            Why::RoleChanged { is: Role::Worker },
            Hint::ChangeRole(named("rainbowdash")),
            "a role can't be changed in place"
        ),
        (Why::RoleChanged { is: Role::ControlPlane }, Hint::ChangeRole(named("applejack")), "the same"),
    ],
    Why::PodNetwork { .. } => [(Why::PodNetwork { node: "10.244.5.0/24".to_owned(), has: "10.244.2.0".to_owned() }, Hint::Clean(rebuild("rainbowdash")), "the cluster was restored from a snapshot that is older than the machine's last join")],
    Why::Lives { .. } => [(Why::Lives { reason: "sudo failed: tim is not in the sudoers file".to_owned() }, Hint::MakeReachable(named("rainbowdash")), "its login, sudo or host key changed, while the machine works on")],
    Why::EtcdBroken { .. } => [(
        Why::EtcdBroken {
            machine: named("twilightsparkle"),
            words: r#"{"level":"fatal","msg":"discovery failed","error":"walpb: crc mismatch"}"#.to_owned(),
        },
        Hint::RestoreCluster(restore("twilightsparkle")),
        "a disk that fails, or power that went while it wrote"
    )],
    Why::DataThere => [(
        Why::DataThere,
        Hint::MoveDataAway,
        "the API server is down for another reason than lost data"
    )],
    Why::AddressLost { .. } => [(
        Why::AddressLost { was: "192.168.1.11".to_owned() },
        Hint::GiveAddressBack { was: "192.168.1.11".to_owned() },
        "a new router, or a lease that was given to another"
    )],
    Why::NodeGone => [(Why::NodeGone, Hint::Clean(rebuild("rainbowdash")), "someone ran `kubectl delete node`")],
    Why::Address { .. } => [(
        Why::Address { node: "192.168.1.13".to_owned(), machine: "192.168.1.99".to_owned() },
        Hint::OldAddress(rebuild("fluttershy")),
        "the address is in certificates and in etcd"
    )],
    Why::ControlPlaneLost { .. } => [(
        Why::ControlPlaneLost { orphans: vec![named("rainbowdash"), named("fluttershy")] },
        Hint::RestoreCluster(restore("twilightsparkle")),
        "the control plane was reinstalled, or it is not in the inventory"
    )],
    Why::NodeExists { .. } => [
        (
            Why::NodeExists { node: named("fluttershy"), address: "192.168.1.77".to_owned() },
            Hint::Rename(dead("fluttershy")),
            "two machines have one name"
        ),
        (
            Why::NodeExists { node: named("rarity"), address: "192.168.1.12".to_owned() },
            Hint::TakePlace(rebuild("rarity")),
            "the machine was reinstalled, and the cluster still has the old node"
        ),
    ],
    Why::MemberExists => [(
        Why::MemberExists,
        Hint::TakePlace(rebuild("rarity")),
        "a control plane was reinstalled, and etcd still counts the old one"
    )],
    Why::MemberNotCertain { .. } => [(
        Why::MemberNotCertain {
            member: "rarity".to_owned(),
            peer: "https://192.168.1.12:2380".to_owned(),
            expected: "192.168.1.12".parse().ok(),
            reported: "192.168.1.13".parse().ok(),
        },
        Hint::SettleMember { node: named("rarity") },
        "a kubelet can report any address, and removing the wrong member could cost etcd its quorum"
    )],
    Why::Learner { .. } => [(
        Why::Learner { member: "derpy".to_owned() },
        Hint::DropLearner(dead("derpy")),
        "another control plane is joining, or its join was interrupted"
    )],
    Why::MemberUnhealthy { .. } => [(
        Why::MemberUnhealthy { member: "rarity".to_owned() },
        Hint::MendMember { member: "rarity".to_owned(), command: dead("rarity") },
        "one more member raises the number that etcd needs"
    )],
    Why::Clock { .. } => [(
        Why::Clock { off: "5 minutes ahead of the others".to_owned() },
        Hint::SetClock,
        "no time service is running, or it has no server"
    )],
    Why::BundleVersion { .. } => [(
        Why::BundleVersion { bundle: "1.36.3".to_owned(), cluster: "1.35.4".to_owned(), by: Some(named("twilightsparkle")) },
        Hint::BundleOf { version: "1.35.4".to_owned() },
        "a machine joins with the version that the cluster runs"
    )],
    Why::Unchangeable { .. } => [
        (
            unchangeable(Unchangeable::PodSubnet, "10.244.0.0/16", "10.200.0.0/16").0,
            unchangeable(Unchangeable::PodSubnet, "10.244.0.0/16", "10.200.0.0/16").1,
            "this can't change during a cluster's life"
        ),
        (
            unchangeable(Unchangeable::ServiceSubnet, "10.96.0.0/12", "10.112.0.0/12").0,
            unchangeable(Unchangeable::ServiceSubnet, "10.96.0.0/12", "10.112.0.0/12").1,
            "the same"
        ),
        (
            unchangeable(Unchangeable::Endpoint, "api.home.internal:6443", "api.example.org:443").0,
            unchangeable(Unchangeable::Endpoint, "api.home.internal:6443", "api.example.org:443").1,
            "the same"
        ),
        (
            unchangeable(Unchangeable::ClusterName, "home", "ponies").0,
            unchangeable(Unchangeable::ClusterName, "home", "ponies").1,
            "the same"
        ),
        (
            unchangeable(Unchangeable::Cni, "flannel", "none").0,
            unchangeable(Unchangeable::Cni, "flannel", "none").1,
            "the same"
        ),
    ],
    Why::Version { .. } => [(
        Why::Version { cluster: "home".to_owned(), is: "1.36.3".to_owned(), asked: "1.35.4".to_owned() },
        Hint::KeepVersion { is: "1.36.3".to_owned() },
        "`up` never changes the version"
    )],
    Why::NodeName { .. } => [(
        Why::NodeName { node: "derpy".to_owned() },
        Hint::NameAsNode { machine: named("fluttershy"), node: "derpy".to_owned() },
        "a node keeps its name for its whole life"
    )],
    Why::NoApi { .. } => [(
        Why::NoApi { answers: vec![(named("twilightsparkle"), "connection refused; kube-apiserver: Error: unknown flag: --nonsense".to_owned())] },
        Hint::LookAtControlPlane(named("twilightsparkle")),
        "etcd or the API server does not run on any control plane"
    )],
    Why::NoApiToLeave => [(
        Why::NoApiToLeave,
        Hint::BringControlPlanesBack { look: false },
        "a machine leaves by way of the API: its pods move, its node is deleted"
    )],
    Why::EndpointAway { .. } => [(
        Why::EndpointAway { endpoint: "api.home.internal".to_owned(), leads_to: named("twilightsparkle") },
        Hint::BringEndpointBack { machine: named("twilightsparkle") },
        "machines reach the API by this name, and it leads to one control plane"
    )],
    Why::NoCluster { .. } => [
        (Why::NoCluster { joins: named("fluttershy") }, Hint::MakeCluster, "no control plane has been set up"),
        (
            Why::NoCluster { joins: named("fluttershy") },
            Hint::FinishRestoreFirst(restore("twilightsparkle")),
            "the control plane is being restored"
        ),
    ],
    Why::Unreachable { .. } => [
        (
            Why::Unreachable { reason: "connection timed out".to_owned() },
            Hint::TurnOnOrRemove(dead("rainbowdash")),
            "it is off, or at another address; a machine that is removed gets wiped"
        ),
        (Why::Unreachable { reason: "connection refused".to_owned() }, Hint::TurnOnOrReplace, "a snapshot is restored onto a machine"),
    ],
    Why::LastControlPlane => [(
        Why::LastControlPlane,
        Hint::LoseOnlyControlPlane { restore: restore("twilightsparkle") },
        "`remove` and `rebuild` would destroy the cluster"
    )],
    Why::Quorum { .. } => [(
        Why::Quorum { healthy: 1, members: 2, down: strings(&["applejack"]) },
        Hint::MendMembers,
        "more than half of etcd's members must be healthy"
    )],
    Why::Keep { .. } => [(
        Why::Keep { kept: "/data".to_owned(), wiped: "/var/lib/kubelet", leads: Some("/data/kubelet".to_owned()) },
        Hint::MoveKept,
        "what `keep:` names is never deleted, wherever a link leads"
    )],
    Why::Mounted { .. } => [(
        Why::Mounted { mounted: "/var/lib/kubelet".to_owned(), wiped: "/var/lib/kubelet" },
        Hint::Unmount { path: "/var/lib/kubelet".to_owned() },
        "a disk that hostler did not mount is never wiped"
    )],
    Why::RestoreOfWorker => [(
        Why::RestoreOfWorker,
        Hint::RebuildPlain(rebuild("rainbowdash")),
        "a snapshot holds etcd and the certificates"
    )],
    Why::SeveralControlPlanes => [(
        Why::SeveralControlPlanes,
        Hint::RebuildPlain(rebuild("rarity")),
        "a snapshot is for the loss of the only control plane"
    )],
    Why::ClusterLives => [(
        Why::ClusterLives,
        Hint::MendOrReset,
        "`rebuild --from` and `--new-cluster` replace a cluster that is lost"
    )],
    Why::OtherSnapshot { .. } => [(
        Why::OtherSnapshot { file: PathBuf::from("home-20260301T120000Z.tar.gz") },
        Hint::RightSnapshot,
        "the machines that remain would not trust it"
    )],
    Why::NoEncoder => [(
        Why::NoEncoder,
        Hint::MakeEncoder,
        "HandBrake is not part of a bundle; `hostler bundle encoder` adds it"
    )],
    Why::NoToken { .. } => [(
        Why::NoToken { file: PathBuf::from("~/.config/hostler/plex-token") },
        Hint::WriteToken,
        "the file that the inventory names is missing or empty"
    )],
    Why::ShareMissing { .. } => [(
        Why::ShareMissing { share: share("inbox", "/srv/films") },
        Hint::MakeShare(share("inbox", "/srv/films")),
        "the folder of the inventory is not on that machine"
    )],
    Why::ShareHangs { .. } => [(
        Why::ShareHangs { share: share("library", "/srv/library") },
        Hint::MendServer,
        "the NFS server does not answer"
    )],
    Why::ShareReadOnly { .. } => [(
        Why::ShareReadOnly { share: share("library", "/srv/library"), films: FILMS, owner: "0:0".to_owned(), mode: "755".to_owned() },
        Hint::GiveShare { share: share("library", "/srv/library"), films: FILMS },
        "films are not written by root"
    )],
}

const DOCUMENT: &str = "docs/troubleshooting.md";
const BEGIN: &str = "<!-- written by tests/troubleshooting.rs -->\n";
const END: &str = "\n## A step fails or waits";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    fs::read_to_string(root().join(DOCUMENT)).expect("the document can be read")
}

/// As a code span in a table.
fn code_span(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.starts_with('`') || text.ends_with('`') {
        format!("`` {text} ``")
    } else if text.contains('`') {
        format!("``{text}``")
    } else {
        format!("`{text}`")
    }
}

fn table() -> String {
    let mut rows = "\n| code | message | cause | what to do |\n|---|---|---|---|\n".to_owned();
    for Example { why, hint, cause, .. } in examples() {
        let hint = hint.to_string().replace('|', "\\|");
        rows.push_str(&format!("| `{}` | {} | {cause} | {hint} |\n", why.code(), code_span(&why.to_string())));
    }
    rows
}

/// What the plans of tests/plan refuse: code, message and hint, without the machine.
fn planned() -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("tests/plan")).expect("tests/plan can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a plan can be read");
        let codes = text.lines().filter_map(|line| line.strip_prefix("code: "));
        let refused = text.lines().zip(text.lines().skip(1)).filter_map(|(refused, hint)| {
            let (_, why) = refused.strip_prefix("refused: ")?.split_once(": ")?;
            Some((why, hint.strip_prefix("  hint: ")?))
        });
        for (code, (why, hint)) in codes.zip(refused) {
            found.insert((code.to_owned(), why.to_owned(), hint.to_owned()));
        }
    }
    found
}

#[test]
fn the_table_of_refusals_is_what_hostler_says() {
    let document = document();
    let begin = document.find(BEGIN).expect("the table's mark is there") + BEGIN.len();
    let end = begin + document[begin..].find(END).expect("the next section is there");
    let expected = format!("{}{}{}", &document[..begin], table(), &document[end..]);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join(DOCUMENT), expected).expect("the document can be written");
    } else {
        assert!(document == expected, "the table of {DOCUMENT} differs: UPDATE=1 writes it\n{}", table());
    }
}

#[test]
fn every_refusal_has_an_example() {
    let variants: BTreeSet<usize> = examples().iter().map(|example| example.variant).collect();
    assert_eq!(variants.len(), variants.last().map_or(0, |last| last + 1), "each pattern has an example of its own variant");
}

/// A hint of the table is one that the planner gives with this refusal.
#[test]
fn every_example_is_from_a_plan() {
    let planned = planned();
    let mut missing = Vec::new();
    for Example { why, hint, .. } in examples() {
        if !planned.contains(&(why.code().to_owned(), why.to_string(), hint.to_string())) {
            missing.push(format!("{}: {why}\n  hint: {hint}", why.code()));
        }
    }
    assert!(missing.is_empty(), "no plan of tests/plan has these:\n{}", missing.join("\n"));
}

/// Some variants have several codes.
#[test]
fn every_code_of_a_plan_is_in_the_table() {
    let listed: BTreeSet<&str> = examples().iter().map(|example| example.why.code()).collect();
    let missing: BTreeSet<String> = planned().into_iter().map(|(code, ..)| code).filter(|code| !listed.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The code spans of the first column of all other tables.
fn quotes(document: &str) -> Vec<String> {
    let table = document.find(BEGIN).expect("the table's mark is there");
    let after = table + document[table..].find(END).expect("the next section is there");
    let rows = document[..table].lines().chain(document[after..].lines()).filter_map(|line| line.strip_prefix("| "));
    let mut quotes = Vec::new();
    for row in rows {
        let first = row.split(" | ").next().unwrap_or_default();
        // What another program says.
        if first.starts_with("kubectl:") {
            continue;
        }
        let fence = if first.contains("``") { "``" } else { "`" };
        quotes.extend(first.split(fence).skip(1).step_by(2).map(|quote| quote.trim().to_owned()));
    }
    quotes
}

/// Everything that can be said: the string literals of the sources, and the lines of the scripts.
fn sayings() -> Vec<String> {
    let mut sayings: Vec<String> = literals_of_sources().into_iter().flat_map(|(_, found)| found).map(|literal| literal.text).collect();
    let mut folders = vec![root().join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sayings.extend(fs::read_to_string(path).expect("a template can be read").lines().map(str::to_owned));
            }
        }
    }
    sayings
}

/// Whether a saying has the parts of a quote between its `...`, in their order.
fn says(saying: &str, quote: &str) -> bool {
    let mut rest = saying;
    quote.split("...").map(str::trim).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn every_other_quote_is_in_the_sources() {
    let (quotes, sayings) = (quotes(&document()), sayings());
    assert!(quotes.len() > 30, "only {} quotes were found", quotes.len());
    let missing: Vec<&String> = quotes.iter().filter(|quote| !sayings.iter().any(|saying| says(saying, quote))).collect();
    assert!(missing.is_empty(), "nothing says this: {missing:#?}");
}

#[test]
fn a_quote_is_found_by_its_parts() {
    assert!(says("no answer from {address} within {seconds} s", "no answer from ... within ... s"));
    assert!(!says("no answer from {address}", "no answer from ... within ... s"));
    assert!(!says("within {seconds} s: no answer", "no answer from ... within ... s"));
}
