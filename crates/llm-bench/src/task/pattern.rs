//! Shell patterns over names, as Python's `fnmatch` reads them: `*`, `?`, `[abc]`, `[!a-z]`.

/// Whether a name has a character that is special in a pattern.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Whether the whole name matches. Time is at most the product of the two lengths.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(next) = step(&pattern, p, name[n]) {
            (p, n) = (next, n + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// Where the pattern continues after it has matched one character, if it does.
fn step(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => class(pattern, at, c),
        &other => (other == c).then_some(at + 1),
    }
}

/// A class of characters; a bracket that is never closed stands for itself.
fn class(pattern: &[char], at: usize, c: char) -> Option<usize> {
    let negated = pattern.get(at + 1) == Some(&'!');
    let first = at + 1 + usize::from(negated);
    let end = (first + 1..pattern.len()).find(|&index| pattern[index] == ']');
    let Some(end) = end else {
        return (c == '[').then_some(at + 1);
    };
    let (members, mut index, mut inside) = (&pattern[first..end], 0, false);
    while index < members.len() {
        if members.get(index + 1) == Some(&'-') && index + 2 < members.len() {
            inside |= (members[index]..=members[index + 2]).contains(&c);
            index += 3;
        } else {
            inside |= members[index] == c;
            index += 1;
        }
    }
    (inside != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::matches;

    /// What Python 3.11's `fnmatch.fnmatchcase` says.
    #[test]
    fn patterns_match_as_in_python() {
        for (pattern, name, expected) in [
            ("mmlu_*", "mmlu_anatomy", true),
            ("mmlu_*", "mmlu", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a[bc]d", "acd", true),
            ("a[!bc]d", "acd", false),
            ("a[a-c]", "ab", true),
            ("a[a-c]", "ad", false),
            ("[]]", "]", true),
            ("[x", "[x", true),
            ("*a*b*c", "xxaybzbc", true),
            ("*a*b*c", "xxaybzb", false),
            ("arc_easy", "arc_easy", true),
            ("[-a]", "-", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(5_000), &"b".repeat(5_000)));
    }
}
