use super::*;

fn words(words: &[&str]) -> Result<Vec<Given>> {
    given(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

fn facts(hostname: &str) -> Facts {
    Facts {
        os_name: "Debian GNU/Linux 13 (trixie)".to_owned(),
        arch: Some(hostler_core::arch::Arch::Amd64),
        hostname: hostname.to_owned(),
        cpus: 4,
        memory: 7_812_500,
        disk_size: 244_140_625,
        disk_free: 9_277_344,
        clock: 1_000_000,
        clock_synchronized: true,
        macs: ["52:54:00:12:34:56".to_owned()].into(),
        ..Facts::default()
    }
}

fn found(machines: Vec<(&str, Facts)>) -> Vec<Found> {
    let given = words(&machines.iter().map(|(word, _)| *word).collect::<Vec<_>>()).expect("all are addresses");
    named(given.into_iter().zip(machines.into_iter().map(|(_, facts)| facts)).collect()).expect("names are found")
}

fn names(machines: Vec<(&str, Facts)>) -> Vec<String> {
    found(machines).into_iter().map(|found| found.name.to_string()).collect()
}

#[test]
fn machines_are_addresses_with_or_without_a_name() {
    let read = words(&["twilightsparkle=fd00::11", "fd00::12"]).expect("both are machines");
    assert_eq!(read[0].name.as_ref().map(MachineName::as_str), Some("twilightsparkle"));
    assert_eq!((read[1].name.clone(), read[1].address.to_string()), (None, "fd00::12".to_owned()));
}

#[test]
fn an_invalid_machine_is_a_usage_error() {
    for (given, message) in [
        (&["192.168.1.300"][..], "`192.168.1.300` is not an IP address"),
        (&["Twilight=192.168.1.11"], "`Twilight` is not a valid machine name"),
        (&["192.168.1.11", "x=192.168.1.11"], "the address 192.168.1.11 is given twice"),
        (&["x=192.168.1.11", "x=192.168.1.12"], "the name `x` is given to both 192.168.1.11 and 192.168.1.12"),
        (&[], "no machine was given"),
    ] {
        let error = words(given).expect_err(message);
        assert!(error.to_string().starts_with(&format!("{message}\nhint: ")), "{error}");
        assert_eq!(ExitStatus::of(&error), ExitStatus::Usage);
    }
}

#[test]
fn a_machine_keeps_its_host_name_if_it_is_unique() {
    let machines = vec![
        ("192.168.1.11", facts("Twilightsparkle.local")),
        ("192.168.1.12", facts("debian")),
        ("192.168.1.13", facts("twin")),
        ("192.168.1.14", facts("twin")),
        ("applejack=192.168.1.15", facts("ignored")),
        ("192.168.1.16", facts("applejack")),
        ("192.168.1.17", facts("no_label")),
    ];
    let expected = ["twilightsparkle", "machine-2", "machine-3", "machine-4", "applejack", "machine-6", "machine-7"];
    assert_eq!(names(machines), expected);
}

#[test]
fn the_table_shows_what_was_found() {
    let mut taken = facts("rainbowdash");
    taken.clock -= 90;
    taken.clock_synchronized = false;
    taken.foreign = vec!["k3s".to_owned()];
    taken.swap = vec!["/dev/sda2".to_owned()];
    taken.kubernetes.joined = true;
    taken.kubernetes.server = Some("https://elsewhere:6443".to_owned());
    let found = found(vec![("192.168.1.11", facts("twilightsparkle")), ("192.168.1.12", taken)]);
    insta::assert_snapshot!(table(&rows(&found, "tim", 1_000_001)));
}

#[test]
fn the_inventory_explains_itself() {
    let mut two_cards = facts("rainbowdash");
    two_cards.macs.insert("52:54:00:12:34:57".to_owned());
    let found = found(vec![("fd00::11", facts("twilightsparkle")), ("fd00::12", two_cards)]);
    let text = inventory(&found, "tim").expect("it is read");
    insta::assert_snapshot!(text);
    let read: serde_yaml::Value = serde_yaml::from_str(&text).expect("it is YAML");
    assert_eq!(read["ssh"]["user"], "tim");
    assert_eq!(read["machines"]["twilightsparkle"]["mac"], "52:54:00:12:34:56");
    assert_eq!(read["machines"]["rainbowdash"]["address"], "fd00::12");
}

#[test]
fn a_scalar_is_read_as_it_was_written() {
    for text in [
        "tim",
        "on",
        "123",
        "1e3",
        "null",
        "0x1f",
        "a: b",
        "#",
        "a\nb",
        "",
        "\u{e9}",
        "52:54:00:12:34:56",
        "192.168.1.11",
        "true",
        "~",
        "-",
    ] {
        let read: serde_yaml::Value = serde_yaml::from_str(&scalar(text)).expect("it is YAML");
        assert_eq!(read, serde_yaml::Value::from(text), "{}", scalar(text));
    }
    assert_eq!(scalar("on"), "\"on\"");
    assert_eq!(scalar("tim"), "tim");
}

#[test]
fn the_name_of_a_system_cannot_end_its_comment() {
    let mut odd = facts("odd");
    odd.os_name = "Odd\nmachines: {}".to_owned();
    let text = inventory(&found(vec![("192.168.1.11", odd)]), "root").expect("it is read");
    assert!(text.contains("# OddU+000Amachines: {}, 4 CPUs"), "{text}");
}

/// What is written is read, whatever the addresses: a table of those that the default subnets hold, of both families, and those that no
/// inventory can have.
#[test]
fn what_is_written_is_read() {
    let written = |addresses: &[&str]| {
        let given = words(addresses)?;
        let found = named(given.into_iter().map(|given| (given, Facts { macs: Default::default(), ..facts("debian") })).collect())?;
        inventory(&found, "root")
    };
    let good: [&[&str]; 6] = [
        &["192.168.1.11"],
        &["10.244.0.5"],
        &["10.96.0.1", "10.244.0.5"],
        &["10.100.0.1"],
        &["fd00:99::11", "fd00:99::12"],
        &["172.20.0.1", "10.244.0.1"],
    ];
    for addresses in good {
        let text = written(addresses).unwrap_or_else(|error| panic!("{addresses:?}: {error:#}"));
        assert_eq!(parse(&text, "it").expect("it is read").machines.len(), addresses.len());
        assert_eq!(text.contains("podSubnet"), addresses != ["192.168.1.11"], "{text}");
    }
    let bad: [&[&str]; 6] = [
        &["127.0.0.1"],
        &["localhost=192.168.1.11"],
        &["a=192.168.1.11", "b=fd00::1"],
        &["0.0.0.0"],
        &["169.254.0.1"],
        &["::ffff:1.2.3.4"],
    ];
    for addresses in bad {
        let error = written(addresses).expect_err("no inventory can have these");
        assert_eq!(ExitStatus::of(&error), ExitStatus::Usage, "{addresses:?}: {error:#}");
    }
}

#[test]
fn one_machine_with_two_addresses_is_not_two() {
    let error = one_each(&found(vec![("a=192.168.1.11", facts("a")), ("b=192.168.1.12", facts("b"))])).expect_err("they share a card");
    assert!(error.to_string().contains("a and b are the same machine"), "{error}");
    let other = Facts { macs: ["52:54:00:12:34:57".to_owned()].into(), ..facts("b") };
    one_each(&found(vec![("a=192.168.1.11", facts("a")), ("b=192.168.1.12", other)])).expect("they are two");
}
