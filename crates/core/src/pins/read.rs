//! Reads a file of pins as strictly as an inventory, and joins two of them.

use std::cmp::Reverse;

use jiff::civil::Date;

use super::schema::{FILE, PINS, SUM, SUMS};
use super::{PROGRAMS, PinList, Pins, Sum};
use crate::inventory::read::{Fields, Problems, Text};
use crate::inventory::{Diagnostics, shown, tree};
use crate::manifest::is_sha256;
use crate::version::{numbers, three_numbers};

/// Parses the text of a file of pins; `file_name` is for messages.
///
/// # Errors
/// All errors, each with its place. A syntax error of YAML is the only one.
pub fn parse(text: &str, file_name: &str) -> Result<PinList, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Problems::default();
    let mut list = None;
    match tree::parse(text) {
        Ok(root) => list = file(&root, &mut problems),
        // What it says of machines is of an inventory.
        Err(diagnostic) => {
            let message = diagnostic.message.split(": an inventory").next().unwrap_or_default().to_owned();
            problems.add(diagnostic.place, message, FILE.keys[0].shown());
        }
    }
    match list {
        Some(list) if problems.found.is_empty() => Ok(list),
        _ => Err(Diagnostics::new(file_name, text, problems.found)),
    }
}

fn file(root: &tree::Node, problems: &mut Problems) -> Option<PinList> {
    let fields = Fields::read(root, root.place, &FILE, problems)?;
    let as_of = date(&fields, problems);
    let mut list = PinList { as_of, ..PinList::default() };
    for (name, node) in fields.named("kubernetes", problems) {
        let kubernetes = version(name, problems);
        let read = Fields::read(node, name.place, &PINS, problems);
        let (Some(kubernetes), Some(fields)) = (kubernetes, read) else { continue };
        list.pins.extend(pins(kubernetes, &fields, problems));
    }
    list.pins.sort_by_key(|pins| Reverse(numbers(&pins.kubernetes)));
    let sums = fields.get("sums", problems).and_then(|field| Fields::read(field.node, field.place, &SUMS, problems));
    for (program, fields) in PROGRAMS.iter().flat_map(|program| sums.as_ref().map(|fields| (program, fields))) {
        for (name, node) in fields.named(program, problems) {
            let version = version(name, problems);
            let read = Fields::read(node, name.place, &SUM, problems);
            let (Some(version), Some(fields)) = (version, read) else { continue };
            let sum = sum(&fields, problems).map(|sum| ((program.to_string(), version), sum));
            list.sums.extend(sum);
        }
    }
    Some(list)
}

fn pins(kubernetes: String, fields: &Fields, problems: &mut Problems) -> Option<Pins> {
    let mut of = |name: &str| fields.text(name, problems).and_then(|text| version(text, problems));
    let (etcd, coredns, crictl, containerd) = (of("etcd"), of("coredns"), of("crictl"), of("containerd"));
    let (containerd_module, runc, cni, cni_flannel_module) = (of("containerdModule"), of("runc"), of("cni"), of("cniFlannelModule"));
    let flannel = of("flannel");
    let mut tagged = |name: &str| fields.text(name, problems).and_then(|text| tag(text, problems));
    let (etcd_image, pause, cni_flannel_image) = (tagged("etcdImage"), tagged("pause"), tagged("cniFlannelImage"));
    Some(Pins {
        kubernetes,
        etcd: etcd?,
        etcd_image: etcd_image?,
        coredns: coredns?,
        pause: pause?,
        crictl: crictl?,
        containerd: containerd?,
        containerd_module: containerd_module?,
        runc: runc?,
        cni: cni?,
        cni_flannel_module: cni_flannel_module?,
        cni_flannel_image: cni_flannel_image?,
        flannel: flannel?,
    })
}

fn sum(fields: &Fields, problems: &mut Problems) -> Option<Sum> {
    let mut digest = |name: &str| {
        let text = fields.text(name, problems)?;
        if is_sha256(text.text) {
            return Some(text.text.to_owned());
        }
        let message = format!("`{}` is not a sha256: 64 hex digits in lower case", shown(text.text));
        problems.add(text.place, message, "");
        None
    };
    let (amd64, arm64) = (digest("amd64"), digest("arm64"));
    let source = fields.text("source", problems).and_then(|text| {
        let plain = (1..=80).contains(&text.text.chars().count()) && !text.text.chars().any(char::is_control);
        if !plain {
            problems.add(text.place, "`source` must be one line of text with at most 80 characters", "source: release site");
        }
        plain.then(|| text.text.to_owned())
    });
    let as_of = date(fields, problems);
    Some(Sum { amd64: amd64?, arm64: arm64?, source: source?, as_of: as_of? })
}

fn date(fields: &Fields, problems: &mut Problems) -> Option<Date> {
    let text = fields.text("asOf", problems)?;
    let plain = text.text.len() == 10 && text.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date = text.text.parse().ok().filter(|_| plain);
    if date.is_none() {
        problems.add(text.place, format!("`{}` is not a date", shown(text.text)), "asOf: 2026-08-21");
    }
    date
}

fn version(text: Text, problems: &mut Problems) -> Option<String> {
    let version = three_numbers(text.text).filter(|plain| *plain == text.text);
    if version.is_none() {
        problems.add(text.place, format!("`{}` is not a version of three numbers, such as 1.36.3", shown(text.text)), "");
    }
    version.map(str::to_owned)
}

fn tag(text: Text, problems: &mut Problems) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let valid = (1..=128).contains(&text.text.len()) && text.text.bytes().all(plain) && !text.text.starts_with(['.', '-']);
    if !valid {
        problems.add(text.place, format!("`{}` is not the tag of an image", shown(text.text)), "");
    }
    valid.then(|| text.text.to_owned())
}

/// hostler's own list with what a user's list has in addition.
///
/// # Errors
/// What both have, but not the same: `own` says what is in hostler's list.
pub fn merge(own: &PinList, users: &PinList) -> Result<PinList, String> {
    let mut all = own.clone();
    all.as_of = own.as_of.max(users.as_of);
    for pins in &users.pins {
        match own.of(&pins.kubernetes) {
            Some(known) if known == pins => {}
            Some(_) => {
                return Err(format!("the component versions of Kubernetes {} differ from those in hostler's own list", pins.kubernetes));
            }
            None => all.pins.push(pins.clone()),
        }
    }
    all.pins.sort_by_key(|pins| Reverse(numbers(&pins.kubernetes)));
    for ((program, version), sum) in &users.sums {
        match own.sum(program, version) {
            Some(known) if (&known.amd64, &known.arm64) == (&sum.amd64, &sum.arm64) => {}
            Some(_) => return Err(format!("the checksums of {program} {version} differ from those in hostler's own list")),
            None => drop(all.sums.insert((program.clone(), version.clone()), sum.clone())),
        }
    }
    Ok(all)
}
