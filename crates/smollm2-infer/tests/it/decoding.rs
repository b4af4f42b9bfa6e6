//! The decoder loop: rows that come and go, stop strings, log-probabilities, kept prefixes.

use std::collections::BTreeMap;

use burn::backend::Flex;
use smollm2_infer::{Decoder, End, GenerationConfig, InferError, ScoreRequest, TokenEvent};

use crate::support::{drawn, engine, most, overflowed, poisoned, prompt, tokens};

/// All that is left of a decoder's work, by row.
fn finish(decoder: &mut Decoder<Flex>, events: &mut BTreeMap<usize, Vec<TokenEvent>>) {
    while !decoder.is_idle() {
        step(decoder, events);
    }
}

fn step(decoder: &mut Decoder<Flex>, events: &mut BTreeMap<usize, Vec<TokenEvent>>) {
    for event in decoder.step().unwrap() {
        events.entry(event.row).or_default().push(event);
    }
}

fn ids(events: &[TokenEvent]) -> Vec<u32> {
    events.iter().map(|event| event.token).collect()
}

fn text(events: &[TokenEvent]) -> String {
    events.iter().map(|event| event.text.as_str()).collect()
}

#[test]
fn rows_admitted_at_any_time_give_the_tokens_of_each_alone() {
    let engine = engine(96);
    for settings in [most(20), drawn(most(20))] {
        // Row, step at which it is admitted, prompt, most new tokens.
        let rows = [(0, 9, 20), (0, 2, 3), (1, 14, 7), (4, 1, 20), (4, 30, 12), (12, 5, 6)];
        let mut decoder = Decoder::new(&engine);
        let (mut events, mut expected) = (BTreeMap::new(), Vec::new());
        for time in 0..=12 {
            for (row, (_, length, new)) in rows.iter().enumerate().filter(|(_, (at, ..))| *at == time) {
                let prompt = prompt(*length, row as u64);
                let settings = GenerationConfig {
                    max_new_tokens: *new,
                    ..settings.clone()
                };
                assert_eq!(decoder.admit(&prompt, &settings).unwrap(), row);
                expected.push(tokens(&engine, &prompt, &settings));
            }
            step(&mut decoder, &mut events);
        }
        finish(&mut decoder, &mut events);
        for (row, expected) in expected.iter().enumerate() {
            assert_eq!(ids(&events[&row]), *expected, "row {row}");
            let ends: Vec<bool> = events[&row].iter().map(|event| event.end.is_some()).collect();
            assert_eq!(ends.iter().position(|end| *end), Some(ends.len() - 1));
        }
    }
}

#[test]
fn a_row_that_is_removed_leaves_the_others_as_they_are() {
    let engine = engine(64);
    let prompts = [prompt(12, 1), prompt(3, 2), prompt(6, 3)];
    let mut decoder = Decoder::new(&engine);
    for prompt in &prompts {
        decoder.admit(prompt, &most(15)).unwrap();
    }
    let mut events = BTreeMap::new();
    step(&mut decoder, &mut events);
    step(&mut decoder, &mut events);
    decoder.remove(0);
    decoder.remove(7);
    // A row that waits is removed too.
    let waiting = decoder.admit(&prompts[0], &most(15)).unwrap();
    decoder.remove(waiting);
    finish(&mut decoder, &mut events);
    assert_eq!(events[&0].len(), 2);
    for row in [1, 2] {
        assert_eq!(ids(&events[&row]), tokens(&engine, &prompts[row], &most(15)));
    }
    assert!(!events.contains_key(&waiting));
}

#[test]
fn a_stop_string_of_several_tokens_ends_the_row_and_its_text() {
    let engine = engine(128);
    let whole: Vec<TokenEvent> = engine.generate(&[1], &most(60)).unwrap().map(Result::unwrap).collect();
    let whole_text = text(&whole);
    let letters: Vec<(usize, char)> = whole_text.char_indices().collect();
    let mut compared = 0;
    for window in letters.windows(4).step_by(5) {
        let stop = &whole_text[window[0].0..window[3].0];
        let settings = GenerationConfig {
            stop_strings: vec!["never in it".to_owned(), stop.to_owned()],
            ..most(60)
        };
        let found: Vec<TokenEvent> = engine.generate(&[1], &settings).unwrap().map(Result::unwrap).collect();
        assert_eq!(text(&found), whole_text[..whole_text.find(stop).unwrap()], "{stop:?}");
        assert_eq!(found.last().unwrap().end, Some(End::StopString));
        assert_eq!(ids(&found), ids(&whole)[..found.len()]);
        compared += 1;
    }
    assert!(compared > 3, "{whole_text:?}");
}

