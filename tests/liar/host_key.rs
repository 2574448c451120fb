//! A changed host key is accepted for one machine, by its fingerprint or by a person, and changes the pin of no other.

use std::fs;

use crate::lab::Lab;

/// Two machines with the same pin, as clones of one image have, and the new key of the second.
fn clones() -> (Lab, String, String) {
    let lab = Lab::with_worker("");
    let key = |machine: &str| {
        let public = fs::read_to_string(lab.path(&format!("{machine}/host.pub"))).unwrap();
        public.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    let (one, apple) = (key("one"), key("apple"));
    let inventory = lab.inventory("").replace(&apple, &one);
    fs::write(lab.path("inventory.yaml"), format!("# {one}\n{inventory}")).unwrap();
    (lab, one, apple)
}

fn fingerprint(lab: &Lab, machine: &str) -> String {
    let output = std::process::Command::new("ssh-keygen").arg("-lf").arg(lab.path(&format!("{machine}/host.pub"))).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn yes_accepts_no_changed_key() {
    let (lab, ..) = clones();
    let before = fs::read_to_string(lab.path("inventory.yaml")).unwrap();
    // The key is also another machine's: that is said, whatever is passed.
    for words in [
        &["rebuild", "apple", "--yes"][..],
        &["rebuild", "apple"],
        &["rebuild", "apple", "--yes", "--host-key", "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"],
    ] {
        let ran = lab.hostler(words);
        assert_ne!(ran.status, 0, "{words:?}: {}", ran.all());
        assert!(ran.err.contains("host key"), "{words:?}: {}", ran.all());
        assert_eq!(fs::read_to_string(lab.path("inventory.yaml")).unwrap(), before, "{words:?}");
    }
    let ran = lab.hostler(&["rebuild", "apple", "--yes"]);
    assert!(ran.err.contains("`--yes` does not accept a changed host key") && ran.status == 3, "{}", ran.all());
}

#[test]
fn a_fingerprint_changes_the_pin_of_its_machine_alone() {
    let (lab, one, apple) = clones();
    let before = fs::read_to_string(lab.path("inventory.yaml")).unwrap();
    let ran = lab.hostler(&["rebuild", "apple", "--yes", "--host-key", &fingerprint(&lab, "apple")]);
    let after = fs::read_to_string(lab.path("inventory.yaml")).unwrap();
    // The last of the three is apple's.
    let place = before.rfind(&one).unwrap();
    let expected = format!("{}{apple}{}", &before[..place], &before[place + one.len()..]);
    assert_eq!(after, expected, "{}", ran.all());
}
