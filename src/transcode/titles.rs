//! Which titles of a disc are films.

use hostler_core::films::settings::Titles as Which;

use super::handbrake::{Title, Titles};

/// Part of the longest title that a film has at least: trailers, menus and extras are shorter.
const PART: f64 = 0.4;
/// Part of its length by which a title that plays the others in a row may differ from their sum.
const SUM: f64 = 0.01;
/// Part of a title that none of those it plays in a row exceeds: a second copy of a film and a trailer are no such row.
const LONGEST_OF_A_ROW: f64 = 0.9;
/// More titles than this are rather one film in many disguises, as some discs have it against copying.
const MOST: usize = 24;

/// The titles of a disc that are films.
#[derive(Debug, Clone, PartialEq)]
pub struct Picked {
    pub titles: Vec<Title>,
    /// Titles on the disc.
    pub of: usize,
    /// What was left out, for the user.
    pub remark: Option<String>,
}

/// A question for a film's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub text: String,
    /// Numbers of titles: some of them are the answer.
    pub titles: Vec<u32>,
}

/// `asked`: the titles that a user has chosen. `Err`: the question for the user, as it can't be decided.
///
/// # Errors
/// See above.
pub fn pick(titles: &Titles, which: Which, asked: Option<&[u32]>) -> Result<Picked, Question> {
    let all = &titles.title_list;
    let question = |text: String| Question { text, titles: all.iter().map(|title| title.index).collect() };
    let of = all.len();
    if let Some(asked) = asked {
        let chosen: Vec<Title> = all.iter().filter(|title| asked.contains(&title.index)).cloned().collect();
        if chosen.len() == asked.len() {
            return Ok(remarked(chosen, of, &[]));
        }
        return Err(question(format!("the disc does not have all of the titles that were chosen; it has {}", listed(all))));
    }
    if which == Which::Longest {
        return Ok(remarked(titles.film().cloned().into_iter().collect(), of, &[]));
    }
    let mut in_a_row = Vec::new();
    for (place, title) in all.iter().enumerate() {
        match plays_others(place, title, all) {
            Others::No => {}
            Others::Yes => in_a_row.push(title.index),
            Others::Perhaps => {
                return Err(question(format!(
                    "does title {} play all other titles in a row, or is it a separate film? The disc has {}",
                    title.index,
                    listed(all)
                )));
            }
        }
    }
    let single = || all.iter().filter(|title| !in_a_row.contains(&title.index));
    let longest = single().map(Title::seconds).fold(0.0, f64::max);
    let films: Vec<Title> = single().filter(|title| title.seconds() >= PART * longest).cloned().collect();
    if films.len() > MOST {
        return Err(question(format!("which of the {} feature-length titles are films?", films.len())));
    }
    Ok(remarked(films, of, &in_a_row))
}

fn remarked(titles: Vec<Title>, of: usize, in_a_row: &[u32]) -> Picked {
    let left_out = match in_a_row {
        [] => String::new(),
        numbers => {
            format!(
                "; not encoded, because it plays the other titles in a row: title {}",
                numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" and ")
            )
        }
    };
    let remark = (of > 1).then(|| format!("{} of {of} titles{left_out}", titles.len()));
    Picked { titles, of, remark }
}

enum Others {
    Yes,
    No,
    /// The length fits, and the chapters do not.
    Perhaps,
}

/// Whether a title plays others, which follow each other on the disc, in a row.
fn plays_others(place: usize, title: &Title, all: &[Title]) -> Others {
    let others: Vec<&Title> = all.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, title)| title).collect();
    let mut perhaps = false;
    for first in 0..others.len() {
        let (mut seconds, mut chapters, mut longest) = (0.0, 0, 0.0_f64);
        for (number, other) in others[first..].iter().enumerate() {
            seconds += other.seconds();
            longest = longest.max(other.seconds());
            chapters += other.chapter_list.len();
            let fits = (seconds - title.seconds()).abs() <= SUM * title.seconds() && longest <= LONGEST_OF_A_ROW * title.seconds();
            if number == 0 || !fits {
                continue;
            }
            // Each part begins a chapter.
            if (number + 1..=chapters + 1).contains(&title.chapter_list.len()) {
                return Others::Yes;
            }
            // A short extra more or less is not what makes a sum.
            perhaps |= others[first..=first + number].iter().all(|other| other.seconds() >= PART * title.seconds() / 2.0);
        }
    }
    if perhaps { Others::Perhaps } else { Others::No }
}

