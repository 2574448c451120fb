//! Every text that a machine can say is hostile, in every verb: nothing of it reaches a terminal as it is, and no line begins with it.

use std::collections::{BTreeMap, BTreeSet};

use hostler::report::{Commands, Detail, Layout, Paint, guarded, json_text, plan_text, status_text};
use hostler_core::facts::{
    AddOns, AskedFor, BeforeUpgrade, ClusterFacts, DiskFault, EspFact, Facts, FileFact, ImageFact, KubeletRequest, KubernetesFacts,
    LiveObject, LockFact, MemberFact, NodeFact, Observation, PodFact, RebootDue, ShareFact, SystemDisk, SystemFacts, SystemPartition,
    UnitFact, Unreachable,
};
use hostler_core::health::status;
use hostler_core::inventory::{Inventory, MachineName, Taint, parse};
use hostler_core::plan::{Goal, plan_for};
use hostler_core::visible::is_unseen;
use serde_json::Value;

use crate::simulation::{blank, manifests};
use crate::world::World;

/// The mark by which a hostile text is found again.
const MARK: &str = "OBEYED";

/// A title, the clipboard, an erased line above, hidden text, C1, directions, a line of its own.
fn hostile(text: &mut String) {
    text.push_str(
        "\u{1b}]0;title\u{7}\u{1b}]52;c;eA==\u{7}\u{1b}[1A\u{1b}[2K\u{1b}[8m\u{9b}2J\u{202e}\u{200b}\u{2028}\r\nOBEYED\nhint: \
         OBEYED\u{85}\u{7f}\t",
    );
}

fn words<'a>(words: impl IntoIterator<Item = &'a mut String>) {
    words.into_iter().for_each(hostile);
}

fn list(list: &mut Vec<String>) {
    list.push(String::new());
    words(list);
}

fn set(set: &mut BTreeSet<String>) {
    let mut word = String::new();
    hostile(&mut word);
    set.insert(word);
}

fn map<V: Default>(map: &mut BTreeMap<String, V>) -> &mut BTreeMap<String, V> {
    let mut word = String::new();
    hostile(&mut word);
    map.insert(word, V::default());
    map
}

fn spoil_value(value: &mut Value) {
    match value {
        Value::String(text) => hostile(text),
        Value::Array(values) => values.iter_mut().for_each(spoil_value),
        Value::Object(values) => values.values_mut().for_each(spoil_value),
        _ => {}
    }
}

