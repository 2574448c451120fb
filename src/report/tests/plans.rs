//! Runs with several plans, and steps that run twice or side by side.

use super::*;

/// A machine was restarted: what a first plan left is in a second one, and so is the verification of both.
#[test]
fn the_closing_counts_every_plan_of_the_run() {
    let step = |name, what, stage, needs: &[StepId]| step(name, what, stage, "reason", SwapOff {}.into(), needs);
    let plan = |steps| Plan { steps, refusals: vec![], warnings: vec![], ..plan() };
    let probe = |needs: &[StepId]| {
        // It is about the control plane, and runs on a worker.
        Step { machine: machine("rainbowdash"), ..step("twilightsparkle", "probe", Stage::Verify, needs) }
    };
    let plans = [
        plan(vec![step("rainbowdash", "swap", Stage::Prepare, &[]), probe(&[id("rainbowdash", "swap")])]),
        plan(vec![step("fluttershy", "swap", Stage::Prepare, &[]), probe(&[id("fluttershy", "swap")])]),
    ];
    let ran = |at: u64, step: &Step, took: u64| {
        let (id, line, action) = (step.id.clone(), step.line(), step.action.to_string());
        let start = Event::StepStarted { step: id.clone(), stage: step.stage, machine: step.machine.clone(), line, action };
        [(at, start), (at + took, Event::StepFinished { step: id, took: ms(took) })]
    };
    let begin = || Event::PlanStarted { steps: BTreeMap::new() };
    let [first, second] = &plans;
    let mut events = vec![(0, begin())];
    events.extend(ran(0, &first.steps[0], 1_000).into_iter().chain(ran(1_000, &first.steps[1], 5_000)));
    events.push((6_000, begin()));
    // As fast as nothing.
    events.extend(ran(6_000, &second.steps[0], 20).into_iter().chain(ran(6_020, &second.steps[1], 3_000)));
    let record = record(&events);
    insta::assert_snapshot!(Closing::new(&plans, &record).text(PLAIN), @r"
    stage             rainbowdash  fluttershy
    prepare machines  1.0s         0.0s
    verify            8.0s

    critical path: 9.0s
       1.0s  rainbowdash: turn swap off, now and after a reboot
       5.0s  rainbowdash: turn swap off, now and after a reboot
       3.0s  rainbowdash: turn swap off, now and after a reboot

    4 steps done in 9.0s
    ");
    insta::assert_snapshot!(Interrupted::new("Ctrl-C", Some(second), &record).text(PLAIN), @r"
    interrupted: Ctrl-C
    no step was running: 4 steps done, 0 not started
    ");
}

#[test]
fn steps_side_by_side_are_not_counted_twice() {
    let events = [
        (0, started("rainbowdash", "swap", Stage::Prepare, "a")),
        (1_000, started("rainbowdash", "packages", Stage::Prepare, "b")),
        (3_000, finished("rainbowdash", "swap", 3_000)),
        (4_000, finished("rainbowdash", "packages", 3_000)),
        (6_000, started("rainbowdash", "modules", Stage::Prepare, "c")),
        (7_000, finished("rainbowdash", "modules", 1_000)),
    ];
    assert_eq!(Closing::new(&[], &record(&events)).times[0].took, ms(5_000));
}

#[test]
fn a_step_that_succeeds_after_a_retry_has_not_failed() {
    let failed = Event::StepFailed { step: id("rainbowdash", "swap"), reason: "x".to_owned(), hint: String::new() };
    let begun = || started("rainbowdash", "swap", Stage::Prepare, "a");
    let events = [(0, begun()), (1, failed), (2, begun()), (3, finished("rainbowdash", "swap", 1))];
    assert_eq!(record(&events[..2]).exit_status(), ExitStatus::Failed);
    assert_eq!(record(&events).exit_status(), ExitStatus::Done);
}
