//! The words and punctuation marks of a sentence, by the rules of the Penn Treebank as nltk applies them. Each rule puts
//! blanks into the sentence, and what is between blanks in the end is a token.

use super::letters::Letters;
use crate::python_text::{is_space, split};

/// The tokens of a sentence.
pub(super) fn tokens(sentence: &str, letters: &Letters) -> Vec<String> {
    let text = opening_quotes(sentence, letters);
    let text = punctuation(&text, letters);
    let text = padded(&text, |c| "[](){}<>".contains(c)).replace("--", " -- ");
    let text = closing_quotes(&format!(" {text} "));
    let text = contractions(&text, letters);
    split(&text).map(str::to_owned).collect()
}

/// Puts blanks round characters.
fn padded(text: &str, is_padded: fn(char) -> bool) -> String {
    let mut spaced = String::with_capacity(text.len());
    for c in text.chars() {
        if is_padded(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    spaced
}

/// Quotation marks that open become two grave accents, and an apostrophe before a word stands alone.
fn opening_quotes(text: &str, letters: &Letters) -> String {
    let mut text = padded(text, |c| "«“‘„".contains(c));
    text = runs_padded(&text, '`', 1);
    if let Some(rest) = text.strip_prefix('"') {
        text = format!("``{rest}");
    }
    text = text.replace("``", " `` ");
    apostrophes(&opened(&text), letters)
}

/// Puts blanks round every run of a character that is long enough.
fn runs_padded(text: &str, run: char, shortest: usize) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(run) {
        let (before, after) = rest.split_at(start);
        let length = after.len() - after.trim_start_matches(run).len();
        let (marks, following) = after.split_at(length);
        let blank = if length < shortest { "" } else { " " };
        spaced.extend([before, blank, marks, blank]);
        rest = following;
    }
    spaced + rest
}

/// After a blank or a bracket, a quotation mark or two apostrophes open.
fn opened(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        spaced.push(c);
        rest = &rest[c.len_utf8()..];
        let quote = rest.strip_prefix('"').or_else(|| rest.strip_prefix("''"));
        if let Some(after) = quote.filter(|_| " ([{<".contains(c)) {
            spaced.push_str(" `` ");
            rest = after;
        }
    }
    spaced
}

/// Puts a blank after an apostrophe that stands before a word but not in one, unless with a short ending: `'s`.
fn apostrophes(text: &str, letters: &Letters) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut inside = false;
    for (start, c) in text.char_indices() {
        spaced.push(c);
        let rest = &text[start + c.len_utf8()..];
        if c == '\'' && !inside && rest.starts_with(|next| letters.is_word(next)) && !is_ending(rest, letters) {
            spaced.push(' ');
        }
        inside = letters.is_word(c);
    }
    spaced
}

/// Whether a text begins with one of the endings that follow an apostrophe, as a whole word.
fn is_ending(text: &str, letters: &Letters) -> bool {
    let end = text.find(|c| !letters.is_word(c)).unwrap_or(text.len());
    let endings = ["re", "ve", "ll", "m", "t", "s", "d", "n"];
    endings.iter().any(|ending| text[..end].eq_ignore_ascii_case(ending))
}

fn punctuation(text: &str, letters: &Letters) -> String {
    let mut text = final_point(text, "])}>\"'»”’ ", " ");
    text = colons(&text, letters);
    text = runs_padded(&text, '.', 2);
    text = padded(&text, |c| ";@#$%&".contains(c));
    text = padded(&text, |c| ('\u{2012}'..='\u{2015}').contains(&c));
    text = final_point(&text, "])}>\"'", "");
    text = padded(&text, |c| "?!".contains(c));
    text = closing_apostrophes(&text);
    padded(&text, |c| c == '*')
}

/// Puts a blank before the point that ends the sentence, if but one of these and white space follow it, and `blank` after
/// it.
fn final_point(text: &str, following: &str, blank: &str) -> String {
    let Some((before, after)) = text.rsplit_once('.') else {
        return text.to_owned();
    };
    let marks = after.trim_start_matches(|c| following.contains(c));
    let only_marks = marks.chars().all(char::is_whitespace);
    if before.is_empty() || before.ends_with('.') || !only_marks {
        return text.to_owned();
    }
    let marks = &after[..after.len() - marks.len()];
    format!("{before} .{blank}{marks} ")
}