/// Every text of the facts. A new field does not compile until it is here.
fn spoil(facts: &mut Facts) {
    let Facts {
        os,
        os_name,
        arch: _,
        machine,
        hostname,
        hostname_at_boot,
        container,
        cpus: _,
        memory: _,
        memory_available: _,
        disk_free: _,
        disk_size: _,
        load,
        uptime: _,
        temperature: _,
        clock: _,
        clock_ahead: _,
        clock_synchronized: _,
        systemd: _,
        cgroup_v1: _,
        macs,
        addresses,
        networks: _,
        swap,
        swap_at_boot,
        modules,
        sysctls,
        programs,
        files,
        mounts,
        resolved,
        containerd_pieces,
        links,
        sets,
        hosts,
        // Addresses.
        endpoint_elsewhere: _,
        other_commands,
        nameservers,
        units,
        drop_ins,
        ports,
        images,
        applied,
        in_progress: _,
        kubernetes,
        cluster,
        api_down,
        api_denied: _,
        lock,
        // Their form is their parser's.
        render_nodes: _,
        shares,
        snapshot: _,
        snapshots_unread: _,
        snapshots_since: _,
        snapshot_failed: _,
        snapshot_copied: _,
        snapshot_copy_failed: _,
        renewal_failed: _,
        undecided: _,
        notify_failed: _,
        notify_unsent: _,
        fsync: _,
        time_zone,
        apt_lock,
        dpkg_half,
        disks,
        read_only,
        foreign,
        vtep_mac,
        resolved_nameservers,
        own_nameservers,
        cloud_user_data: _,
        // Their form is their parser's.
        vip_answers: _,
        delays_shutdown: _,
        // A closed set of characters.
        boot: _,
        reboot_due,
        before_upgrade,
        system,
    } = facts;
    words([os, os_name, machine, hostname, hostname_at_boot, load, time_zone]);
    words([container, api_down, apt_lock, vtep_mac].into_iter().map(|text| text.get_or_insert_default()));
    list(own_nameservers.get_or_insert_default());
    [swap, swap_at_boot, mounts, hosts, nameservers, resolved_nameservers, dpkg_half, foreign].into_iter().for_each(list);
    [macs, addresses, modules, programs, read_only, sets, drop_ins, other_commands].into_iter().for_each(set);
    words(map(sysctls).values_mut());
    words(map(links).values_mut());
    map(disks).values_mut().for_each(|faults| faults.push(DiskFault::Failing));
    words(map(resolved).values_mut());
    set(containerd_pieces.get_or_insert_default());
    words(ports.values_mut());
    words(applied.values_mut());
    for FileFact { sha256, mode, owner } in map(files).values_mut() {
        words([sha256, mode, owner]);
    }
    for UnitFact { active: _, enabled: _, needs_reload: _, entered: _ } in map(units).values_mut() {}
    for ImageFact { digest, pinned: _ } in map(images).values_mut() {
        words([digest]);
    }
    for ShareFact { state: _, owner, mode, free: _ } in map(shares).values_mut() {
        words([owner, mode]);
    }
    let LockFact { run, step, since: _, left_behind: _ } = lock.get_or_insert_default();
    words([run, step]);
    let BeforeUpgrade { set: programs_before, since: _, etcd: _, back: _ } = before_upgrade.get_or_insert_default();
    words([programs_before]);
    let SystemFacts { uefi: _, host_key, partition, layered: _, disks: system_disks, esp, erased, on_data, unknown } =
        system.get_or_insert_default();
    words([host_key, partition]);
    set(erased);
    set(on_data);
    set(unknown);
    let EspFact { mounted, free: _, private: _ } = esp.get_or_insert_default();
    words([mounted]);
    system_disks.push(SystemDisk::default());
    // The name is of a closed set of characters.
    for SystemDisk { name: _, size: _, devices, removable: _, read_only: _, serial, wwid, card, port: _, partitions } in system_disks {
        words([devices, card, serial.get_or_insert_default(), wwid.get_or_insert_default()]);
        partitions.push(SystemPartition::default());
        for SystemPartition { name, start: _, size: _, kind, mounted } in partitions {
            words([name, kind, mounted]);
        }
    }
    let RebootDue { since: _, by } = reboot_due.get_or_insert_default();
    words([by]);
    let KubernetesFacts {
        joined: _,
        control_plane: _,
        ca: _,
        server,
        node,
        leftovers,
        damaged,
        missing,
        etcd_data: _,
        certificates,
        lives,
        joined_at: _,
        etcd_address,
        last_words,
        api_names,
        // Two times.
        serving: _,
        cni,
        // Addresses.
        silent: _,
    } = kubernetes;
    set(api_names);
    words(map(last_words).values_mut());
    words([server, node, etcd_address, cni].into_iter().map(|text| text.get_or_insert_default()));
    [leftovers, damaged, missing].into_iter().for_each(list);
    map(certificates);
    map(lives);
    if let Some(cluster) = cluster {
        let ClusterFacts {
            version,
            stored_version,
            nodes,
            members,
            record,
            pod_subnet,
            service_subnet,
            endpoint,
            cluster_name,
            add_ons,
            requested,
            requests_unread: _,
            kubelet_requests,
            verifies_kubelets: _,
        } = cluster;
        kubelet_requests.push(KubeletRequest::default());
        for KubeletRequest { name, user, groups, usages, asked } in kubelet_requests {
            words([name, user]);
            [groups, usages].into_iter().for_each(set);
            let AskedFor { common_name, organization, names } = asked.get_or_insert_default();
            words([common_name, organization]);
            set(names);
        }
        // Read with a closed set of characters.
        requested.clear();
        words([version, stored_version, pod_subnet, service_subnet, endpoint, cluster_name]);
        words(record.values_mut());
        let AddOns { objects, failing, ending, .. } = add_ons;
        words(map(ending).values_mut());
        for LiveObject { content, desired: _, ready, unobserved: _, forbidden } in map(objects).values_mut() {
            words([forbidden]);
            *ready = 0;
            spoil_value(content);
        }
        failing.push(PodFact::default());
        for PodFact { namespace, name, node, reason, message, since: _ } in failing {
            words([namespace, name, node, reason, message]);
        }
        for NodeFact {
            ready,
            age: _,
            message,
            version,
            address,
            labels,
            taints,
            unschedulable: _,
            pressures,
            cordoned_by_hostler: _,
            pod_cidr,
            vtep_mac,
            boot,
        } in map(nodes).values_mut()
        {
            *ready = false;
            words([message, version, address, pod_cidr, vtep_mac, boot]);
            words(map(pressures).values_mut());
            words(map(labels).values_mut());
            let mut taint = Taint { key: String::new(), value: String::new(), effect: String::new() };
            words([&mut taint.key, &mut taint.value, &mut taint.effect]);
            taints.push(taint);
        }
        for MemberFact { name, learner: _, peer, healthy, error } in map(members).values_mut() {
            *healthy = false;
            words([name, peer, error]);
        }
    }
}

/// Without what a machine is refused for: something is planned for it then, with its texts as reasons.
fn without_refusals(facts: &mut Facts, before: &Facts) {
    facts.foreign.clear();
    facts.read_only.clear();
    facts.macs.clear();
    facts.lock = None;
    facts.cluster.clone_from(&before.cluster);
    let KubernetesFacts { leftovers, damaged, missing, .. } = before.kubernetes.clone();
    (facts.kubernetes.leftovers, facts.kubernetes.damaged, facts.kubernetes.missing) = (leftovers, damaged, missing);
}

