//! `detectable_format`: lists, highlights, sections, titles, JSON.

use super::arguments::Arguments;
use super::{Check, json};
use crate::expression::{Expression, SPACE};
use crate::processor::FieldError;
use crate::python_text::{is_space, strip};

/// Exactly so many bullet points.
pub(super) fn number_bullet_lists(arguments: &Arguments) -> Result<Check, FieldError> {
    let count = arguments.count("num_bullets")?;
    Ok(Box::new(move |response, _| {
        Ok(points(response, starred) + points(response, dashed) == count)
    }))
}

/// How often a point stands at the start of a line, white space and empty lines before it. `point` takes it off the
/// start of a text, and the rest of its line goes with it.
fn points(text: &str, point: fn(&str) -> Option<&str>) -> usize {
    let (mut count, mut next) = (0, Some(text));
    while let Some(line) = next {
        let mut rest = line.trim_start_matches(is_space);
        if let Some(after) = point(rest) {
            (count, rest) = (count + 1, after);
        }
        next = rest.split_once('\n').map(|(_, following)| following);
    }
    count
}

/// An asterisk, and after it any character but another one: a line break will do.
fn starred(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix('*')?.chars();
    rest.next().filter(|c| *c != '*')?;
    Some(rest.as_str())
}

fn dashed(text: &str) -> Option<&str> {
    text.strip_prefix('-')
}

/// At least so many highlights, `*one*` or `**one**`; the second way counts as one as well where the first sees two
/// empty ones in it.
pub(super) fn number_highlighted_sections(arguments: &Arguments) -> Result<Check, FieldError> {
    let count = arguments.count("num_highlights")?;
    Ok(Box::new(move |response, _| {
        let lines = response.split('\n');
        Ok(lines
            .map(|line| highlights(line, "*") + highlights(line, "**"))
            .sum::<usize>()
            >= count)
    }))
}

/// Texts between two marks with no asterisk in them that are more than white space.
fn highlights(line: &str, mark: &str) -> usize {
    let (mut count, mut rest) = (0, line);
    while let Some(start) = rest.find(mark) {
        let inside = &rest[start + mark.len()..];
        let end = inside.find('*').unwrap_or(inside.len());
        rest = match inside[end..].strip_prefix(mark) {
            Some(after) => {
                count += usize::from(!strip(&inside[..end]).is_empty());
                after
            }
            None => &rest[start + 1..],
        };
    }
    count
}

/// At least so many headings: a word, which is an expression, and a number.
pub(super) fn multiple_sections(arguments: &Arguments) -> Result<Check, FieldError> {
    let pattern = format!("{}{SPACE}?\\d+", arguments.text("section_spliter")?);
    let heading = arguments.expression(Expression::new(&pattern))?;
    let count = arguments.count("num_sections")?;
    Ok(Box::new(move |response, _| Ok(heading.count(response)? >= count)))
}

/// One of three sentences, anywhere.
pub(super) fn constrained_response(_: &Arguments) -> Result<Check, FieldError> {
    Ok(Box::new(|response, _| {
        let answers = ["My answer is yes.", "My answer is no.", "My answer is maybe."];
        Ok(answers.iter().any(|answer| response.contains(answer)))
    }))
}

/// JSON, in a fenced block or not.
pub(super) fn json_format(_: &Arguments) -> Result<Check, FieldError> {
    Ok(Box::new(|response, _| {
        let mut text = strip(response);
        for fence in ["```json", "```Json", "```JSON", "```"] {
            text = text.strip_prefix(fence).unwrap_or(text);
        }
        Ok(json::is_json(strip(text.strip_suffix("```").unwrap_or(text))))
    }))
}

/// `<<A title>>`. The last brackets of a line close it; brackets alone are no title.
pub(super) fn title(_: &Arguments) -> Result<Check, FieldError> {
    Ok(Box::new(|response, _| {
        let mut titles = response.split('\n').filter_map(bracketed);
        Ok(titles.any(|title| !strip(title.trim_start_matches('<').trim_end_matches('>')).is_empty()))
    }))
}

/// From the first brackets that open to the last that close, if anything is between.
fn bracketed(line: &str) -> Option<&str> {
    let (start, end) = (line.find("<<")?, line.rfind(">>")?);
    (end > start + 2).then(|| &line[start..end + 2])
}
