use super::*;

#[test]
fn every_release_has_a_published_checksum() {
    let list = shipped();
    assert!(list.as_of.is_some() && list.pins.len() >= 3);
    for pins in &list.pins {
        for arch in Arch::ALL {
            for release in list.releases(pins, arch) {
                assert!(release.sha256.is_some(), "{} is unpinned", release.address);
                assert!(release.address.contains(&release.version) && release.address.contains(arch.name()), "{}", release.address);
            }
        }
    }
}

#[test]
fn what_is_written_is_read_again() {
    let list = shipped();
    assert_eq!(parse(&to_yaml(list), "it").as_ref(), Ok(list));
    let mut odd = list.clone();
    odd.sums.values_mut().for_each(|sum| sum.source = "Ada's own: #1 'checked'".to_owned());
    assert_eq!(parse(&to_yaml(&odd), "it"), Ok(odd));
    assert_eq!(parse(&to_yaml(&PinList::default()), "it"), Ok(PinList::default()));
}

#[test]
fn an_error_has_its_place_and_a_way_out() {
    let text = to_yaml(shipped());
    let wrong = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        parse(&text.replacen(from, to, 1), "pins.yaml").expect_err(to).to_string()
    };
    for (from, to, said) in [
        ("    etcd: 3.6.8\n", "    etdc: 3.6.8\n", "pins.yaml:6:5: unknown key `etdc` in a version of Kubernetes: did you mean `etcd`?"),
        ("    etcd: 3.6.8\n", "", "pins.yaml:5:3: a version of Kubernetes needs `etcd`"),
        ("    etcd: 3.6.8\n", "    etcd: 3.6\n", "`3.6` is not a version of three numbers"),
        ("  1.36.3:", "  v1.36.3:", "`v1.36.3` is not a version of three numbers"),
        ("  1.36.1:", "  1.36.3:", "duplicate key `1.36.3`: the first one is on line 5"),
        ("v1.9.1-flannel3", "../x", "`../x` is not the tag of an image"),
        ("amd64: 4670", "amd64: G670", "is not a sha256: 64 hex digits in lower case"),
        ("  runc:\n", "  rnc:\n", "unknown key `rnc` in `sums`: did you mean `runc`?"),
        ("asOf: 2026-08-21\n", "asOf: 2026-13-21\n", "`2026-13-21` is not a date"),
        ("'kubespray'", "''", "`source` must be one line of text"),
        ("kubernetes:\n", "version: 1\nkubernetes:\n", "unknown key `version` in the pins file: known keys are kubernetes, asOf, sums"),
    ] {
        let error = wrong(from, to);
        assert!(error.contains(said), "{to}: {error}");
    }
    for (text, said) in [("", "the file is empty"), ("[]", "the pins file must be a mapping"), ("a: [", "never closed")] {
        let error = parse(text, "pins.yaml").expect_err(text).to_string();
        assert!(error.contains(said) && !error.contains("machine"), "{error}");
    }
}

#[test]
fn a_users_list_adds_and_contradicts_nothing() {
    let own = shipped();
    let mut users = PinList { as_of: Some(jiff::civil::date(2026, 11, 29)), ..PinList::default() };
    users.pins.push(Pins { kubernetes: "1.36.10".to_owned(), ..own.pins[0].clone() });
    let sum = own.sum("kubelet", "1.36.3").unwrap().clone();
    users.sums.insert(("kubelet".to_owned(), "1.36.10".to_owned()), sum.clone());
    // The same once more is no contradiction, whoever says it.
    users.pins.push(own.pins[0].clone());
    users.sums.insert(("kubelet".to_owned(), "1.36.3".to_owned()), Sum { source: "release site".to_owned(), ..sum.clone() });
    let all = merge(own, &users).unwrap();
    assert_eq!(all.versions().as_slice(), ["1.36.10", "1.36.3", "1.36.1", "1.35.4"]);
    assert_eq!((all.as_of, all.sum("kubelet", "1.36.3")), (users.as_of, Some(&sum)));
    let other = Sum { arm64: "0".repeat(64), ..sum };
    let mut wrong = users.clone();
    wrong.sums.insert(("kubelet".to_owned(), "1.36.3".to_owned()), other);
    assert_eq!(merge(own, &wrong), Err("the checksums of kubelet 1.36.3 differ from those in hostler's own list".to_owned()));
    users.pins[1].etcd = "3.6.9".to_owned();
    assert_eq!(merge(own, &users), Err("the component versions of Kubernetes 1.36.3 differ from those in hostler's own list".to_owned()));
}