fn inventory() -> Inventory {
    let text = "snapshots: {to: /srv/snapshots, every: 24h, keep: 3}\nmachines:\n  twilightsparkle: {address: 192.168.1.11, role: control-plane}\n  \
                rarity: {address: 192.168.1.12, role: control-plane}\n  applejack: {address: 192.168.1.13, role: worker, mac: \"52:54:00:12:34:56\"}\n";
    parse(text, "inventory.yaml").unwrap_or_else(|problems| panic!("{problems}"))
}

/// Whether the text may go to a terminal: nothing in it is obeyed but colors, and no line begins with a machine's words.
fn assert_harmless(text: &str, what: &str) {
    let plain = console::strip_ansi_codes(text);
    assert_eq!(console::strip_ansi_codes(&guarded(text)), plain, "{what}: something in it would be obeyed");
    // What is wrapped goes on behind blanks.
    let wrong: Vec<&str> = plain.lines().filter(|line| line.trim_start_matches("hint: ").starts_with(MARK)).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?}\n{text}");
}

#[test]
fn hostile_facts_are_shown_and_never_obeyed() {
    let inventory = inventory();
    let fresh = World { machines: inventory.machines.keys().map(|name| (name.clone(), blank())).collect(), ..World::default() };
    let mut made = fresh.clone();
    for _ in 0..3 {
        let plan = plan_for(&Goal::Up, &inventory, &manifests(), &made.seen()).expect("templates fit");
        plan.steps.iter().for_each(|step| made.apply(step).unwrap_or_else(|what| panic!("{what}")));
    }
    let name = |name: &str| MachineName::new(name).expect("a name");
    let machines: Vec<MachineName> = inventory.machines.keys().cloned().collect();
    let one = |machine: &MachineName| {
        let machine = machine.clone();
        [
            Goal::Add(machine.clone()),
            Goal::Rebuild { machine: machine.clone(), force_after: None },
            Goal::Remove { machine: machine.clone(), dead: true, force_after: None },
            Goal::Remove { machine: machine.clone(), dead: false, force_after: None },
            Goal::NewCluster(machine.clone()),
            Goal::TakeOver { machines: BTreeSet::from([machine]), goal: Box::new(Goal::Up) },
        ]
    };
    let goals: Vec<Goal> = [Goal::Up, Goal::Reset].into_iter().chain(machines.iter().flat_map(one)).collect();
    let (mut texts, mut reasons) = (0, 0);
    for world in [&fresh, &made] {
        for spoilt in machines.iter().map(|machine| vec![machine.clone()]).chain([machines.clone()]) {
            let mut seen = world.seen();
            for machine in &spoilt {
                if let Some(Observation::Facts(facts)) = seen.get_mut(machine) {
                    spoil(facts);
                }
            }
            let mut planned = seen.clone();
            for (machine, observation) in &mut planned {
                if let (Observation::Facts(facts), Some(before)) = (observation, world.seen().get(machine).and_then(Observation::facts)) {
                    without_refusals(facts, before);
                }
            }
            // What it says of itself may also be why it can't be reached.
            let mut reason = String::new();
            hostile(&mut reason);
            let mut unreachable = seen.clone();
            unreachable.insert(name("applejack"), Observation::Unreachable(Unreachable::silent(reason)));
            for seen in [&seen, &planned, &unreachable] {
                for goal in &goals {
                    let plan = plan_for(goal, &inventory, &manifests(), seen).expect("templates fit");
                    reasons += plan.steps.iter().filter(|step| step.reason.contains(MARK)).count();
                    for layout in [Layout::LOG, Layout { width: 60, detail: Detail::Grouped }, Layout { width: 100, detail: Detail::Whole }]
                    {
                        for on in [false, true] {
                            assert_harmless(&plan_text(&plan, layout, Paint { on }, &Commands::default()), &format!("{goal:?}"));
                            texts += 1;
                        }
                    }
                    let json = json_text(&plan).expect("plain data");
                    assert!(!json.chars().any(|c| c != '\n' && is_unseen(c)), "{json}");
                    let read: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
                    assert_eq!(read, serde_json::to_value(&plan).expect("plain data"));
                }
                let up = plan_for(&Goal::Up, &inventory, &manifests(), seen).expect("templates fit");
                let status = status(&inventory, seen, Some(&up), None);
                for on in [false, true] {
                    assert_harmless(&status_text(&status, Paint { on }, None, &Commands::default()), "status");
                }
                let json = json_text(&status).expect("plain data");
                assert!(!json.chars().any(|c| c != '\n' && is_unseen(c)), "{json}");
            }
        }
    }
    assert!(texts > 1000, "only {texts} texts");
    assert!(reasons > 10, "only {reasons} steps have a machine's words for a reason");
}
