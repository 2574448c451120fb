//! The progress of a film in pieces, from that of its pieces.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::{Phase, Progress};
use super::{Done, Plan, Work};

/// `None`: nothing of it has begun.
pub fn shown(plan: &Plan, done: &BTreeMap<Work, Done>, progress: &BTreeMap<Work, Progress>) -> Option<Progress> {
    let pieces = plan.pieces.len();
    let is_piece = |work: &Work| matches!(work, Work::Piece(_));
    let finished = done.keys().filter(|work| is_piece(work)).count();
    let note = Some(format!("in {pieces} pieces, {finished} done"));
    if let Some(join) = progress.get(&Work::Join) {
        return Some(Progress { note, ..join.clone() });
    }
    let active: Vec<(&Work, &Progress)> = progress.iter().filter(|(work, _)| !done.contains_key(work)).collect();
    let last = progress.values().max_by_key(|progress| progress.at)?;
    #[expect(clippy::cast_precision_loss, reason = "counts of pictures are small")]
    let pictures = |number: u16| plan.piece(number).map_or(0.0, |piece| piece.pictures as f64);
    let (mut made, mut all) = (0.0, 0.0);
    for work in plan.works() {
        let Work::Piece(number) = work else { continue };
        all += pictures(number);
        let part = if done.contains_key(&work) { 1.0 } else { progress.get(&work).map_or(0.0, encoded) };
        made += part * pictures(number);
    }
    let encoding = |progress: &&Progress| progress.phase == Phase::Encoding;
    let machines: BTreeSet<&str> =
        active.iter().filter(|(work, _)| is_piece(work)).map(|(_, progress)| progress.machine.as_str()).collect();
    let machine = if machines.is_empty() { last.machine.clone() } else { machines.into_iter().collect::<Vec<_>>().join(", ") };
    Some(Progress {
        who: plan.who.clone(),
        machine,
        phase: Phase::Encoding,
        done: if all > 0.0 { made / all } else { 0.0 },
        rate: active.iter().filter(|(work, _)| is_piece(work)).map(|(_, progress)| *progress).filter(encoding).map(|one| one.rate).sum(),
        eta_seconds: active.iter().filter_map(|(_, progress)| progress.eta_seconds).max(),
        note,
        began: plan.at,
        at: last.at,
    })
}

/// The part of a piece that is encoded: HandBrake scans before that, and its output is counted afterwards.
fn encoded(progress: &Progress) -> f64 {
    match progress.phase {
        Phase::Scanning => 0.0,
        Phase::Encoding => progress.done,
        Phase::Verifying | Phase::Publishing => 1.0,
    }
}
