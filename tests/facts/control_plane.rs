//! What facts.sh says of a control plane's files, and of what its API server and etcd answer.

use hostler_core::facts::RequestedApi;
use hostler_core::kubeadm_files;

use super::Machine;

/// What a cluster's data and keys are in is no leftover, whichever other file is gone.
#[test]
fn a_control_plane_without_its_kubelet_is_a_control_plane() {
    let machine = Machine::new();
    machine.file("/etc/kubernetes/pki/ca.key", "");
    machine.folder("/var/lib/etcd/member");
    let kubernetes = machine.facts().kubernetes;
    assert!(kubernetes.joined && kubernetes.control_plane && kubernetes.etcd_data && kubernetes.leftovers.is_empty());
    for file in
        ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests/etcd.yaml", "/etc/kubernetes/pki/ca.crt"]
    {
        assert!(kubernetes.missing.iter().any(|missing| missing == file), "{file}");
    }
}

/// As a power failure leaves them: the first half, or nothing.
#[test]
fn what_ends_too_soon_is_damaged() {
    let machine = Machine::new();
    let pem = |kind: &str| format!("-----BEGIN {kind}-----\nMAo=\n-----END {kind}-----\n");
    let config = |key: &str| format!("apiVersion: v1\nusers:\n- name: one\n  user:\n    {key}: aaaa\n");
    let files = [
        ("/etc/kubernetes/manifests/etcd.yaml", "kind: Pod\nspec: {}\nstatus: {}\n".to_owned()),
        ("/etc/kubernetes/admin.conf", config("client-key-data")),
        ("/etc/kubernetes/kubelet.conf", config("client-key")),
        ("/etc/kubernetes/pki/ca.crt", pem("CERTIFICATE")),
        ("/etc/kubernetes/pki/ca.key", pem("EC PRIVATE KEY")),
        ("/etc/kubernetes/pki/sa.pub", pem("PUBLIC KEY")),
        ("/etc/kubernetes/pki/etcd/peer.key", pem("RSA PRIVATE KEY")),
        ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"--node-ip=10.77.0.13\"\n".to_owned()),
        ("/var/lib/kubelet/pki/kubelet-server-current.pem", pem("CERTIFICATE") + &pem("PRIVATE KEY")),
        ("/var/lib/kubelet/pki/kubelet-client-current.pem", pem("CERTIFICATE") + &pem("EC PRIVATE KEY")),
    ];
    for (path, text) in &files {
        machine.file(path, text);
    }
    let damaged =
        || -> Vec<String> { machine.output().lines().filter_map(|line| line.strip_prefix("damaged\t")).map(str::to_owned).collect() };
    assert_eq!(damaged(), Vec::<String>::new());
    for (path, text) in &files {
        for cut in [0, text.len() / 2, text.len() * 4 / 5] {
            machine.file(path, &text[..cut]);
            assert_eq!(damaged(), [path.to_string()], "its first {cut} bytes");
        }
        machine.file(path, text);
    }
}

/// The same list decides what is looked for on a machine, and what a machine's word counts for.
#[test]
fn each_file_that_kubeadm_writes_is_missed_and_known_to_be_damaged() {
    let (node, control_plane) = (kubeadm_files::of_node(), kubeadm_files::of_control_plane());
    let later = "/var/lib/kubelet/pki/kubelet-server-current.pem";
    let endless = "/var/lib/kubelet/config.yaml";
    for (is_control_plane, files) in [(false, node.clone()), (true, [node, control_plane].concat())] {
        let machine = Machine::new();
        let kubeconfig = "users:\n- user:\n    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem\n";
        machine.file("/etc/kubernetes/kubelet.conf", kubeconfig);
        if is_control_plane {
            machine.folder("/var/lib/etcd/member");
        }
        let missing = machine.facts().kubernetes.missing;
        let present = ["/etc/kubernetes/kubelet.conf", later];
        assert_eq!(sorted(missing), sorted(files.iter().filter(|file| !present.contains(&file.as_str())).cloned()));
        files.iter().for_each(|file| machine.file(file, ""));
        let damaged = machine.facts().kubernetes.damaged;
        assert_eq!(sorted(damaged), sorted(files.iter().filter(|file| *file != endless).cloned()));
    }
}