fn listed(titles: &[Title]) -> String {
    const SHOWN: usize = 12;
    let mut words: Vec<String> = titles
        .iter()
        .take(SHOWN)
        .map(|title| {
            format!("title {} ({})", title.index, hostler_core::quantity::whole(std::time::Duration::from_secs_f64(title.seconds())))
        })
        .collect();
    if titles.len() > SHOWN {
        words.push(format!("{} more", titles.len() - SHOWN));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disc(titles: &[(u64, usize)]) -> Titles {
        let list: Vec<serde_json::Value> = titles
            .iter()
            .enumerate()
            .map(|(place, (seconds, chapters))| {
                serde_json::json!({"Index": place + 1, "Duration": {"Ticks": seconds * 90_000}, "ChapterList": vec![0; *chapters]})
            })
            .collect();
        serde_json::from_value(serde_json::json!({"MainFeature": -1, "TitleList": list})).expect("titles")
    }

    fn picked(titles: &[(u64, usize)]) -> (Vec<u32>, String) {
        match pick(&disc(titles), Which::All, None) {
            Ok(picked) => (picked.titles.iter().map(|title| title.index).collect(), picked.remark.unwrap_or_default()),
            Err(question) => (vec![], question.text),
        }
    }

    #[test]
    fn each_title_of_a_films_length_is_one() {
        assert_eq!(picked(&[(20, 1), (20, 1), (21, 1)]), (vec![1, 2, 3], "3 of 3 titles".to_owned()));
        assert_eq!(picked(&[(120, 1), (7200, 24), (600, 1), (60, 1)]), (vec![2], "1 of 4 titles".to_owned()));
        assert_eq!(picked(&[(6000, 9)]), (vec![1], String::new()));
        assert_eq!(picked(&[]), (vec![], String::new()));
        // The film twice, once with another beginning, and a trailer.
        assert_eq!(picked(&[(7200, 24), (7200, 24), (60, 1)]).0, [1, 2]);
    }

    #[test]
    fn a_title_that_plays_the_others_in_a_row_is_left_out() {
        let wanted = (vec![1, 2, 3], "3 of 4 titles; not encoded, because it plays the other titles in a row: title 4".to_owned());
        assert_eq!(picked(&[(2600, 6), (2500, 6), (2700, 6), (7800, 18)]), wanted);
        let first = (vec![2, 3, 4], "3 of 4 titles; not encoded, because it plays the other titles in a row: title 1".to_owned());
        assert_eq!(picked(&[(61, 3), (20, 1), (20, 1), (21, 1)]), first);
        // With a trailer and a menu beside them.
        assert_eq!(picked(&[(90, 1), (2600, 6), (2500, 6), (5100, 12), (30, 1)]).0, [2, 3]);
    }

    #[test]
    fn what_can_not_be_decided_is_asked() {
        // A film with as many minutes as its two extras, by chance.
        let (titles, question) = picked(&[(4800, 32), (2400, 1), (2400, 1)]);
        assert!(
            titles.is_empty() && question.contains("does title 1 play all other titles in a row, or is it a separate film?"),
            "{question}"
        );
        let many: Vec<(u64, usize)> = (0..40).map(|number| (6000 + number, 9)).collect();
        assert!(picked(&many).1.contains("which of the 40 feature-length titles"));
        let chosen = pick(&disc(&[(20, 1), (20, 1)]), Which::All, Some(&[2])).expect("chosen");
        assert_eq!((chosen.titles.len(), chosen.titles[0].index), (1, 2));
        assert_eq!(pick(&disc(&[(20, 1), (20, 1)]), Which::All, Some(&[3])).expect_err("no such title").titles, [1, 2]);
        let longest = pick(&disc(&[(20, 1), (21, 1)]), Which::Longest, None).expect("one");
        assert_eq!((longest.titles.len(), longest.titles[0].index), (1, 2));
    }
}
