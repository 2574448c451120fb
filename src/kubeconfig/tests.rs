use std::os::unix::fs::PermissionsExt;

use super::*;

const OTHERS: &str = "
# of the office
apiVersion: v1
kind: Config
preferences: {colors: true}
clusters:
- name: office
  cluster: {server: 'https://office:6443', certificate-authority: /etc/office.pem, proxy-url: 'socks5://office'}
users:
- name: me
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: office-login}}
contexts:
- name: office
  context: {cluster: office, user: me, namespace: films}
current-context: office
extensions: [{name: x, extension: {a: 1}}]
";

fn access(name: &str) -> Access {
    let reach = Reach { server: "https://192.168.1.11:6443".to_owned(), tls_server_name: None };
    let identity = Identity { certificate: "Q0VSVA==".to_owned(), key: "S0VZ".to_owned() };
    Access::new(name, "Q0E=", identity, reach)
}

fn value(text: &str) -> Value {
    serde_yaml::from_str(text).expect("it is YAML")
}

fn refusal(existing: &str) -> String {
    access("home").merged(existing).expect_err("it belongs to another cluster").to_string()
}

#[test]
fn alone_it_is_named_after_the_cluster() {
    insta::assert_snapshot!(access("home").text().expect("nothing conflicts"), @r"
    apiVersion: v1
    kind: Config
    clusters:
    - name: home
      cluster:
        certificate-authority-data: Q0E=
        server: https://192.168.1.11:6443
    users:
    - name: home
      user:
        client-certificate-data: Q0VSVA==
        client-key-data: S0VZ
    contexts:
    - name: home
      context:
        cluster: home
        user: home
    current-context: home
    ");
}

#[test]
fn other_entries_stay() {
    let merged = value(&access("home").merged(OTHERS).expect("nothing of this name is there"));
    let mut before = value(OTHERS);
    for (list, kind) in [("clusters", "cluster"), ("users", "user"), ("contexts", "context")] {
        let alone = value(&access("home").text().expect("nothing conflicts"));
        let ours = alone[list][0].clone();
        assert!(ours.get(kind).is_some());
        before[list].as_sequence_mut().expect("a list").push(ours);
    }
    assert_eq!(serde_yaml::to_string(&merged).expect("YAML"), serde_yaml::to_string(&before).expect("YAML"));
}

#[test]
fn merging_again_changes_nothing() {
    let once = access("home").merged(OTHERS).expect("nothing of this name is there");
    assert_eq!(access("home").merged(&once).expect("it is our own"), once);
}

#[test]
fn additions_of_the_user_to_our_entries_stay() {
    let text = access("home").text().expect("nothing conflicts");
    let text = text.replace("    user: home\n", "    user: home\n    namespace: films\n").replace("192.168.1.11", "192.168.1.99");
    let merged = value(&access("home").merged(&text).expect("the same cluster, which moved"));
    assert_eq!(merged["contexts"][0]["context"]["namespace"], "films");
    assert_eq!(merged["clusters"][0]["cluster"]["server"], "https://192.168.1.11:6443");
}

#[test]
fn tls_server_name_is_removed_when_it_is_no_longer_needed() {
    let mut tunnel = access("home");
    tunnel.reach.tls_server_name = Some("kubernetes.home".to_owned());
    let text = tunnel.text().expect("nothing conflicts");
    assert_eq!(value(&text)["clusters"][0]["cluster"]["tls-server-name"], "kubernetes.home");
    assert!(!access("home").merged(&text).expect("it is our own").contains("tls-server-name"));
}

#[test]
fn another_clusters_entries_are_refused() {
    let office = OTHERS.replace("office", "home");
    assert!(refusal(&office).starts_with("the kubeconfig has a cluster `home` that belongs to another cluster\nhint: "));
    let other_ca = access("home").text().expect("nothing conflicts").replace("Q0E=", "QU5PVEhFUg==");
    assert!(refusal(&other_ca).contains("a cluster `home`"));
    let context = OTHERS.replace("- name: office\n  context", "- name: home\n  context");
    assert!(refusal(&context).contains("a context `home`"));
}

#[test]
fn a_user_of_another_cluster_is_refused() {
    let users = OTHERS.replace("name: me", "name: home").replace("user: me", "user: home");
    assert!(refusal(&users).contains("a user `home`"));
    assert!(refusal("users: [{name: home, user: {token: abc}}]").contains("a user `home`"));
}

#[test]
fn an_invalid_kubeconfig_is_not_changed() {
    let error = |text: &str| access("home").merged(text).expect_err("it is not a kubeconfig").to_string();
    assert!(error("[1, 2]").starts_with("the kubeconfig is not a YAML mapping"));
    assert!(error("kind: Pod").starts_with("the kubeconfig is not of kind Config"));
    assert!(error("a: [").starts_with("the kubeconfig is not valid YAML (line 2, column 1)"), "{}", error("a: ["));
    assert_eq!(error("clusters: 5"), "`clusters` in the kubeconfig is not a list");
    assert_eq!(error("contexts:\nclusters: null\nusers: {}"), "`users` in the kubeconfig is not a list");
}

#[test]
fn no_error_contains_a_secret() {
    let own = access("home").text().expect("nothing conflicts");
    for existing in ["S0VZ", "users: [{user: {client-key-data: [S0VZ]}}]", "S0VZ: [", &own.replace("user:\n      client", "user: [client")]
    {
        if let Err(error) = access("home").merged(existing) {
            assert!(!format!("{error:?}").contains("S0VZ"), "{error:?}");
        }
    }
    assert!(access("home").merged("S0VZ").is_err());
}

#[test]
fn an_identity_is_that_of_the_cluster() {
    let own = access("home").text().expect("nothing conflicts");
    assert_eq!(Access::identity_in(&own, "home", "Q0E=").map(|identity| identity.key).as_deref(), Some("S0VZ"));
    assert!(Access::identity_in(&own, "home", "QUxU").is_none());
    assert!(Access::identity_in(&own, "office", "Q0E=").is_none());
    assert!(Access::identity_in(OTHERS, "office", "Q0E=").is_none());
    assert!(Access::identity_in("", "home", "Q0E=").is_none());
}

#[test]
fn the_server_follows_the_endpoint_or_the_flag() {
    let inventory = |endpoint: Endpoint| {
        let machine = hostler_core::inventory::Machine {
            address: "192.168.1.11".parse().expect("an address"),
            role: hostler_core::inventory::Role::ControlPlane,
            connection: hostler_core::inventory::Connection::default(),
            mac: None,
            labels: Default::default(),
            taints: Vec::new(),
            keep: Vec::new(),
            dedicated: false,
            encode: None,
            disk: None,
        };
        Inventory {
            text: String::new(),
            roles_written: true,
            cluster: hostler_core::inventory::Cluster {
                name: "home".to_owned(),
                version: None,
                endpoint,
                pod_subnet: "10.244.0.0/16".parse().expect("a subnet"),
                service_subnet: "10.96.0.0/16".parse().expect("a subnet"),
                cni: hostler_core::inventory::Cni::Flannel,
            },
            machines: [(MachineName::new("twilightsparkle").expect("a name"), machine)].into_iter().collect(),
            kubeadm: Default::default(),
            containerd: Default::default(),
            ignore_preflight_errors: Vec::new(),
            snapshots: hostler_core::inventory::Snapshots::regular(),
            os: None,
            versions: Default::default(),
            notify: None,
            transcode: None,
            warnings: Vec::new(),
        }
    };
    let first = MachineName::new("twilightsparkle").expect("a name");
    let through = |endpoint| Reach::through(&inventory(endpoint), &first).server;
    assert_eq!(through(Endpoint::Name("kubernetes.home".to_owned())), "https://192.168.1.11:6443");
    let vip = Endpoint::Vip { name: "kubernetes.home".to_owned(), address: "fd00::9".parse().expect("an address") };
    assert_eq!(through(vip), "https://[fd00::9]:6443");
    let external = Endpoint::External { host: "lb.example.org".to_owned(), port: 443 };
    assert_eq!(through(external.clone()), "https://lb.example.org:443");

    let by = |server| Reach::by(&inventory(Endpoint::Name("kubernetes.home".to_owned())), server);
    let tunnel = by("127.0.0.1:7000");
    assert_eq!((tunnel.server.as_str(), tunnel.tls_server_name.as_deref()), ("https://127.0.0.1:7000", Some("kubernetes.home")));
    assert_eq!(by("https://shelf.example.org").server, "https://shelf.example.org:6443");
    assert_eq!(by("fd00::9").server, "https://[fd00::9]:6443");
    assert_eq!(by("[fd00::9]:7000").server, "https://[fd00::9]:7000");
    let address = Endpoint::External { host: "10.0.0.9".to_owned(), port: 6443 };
    assert_eq!(Reach::by(&inventory(address), "localhost:1").tls_server_name.as_deref(), Some("kubernetes"));
}

#[test]
fn a_file_of_its_owner_with_a_backup() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kube/config");
    std::fs::create_dir(folder.path().join("kube")).expect("it can be created");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(merge_into(&file, &access("home"), "1").expect("nothing conflicts"), Merged::Created);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(merge_into(&file, &access("home"), "2").expect("it is our own"), Merged::Unchanged);

    std::fs::write(&file, OTHERS).expect("it can be written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let backup = folder.path().join("kube/config.hostler-3");
    assert_eq!(merge_into(&link, &access("home"), "3").expect("no such name is there"), Merged::Changed(backup.clone()));
    assert_eq!(std::fs::read_to_string(&backup).expect("the backup"), OTHERS);
    assert_eq!((mode(&file), mode(&backup)), (0o600, 0o600));
    assert!(link.is_symlink());

    std::fs::write(&file, OTHERS.replace("office", "home")).expect("it can be written");
    assert!(merge_into(&file, &access("home"), "4").is_err());
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), OTHERS.replace("office", "home"));
    assert_eq!(std::fs::read_dir(folder.path().join("kube")).expect("a folder").count(), 2);
}

