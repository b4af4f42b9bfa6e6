//! `multi_choice_regex`: the letter of the choice that an answer names, or spells out.

use serde_json::Value;

use super::{FilterError, FilterStep};
use crate::Document;
use crate::expression::{Expression, ExpressionError};
use crate::python_text::strip;

pub(super) struct ChoiceLetters {
    expression: Expression,
    group: i64,
    fallback: String,
    ignore_case: bool,
    /// Deleted from answers and choices alike, in this order; punctuation after the case is folded.
    ignored: Vec<Expression>,
    punctuation: Option<Expression>,
}

impl ChoiceLetters {
    /// Reads [`FilterStep::MultiChoiceRegex`].
    pub(super) fn new(step: &FilterStep) -> Result<Self, ExpressionError> {
        let FilterStep::MultiChoiceRegex {
            regex_pattern,
            group_select,
            fallback,
            ignore_case,
            ignore_punctuation,
            regexes_to_ignore,
        } = step
        else {
            unreachable!("the caller has matched the step, found {step:?}");
        };
        let ignored = regexes_to_ignore.iter().map(|pattern| Expression::new(pattern));
        Ok(Self {
            expression: Expression::new(regex_pattern)?,
            group: *group_select,
            fallback: fallback.clone(),
            ignore_case: *ignore_case,
            ignored: ignored.collect::<Result<_, _>>()?,
            punctuation: ignore_punctuation.then(|| Expression::new(r"\p{P}")).transpose()?,
        })
    }

    pub(super) fn apply(&self, texts: &[String], document: &Document) -> Result<Vec<String>, FilterError> {
        let choices = self.choices(document)?;
        let escaped = choices.iter().map(|choice| Expression::escaped(choice));
        let mut by_length: Vec<String> = escaped.collect();
        // A choice that begins another one must not hide it.
        by_length.sort_by_key(|pattern| std::cmp::Reverse(pattern.chars().count()));
        let spelled = Expression::new(&by_length.join("|"))?;
        let letters: Vec<String> = (0..choices.len()).map(|index| letter(index).to_string()).collect();
        let named = Expression::new(&format!(r":[\s]*({})", letters.join("|")))?;
        let answers = texts.iter().map(|text| {
            let found = self.found(text, &choices, &spelled, &named)?;
            Ok(found.unwrap_or_else(|| self.fallback.clone()))
        });
        answers.collect()
    }

    fn found(
        &self,
        text: &str,
        choices: &[String],
        spelled: &Expression,
        named: &Expression,
    ) -> Result<Option<String>, ExpressionError> {
        let matched = self.expression.select(text, self.group)?;
        if let Some(matched) = matched.filter(|matched| !matched.is_empty()) {
            return Ok(Some(matched));
        }
        let matched = spelled.select(&self.normalised(text)?, self.group)?;
        if let Some(matched) = matched.filter(|matched| !matched.is_empty()) {
            let index = choices.iter().rposition(|choice| *choice == matched);
            return Ok(Some(index.map_or(matched, in_brackets)));
        }
        let matched = named.select(text, self.group)?;
        Ok(matched
            .filter(|matched| !matched.is_empty())
            .map(|letter| format!("({letter})")))
    }

    fn choices(&self, document: &Document) -> Result<Vec<String>, FilterError> {
        let choices = document.get("choices").and_then(Value::as_array);
        let texts = choices.and_then(|choices| choices.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
            let problem = "`multi_choice_regex` needs a list of texts in the document's field `choices`";
            return Err(FilterError::Document(problem.to_owned()));
        };
        let normalised = texts.into_iter().map(|text| self.normalised(strip(text)));
        Ok(normalised.collect::<Result<_, _>>()?)
    }

    fn normalised(&self, text: &str) -> Result<String, ExpressionError> {
        let mut text = text.to_owned();
        for expression in &self.ignored {
            text = expression.delete(&text)?;
        }
        if self.ignore_case {
            text = text.to_lowercase();
        }
        match &self.punctuation {
            Some(punctuation) => punctuation.delete(&text),
            None => Ok(text),
        }
    }
}

/// `A` for the first choice.
fn letter(index: usize) -> char {
    u32::try_from(index)
        .ok()
        .and_then(|index| char::from_u32('A' as u32 + index))
        .unwrap_or('?')
}

fn in_brackets(index: usize) -> String {
    format!("({})", letter(index))
}
