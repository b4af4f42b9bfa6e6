//! A batch of documents put to a model, and a journal that may know the answers.

use std::sync::Arc;

use super::Answer;
use crate::journal::Journal;
use crate::{BenchError, GenerationRequest, LanguageModel, Loglikelihood, LoglikelihoodRequest, Prompt, Requests};

/// Answers a batch; documents the journal knows are not asked again.
pub(super) fn answer_batch(
    model: &mut dyn LanguageModel,
    task: &str,
    batch: &[Arc<Prompt>],
    journal: &mut Journal,
) -> Result<Vec<Answer>, BenchError> {
    let mut answers: Vec<Option<Answer>> = batch.iter().map(|prompt| journal.answer(&prompt.requests)).collect();
    let open: Vec<usize> = (0..batch.len()).filter(|&index| answers[index].is_none()).collect();
    let (mut pairs, mut texts) = (Vec::new(), Vec::new());
    for &index in &open {
        match &batch[index].requests {
            Requests::Choices(requests) => pairs.extend(requests.iter().cloned()),
            Requests::Text(request) => texts.push(request.clone()),
        }
    }
    let mut scores = scored(model, &pairs)?.into_iter();
    let mut texts = generated(model, &texts)?.into_iter();
    for &index in &open {
        answers[index] = match &batch[index].requests {
            Requests::Choices(requests) => {
                let scores: Vec<_> = scores.by_ref().take(requests.len()).collect();
                check_numbers(task, batch[index].doc_id, &scores)?;
                Some(Answer::Choices(scores))
            }
            Requests::Text(_) => texts.next().map(Answer::Text),
        };
    }
    let fresh = open
        .iter()
        .filter_map(|&index| Some((&*batch[index], answers[index].as_ref()?)));
    journal.append(task, fresh)?;
    Ok(answers.into_iter().flatten().collect())
}

fn scored(model: &mut dyn LanguageModel, pairs: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    expect_len(model.loglikelihood(pairs)?, pairs.len())
}

fn generated(model: &mut dyn LanguageModel, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    expect_len(model.generate_until(requests)?, requests.len())
}

fn expect_len<T>(answers: Vec<T>, expected: usize) -> Result<Vec<T>, BenchError> {
    if answers.len() == expected {
        return Ok(answers);
    }
    let found = answers.len();
    Err(BenchError::Model(
        format!("{expected} answers expected, found {found}").into(),
    ))
}

/// An answer must not be chosen among numbers that are none. Negative infinity is a choice the model excludes.
fn check_numbers(task: &str, doc_id: usize, scores: &[Loglikelihood]) -> Result<(), BenchError> {
    let odd = scores
        .iter()
        .position(|score| score.sum.is_nan() || score.sum == f64::INFINITY);
    let Some(choice) = odd else {
        return Ok(());
    };
    Err(BenchError::NotANumber {
        task: task.to_owned(),
        doc_id,
        choice,
        value: scores[choice].sum,
    })
}