#[test]
fn log_probabilities_are_those_of_scoring() {
    let engine = engine(64);
    let settings = GenerationConfig {
        logprobs: Some(3),
        ..drawn(most(12))
    };
    let prompt = prompt(5, 4);
    let events: Vec<TokenEvent> = engine
        .generate(&prompt, &settings)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let request = ScoreRequest {
        context: prompt,
        continuations: vec![ids(&events)],
    };
    let scores = engine.score(&[request], 1).unwrap();
    for (event, score) in events.iter().zip(&scores[0][0].tokens) {
        let logprobs = event.logprobs.as_ref().unwrap();
        assert!((logprobs.chosen - score.logprob).abs() < 1e-4, "{logprobs:?} {score:?}");
        assert_eq!(logprobs.top.len(), 3);
        assert!(logprobs.top.is_sorted_by(|a, b| a.1 >= b.1));
        assert_eq!(logprobs.top[0].0 == event.token, score.is_greedy);
    }
}

#[test]
fn a_row_that_overflows_is_named() {
    let mut decoder = Decoder::new(&overflowed());
    decoder.admit(&[1], &most(3)).unwrap();
    decoder.admit(&[1, 2], &most(3)).unwrap();
    let mut named = Vec::new();
    while !decoder.is_idle() {
        match decoder.step() {
            Err(InferError::NotANumber { row, step: 0 }) => named.push(row),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(named, [0, 1]);
}

#[test]
fn a_row_that_is_not_a_number_leaves_the_others_as_they_are() {
    let engine = poisoned(40);
    let mut decoder = Decoder::new(&engine);
    decoder.admit(&[40, 40, 40], &most(5)).unwrap();
    decoder.admit(&[1, 2], &most(5)).unwrap();
    let error = decoder.step().unwrap_err();
    assert!(matches!(error, InferError::NotANumber { row: 0, step: 0 }), "{error}");
    let mut events = BTreeMap::new();
    finish(&mut decoder, &mut events);
    assert_eq!(ids(&events[&1]), tokens(&engine, &[1, 2], &most(5)));
    assert_eq!(events.len(), 1);
}

#[test]
fn nothing_is_reported_of_a_row_that_is_removed() {
    let engine = poisoned(40);
    let mut decoder = Decoder::new(&engine);
    for prompt in [[40, 1], [40, 2], [2, 3], [3, 4]] {
        decoder.admit(&prompt, &most(5)).unwrap();
    }
    assert!(matches!(decoder.step(), Err(InferError::NotANumber { row: 0, .. })));
    decoder.remove(1);
    decoder.remove(2);
    let mut events = BTreeMap::new();
    finish(&mut decoder, &mut events);
    assert_eq!(events.keys().collect::<Vec<_>>(), [&3]);
    assert_eq!(ids(&events[&3]), tokens(&engine, &[3, 4], &most(5)));
}

#[test]
fn an_answer_longer_than_the_room_made_in_advance_is_that_of_the_whole_row() {
    let engine = engine(1200);
    let mut decoder = Decoder::new(&engine);
    let prompts = [prompt(30, 1), prompt(3, 2)];
    for prompt in &prompts {
        decoder.admit(prompt, &most(600)).unwrap();
    }
    let mut events = BTreeMap::new();
    finish(&mut decoder, &mut events);
    for (row, prompt) in prompts.iter().enumerate() {
        let answer = ids(&events[&row]);
        assert_eq!(answer.len(), 600);
        let request = ScoreRequest {
            context: prompt.clone(),
            continuations: vec![answer],
        };
        let scores = engine.score(&[request], 1).unwrap();
        let greedy = scores[0][0].tokens.iter().filter(|token| token.is_greedy).count();
        assert!(greedy > 595, "{greedy} of 600");
    }
}

#[test]
fn a_conversation_that_keeps_its_prefix_gets_the_same_answers() {
    let engine = engine(256);
    for settings in [most(12), drawn(most(12))] {
        let mut kept = Decoder::new(&engine).with_prefixes(2);
        let mut history = prompt(70, 5);
        for turn in 0..6 {
            if turn == 4 {
                // A turn that goes back on what was said.
                history.truncate(90);
            }
            history.extend(prompt(7, 50 + turn));
            let row = kept.admit(&history, &settings).unwrap();
            let mut events = BTreeMap::new();
            finish(&mut kept, &mut events);
            let answer = ids(&events[&row]);
            assert_eq!(answer, tokens(&engine, &history, &settings), "turn {turn}");
            history.extend(answer);
        }
        // The same prompt again, and two that branch off it in one step.
        let (first, second) = ([&history[..], &[30]].concat(), [&history[..100], &[31]].concat());
        let rows = [&history, &first, &second].map(|prompt| kept.admit(prompt, &settings).unwrap());
        let mut events = BTreeMap::new();
        finish(&mut kept, &mut events);
        for (row, prompt) in rows.iter().zip([&history, &first, &second]) {
            assert_eq!(ids(&events[row]), tokens(&engine, prompt, &settings));
        }
    }
}
