//! Text from elsewhere, made safe to show: a terminal obeys control characters, and characters without a width hide or reorder what stands
//! around them. Everything that hostler prints or logs passes here once.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` in one line: each control character, line break included, and each character that is not seen or changes the direction of text is
/// written as its number, `U+001B`.
pub fn visible(text: &str) -> Cow<'_, str> {
    shown_unless(text, |_| false)
}

/// As [`visible`], but line feeds stay.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    shown_unless(text, |c| c == '\n')
}

/// The last output of a program, as a part of a message: what it calls its error, else its last lines, in one line, at most 600 characters.
/// Colors are left out.
pub fn last_output(output: &str) -> String {
    const LINES: usize = 6;
    const LENGTH: usize = 600;
    // kubeadm's, below each of its errors.
    const NOISE: &str = "To see the stack trace of this error";
    let plain: Vec<String> = output.lines().map(|line| without_colors(line).trim().to_owned()).collect();
    let lines: Vec<&str> = plain.iter().map(String::as_str).filter(|line| !line.is_empty() && !line.starts_with(NOISE)).collect();
    // A program in Go that crashes says why first, and then where each of its threads was.
    let crash = ["panic: ", "fatal error: ", "runtime: ", "SIGQUIT: "];
    if let Some(line) = lines.iter().find(|line| crash.iter().any(|start| line.starts_with(start)))
        && lines.iter().any(|line| line.starts_with("goroutine "))
    {
        return shortened(&format!("the program crashed: {line}"), LENGTH);
    }
    let is_error = |line: &&str| ["error: ", "Error: ", "fatal: "].iter().any(|start| line.starts_with(start));
    let first = lines.iter().rposition(is_error).unwrap_or(0).max(lines.len().saturating_sub(LINES));
    shortened(&lines[first..].join("; "), LENGTH)
}

/// Without the sequences that color what follows: ESC, `[`, numbers, `m`.
fn without_colors(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let numbers = after.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(after.len());
        match after[numbers..].strip_prefix('m') {
            Some(colored) => rest = colored,
            None => {
                plain.push_str("\u{1b}[");
                rest = after;
            }
        }
    }
    plain + rest
}

/// `text` as [`visible`], and no longer than `most` characters of it.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", visible(&text[..end])),
        None => visible(text).into_owned(),
    }
}

/// `json`, a serialized value, with such characters escaped as JSON does. It is the same value, and safe to print.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // Outside of strings JSON has none of them but the line feed.
    rewritten(
        json,
        |c| c == '\n',
        |text, c| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        },
    )
}

fn shown_unless(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    // A tab is a blank: of columns there are none in a message.
    rewritten(text, stays, |text, c| match c {
        '\t' => text.push(' '),
        c => drop(write!(text, "U+{:04X}", u32::from(c))),
    })
}

fn rewritten(text: &str, stays: impl Fn(char) -> bool, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let unsafe_here = |c: char| is_unseen(c) && !stays(c);
    let Some(first) = text.find(unsafe_here) else { return Cow::Borrowed(text) };
    let mut clean = String::with_capacity(text.len() + 16);
    clean.push_str(&text[..first]);
    for c in text[first..].chars() {
        if unsafe_here(c) { write(&mut clean, c) } else { clean.push(c) }
    }
    Cow::Owned(clean)
}

/// Whether the character shows nothing of its own: control characters (C0, DEL, C1), line and paragraph separators, Unicode's format
/// characters (category Cf: directions, joiners, tags), blanks that look like nothing, variation selectors, and noncharacters.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_hides_is_shown_by_its_number() {
        for (text, shown) in [
            ("plain, \u{fc}n\u{ef} \u{2603} \u{4e2d}", "plain, \u{fc}n\u{ef} \u{2603} \u{4e2d}"),
            ("\u{1b}[2J\u{7f}", "U+001B[2JU+007F"),
            ("\u{9b}31m\u{85}", "U+009B31mU+0085"),
            ("one\ntwo\r\nthree\tfour", "oneU+000AtwoU+000DU+000Athree four"),
            ("\u{202e}evil\u{2066}\u{200d}\u{feff}", "U+202EevilU+2066U+200DU+FEFF"),
            ("\u{2028}\u{2029}\u{ad}\u{e0041}\u{fdd0}\u{ffff}", "U+2028U+2029U+00ADU+E0041U+FDD0U+FFFF"),
        ] {
            assert_eq!(visible(text), shown);
            assert!(!shown.chars().any(is_unseen));
        }
        assert_eq!(visible_lines("one\ntwo\r"), "one\ntwoU+000D");
        assert_eq!(last_output("\n a\n\u{1b}b \n\n"), "a; U+001Bb");
        assert_eq!(last_output("\u{1b}[0;37mPIDS\u{1b}[0m: on\n\u{1b}[2J\u{1b}[31"), "PIDS: on; U+001B[2JU+001B[31");
        let kubeadm =
            "[preflight] a\nerror: execution phase preflight\n[ERROR Swap]\nTo see the stack trace of this error execute with --v=5";
        assert_eq!(last_output(kubeadm), "error: execution phase preflight; [ERROR Swap]");
        let crashed = "x\nruntime: failed to create new OS thread\ngoroutine 1 [running]:\nmain.run(0x3)\n\tmain.go:146 +0x23e\n";
        assert_eq!(last_output(crashed), "the program crashed: runtime: failed to create new OS thread");
        assert_eq!(last_output("error: first\n1\n2\n3\n4\n5\n6"), "1; 2; 3; 4; 5; 6");
        assert_eq!(shortened("\u{1b}\u{1b}\u{1b}", 2), "U+001BU+001B…");
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "a": "\u{1b}\u{9b}\u{202e}\u{e0041}\n\"", "\u{200b}": ["x"] });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("plain data")] {
            let shown = visible_json(&text);
            assert!(!shown.chars().any(|c| c != '\n' && is_unseen(c)), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("it is JSON"), value);
        }
    }
}