#[test]
fn a_file_that_kubectl_is_changing_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, lock) = (folder.path().join("config"), folder.path().join("config.lock"));
    std::fs::write(&file, OTHERS).expect("it can be written");
    std::fs::write(&lock, "").expect("it can be written");
    let refused = merge_into(&file, &access("home"), "1").map(drop).expect_err("it is locked");
    let text = refused.to_string();
    assert!(text.contains(" is locked: ") && text.contains(&format!("delete the stale lock file {}", lock.display())), "{text}");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), OTHERS);
    std::fs::remove_file(&lock).expect("it is ours");
    merge_into(&file, &access("home"), "2").expect("it is free");
    assert!(!lock.exists());
}

#[test]
fn an_entry_that_is_updated_verifies_the_server() {
    let before = access("home").text().expect("nothing conflicts");
    let open = before.replace("    server:", "    insecure-skip-tls-verify: true\n    proxy-url: socks5://office\n    server:");
    assert_ne!(open, before);
    let after = access("home").merged(&open).expect("it is our own");
    assert!(!after.contains("insecure-skip-tls-verify") && after.contains("proxy-url: socks5://office"), "{after}");
}

#[test]
fn the_users_file() {
    let home = Path::new("/home/me");
    assert_eq!(users_file(None, home), Path::new("/home/me/.kube/config"));
    assert_eq!(users_file(Some(""), home), Path::new("/home/me/.kube/config"));
    assert_eq!(users_file(Some(":/a:"), home), Path::new("/a"));
    // As kubectl: the first that exists, else the last.
    assert_eq!(users_file(Some("/a:/b"), home), Path::new("/b"));
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    std::fs::write(&one, "").and_then(|()| std::fs::write(&two, "")).expect("written");
    let list = format!("/a:{}:{}", one.display(), two.display());
    assert_eq!(users_file(Some(&list), home), one);
}