fn sorted(files: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut files: Vec<String> = files.into_iter().collect();
    files.sort();
    files
}

/// Recorded from a cluster of Kubernetes 1.36.3.
const AUTHORITY: &str = "MIIBejCCAR+gAwIBAgIIB9dH8TbCHvswCgYIKoZIzj0EAwIwFTETMBEGA1UEAxMKa3ViZXJuZXRlczAeFw0yNjExMjkyMzU2MTNaFw0zNjExMjcwMDAxMTNaMBUxEzARBgNVBAMTCmt1YmVybmV0ZXMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATO1B8HM4AGbklRGSn6KUxF/YB8k0Hb5HDNoK1bo/PCkDlkK1YiR5NiRZPWXXCFxkzxtfkU4oIuL7xeMdIB3NxYo1kwVzAOBgNVHQ8BAf8EBAMCAqQwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUd2C8H3yRHHaKpyf58/2sB5abgY8wFQYDVR0RBA4wDIIKa3ViZXJuZXRlczAKBggqhkjOPQQDAgNJADBGAiEAzI2kwG6Bvf75QzO/T4HVaSFxohT4CTcuCyYjfz7m9dQCIQCA80y52MiZ4kKjOD2wLkEBzK3qyqJcAidNwC54adHp/w==";
const SERVING: &str = "MIIByDCCAW+gAwIBAgIRALxl/+W06Jhv12sLpmhwlfowCgYIKoZIzj0EAwIwFTETMBEGA1UEAxMKa3ViZXJuZXRlczAeFw0yNjExMzAwMDAwMjJaFw0yNzExMzAwMDAwMjJaMD0xFTATBgNVBAoTDHN5c3RlbTpub2RlczEkMCIGA1UEAxMbc3lzdGVtOm5vZGU6dHdpbGlnaHRzcGFya2xlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/m+dE7iW2pOIC9U/uIL4fD5xdr1oRUVBLjULdf8WgYet778HSUujX8EbDZXB7NXqBGQpIwXlKrbO5hhe4/P3rqN4MHYwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMAwGA1UdEwEB/wQCMAAwHwYDVR0jBBgwFoAUd2C8H3yRHHaKpyf58/2sB5abgY8wIAYDVR0RBBkwF4IPdHdpbGlnaHRzcGFya2xlhwQKTQALMAoGCCqGSM49BAMCA0cAMEQCIHUHh9UA3bw755wNdL2X2OJgfvtZnda0CBXoFPsSiwptAiAi+L3LBN9AtOgy5NgVTDYXF5Z7X9EWc8MPhpLoc5TXzw==";

#[test]
fn kubelets_serving_certificate_counts_if_the_clusters_authority_signed_it() {
    let facts = |authority: &str| {
        let of = |path: &str, der: &str| format!("certificate\t{path}\t{der}\n");
        let files = of("/etc/kubernetes/pki/ca.crt", authority) + &of("/var/lib/kubelet/pki/kubelet-server-current.pem", SERVING);
        hostler_core::facts::parse(&format!("hostler-facts 1\n{files}hostler-facts end\n")).expect("facts").kubernetes
    };
    let found = facts(AUTHORITY);
    let ends = found.certificates["kubelet-server"];
    let found = found.serving.expect("it is signed");
    let day = 24 * 60 * 60;
    assert_eq!((found.ends, found.ends - found.begins), (ends, 365 * day));
    assert!(!found.is_overdue(found.ends - 31 * day) && found.is_overdue(found.ends - 30 * day));
    // What an older kubelet signed itself.
    assert_eq!(facts(SERVING).serving, None);
}

