//! Whether a text is JSON as Python's `json.loads` takes it: RFC 8259 with `NaN`, `Infinity` and `-Infinity`, numbers of
//! any size, and escaped halves of surrogate pairs.

/// Digits of an integer beyond which Python does not convert it.
const LONGEST_INTEGER: usize = 4300;

/// Whether the whole text is one value, with white space round it.
pub(super) fn is_json(text: &str) -> bool {
    let mut reader = Reader { rest: text };
    reader.value().is_some() && reader.next_is_end()
}

struct Reader<'a> {
    rest: &'a str,
}

/// A list or an object that is open.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    List,
    Object,
}

/// `None` where the text is not JSON. Nesting is on the heap: no depth overflows the stack.
impl Reader<'_> {
    fn value(&mut self) -> Option<()> {
        let mut open = Vec::new();
        loop {
            self.skip_space();
            if self.take("[") {
                open.push(Open::List);
                self.skip_space();
                if !self.take("]") {
                    continue;
                }
                open.pop();
            } else if self.take("{") {
                open.push(Open::Object);
                self.skip_space();
                if !self.take("}") {
                    self.key()?;
                    continue;
                }
                open.pop();
            } else {
                self.scalar()?;
            }
            if self.close(&mut open)? {
                return Some(());
            }
        }
    }

    /// After a value: closes what ends with it. True where nothing is open any more; otherwise a value follows.
    fn close(&mut self, open: &mut Vec<Open>) -> Option<bool> {
        while let Some(innermost) = open.last().copied() {
            self.skip_space();
            if self.take(",") {
                if innermost == Open::Object {
                    self.skip_space();
                    self.key()?;
                }
                return Some(false);
            }
            let end = if innermost == Open::List { "]" } else { "}" };
            self.take(end).then_some(())?;
            open.pop();
        }
        Some(true)
    }

    /// A member's name and the colon after it.
    fn key(&mut self) -> Option<()> {
        self.string()?;
        self.skip_space();
        self.take(":").then_some(())
    }

    fn scalar(&mut self) -> Option<()> {
        if self.rest.starts_with('"') {
            return self.string();
        }
        let words = ["null", "true", "false", "NaN", "Infinity", "-Infinity"];
        if words.iter().any(|word| self.take(word)) {
            return Some(());
        }
        self.number()
    }

    fn string(&mut self) -> Option<()> {
        self.take("\"").then_some(())?;
        loop {
            self.skip(|c| c != '"' && c != '\\' && c >= ' ');
            if self.take("\"") {
                return Some(());
            }
            self.take("\\").then_some(())?;
            if !self.take("u") {
                let escaped = self.rest.chars().next()?;
                r#""\/bfnrt"#.contains(escaped).then(|| self.skip_bytes(1))?;
                continue;
            }
            let digits = self.rest.get(..4)?;
            digits
                .bytes()
                .all(|b| b.is_ascii_hexdigit())
                .then(|| self.skip_bytes(4))?;
        }
    }

    fn number(&mut self) -> Option<()> {
        self.take("-");
        let digits = if self.take("0") { 1 } else { self.digits() };
        (digits > 0).then_some(())?;
        let fraction = self.after(".");
        let exponent = self.after("e") || self.after("E");
        (fraction || exponent || digits <= LONGEST_INTEGER).then_some(())
    }

    /// Takes a point, or the letter and sign of an exponent, if digits follow.
    fn after(&mut self, mark: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(mark) else {
            return false;
        };
        let signed = if mark == "." {
            None
        } else {
            rest.strip_prefix(['+', '-'])
        };
        let mut ahead = Reader {
            rest: signed.unwrap_or(rest),
        };
        let found = ahead.digits() > 0;
        if found {
            self.skip_bytes(self.rest.len() - ahead.rest.len());
        }
        found
    }

    /// Takes digits; how many there were.
    fn digits(&mut self) -> usize {
        let before = self.rest.len();
        self.skip(|c| c.is_ascii_digit());
        before - self.rest.len()
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_bytes(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn skip(&mut self, skipped: fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(skipped);
    }

    fn skip_space(&mut self) {
        self.skip(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
    }

    fn next_is_end(&mut self) -> bool {
        self.skip_space();
        self.rest.is_empty()
    }
}
