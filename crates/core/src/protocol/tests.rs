use super::*;

#[test]
fn a_path_is_below_the_folder_that_it_is_said_to_be_in() {
    for (path, folder) in [
        (path::STORE, path::ROOT),
        (path::SETS, path::ROOT),
        (path::CURRENT, path::ROOT),
        (path::VERIFIED, path::ROOT),
        (path::BIN, path::CURRENT),
        (path::CNI_BIN, path::CURRENT),
        (path::APPLIED, path::STATE),
        (path::KEEPALIVED_CONFIG, path::STATE),
        (path::SNAPSHOT_SCRIPT, path::STATE),
        (path::SNAPSHOT_COPY_SCRIPT, path::STATE),
        (path::SNAPSHOT_COPIED, path::WORK),
        (path::SNAPSHOT_SERVER, path::RUN),
        (path::NOTIFY_SETTINGS, path::STATE),
        (path::NOTIFY_LEDGER, path::WORK),
        (path::NOTIFY_UNSENT, path::WORK),
        (path::VIP_SCRIPT, path::LIB),
        (path::VIP_CHECK, path::LIB),
        (path::STEPS, path::RUN),
        (path::RUNS, path::RUN),
        (path::GATE, path::RUN),
        (path::KUBECTL_CACHE, path::RUN),
        (path::INIT_CONFIG, path::RUN),
        (path::JOIN_CONFIG, path::RUN),
        (path::PHASE_CONFIG, path::RUN),
        (path::PATCHES, path::RUN),
        (path::COREDNS_PATCH, path::PATCHES),
        (path::OWN_ADMIN, path::RUN),
        (path::ADMIN, path::KUBERNETES),
        (path::MANIFESTS, path::KUBERNETES),
        (path::PKI, path::KUBERNETES),
        (path::KUBELET_CONFIG, path::KUBELET),
        (path::KUBELET_FLAGS, path::KUBELET),
        (path::KUBELET_PKI, path::KUBELET),
        (path::FLANNEL_CNI, path::CNI_CONFIG),
    ] {
        assert!(path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')), "{path} is not below {folder}");
    }
    assert_eq!(path::SETS, format!("{}/{}", path::ROOT, path::CURRENT_BEGINS.trim_end_matches('/')));
    assert_eq!(path::VIP_RUN, format!("/run/{}", systemd::VIP_RUNTIME));
    for (unit, file) in [
        (systemd::CONTAINERD, systemd::CONTAINERD_FILE),
        (systemd::KUBELET, systemd::KUBELET_FILE),
        (systemd::VIP, systemd::VIP_FILE),
        (systemd::SNAPSHOT, systemd::SNAPSHOT_FILE),
        (systemd::SNAPSHOT_TIMER, systemd::SNAPSHOT_TIMER_FILE),
        (systemd::SNAPSHOT_COPY, systemd::SNAPSHOT_COPY_FILE),
        (systemd::RENEWAL, systemd::RENEWAL_FILE),
        (systemd::RENEWAL_TIMER, systemd::RENEWAL_TIMER_FILE),
        (systemd::NOTIFY, systemd::NOTIFY_FILE),
        (systemd::NOTIFY_TIMER, systemd::NOTIFY_TIMER_FILE),
    ] {
        assert_eq!(file, format!("/etc/systemd/system/{unit}"));
    }
}

#[test]
fn arguments_name_the_same_files_and_ports() {
    let own = format!("--kubeconfig {} --server https://127.0.0.1:{} --tls-server-name kubernetes", path::ADMIN, port::API);
    assert_eq!(kubectl::OWN, own);
    assert_eq!(etcdctl::OWN, format!("https://127.0.0.1:{}", port::ETCD));
    let (cert, key) = ("etcd/healthcheck-client.crt", "etcd/healthcheck-client.key");
    assert_eq!(etcdctl::TLS, format!("--cacert {0}/etcd/ca.crt --cert {0}/{cert} --key {0}/{key}", path::PKI));
}

#[test]
fn every_mark_is_one_that_is_read() {
    let known: Vec<&str> = crate::record::InProgress::ALL.into_iter().map(crate::record::InProgress::name).collect();
    let marks = names();
    for mark in marks["mark"].values() {
        assert!(known.iter().any(|known| mark == known), "{mark}");
    }
    assert_eq!(marks["mark"].len(), known.len());
}

#[test]
fn a_word_is_followed_by_a_space() {
    assert_eq!(said("@wait for it", say::WAIT), Some("for it"));
    assert_eq!((said("@waiting 3 it", say::WAIT), said("@wait", say::WAIT)), (None, None));
}