#[test]
fn a_file_of_its_own_replaces_its_own_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("home.kubeconfig");
    let read = || std::fs::read_to_string(&file).expect("it is there");
    let mine = access("home").text().expect("nothing conflicts");
    let put = |stamp: &str| put(&destination(&file, "home").expect("it may be written"), &access("home"), stamp).expect("it is written");
    assert_eq!(put("1"), None);
    assert_eq!(put("2"), None);
    std::fs::write(&file, "").expect("it can be written");
    assert_eq!(put("3"), None);
    // A cluster of the same name that is made again, or another one.
    let before = mine.replace("Q0E=", "QUxU");
    std::fs::write(&file, &before).expect("it can be written");
    let backup = folder.path().join("home.kubeconfig.hostler-4");
    assert_eq!(put("4"), Some(backup.clone()));
    assert_eq!((read(), std::fs::read_to_string(&backup).expect("the backup")), (mine.clone(), before));
    for others in [OTHERS, "a thesis", "[]", "kind: Pod", &format!("{mine}\n---\n{mine}"), &mine.replace("name: home", "name: work")] {
        std::fs::write(&file, others).expect("it can be written");
        let refused = destination(&file, "home").expect_err(others);
        assert_eq!(ExitStatus::of(&refused), ExitStatus::Usage);
    }
}
