//! Whose payload goes first. All machines' payloads leave this computer by one network card, and what most of a run waits for is often on one
//! machine: its programs and images are there sooner if those of the others don't take an equal share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a chunk of a payload lets more urgent ones go first. A machine that is slow to read must not make the others wait for nothing:
/// they go on with a chunk every so often, and then with all they have.
const LONGEST: Duration = Duration::from_millis(50);

/// The payloads of a run that are being sent.
#[derive(Debug, Default)]
pub struct Turns {
    /// How many, by urgency.
    sending: Mutex<BTreeMap<usize, usize>>,
    ended: Notify,
}

impl Turns {
    fn sending(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One payload's place among the others, from its first byte to its last.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    urgency: usize,
}

impl Turn {
    /// `urgency`: the larger goes first.
    pub fn new(turns: &Arc<Turns>, urgency: usize) -> Turn {
        *turns.sending().entry(urgency).or_default() += 1;
        Turn { turns: turns.clone(), urgency }
    }

    fn comes(&self) -> bool {
        self.turns.sending().last_key_value().is_none_or(|(most, _)| *most <= self.urgency)
    }

    /// Waits until no payload that is more urgent is being sent, or long enough.
    pub(super) async fn take(&self) {
        let come = async {
            loop {
                let ended = self.turns.ended.notified();
                tokio::pin!(ended);
                ended.as_mut().enable();
                if self.comes() {
                    return;
                }
                ended.await;
            }
        };
        // That it is still not its turn makes no difference: it has waited.
        let _ = timeout(LONGEST, come).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut sending = self.turns.sending();
        if let Some(count) = sending.get_mut(&self.urgency) {
            *count -= 1;
            if *count == 0 {
                sending.remove(&self.urgency);
            }
        }
        drop(sending);
        self.turns.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn the_most_urgent_goes_first_and_the_others_are_not_held_for_long() {
        // Whether it need not wait at all.
        async fn goes(turn: &Turn) -> bool {
            timeout(Duration::ZERO, turn.take()).await.is_ok()
        }
        let turns = Arc::new(Turns::default());
        let [first, second] = [Turn::new(&turns, 2), Turn::new(&turns, 1)];
        assert!(goes(&first).await && !goes(&second).await);
        let began = Instant::now();
        second.take().await;
        assert!(began.elapsed() >= LONGEST);
        tokio::join!(second.take(), async { drop(first) });
        let equal = Turn::new(&turns, 1);
        assert!(goes(&equal).await && goes(&second).await);
    }
}
