//! The lock that steps hold on a machine while they work: `templates/step/prelude.sh` takes the same, in the same way.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hostler_core::protocol::path;
use hostler_core::step::StepKind;
use nix::fcntl::{Flock, FlockArg};

use crate::execute::identity;

/// How often the gate is tried, a second apart: nobody holds it for longer than it takes to look.
const TRIES: u32 = 20;

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop: closing the file releases the lock")] Flock<File>);

/// `None`: a step of a run works on the machine.
///
/// # Errors
/// The folder of locks can't be written to.
pub async fn take(node: &str) -> Result<Option<Lock>> {
    take_in(Path::new(path::RUN), Path::new(path::GATE), Path::new(path::STEPS), node).await
}

async fn take_in(run: &Path, gate: &Path, steps: &Path, node: &str) -> Result<Option<Lock>> {
    let context = || format!("{} can't be written to", steps.display());
    fs::create_dir_all(steps).with_context(context)?;
    fs::set_permissions(run, fs::Permissions::from_mode(0o700)).with_context(context)?;
    let mut gate = File::create(gate).with_context(context)?;
    let mut tries = 0;
    let _open = loop {
        match Flock::lock(gate, FlockArg::LockExclusiveNonblock) {
            Ok(open) => break open,
            Err(_) if tries == TRIES => return Ok(None),
            Err((closed, _)) => gate = closed,
        }
        tries += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    for held in fs::read_dir(steps).with_context(context)? {
        let held = held.with_context(context)?.path();
        let file = File::open(&held).with_context(context)?;
        if Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err() {
            return Ok(None);
        }
        fs::remove_file(&held).with_context(context)?;
    }
    let step = format!("{node}/{}", StepKind::RenewCertificates.name());
    let own = File::create(steps.join(step.replace('/', "."))).with_context(context)?;
    let mut own = Flock::lock(own, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error).with_context(context)?;
    let since = jiff::Timestamp::now().as_second();
    own.write_all(format!("run={}\nstep={step}\nsince={since}\n", identity::run_id()).as_bytes()).with_context(context)?;
    Ok(Some(Lock(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_works_at_a_time_and_locks_of_the_dead_count_for_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (gate, steps) = (folder.path().join("gate"), folder.path().join("steps"));
        let take = async || take_in(folder.path(), &gate, &steps, "rarity").await.expect("it can be written to");
        fs::create_dir(&steps).expect("made");
        fs::write(steps.join("rarity.join"), "run=1\n").expect("written");
        let lock = take().await.expect("nobody holds it");
        let text = fs::read_to_string(steps.join("rarity.certificates")).expect("its own");
        assert!(text.contains("\nstep=rarity/certificates\nsince="), "{text}");
        assert!(!steps.join("rarity.join").exists());
        assert!(take().await.is_none(), "it is held");
        drop(lock);
        assert!(take().await.is_some());
    }
}
