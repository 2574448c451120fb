//! Which copies of regular snapshots come to this computer, and which stay. A control plane names what it sends, and nobody can look into an
//! encrypted one: whatever it says, it must not displace the copies that are here already.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A copy, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// As its name says, which a control plane chose.
    pub taken: i64,
    /// When it came, by the clock of this computer.
    pub arrived: i64,
}

/// How many may come in the time in which a control plane takes one: several control planes take turns, and a key may have changed.
const AT_ONCE: usize = 2;
/// A control plane's clock may be ahead by as much.
const AHEAD: i64 = 3600;
/// Of how many months one copy stays.
const MONTHS: usize = 12;

/// Whether another copy may come at `now`: as many as control planes can need, by this computer's clock. `every`: seconds.
pub fn may_come(known: &[Copied], now: i64, every: i64) -> bool {
    // Those of a time to come are from before the clock was set back.
    known.iter().filter(|copy| (now - every + 1..=now).contains(&copy.arrived)).count() < AT_ONCE
}

/// Whether a copy with this time is newer than all that are here, and not of a time to come.
pub fn is_new(known: &[Copied], taken: i64, now: i64) -> bool {
    taken <= now + AHEAD && known.iter().all(|copy| copy.taken < taken)
}

/// Which of the copies stay, in their order: the newest `keep`, the first of each of the latest twelve months that have one, and the first of
/// each year. One that comes later is never the first of a month that is here already.
pub fn stay(taken: &[i64], keep: usize) -> Vec<bool> {
    let mut newest: Vec<usize> = (0..taken.len()).collect();
    newest.sort_by_key(|copy| std::cmp::Reverse(taken[*copy]));
    let mut stays = vec![false; taken.len()];
    for copy in newest.iter().take(keep.max(1)) {
        stays[*copy] = true;
    }
    let mut months = 0;
    for (place, copy) in newest.iter().enumerate() {
        let before = newest.get(place + 1).map(|before| month(taken[*before]));
        let (year, own) = month(taken[*copy]);
        if before != Some((year, own)) {
            months += 1;
            stays[*copy] |= months <= MONTHS || before.is_none_or(|(other, _)| other != year);
        }
    }
    stays
}

/// The year and the month, in UTC.
fn month(seconds: i64) -> (i16, i8) {
    let date = TimeZone::UTC.to_datetime(Timestamp::from_second(seconds).unwrap_or_default());
    (date.year(), date.month())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AHEAD, AT_ONCE, Copied, MONTHS, is_new, may_come, month, stay};

    const DAY: i64 = 86_400;
    /// 2026-03-01T12:00:00Z.
    const BEGIN: i64 = 1_772_366_400;

    fn days(days: std::ops::Range<i64>) -> Vec<i64> {
        days.map(|day| BEGIN + day * DAY).collect()
    }

    fn left(taken: &[i64], keep: usize) -> Vec<i64> {
        taken.iter().zip(stay(taken, keep)).filter(|(_, stays)| *stays).map(|(taken, _)| *taken).collect()
    }

    #[test]
    fn of_three_years_a_week_twelve_months_and_each_year_stay() {
        let left = left(&days(0..3 * 365), 7);
        let dates: Vec<String> =
            left.iter().map(|taken| jiff::Timestamp::from_second(*taken).unwrap().strftime("%y-%m-%d").to_string()).collect();
        let expected = "26-03-01 27-01-01 28-01-01 28-03-01 28-04-01 28-05-01 28-06-01 28-07-01 28-08-01 28-09-01 28-10-01 28-11-01 28-12-01 \
                        29-01-01 29-02-01 29-02-21 29-02-22 29-02-23 29-02-24 29-02-25 29-02-26 29-02-27";
        assert_eq!(dates.join(" "), expected);
    }

    #[test]
    fn an_honest_cluster_s_copies_all_come() {
        let mut known = Vec::new();
        for taken in days(0..30) {
            // This computer is on an hour later.
            let now = taken + 3600;
            assert!(may_come(&known, now, DAY) && is_new(&known, taken, now));
            known.push(Copied { taken, arrived: now });
        }
        assert!(!is_new(&known, BEGIN, BEGIN + 40 * DAY), "an old one");
        assert!(!is_new(&known, BEGIN + 50 * DAY, BEGIN + 40 * DAY), "of a time to come");
        // Its own clock was wrong once.
        assert!(may_come(&known, BEGIN - DAY, DAY));
    }

    proptest! {
        /// What stays does not depend on the order, is bounded, and has the newest.
        #[test]
        fn what_stays_is_bounded(mut taken in prop::collection::vec(0..5000 * DAY, 0..80), keep in 1_usize..10) {
            taken.sort_unstable();
            taken.dedup();
            let left = left(&taken, keep);
            let newest = &taken[taken.len().saturating_sub(keep)..];
            prop_assert!(left.ends_with(newest));
            let mut years: Vec<i16> = taken.iter().map(|taken| month(*taken).0).collect();
            years.dedup();
            prop_assert!(left.len() <= keep + MONTHS + years.len());
            let backwards: Vec<i64> = taken.iter().rev().copied().collect();
            let mut again = self::left(&backwards, keep);
            again.reverse();
            prop_assert_eq!(&again, &left);
            // A second look deletes no more.
            prop_assert_eq!(&self::left(&left, keep), &left);
        }

        /// A control plane lies with every run of a month: about what it sends, and when that was taken. Of the months before, each keeps its
        /// copy; and of the newest ones no more go than could have come.
        #[test]
        fn lies_do_not_displace_what_is_here(
            honest in 30_i64..400, keep in 1_usize..10, lies in prop::collection::vec((0..3 * DAY / 2, -400 * DAY..400 * DAY), 1..120),
        ) {
            let good = left(&days(0..honest), keep);
            let mut known: Vec<Copied> = good.iter().map(|taken| Copied { taken: *taken, arrived: taken + 60 }).collect();
            let begin = BEGIN + honest * DAY;
            let mut now = begin;
            for (later, taken) in lies {
                if now + later > begin + 28 * DAY {
                    break;
                }
                now += later;
                let taken = now + taken;
                if may_come(&known, now, DAY) && is_new(&known, taken, now) {
                    known.push(Copied { taken, arrived: now });
                    let stays = stay(&known.iter().map(|copy| copy.taken).collect::<Vec<_>>(), keep);
                    let mut each = stays.iter();
                    known.retain(|_| *each.next().unwrap());
                }
            }
            let remains = |taken: &i64| known.iter().any(|copy| copy.taken == *taken);
            // Two months can have begun since.
            let firsts: Vec<i64> =
                good.iter().copied().filter(|taken| good.iter().all(|other| other >= taken || month(*other) != month(*taken))).collect();
            let safe = &firsts[firsts.len().saturating_sub(MONTHS - 2)..];
            prop_assert!(safe.iter().all(remains), "{known:?}");
            let came = AT_ONCE * usize::try_from((now - begin) / DAY + 1).unwrap();
            let newest = &good[good.len().saturating_sub(keep.saturating_sub(came))..];
            prop_assert!(newest.iter().all(remains), "{known:?}");
            prop_assert!(known.iter().all(|copy| copy.taken <= now + AHEAD));
        }
    }
}
