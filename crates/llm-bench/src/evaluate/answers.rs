//! A batch of documents put to a model.

use crate::{Answer, BenchError, GenerationRequest, LanguageModel, Loglikelihood, Prompt, Requests};

/// One answer per prompt, in order. All requests of a kind go to the model together.
pub(super) fn ask(model: &mut dyn LanguageModel, task: &str, prompts: &[&Prompt]) -> Result<Vec<Answer>, BenchError> {
    let (mut pairs, mut texts, mut rolling) = (Vec::new(), Vec::new(), Vec::new());
    for prompt in prompts {
        match &prompt.requests {
            Requests::Choices(requests) => pairs.extend(requests.iter().cloned()),
            Requests::Text(request) => texts.extend(request.draws()),
            Requests::Rolling(text) => rolling.push(text.clone()),
        }
    }
    let mut pairs = answered(&pairs, |pairs| model.loglikelihood(pairs))?.into_iter();
    let mut texts = answered(&texts, |texts| model.generate_until(texts))?.into_iter();
    let mut rolling = answered(&rolling, |texts| model.loglikelihood_rolling(texts))?.into_iter();
    let answers = prompts.iter().map(|prompt| match &prompt.requests {
        Requests::Choices(requests) => {
            let scores: Vec<Loglikelihood> = pairs.by_ref().take(requests.len()).collect();
            check_numbers(task, prompt.doc_id, &scores)?;
            Ok(Some(Answer::Choices(scores)))
        }
        Requests::Text(request) => Ok(texts_of(request, &mut texts)),
        Requests::Rolling(_) => {
            let sum = rolling.next();
            match sum.filter(|sum| !sum.is_finite()) {
                // Not even negative infinity: the perplexity of all texts together would be infinite.
                Some(value) => Err(not_a_number(task, prompt.doc_id, 0, value)),
                None => Ok(sum.map(Answer::Rolling)),
            }
        }
    });
    answers.filter_map(Result::transpose).collect()
}

/// The texts of one question. A greedy text is used for all repeats.
fn texts_of(request: &GenerationRequest, texts: &mut impl Iterator<Item = String>) -> Option<Answer> {
    if request.repeats <= 1 {
        return texts.next().map(Answer::Text);
    }
    let drawn: Vec<String> = texts.take(request.draws().len()).collect();
    let all = drawn.iter().cycle().take(request.repeats).cloned();
    Some(Answer::Texts(all.collect()))
}

/// Puts requests to a model if there are any.
fn answered<R, A>(requests: &[R], ask: impl FnOnce(&[R]) -> Result<Vec<A>, BenchError>) -> Result<Vec<A>, BenchError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let answers = ask(requests)?;
    if answers.len() == requests.len() {
        return Ok(answers);
    }
    let (expected, found) = (requests.len(), answers.len());
    Err(BenchError::Model(
        format!("{expected} answers expected, found {found}").into(),
    ))
}

/// An answer must not be chosen among numbers that are none. Negative infinity is a choice the model excludes.
fn check_numbers(task: &str, doc_id: usize, scores: &[Loglikelihood]) -> Result<(), BenchError> {
    for (index, value) in scores.iter().map(|score| score.sum).enumerate() {
        if value.is_nan() || value == f64::INFINITY {
            return Err(not_a_number(task, doc_id, index, value));
        }
    }
    Ok(())
}

fn not_a_number(task: &str, doc_id: usize, index: usize, value: f64) -> BenchError {
    BenchError::NotANumber {
        task: task.to_owned(),
        doc_id,
        index,
        value,
    }
}
