//! What no plan may have, whatever it is for. Every plan passes before anybody sees it: what is found is a defect of the planner.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Goal, Plan, Step};
use crate::step::{Output, StepId};

/// Something that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lint {
    /// Two steps of the same id.
    Twice(StepId),
    /// A need that is not in the plan, and was not written as [`Need::IfPlanned`](crate::step::Need::IfPlanned).
    NotPlanned { step: StepId, need: StepId },
    /// A step stands before one that it needs; steps that need each other in a circle do.
    OutOfOrder { step: StepId, need: StepId },
    /// A step uses an output of another, and may run before it.
    OutputNotNeeded { step: StepId, of: StepId, output: Output },
    /// A step uses an output of another, which does not hand it on.
    OutputNotGiven { step: StepId, of: StepId, output: Output },
    /// A step takes something away for a goal that only brings machines in.
    Destroys(StepId),
}

/// All that is wrong with `plan`, which is for `goal`.
pub fn lint(goal: &Goal, plan: &Plan) -> Vec<Lint> {
    let steps = plan.by_id();
    let mut found = Vec::new();
    let mut before: BTreeSet<&StepId> = BTreeSet::new();
    for step in &plan.steps {
        let id = || step.id.clone();
        for need in step.needs.iter().chain(&step.after).filter(|need| !before.contains(need)) {
            let need = need.clone();
            found.push(match steps.contains_key(&need) {
                true => Lint::OutOfOrder { step: id(), need },
                false => Lint::NotPlanned { step: id(), need },
            });
        }
        for input in step.action.inputs() {
            let (of, output) = (input.step.clone(), input.output);
            if !reaches(&steps, &step.id, &of) {
                found.push(Lint::OutputNotNeeded { step: id(), of, output });
            } else if steps.get(&of).is_none_or(|of| !of.action.outputs().contains(&output)) {
                found.push(Lint::OutputNotGiven { step: id(), of, output });
            }
        }
        if step.action.destroys() && !goal.may_destroy() {
            found.push(Lint::Destroys(id()));
        }
        if !before.insert(&step.id) {
            found.push(Lint::Twice(id()));
        }
    }
    found
}

/// Whether `from` needs `to`, directly or not.
pub fn reaches(steps: &BTreeMap<&StepId, &Step>, from: &StepId, to: &StepId) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(id) = next.pop() {
        for need in steps.get(id).map(|step| &step.needs).into_iter().flatten() {
            if need == to {
                return true;
            }
            if seen.insert(need) {
                next.push(need);
            }
        }
    }
    false
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lint::Twice(step) => write!(f, "{step} is in the plan twice"),
            Lint::NotPlanned { step, need } => write!(f, "{step} needs {need}, which is not in the plan"),
            Lint::OutOfOrder { step, need } => write!(f, "{step} comes before {need}, which it needs"),
            Lint::OutputNotNeeded { step, of, output } => write!(f, "{step} uses the {} of {of}, but does not depend on it", output.name()),
            Lint::OutputNotGiven { step, of, output } => write!(f, "{step} uses the {} of {of}, which does not output it", output.name()),
            Lint::Destroys(step) => write!(f, "{step} is destructive, and this goal allows no destructive step"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::kubeadm::{CreateToken, DeleteToken};
    use crate::action::machine::Wipe;
    use crate::inventory::{MachineName, Role};
    use crate::step::{Input, Need, StepKind};

    fn step(kind: StepKind, action: impl Into<crate::action::Action>, needs: impl IntoIterator<Item = Need>) -> Step {
        let machine = MachineName::new("rarity").expect("a name");
        let mut step = Step {
            id: kind.of(&machine),
            stage: kind.stage(Role::Worker),
            machine,
            reason: String::new(),
            action: action.into(),
            needs: BTreeSet::new(),
            after: BTreeSet::new(),
        };
        step.wait_for(needs);
        step
    }

    fn found(mut steps: Vec<Step>) -> Vec<String> {
        super::super::graph::reduce(&mut steps);
        lint(&Goal::Up, &Plan { steps, ..Plan::default() }).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_defect_is_found() {
        let machine = MachineName::new("rarity").expect("a name");
        let create = || step(StepKind::CreateToken, CreateToken {}, []);
        let token = |output| DeleteToken { token: Input { step: StepKind::CreateToken.of(&machine), output } };
        let delete = |output, needs: Vec<Need>| step(StepKind::DeleteToken, token(output), needs);
        let needs = || vec![StepKind::CreateToken.of(&machine).into()];
        assert_eq!(found(vec![create(), delete(Output::Token, needs())]), Vec::<String>::new());
        assert_eq!(found(vec![create(), create()]), ["rarity/token is in the plan twice"]);
        assert_eq!(
            found(vec![create(), delete(Output::Token, vec![])]),
            ["rarity/token-gone uses the token of rarity/token, but does not depend on it"]
        );
        assert_eq!(
            found(vec![create(), delete(Output::Pki, needs())]),
            ["rarity/token-gone uses the pki of rarity/token, which does not output it"]
        );
        assert_eq!(found(vec![delete(Output::Token, needs()), create()]), ["rarity/token-gone comes before rarity/token, which it needs"]);
        assert_eq!(
            found(vec![step(StepKind::Wipe, Wipe { keep: vec![], links: BTreeMap::new() }, [])]),
            ["rarity/wipe is destructive, and this goal allows no destructive step"]
        );
    }

    #[test]
    fn a_need_that_is_not_planned_is_found_unless_it_is_written_so() {
        let machine = MachineName::new("rarity").expect("a name");
        let swap = || StepKind::Swap.of(&machine);
        assert_eq!(found(vec![step(StepKind::CreateToken, CreateToken {}, [swap().if_planned()])]), Vec::<String>::new());
        let missing = found(vec![step(StepKind::CreateToken, CreateToken {}, [swap().into()])]);
        assert_eq!(missing, ["rarity/token needs rarity/swap, which is not in the plan"]);
    }
}