/// Puts blanks round a colon or a comma before anything but a digit. The character after one is not looked at again.
fn colons(text: &str, letters: &Letters) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if !matches!(c, ':' | ',') {
            spaced.push(c);
            continue;
        }
        match characters.next_if(|next| !letters.is_digit(*next)) {
            Some(next) => spaced.extend([' ', c, ' ', next]),
            None => spaced.push(c),
        }
    }
    match spaced.strip_suffix([':', ',']) {
        Some(rest) => {
            let mark = &spaced[rest.len()..];
            format!("{rest} {mark} ")
        }
        None => spaced,
    }
}

/// Puts a blank before an apostrophe that ends a word.
fn closing_apostrophes(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        spaced.push(c);
        rest = &rest[c.len_utf8()..];
        if let Some(after) = rest.strip_prefix("' ").filter(|_| c != '\'') {
            spaced.push_str(" ' ");
            rest = after;
        }
    }
    spaced
}

/// Quotation marks that close become two apostrophes, and endings stand alone: `'s`, `n't`.
fn closing_quotes(text: &str) -> String {
    let text = padded(text, |c| "»”’".contains(c))
        .replace("''", " '' ")
        .replace('"', " '' ");
    let text = single_spaced(&text);
    let text = endings(&text, &["'s", "'S", "'m", "'M", "'d", "'D", "'"]);
    endings(&text, &["'ll", "'LL", "'re", "'RE", "'ve", "'VE", "n't", "N'T"])
}

/// One blank for each run of white space.
fn single_spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_whitespace() {
            spaced.push(c);
        } else if !spaced.ends_with(' ') {
            spaced.push(' ');
        }
    }
    spaced
}

/// Puts a blank before an ending that follows a letter and has a blank after it.
fn endings(text: &str, endings: &[&str]) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        spaced.push(c);
        rest = &rest[c.len_utf8()..];
        if matches!(c, '\'' | ' ') {
            continue;
        }
        let mut found = endings
            .iter()
            .filter_map(|ending| Some((ending, rest.strip_prefix(ending)?.strip_prefix(' ')?)));
        if let Some((ending, after)) = found.next() {
            spaced.extend([" ", ending, " "]);
            rest = after;
        }
    }
    spaced
}

/// Words that are two: `cannot` is `can not`. No letter follows them, or white space must.
const CONTRACTIONS: [(&str, &str, After); 10] = [
    ("can", "not", After::NoLetter),
    ("d", "'ye", After::NoLetter),
    ("gim", "me", After::NoLetter),
    ("gon", "na", After::NoLetter),
    ("got", "ta", After::NoLetter),
    ("lem", "me", After::NoLetter),
    ("more", "'n", After::NoLetter),
    ("wan", "na", After::Space),
    ("'t", "is", After::NoLetter),
    ("'t", "was", After::NoLetter),
];

#[derive(Clone, Copy, PartialEq)]
enum After {
    NoLetter,
    Space,
}

fn contractions(text: &str, letters: &Letters) -> String {
    let mut text = text.to_owned();
    for (first, second, after) in CONTRACTIONS {
        text = contraction(&text, [first, second], after, letters);
    }
    text
}

/// Takes two words apart, whatever their case, where they stand as one.
fn contraction(text: &str, words: [&str; 2], after: After, letters: &Letters) -> String {
    let mut spaced = String::with_capacity(text.len());
    let (mut rest, mut before) = (text, ' ');
    while let Some(c) = rest.chars().next() {
        let starts = if c == '\'' {
            before == ' '
        } else {
            !letters.is_plain(before)
        };
        let found = starts.then(|| both(rest, words)).flatten();
        if let Some([first, second, following]) = found.filter(|found| after.holds(found[2], letters)) {
            spaced.extend([" ", first, " ", second, " "]);
            (rest, before) = (following, 'a');
            continue;
        }
        spaced.push(c);
        (rest, before) = (&rest[c.len_utf8()..], c);
    }
    spaced
}

/// Two words at the start of a text, and what follows them.
fn both<'a>(text: &'a str, [first, second]: [&str; 2]) -> Option<[&'a str; 3]> {
    let (head, rest) = text.split_at_checked(first.len())?;
    let (tail, rest) = rest.split_at_checked(second.len())?;
    let same = head.eq_ignore_ascii_case(first) && tail.eq_ignore_ascii_case(second);
    same.then_some([head, tail, rest])
}

impl After {
    fn holds(self, rest: &str, letters: &Letters) -> bool {
        match self {
            Self::NoLetter => !rest.starts_with(|c| letters.is_plain(c)),
            Self::Space => rest.starts_with(is_space),
        }
    }
}
