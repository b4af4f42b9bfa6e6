//! Letters, digits and words, as the regular expressions of the Python packages `regex` and `re` know them.

use fancy_regex::Regex;

pub(super) struct Letters {
    word: Regex,
    letter: Regex,
    number: Regex,
    /// Of the package `re`, which takes a combining mark for no part of a word.
    plain: Regex,
}

impl Letters {
    pub(super) fn new() -> Self {
        Self {
            word: compiled(r"\w+"),
            letter: compiled(r"^[\w--\d]$"),
            number: compiled(r"^-?[.,]?\d[\d,.-]*$"),
            plain: compiled(r"^[\p{L}\p{N}_]$"),
        }
    }

    /// How many words there are.
    pub(super) fn words(&self, text: &str) -> usize {
        self.word.find_iter(text).count()
    }

    /// Whether a character is part of a word.
    pub(super) fn is_word(&self, c: char) -> bool {
        c == '_' || c.is_ascii_alphanumeric() || (!c.is_ascii() && matches(&self.word, c))
    }

    /// Whether a character is part of a word and no digit.
    pub(super) fn is_letter(&self, c: char) -> bool {
        c == '_' || c.is_ascii_alphabetic() || (!c.is_ascii() && matches(&self.letter, c))
    }

    pub(super) fn is_digit(&self, c: char) -> bool {
        self.is_word(c) && !self.is_letter(c)
    }

    /// Whether a character is a letter, a number or an underscore.
    pub(super) fn is_plain(&self, c: char) -> bool {
        c == '_' || c.is_ascii_alphanumeric() || (!c.is_ascii() && matches(&self.plain, c))
    }

    /// Whether a word is a number, with a sign, points and commas.
    pub(super) fn is_number(&self, word: &str) -> bool {
        is_match(&self.number, word)
    }
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the expression is valid")
}

fn matches(regex: &Regex, c: char) -> bool {
    is_match(regex, c.encode_utf8(&mut [0; 4]))
}

fn is_match(regex: &Regex, text: &str) -> bool {
    regex
        .is_match(text)
        .expect("nothing in the expression makes the engine go back")
}
