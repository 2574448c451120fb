//! A file of pins as text.

use std::fmt::Write;

use super::{PROGRAMS, PinList};

const HEAD: &str = "\
# Versions of Kubernetes in addition to those that hostler knows. `hostler bundle pins --update` rewrites this file: comments are not kept.
# `hostler schema pins` prints its JSON Schema.
";

/// The text that [`parse`](super::parse) reads as `list`.
pub fn to_yaml(list: &PinList) -> String {
    let mut text = HEAD.to_owned();
    if let Some(date) = list.as_of {
        let _ = writeln!(text, "asOf: {date}");
    }
    text += if list.pins.is_empty() { "kubernetes: {}\n" } else { "kubernetes:\n" };
    for pins in &list.pins {
        let _ = writeln!(text, "  {}:", pins.kubernetes);
        let lines = [
            ("etcd", &pins.etcd),
            ("etcdImage", &pins.etcd_image),
            ("coredns", &pins.coredns),
            ("pause", &pins.pause),
            ("crictl", &pins.crictl),
            ("containerd", &pins.containerd),
            ("containerdModule", &pins.containerd_module),
            ("runc", &pins.runc),
            ("cni", &pins.cni),
            ("cniFlannelModule", &pins.cni_flannel_module),
            ("cniFlannelImage", &pins.cni_flannel_image),
            ("flannel", &pins.flannel),
        ];
        for (key, value) in lines {
            let _ = writeln!(text, "    {key}: {value}");
        }
    }
    if !list.sums.is_empty() {
        text += "sums:\n";
    }
    for program in PROGRAMS {
        let sums: Vec<_> = list.sums.iter().filter(|((of, _), _)| of == program).collect();
        if !sums.is_empty() {
            let _ = writeln!(text, "  {program}:");
        }
        for ((_, version), sum) in sums {
            let _ = writeln!(text, "    {version}:\n      amd64: {}\n      arm64: {}", sum.amd64, sum.arm64);
            // Quoted: it may be any text of one line.
            let _ = writeln!(text, "      source: '{}'\n      asOf: {}", sum.source.replace('\'', "''"), sum.as_of);
        }
    }
    text
}
