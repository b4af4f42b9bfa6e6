//! Parses Python's list literals like `ast.literal_eval`. A template prints a list in this form.

use serde_json::{Number, Value};

/// Nesting beyond this is no list that a data set holds.
const MAX_DEPTH: usize = 64;

/// The items of a text that is a list in Python's notation; `None` where the text is anything else.
pub(crate) fn list(text: &str) -> Option<Vec<Value>> {
    let mut reader = Reader { rest: text };
    if !text.starts_with('[') || !text.ends_with(']') {
        return None;
    }
    let value = reader.value(0)?;
    match value {
        Value::Array(items) if reader.rest.is_empty() => Some(items),
        _ => None,
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
    }

    /// Consumes the text if it comes next.
    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.rest.chars().next()? {
            '[' => self.items("[", "]", depth).map(|(items, _)| Value::Array(items)),
            '(' => match self.items("(", ")", depth)? {
                // Parentheses round one value are not a tuple.
                (mut items, false) if items.len() == 1 => items.pop(),
                (items, _) => Some(Value::Array(items)),
            },
            '\'' | '"' => self.strings().map(Value::String),
            _ => self.word(),
        }
    }

    /// Comma-separated values between brackets, and whether there was a comma.
    fn items(&mut self, open: &str, close: &str, depth: usize) -> Option<(Vec<Value>, bool)> {
        self.take(open);
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            self.skip_space();
            if self.take(close) {
                return Some((items, comma));
            }
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value(depth + 1)?);
            self.skip_space();
            let found = self.take(",");
            if !found {
                return self.take(close).then_some((items, comma));
            }
            comma = true;
        }
    }

    /// String literals side by side are one string.
    fn strings(&mut self) -> Option<String> {
        let mut text = String::new();
        while let Some(quote @ ('\'' | '"')) = self.rest.chars().next() {
            // Three quotation marks begin another kind of literal, which printed lists do not have.
            if self.rest.starts_with(&quote.to_string().repeat(3)) {
                return None;
            }
            self.next();
            self.string_until(quote, &mut text)?;
            self.skip_space();
        }
        Some(text)
    }

    fn string_until(&mut self, quote: char, text: &mut String) -> Option<()> {
        loop {
            match self.next()? {
                '\n' => return None,
                '\\' => self.escape(text)?,
                c if c == quote => return Some(()),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let escaped = match self.next()? {
            '\n' => return Some(()),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            c @ ('\\' | '\'' | '"') => c,
            'x' => self.code_point(2)?,
            'u' => self.utf16()?,
            'U' => self.code_point(8)?,
            digit @ '0'..='7' => self.octal(digit)?,
            'N' => return None,
            // Any other backslash is a backslash.
            c => {
                text.push('\\');
                c
            }
        };
        text.push(escaped);
        Some(())
    }

    fn hexadecimal(&mut self, digits: usize) -> Option<u32> {
        let number = self.rest.get(..digits)?;
        self.rest = &self.rest[digits..];
        let digits_only = number.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(number, 16).ok().filter(|_| digits_only)
    }

    fn code_point(&mut self, digits: usize) -> Option<char> {
        self.hexadecimal(digits).and_then(char::from_u32)
    }

    /// One code unit, or the two of a pair, which JSON writes.
    fn utf16(&mut self) -> Option<char> {
        let first = self.hexadecimal(4)?;
        if let Some(c) = char::from_u32(first) {
            return Some(c);
        }
        if !self.take("\\u") {
            return None;
        }
        let units = [first as u16, self.hexadecimal(4)? as u16];
        char::decode_utf16(units).next()?.ok()
    }

    fn octal(&mut self, first: char) -> Option<char> {
        let mut value = first.to_digit(8)?;
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else {
                break;
            };
            self.next();
            value = value * 8 + digit;
        }
        char::from_u32(value)
    }

    /// A number, `None`, `True` or `False`.
    fn word(&mut self) -> Option<Value> {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.rest = &self.rest[end..];
        match word {
            "None" => Some(Value::Null),
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            _ => number(word),
        }
    }
}

fn number(word: &str) -> Option<Value> {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let unsigned = digits.bytes().all(|byte| byte.is_ascii_digit());
    if unsigned {
        // Python refuses leading zeros.
        let leading = digits.len() > 1 && digits.starts_with('0');
        return word.parse::<i64>().ok().filter(|_| !leading).map(Value::from);
    }
    word.parse().ok().and_then(Number::from_f64).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::list;
    use serde_json::{Value, json};

    /// Texts and what Python 3.11's `ast.literal_eval` makes of them.
    #[test]
    fn lists_are_read_as_python_reads_them() {
        let read = |text: &str| list(text).map(Value::from);
        for (text, expected) in [
            ("[]", json!([])),
            (r#"['a', "it's", 'say "x"']"#, json!(["a", "it's", "say \"x\""])),
            ("[ 'a' ,\n'b', ]", json!(["a", "b"])),
            (
                "[None, True, False, 1, -2, 1.5, 1e3]",
                json!([null, true, false, 1, -2, 1.5, 1000.0]),
            ),
            ("[['a', ('b', 1)], ('c'), ()]", json!([["a", ["b", 1]], "c", []])),
            (
                r"['\n\t\\\'\x41\u00e9\U0001f600\101', 'a' 'b', '\d']",
                json!(["\n\t\\'A\u{e9}\u{1f600}A", "ab", "\\d"]),
            ),
            (r#"["\ud83d\ude00"]"#, json!(["\u{1f600}"])),
            ("['\u{e9} ]', '[']", json!(["\u{e9} ]", "["])),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "[",
            "[1",
            "['a' 1]",
            "['a",
            "[a]",
            "[null]",
            "[007]",
            "['a']]",
            "['a'] ['b']",
            "x['a']",
            "['\n']",
            "[,]",
            "[1,,2]",
            "{'a': 1}",
            "[{'a': 1}]",
            "['''a''']",
            r"['\ud83d']",
            r"['\xg1']",
            "[1 2]",
            "[--1]",
            "[nan]",
            "[.]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(list(&("[".repeat(200_000) + &"]".repeat(200_000))), None);
    }
}
