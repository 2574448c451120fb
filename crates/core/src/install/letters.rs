//! Letters that are readable from two metres on a screen of 80 columns.

/// Seven rows of five dots; the highest bit of each row is on the left.
const FONT: [(char, [u8; 7]); 11] = [
    ('A', [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001]),
    ('D', [0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11110]),
    ('E', [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111]),
    ('F', [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000]),
    ('I', [0b01110, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110]),
    ('L', [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111]),
    ('N', [0b10001, 0b11001, 0b11001, 0b10101, 0b10011, 0b10011, 0b10001]),
    ('O', [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('R', [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001]),
    ('S', [0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110]),
    ('W', [0b10001, 0b10001, 0b10001, 0b10101, 0b10101, 0b11011, 0b10001]),
];

/// The rows of a word of at most six letters, each dot two columns wide. A letter that is not in the font is left empty.
pub fn large(word: &str) -> Vec<String> {
    let letters: Vec<[u8; 7]> =
        word.chars().map(|c| FONT.iter().find(|(letter, _)| *letter == c).map_or([0; 7], |(_, rows)| *rows)).collect();
    let row = |row: usize| {
        let dots = letters.iter().flat_map(|letter| (0..6).map(move |column| column < 5 && letter[row] & (0b10000 >> column) != 0));
        dots.map(|dot| if dot { "##" } else { "  " }).collect::<String>().trim_end().to_owned()
    };
    (0..7).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_is_shown_fits_and_has_its_letters() {
        for word in ["DONE", "ERASED", "FAILED", "NEW"] {
            assert!(word.chars().all(|c| FONT.iter().any(|(letter, _)| *letter == c)), "{word}");
            assert!(large(word).iter().all(|row| row.len() <= 76), "{word}");
        }
        assert_eq!(large("L")[0], "##");
        assert_eq!(large("L")[6], "##########");
    }
}
