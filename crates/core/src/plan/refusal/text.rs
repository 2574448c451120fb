//! Reasons in words.

use std::fmt;

use super::{Unchangeable, Why};
use crate::inventory::Role;
use crate::protocol::path;
use crate::words::{and, are};

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::AtWork { step, run, seconds } => write!(f, "step {step} of run {run} has been running on this machine for {seconds} s"),
            Why::ControlPlaneElsewhere { is, named, written: true } => {
                write!(f, "{is} reports that it is the control plane of this cluster, but the inventory gives that role to {named}")
            }
            Why::ControlPlaneElsewhere { is, named, written: false } => {
                write!(
                    f,
                    "{is} is the control plane of this cluster, but no machine in the inventory has that role, so hostler would use the \
                     first machine, {named}, as the control plane"
                )
            }
            Why::RolesUnknown { unreachable } => write!(
                f,
                "the inventory does not say which machine is the control plane, and {} can't be reached, so a cluster may already exist \
                 there",
                and(unreachable)
            ),
            Why::ControlPlaneUnknown { lost, cluster: true } => {
                write!(f, "{} can't be reached, so the cluster's state can't be read", and(lost))
            }
            Why::ControlPlaneUnknown { lost, cluster: false } => {
                write!(f, "{} can't be reached, so it is unknown whether there is a cluster already", and(lost))
            }
            Why::OtherMachine { found, expected } => {
                write!(
                    f,
                    "the machine at this address has the MAC {} {}, but the inventory says `mac: {expected}`",
                    if found.len() == 1 { "address" } else { "addresses" },
                    and(found)
                )
            }
            Why::NoSystemd => f.write_str("the init system is not systemd"),
            Why::UnknownArchitecture { machine } => write!(f, "hostler has no programs for the architecture `{machine}`"),
            Why::Architecture { is, bundles } => write!(f, "the machine's architecture is {is}, but the bundle is for {}", and(bundles)),
            Why::Foreign { platforms } => write!(f, "{} {} installed", and(platforms), are(platforms.len())),
            Why::WipeInterrupted => f.write_str("an earlier wipe was interrupted"),
            Why::RestoreInterrupted => f.write_str("an earlier restore from a snapshot was interrupted"),
            Why::NotBlank { leftovers } => write!(f, "an earlier cluster left {} behind", and(leftovers)),
            Why::ReadOnly { paths } => write!(f, "{} {} mounted read-only", and(paths), are(paths.len())),
            Why::Disk { free, needed } => write!(f, "only {free} MB is free for /var/lib, but {needed} MB is needed"),
            Why::Port { port, by } if by.is_empty() => write!(f, "another program listens on port {port}, which Kubernetes needs"),
            Why::Port { port, by } => write!(f, "{by} listens on port {port}, which Kubernetes needs"),
            Why::VipTaken(taken) => taken.fmt(f),
            Why::CgroupV1 { version } => {
                write!(f, "the machine uses cgroup v1, on which kubelet {version} does not start")
            }
            Why::Reserves { reserved, has, needed } if needed.is_empty() => {
                write!(f, "kubelet would not start: the inventory reserves {reserved}, but the machine has only {has}")
            }
            Why::Reserves { reserved, has, needed } => {
                write!(f, "the inventory reserves {reserved} of the machine's {has}, but the cluster's own pods need {needed}")
            }
            Why::HostsLine { endpoint, found, address } => {
                write!(f, "a line in {} that is not hostler's gives {endpoint} the address {found}, but it must be {address}", path::HOSTS)
            }
            Why::NoResolvConf { path } => write!(f, "no pod would start: `resolvConf` in the inventory names {path}, which does not exist"),
            Why::Damaged { paths } => write!(f, "{} {} incomplete: the content was truncated or changed", and(paths), are(paths.len())),
            Why::Missing { paths } => write!(f, "{} {} missing", and(paths), are(paths.len())),
            Why::OtherCluster { server: Some(server) } => write!(f, "the machine belongs to another cluster ({server})"),
            Why::OtherCluster { server: None } => f.write_str("the machine belongs to another cluster, whose API server is unknown"),
            Why::RoleChanged { is: Role::ControlPlane } => {
                f.write_str("the machine is a control plane node, but the inventory says `role: worker`")
            }
            Why::RoleChanged { is: Role::Worker } => f.write_str("the machine is a worker, but the inventory says `role: control-plane`"),
            Why::NamespaceEnding { namespace, remains } => {
                write!(f, "the namespace {namespace} is being deleted, and nothing can be created in it until the deletion is complete")?;
                if remains.is_empty() { Ok(()) } else { write!(f, ": {remains}") }
            }
            Why::PodNetwork { node, has } => {
                write!(
                    f,
                    "the node has the pod subnet {node}, but the machine's pod network has the address {has}: other machines can't reach \
                     its pods"
                )
            }
            Why::Lives { reason } => write!(f, "the machine may still be running, so it is not removed from the cluster: {reason}"),
            Why::NodeGone => f.write_str("the node was deleted from the cluster, but the machine is still configured as a node"),
            Why::Address { node, machine } => {
                write!(f, "the node has the address {node}, but the inventory says {machine}: the address of a node can't change")
            }
            Why::ControlPlaneLost { orphans } => {
                write!(f, "{} {} in a cluster, but no control plane in the inventory is in one", and(orphans), are(orphans.len()))
            }
            Why::NodeExists { node, address } => {
                write!(f, "the cluster already has a node {node} at {address}, but this machine has not joined the cluster")
            }
            Why::MemberExists => f.write_str("etcd already has a member at this machine's address"),
            Why::MemberNotCertain { member, peer, expected, reported } => {
                let named = if member.is_empty() { "an unnamed member".to_owned() } else { format!("member {member}") };
                write!(f, "it is unclear which etcd member this machine is: etcd has {named} at {peer}")?;
                reported.map_or(Ok(()), |address| write!(f, ", its node reports the address {address}"))?;
                expected.map_or(Ok(()), |address| write!(f, ", and the inventory says {address}"))
            }
            Why::Learner { member } => write!(
                f,
                "the machine can't join as a control plane while etcd member {member} is a learner: only one can \
                join at a time"
            ),
            Why::MemberUnhealthy { member, joins: false } => {
                write!(f, "the cluster can't be upgraded while etcd member {member} is unhealthy: etcd could lose its quorum")
            }
            Why::MemberUnhealthy { member, joins: true } => {
                write!(f, "the machine can't join as a control plane while etcd member {member} is unhealthy: etcd could lose its quorum")
            }
            Why::Clock { off } => write!(f, "the clock is {off}"),
            Why::BundleVersion { bundle, cluster, by } => {
                write!(f, "the bundle contains Kubernetes {bundle}, but the cluster runs {cluster}")?;
                by.as_ref().map_or(Ok(()), |by| write!(f, " (according to {by})"))
            }
            Why::NoClusterToUpgrade => f.write_str("there is no cluster to upgrade"),
            Why::Downgrade { is, asked } => write!(f, "the cluster runs Kubernetes {is}, which can't be downgraded to {asked}"),
            Why::SkipsMinor { is, asked } => {
                write!(
                    f,
                    "the cluster runs Kubernetes {is}, which can't be upgraded to {asked} directly: Kubernetes is upgraded one minor \
                     version at a time"
                )
            }
            Why::KubeletTooOld { is, asked } => {
                write!(f, "kubelet has version {is}, which is too old for control planes of version {asked}")
            }
            Why::UpgradeInterrupted => f.write_str("an earlier upgrade was interrupted"),
            Why::NothingToRollBack { is: Some(is) } => write!(f, "there is no upgrade to roll back: the cluster runs Kubernetes {is}"),
            Why::NothingToRollBack { is: None } => f.write_str("there is no upgrade to roll back"),
            Why::WorkerUpgraded { is, to } => {
                write!(f, "this worker has already been upgraded to {is}: only control planes can be rolled back to {to}")
            }
            Why::VersionUnknown => f.write_str("the machine can't be reached, so it is unknown whether it has been upgraded"),
            Why::OlderVersion { is, cluster } => {
                write!(f, "the machine runs Kubernetes {is}, but the cluster runs {cluster}: an upgrade was not finished")
            }
            Why::NodeNotReady { message } if message.is_empty() => f.write_str("the node is not Ready"),
            Why::NodeNotReady { message } => write!(f, "the node is not Ready: {message}"),
            Why::Unchangeable { key: Unchangeable::Cni, is, asked } => {
                write!(f, "the pod network of the running cluster is {is}, and can't be changed to {asked}")
            }
            Why::Unchangeable { key, is, asked } => {
                write!(f, "`{}` of the running cluster is {is}, and can't be changed to {asked}", key.key())
            }
            Why::Version { cluster, is, asked } => {
                write!(f, "the cluster `{cluster}` runs Kubernetes {is}, and `hostler up` can't change the version to {asked}")
            }
            Why::NodeName { node } => write!(f, "the machine at this address is already the node {node}"),
            Why::NoApi { answers } if answers.is_empty() => f.write_str("no API server answers"),
            Why::NoApi { answers } => {
                let answers: Vec<String> = answers.iter().map(|(name, says)| format!("{name} reports {says}")).collect();
                write!(f, "no API server answers: {}", answers.join("; "))
            }
            Why::Denied { changed: true, .. } => f.write_str("the rights of admin.conf were changed in the cluster"),
            Why::Denied { machine, changed: false } => {
                write!(f, "the API server on {machine} denies admin.conf access, so the cluster can't be read or changed")
            }
            Why::EtcdBroken { machine, words } => write!(f, "etcd on {machine} can't read its data: {words}"),
            Why::AddressLost { was } => {
                write!(f, "the control plane was created with the address {was}, which the machine no longer has")
            }
            Why::DataThere => f.write_str("etcd's data is still on the machine, so the cluster's current state would be lost"),
            Why::NoApiToLeave => f.write_str("no API server answers, so no machine can leave the cluster cleanly"),
            Why::EndpointAway { endpoint, leads_to } => {
                write!(f, "the machine can't join: {endpoint} resolves to {leads_to}, where no API server answers")
            }
            Why::NoCluster { joins } => write!(f, "there is no cluster yet for {joins} to join"),
            Why::Unreachable => f.write_str("the machine can't be reached"),
            Why::LastControlPlane => f.write_str("the machine is the only control plane, without which the cluster can't run"),
            Why::Quorum { healthy, members, down } => {
                let down = if down.is_empty() { String::new() } else { format!(" ({} down)", and(down)) };
                write!(
                    f,
                    "without this machine, only {healthy} of etcd's {members} members would be healthy{down}, and etcd would lose its quorum"
                )
            }
            Why::Keep { kept, wiped, leads: None } => write!(f, "`keep:` lists {kept}, but {wiped} must be wiped"),
            Why::Keep { kept, wiped, leads: Some(real) } => {
                write!(f, "{wiped} must be wiped, and `keep:` lists {kept}, but a symbolic link leads one into the other: to {real}")
            }
            Why::Mounted { mounted, wiped } if mounted == wiped => write!(f, "{wiped} must be wiped, but it is a mount point"),
            Why::Mounted { mounted, wiped } => write!(f, "{wiped} must be wiped, but {mounted} is a mount point"),
            Why::NoReinstall(why) | Why::NoErasure(why) => write!(f, "{why}"),
            Why::RestoreOfWorker => f.write_str("the machine is a worker, and snapshots contain nothing from workers"),
            Why::SeveralControlPlanes => {
                f.write_str("the machine is not the only control plane: the others still have the cluster's state")
            }
            Why::ClusterLives => f.write_str("the API server answers, so the cluster's current state would be lost"),
            Why::OtherSnapshot { file } => write!(f, "the machine belongs to a different cluster than the snapshot {}", file.display()),
            Why::NoEncoder => f.write_str("films can't be encoded: the bundle has no encoder"),
            Why::NoMachineEncodes { folder, encoder } => {
                write!(f, "films in `{folder}` can't be encoded: their preset uses {encoder}, which does not work on any machine")
            }
            // Without a folder or an ending it may be the token itself, which someone wrote there.
            Why::NoToken { file, why } if !file.to_string_lossy().contains(['/', '.']) => {
                write!(f, "the media server can't be notified: the file that `tokenFile` names {why}")
            }
            Why::NoToken { file, why } => write!(f, "the media server can't be notified: {} {why}", file.display()),
            Why::ShareMissing { share } => write!(f, "the {} folder {} does not exist on the machine", share.what, share.path),
            Why::ShareHangs { share } => write!(f, "the {} folder {} does not respond", share.what, share.path),
            Why::ShareReadOnly { share, films, owner, mode } => write!(
                f,
                "the films' owner, {}:{}, can't write to the {} folder {} (owner {owner}, mode {mode})",
                films.uid, films.gid, share.what, share.path
            ),
        }
    }
}