#[test]
fn an_api_server_that_does_not_answer_is_told_in_kubectls_words() {
    let machine = Machine::new();
    for path in ["kubelet.conf", "admin.conf", "manifests/kube-apiserver.yaml"] {
        machine.file(&format!("/etc/kubernetes/{path}"), "");
    }
    machine.program("/opt/hostler/current/bin/kubectl", "echo 'The connection to the server 127.0.0.1:6443 was refused' >&2; exit 1");
    let facts = machine.facts();
    assert!(facts.kubernetes.control_plane);
    assert_eq!(facts.cluster, None);
    assert_eq!(facts.api_down.as_deref(), Some("The connection to the server 127.0.0.1:6443 was refused"));
}

#[test]
fn whichever_answer_is_missing_etcd_is_asked_for_its_words() {
    let machine = Machine::new();
    for path in ["kubelet.conf", "admin.conf", "manifests/kube-apiserver.yaml", "pki/etcd/healthcheck-client.key"] {
        machine.file(&format!("/etc/kubernetes/{path}"), "");
    }
    let fatal = r#"{"level":"fatal","msg":"discovery failed","error":"walpb: crc mismatch"}"#;
    machine.file("/var/log/pods/kube-system_etcd-one_1/etcd/0.log", &format!("2026-11-28T13:36:24.042Z stderr F {fatal}\n"));
    let answers = [
        ("*version", r#"{"gitVersion": "v1.36.3"}"#),
        ("*nodes", r#"{"items": []}"#),
        ("*kube-system*", r#"{"items": []}"#),
        ("*kube-flannel*", r#"{"items": []}"#),
    ];
    let asked = |fails: &str| {
        let said = answers.map(|(request, answer)| match request == fails {
            true => format!("{request}) echo 'the request was canceled' >&2; exit 1 ;;"),
            false => format!("{request}) echo '{answer}' ;;"),
        });
        machine.program("/opt/hostler/current/bin/kubectl", &format!("case \"$*\" in {} esac", said.concat()));
        let list = if fails == "member list" { "Error: context deadline exceeded" } else { r#"{"members":[]}"# };
        machine.program("/opt/hostler/current/bin/etcdctl", &format!("echo '{list}'"));
        machine.facts()
    };
    for fails in ["*version", "*nodes", "*kube-system*", "*kube-flannel*", "member list"] {
        let facts = asked(fails);
        assert_eq!(facts.kubernetes.last_words.get("etcd").map(String::as_str), Some("discovery failed: walpb: crc mismatch"), "{fails}");
        // The API server is what speaks for the cluster.
        assert_eq!(facts.api_down.is_some(), fails != "member list", "{fails}");
    }
    assert_eq!(asked("").kubernetes.last_words.get("etcd"), None, "where all answer, nobody is asked for words");
}

#[test]
fn members_of_etcd_have_time_to_say_that_they_are_well() {
    let machine = Machine::new();
    for path in ["kubelet.conf", "admin.conf", "manifests/kube-apiserver.yaml", "pki/etcd/healthcheck-client.key"] {
        machine.file(&format!("/etc/kubernetes/{path}"), "");
    }
    let kubectl = r#"case "$*" in *version) echo '{"gitVersion": "v1.36.3"}' ;; *) echo '{"items": []}' ;; esac"#;
    machine.program("/opt/hostler/current/bin/kubectl", kubectl);
    let member = |id: u32, name: &str, address: &str| {
        let urls = if name.is_empty() { String::new() } else { format!(r#","clientURLs":["https://{address}:2379","https://x:2379"]"#) };
        format!(r#"{{"ID":{id},"name":"{name}","peerURLs":["https://{address}:2380"]{urls}}}"#)
    };
    let list = [member(1, "one", "10.0.0.1"), member(2, "two", "10.0.0.2"), member(3, "", "10.0.0.3")].join(",");
    // As etcd 3.6: a member that is slow is well unless it is given up too soon, and a dead one is told of by the status, too.
    let health =
        r#"[{"endpoint":"https://10.0.0.1:2379","health":true},{"endpoint":"https://10.0.0.2:2379","health":false,"error":"late"}]"#;
    let warning = r#"{"level":"warn","logger":"client","error":"code = DeadlineExceeded"}"#;
    let etcdctl = format!(
        r#"case "$*" in
        *'--command-timeout 2s'*member*list*) echo '{warning}' >&2; echo '{{"members":[{list}]}}' ;;
        *'https://10.0.0.1:2379,https://10.0.0.2:2379 '*'--command-timeout 4s'*'endpoint health') echo '{warning}' >&2; echo '{health}'; exit 1 ;;
        *) echo "asked $*" ;;
        esac"#
    );
    machine.program("/opt/hostler/current/bin/etcdctl", &etcdctl);
    let facts = machine.facts();
    let members = facts.cluster.unwrap_or_else(|| panic!("{:?}", facts.api_down)).members;
    let healthy: Vec<(&str, bool)> = members.values().map(|member| (member.name.as_str(), member.healthy)).collect();
    assert_eq!(healthy, [("one", true), ("two", false), ("", false)]);
    // Where the list is not to be had, nobody is asked, and no time is lost.
    let deaf = r#"case "$*" in *list*) echo 'connection refused' >&2; exit 1 ;; *) echo '[]' ;; esac"#;
    machine.program("/opt/hostler/current/bin/etcdctl", deaf);
    let output = machine.output();
    assert!(output.contains("etcd-list\tconnection refused") && !output.contains("etcd-health"), "{output}");
}

/// A certificate that a kubelet got is of a node: what is left of one is no leftover of an earlier cluster.
#[test]
fn a_worker_without_its_kubeconfig_is_a_worker() {
    let machine = Machine::new();
    for path in ["/var/lib/kubelet/pki/kubelet-client-2026.pem", "/var/lib/kubelet/config.yaml", "/etc/kubernetes/pki/ca.crt"] {
        machine.file(path, "-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n");
    }
    let left = machine.facts().kubernetes;
    assert!(!left.joined && !left.leftovers.is_empty(), "kubelet has no certificate in use: {left:?}");
    machine.link("/var/lib/kubelet/pki/kubelet-client-current.pem", "kubelet-client-2026.pem");
    let kubernetes = machine.facts().kubernetes;
    assert!(kubernetes.joined && !kubernetes.control_plane && kubernetes.leftovers.is_empty(), "{kubernetes:?}");
    assert!(kubernetes.missing.iter().any(|file| file == "/etc/kubernetes/kubelet.conf"), "{kubernetes:?}");
}

/// What an upgrade keeps to be rolled back, and whether a rollback has used it.
#[test]
fn what_an_upgrade_keeps_is_told() {
    let machine = Machine::new();
    assert_eq!(machine.facts().before_upgrade, None);
    // Not whole yet.
    machine.file("/var/lib/hostler/before-upgrade.hostler-new/set", "1.36.1-0094d6b6\n");
    assert_eq!(machine.facts().before_upgrade, None);
    machine.file("/var/lib/hostler/before-upgrade/set", "1.36.1-0094d6b6\n");
    let kept = machine.facts().before_upgrade.expect("it is kept");
    assert_eq!((kept.version(), kept.etcd, kept.back), (Some("1.36.1"), false, false));
    assert!(kept.since > 1_700_000_000, "{kept:?}");
    machine.file("/var/lib/hostler/before-upgrade/etcd.db", "");
    machine.file("/var/lib/hostler/before-upgrade/back", "");
    let kept = machine.facts().before_upgrade.expect("it is kept");
    assert!(kept.etcd && kept.back, "{kept:?}");
    for set in ["", "-", "1.36-x", "$(id)-x"] {
        machine.file("/var/lib/hostler/before-upgrade/set", set);
        assert_eq!(machine.facts().before_upgrade.and_then(|kept| kept.version().map(str::to_owned)), None, "{set}");
    }
}

/// Requests for APIs that go, as the API server of 1.36 writes its metrics; of the others, and of those without a release, nothing is told.
#[test]
fn what_clients_ask_for_that_a_later_version_does_not_serve_is_told() {
    let machine = Machine::new();
    for path in ["kubelet.conf", "admin.conf", "manifests/kube-apiserver.yaml"] {
        machine.file(&format!("/etc/kubernetes/{path}"), "");
    }
    let metrics = "# TYPE apiserver_requested_deprecated_apis gauge\n\
                   apiserver_requested_deprecated_apis{group=\"\",removed_release=\"\",resource=\"endpoints\",subresource=\"\",version=\"v1\"} 1\n\
                   apiserver_requested_deprecated_apis{group=\"policy\",removed_release=\"1.25\",resource=\"podsecuritypolicies\",\
                   subresource=\"\",version=\"v1beta1\"} 1\napiserver_requested_deprecated_apis{group=\"\",removed_release=\"1.40\",resource=\"\
                   componentstatuses\",subresource=\"status\",version=\"v1\"} 1\napiserver_request_total{resource=\"pods\"} 7\n";
    machine.file("/metrics", metrics);
    let script = format!("case \"$*\" in *' /metrics') cat {} ;; *) exit 1 ;; esac", machine.path("/metrics").display());
    machine.program("/opt/hostler/current/bin/kubectl", &script);
    let told: Vec<String> = machine.output().lines().filter(|line| line.starts_with("requested\t")).map(str::to_owned).collect();
    assert_eq!(told, ["requested\tpolicy/v1beta1\tpodsecuritypolicies\t1.25", "requested\tv1\tcomponentstatuses\t1.40"]);
    assert!(!machine.output().contains("requests-unread"));
    // None that are known are not none.
    machine.program("/opt/hostler/current/bin/kubectl", "echo 'Error from server (Forbidden)' >&2; exit 1");
    assert!(machine.output().lines().any(|line| line == "requests-unread"));
    for (api, resource, removed) in
        [("a b/v1", "x", "1.2"), ("g/v1", "", "1.2"), ("g/v1", "x", "1"), ("g/v1", "x", "1.x"), ("g/v1\u{1b}", "x", "1.2")]
    {
        assert_eq!(RequestedApi::parse(api, resource, removed), None, "{api} {resource} {removed}");
    }
}

/// Only where pods are missing is it asked why: what forbids them says it in events, and nowhere else.
#[test]
fn what_forbids_pods_is_asked_for_where_pods_are_missing() {
    let machine = Machine::new();
    for path in ["kubelet.conf", "admin.conf", "manifests/kube-apiserver.yaml"] {
        machine.file(&format!("/etc/kubernetes/{path}"), "");
    }
    let list = |unavailable: &str, there: u64| {
        format!(
            "{{\"items\": [{{\"kind\": \"DaemonSet\", \"metadata\": {{\"name\": \"kube-proxy\", \"namespace\": \"kube-system\"}},\n\"status\": \
             {{\"desiredNumberScheduled\": 2, \"currentNumberScheduled\": {there}{unavailable}}}}}]}}"
        )
    };
    let event = r#"{"items": [{"involvedObject": {"kind": "DaemonSet", "name": "kube-proxy", "namespace": "kube-system"},
                   "message": "Error creating: pods \"kube-proxy-\" is forbidden: exceeded quota: none", "lastTimestamp": "2026-11-29T10:00:00Z"}]}"#;
    machine.file("/event", event);
    let asked = |list: String| {
        machine.file("/list", &list);
        let script = format!(
            "case \"$*\" in *version) echo '{{\"gitVersion\": \"v1.36.3\"}}' ;; *v1/events*FailedCreate*limit=*) cat {} ;; \
             *'--namespace kube-system'*) cat {} ;; *) echo '{{\"items\": []}}' ;; esac",
            machine.path("/event").display(),
            machine.path("/list").display()
        );
        machine.program("/opt/hostler/current/bin/kubectl", &script);
        let cluster = machine.facts().cluster.expect("it answers");
        let forbidden = cluster.add_ons.get("DaemonSet", "kube-system", "kube-proxy").expect("it is there").forbidden.clone();
        (forbidden, machine.output().contains("api-events"))
    };
    let why = "pods \"kube-proxy-\" is forbidden: exceeded quota: none".to_owned();
    assert_eq!(asked(list(", \"numberUnavailable\": 2", 0)), (why, true));
    assert_eq!(asked(list(", \"numberUnavailable\": 2", 2)), (String::new(), true), "all are there: what they lack is another matter");
    assert_eq!(asked(list("", 2)), (String::new(), false));
}

/// An API server names the kind of a list alone; kubectl names that of each object, too.
#[test]
fn objects_of_a_plain_list_have_its_kind() {
    let machine = Machine::new();
    for path in ["kubelet.conf", "admin.conf", "manifests/kube-apiserver.yaml"] {
        machine.file(&format!("/etc/kubernetes/{path}"), "");
    }
    let maps = r#"{"kind": "ConfigMapList", "items": [{"metadata": {"name": "hostler", "namespace": "kube-system"}, "data": {"kubelet": "abc"}}]}"#;
    let script = format!(
        "case \"$*\" in *version) echo '{{\"gitVersion\": \"v1.36.3\"}}' ;; *'kube-system'*) echo '{maps}' ;; *) echo '{{\"items\": []}}' ;; esac"
    );
    machine.program("/opt/hostler/current/bin/kubectl", &script);
    let cluster = machine.facts().cluster.expect("it answers");
    assert!(cluster.add_ons.get("ConfigMap", "kube-system", "hostler").is_some());
}

/// Files that only their owner knows, with what would be wrong in each file of kubeadm's: nothing is told of them, so nothing can be planned.
#[test]
fn files_that_kubeadm_does_not_write_change_no_facts() {
    let pem = |kind: &str, der: &str| format!("-----BEGIN {kind}-----\n{der}\n-----END {kind}-----\n");
    let kubeconfig =
        |key: &str| format!("apiVersion: v1\nclusters:\n- cluster:\n    server: https://10.77.0.11:6443\nusers:\n- user:\n    {key}\n");
    let of_kubeadm = [
        ("/etc/kubernetes/kubelet.conf", kubeconfig("client-key: /var/lib/kubelet/pki/kubelet-client-current.pem")),
        ("/etc/kubernetes/pki/ca.crt", pem("CERTIFICATE", AUTHORITY)),
        ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"\"\n".to_owned()),
        ("/var/lib/kubelet/pki/kubelet-client-current.pem", pem("CERTIFICATE", SERVING) + &pem("PRIVATE KEY", "MAo=")),
    ];
    let of_control_planes = [
        ("/etc/kubernetes/manifests/kube-apiserver.yaml", "kind: Pod\nstatus: {}\n".to_owned()),
        ("/etc/kubernetes/admin.conf", kubeconfig("client-key-data: aaaa")),
        ("/etc/kubernetes/pki/apiserver.crt", pem("CERTIFICATE", SERVING)),
    ];
    let anywhere = [
        "/etc/kubernetes/vsphere.conf",
        "/etc/kubernetes/cloud.conf",
        "/etc/kubernetes/me.conf",
        "/etc/kubernetes/audit-policy.yaml",
        "/etc/kubernetes/pki/webhook.crt",
        "/etc/kubernetes/pki/webhook.key",
        "/etc/kubernetes/pki/encryption.key",
        "/etc/kubernetes/pki/own-ca.crt",
        // As kubeadm and hostler call another file.
        "/etc/kubernetes/pki/etcd-server.crt",
        "/etc/kubernetes/pki/kubelet-client.crt",
        "/etc/kubernetes/pki/kubelet-server.crt",
        "/etc/kubernetes/pki/apiserver.crt.crt",
        "/etc/kubernetes/pki/etcd/backup.crt",
        "/etc/kubernetes/pki/etcd/backup.key",
        "/etc/kubernetes/pki/etcd/apiserver.crt",
        "/etc/kubernetes/pki/old.pub",
        "/var/lib/kubelet/other.env",
        "/var/lib/kubelet/pki/kubelet-client-2026.pem",
    ];
    let in_a_cluster = ["/etc/kubernetes/manifests/kube-vip.yaml", "/etc/kubernetes/manifests/my-proxy.yaml"];
    let on_workers =
        ["/etc/kubernetes/admin.conf", "/etc/kubernetes/scheduler.conf", "/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/sa.pub"];
    let contents = [
        String::new(),
        "\n".to_owned(),
        "c2VjcmV0Cg==\n".to_owned(),
        kubeconfig("exec: {command: aws}"),
        "kind: Pod\nspec: {}\n".to_owned(),
        pem("CERTIFICATE", SERVING),
        pem("CERTIFICATE", "AAAA"),
        pem("CERTIFICATE", SERVING)[..200].to_owned(),
        kubeconfig("client-certificate-data: AAAA"),
    ];
    for kind in ["control plane", "worker", "new"] {
        let machine = Machine::new();
        let made = match kind {
            "control plane" => [&of_kubeadm[..], &of_control_planes[..]].concat(),
            "worker" => of_kubeadm.to_vec(),
            _ => Vec::new(),
        };
        made.iter().for_each(|(path, content)| machine.file(path, content));
        let before = machine.facts().kubernetes;
        assert_eq!((before.joined, before.control_plane), (kind != "new", kind == "control plane"), "{kind}");
        assert_eq!((&before.damaged, before.ca.is_some()), (&Vec::new(), before.joined), "{kind}");
        let mut names = anywhere.to_vec();
        names.extend(if kind == "new" { &[][..] } else { &in_a_cluster });
        names.extend(if kind == "worker" { &on_workers[..] } else { &[] });
        for content in &contents {
            names.iter().for_each(|path| machine.file(path, content));
            assert_eq!(machine.facts().kubernetes, before, "{kind}: {content}");
        }
    }
}

/// What a machine says of files is one machine's word.
#[test]
fn of_files_that_kubeadm_does_not_write_nothing_is_believed() {
    let facts =
        |lines: &str| hostler_core::facts::parse(&format!("hostler-facts 1\n{lines}hostler-facts end\n")).expect("facts").kubernetes;
    let paths = [
        "/etc/shadow",
        "/",
        "",
        "/etc/kubernetes/pki/../../shadow",
        "/etc/kubernetes/pki//ca.key",
        "/etc/kubernetes/vsphere.conf",
        "/etc/kubernetes/pki/webhook.crt",
        "/etc/kubernetes/pki/kubelet-client.crt",
        "/etc/kubernetes/manifests/kube-vip.yaml",
        "/var/lib/kubelet/pki/kubelet-client-2026.pem",
    ];
    let of_control_planes = ["/etc/kubernetes/admin.conf", "/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/ca.key"];
    for (head, more) in [("joined\n", &of_control_planes[..]), ("joined\ncontrol-plane\n", &[])] {
        let before = facts(head);
        for path in paths.iter().chain(more) {
            for (line, end) in
                [("damaged", ""), ("missing", ""), ("certificate", SERVING), ("certificate", "AAAA"), ("client-certificate", "AAAA")]
            {
                let line = format!("{line}\t{path}\t{end}\n");
                assert_eq!(facts(&format!("{head}{line}")), before, "{line}");
            }
        }
    }
    assert_eq!(facts("joined\ncontrol-plane\ndamaged\t/etc/kubernetes/admin.conf\n").damaged, ["/etc/kubernetes/admin.conf"]);
    assert_eq!(facts("joined\ndamaged\t/etc/kubernetes/kubelet.conf\n").damaged, ["/etc/kubernetes/kubelet.conf"]);
}
