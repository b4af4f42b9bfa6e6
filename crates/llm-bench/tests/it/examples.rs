//! Prompts with examples, instructions and chat templates, as lm-evaluation-harness builds them.

use llm_bench::{BenchError, PromptOptions, Requests, Task, build_prompts};

use crate::quiz::{HEAD, QUIZ, build, chat, context, data_root, pairs, questions};

#[test]
fn a_document_is_no_example_of_itself_wherever_the_split_is_named() {
    for split in ["fewshot_split: test", "fewshot_config: {split: test}"] {
        let yaml = format!("{QUIZ}training_split: train\n{split}\n");
        let set = build(&yaml, [&questions(4), &questions(9)], |options| {
            options.num_fewshot = Some(3)
        })
        .unwrap();
        for prompt in &set.prompts {
            let own = format!("q{}?", prompt.doc_id);
            assert_eq!(context(prompt).matches(&own).count(), 1, "{split}: {}", context(prompt));
            assert_eq!(context(prompt).matches("\n\n").count(), 3);
        }
    }
}

#[test]
fn one_example_more_than_can_be_counted_is_not_none() {
    let yaml = format!("{QUIZ}fewshot_split: test\nnum_fewshot: {}\n", usize::MAX);
    let error = build(&yaml, [&questions(3), ""], |_| {}).unwrap_err();
    assert!(
        matches!(
            error,
            BenchError::TooFewExamples {
                asked: usize::MAX,
                available: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn no_prompt_has_fewer_examples_than_reported() {
    // Every row is the document itself.
    let line = questions(1);
    let yaml = format!("{QUIZ}fewshot_split: test\n");
    let shots = |options: &mut PromptOptions| options.num_fewshot = Some(1);
    let error = build(&yaml, [&line.repeat(3), ""], shots).unwrap_err();
    assert!(
        matches!(
            error,
            BenchError::TooFewExamples {
                asked: 1,
                available: 0,
                ..
            }
        ),
        "{error}"
    );
}

/// Six questions, and six rows more that repeat the second one; the examples that lm-evaluation-harness 0.4.13 draws
/// for each row, by `ContextSampler.sample`.
const DRAWN: [&[&str; 3]; 12] = [
    &["q1?", "q1?", "q1?"],
    &["q3?", "q2?", "q0?"],
    &["q0?", "q1?", "q5?"],
    &["q1?", "q1?", "q2?"],
    &["q2?", "q1?", "q0?"],
    &["q1?", "q3?", "q1?"],
    &["q5?", "q0?", "q2?"],
    &["q3?", "q5?", "q0?"],
    &["q0?", "q5?", "q4?"],
    &["q2?", "q0?", "q4?"],
    &["q5?", "q2?", "q0?"],
    &["q2?", "q3?", "q5?"],
];

#[test]
fn examples_are_drawn_again_where_duplicates_leave_too_few() {
    let all = questions(6);
    let second = all.lines().nth(1).unwrap().to_owned() + "\n";
    let yaml = format!("{QUIZ}fewshot_split: test\n");
    let lines = all + &second.repeat(6);
    let set = build(&yaml, [&lines, ""], |options| options.num_fewshot = Some(3)).unwrap();
    for (prompt, drawn) in set.prompts.iter().zip(DRAWN) {
        let shown: Vec<&str> = context(prompt).split("\n\n").take(3).map(|shot| &shot[..3]).collect();
        assert_eq!(shown, drawn, "document {}", prompt.doc_id);
    }
    assert_eq!(set.prompts.len(), DRAWN.len());
}

#[test]
fn an_example_without_an_answer_ends_with_its_question() {
    let yaml = "output_type: generate_until\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\nfewshot_split: train\n\
                fewshot_config: {sampler: first_n}\n";
    let task = Task::from_yaml(&format!("{HEAD}{yaml}").replace("acc", "exact_match"), "quiz").unwrap();
    let root = data_root("{\"q\": \"new?\", \"a\": \"z\"}\n");
    let train = "{\"q\": \"one?\", \"a\": \"\"}\n{\"q\": \"two?\", \"a\": \"y\"}\n";
    std::fs::write(root.path().join("synthetic/quiz/default/train.jsonl"), train).unwrap();
    let mut options = PromptOptions::new(root.path());
    options.num_fewshot = Some(2);
    let shown = |options: &PromptOptions| match &build_prompts(&task, options, &chat).unwrap().prompts[0].requests {
        Requests::Text(request) => request.context.clone(),
        _ => panic!("text expected"),
    };
    assert_eq!(shown(&options), "one?two? y\n\nnew?");
    options.apply_chat_template = true;
    assert_eq!(shown(&options), "<user>one?<user>two?<assistant>y<user>new?<assistant>");
    options.fewshot_as_multiturn = false;
    assert_eq!(shown(&options), "<user>one?two? y\n\nnew?<assistant>");
}

#[test]
fn the_first_rows_may_be_the_whole_pool() {
    // Neither a test split nor one for examples: the document would be left out if it were in the pool.
    let yaml = QUIZ.replace("test_split", "validation_split");
    let yaml = format!("{yaml}training_split: train\nfewshot_config: {{sampler: first_n}}\n");
    let test = "{\"question\": \"new?\", \"choices\": [\"x\", \"y\"], \"answer\": 0}\n";
    let set = build(&yaml, [test, &questions(2)], |options| options.num_fewshot = Some(2)).unwrap();
    assert_eq!(context(&set.prompts[0]), "q0? x\n\nq1? y\n\nnew?");
    // The document itself is passed over.
    let yaml = format!("{QUIZ}fewshot_split: test\nfewshot_config: {{sampler: first_n}}\n");
    let set = build(&yaml, [&questions(3), ""], |options| options.num_fewshot = Some(2)).unwrap();
    assert_eq!(context(&set.prompts[1]), "q0? x\n\nq2? x\n\nq1?");
    let error = build(&yaml, [&questions(3), ""], |options| options.num_fewshot = Some(3)).unwrap_err();
    assert!(
        matches!(
            error,
            BenchError::TooFewExamples {
                asked: 3,
                available: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_task_without_examples_stays_without() {
    let yaml = format!("{QUIZ}training_split: train\nnum_fewshot: 0\n");
    let set = build(&yaml, [&questions(1), &questions(4)], |options| {
        options.num_fewshot = Some(2)
    })
    .unwrap();
    assert_eq!((set.num_fewshot, context(&set.prompts[0])), (0, "q0?"));
}

/// Two examples before one question, in every form.
fn shown(description: &str, set: impl FnOnce(&mut PromptOptions)) -> String {
    let yaml = format!(
        "{QUIZ}training_split: train\nfewshot_config: {{sampler: first_n}}\nfewshot_split: train\n\
         description: \"{description}\"\n"
    );
    let test = "{\"question\": \"new?\", \"choices\": [\"x\", \"y\"], \"answer\": 0}\n";
    let built = build(&yaml, [test, &questions(2)], |options| {
        options.num_fewshot = Some(2);
        set(options);
    });
    context(&built.unwrap().prompts[0]).to_owned()
}

#[test]
fn instruction_and_description_are_joined_where_no_white_space_is() {
    let plain = |instruction: &'static str| {
        move |options: &mut PromptOptions| {
            options.system_instruction = Some(instruction.to_owned());
        }
    };
    let rest = "q0? x\n\nq1? y\n\nnew?";
    assert_eq!(shown("", |_| {}), rest);
    assert_eq!(shown("Answer.", |_| {}), format!("Answer.{rest}"));
    assert_eq!(shown("", plain("Be good. ")), format!("Be good. {rest}"));
    assert_eq!(
        shown("Answer.", plain("Be good.")),
        format!("Be good.\n\nAnswer.{rest}")
    );
    assert_eq!(shown("Answer.", plain("Be good. ")), format!("Be good. Answer.{rest}"));
    // U+001F is white space to Python.
    assert_eq!(
        shown("Answer.", plain("Be good.\u{1f}")),
        format!("Be good.\u{1f}Answer.{rest}")
    );
    assert_eq!(
        shown("\\nAnswer.", plain("Be good.")),
        format!("Be good.\nAnswer.{rest}")
    );
}

#[test]
fn chat_prompts_hold_examples_as_turns_or_in_one() {
    let with = |instruction: Option<&'static str>, multiturn: bool| {
        move |options: &mut PromptOptions| {
            options.apply_chat_template = true;
            options.fewshot_as_multiturn = multiturn;
            options.system_instruction = instruction.map(str::to_owned);
        }
    };
    let turns = "<user>q0?<assistant>x<user>q1?<assistant>y<user>new?<assistant>";
    let one = "<user>q0? x\n\nq1? y\n\nnew?<assistant>";
    assert_eq!(shown("", with(None, true)), turns);
    assert_eq!(shown("", with(None, false)), one);
    assert_eq!(shown("Answer.", with(None, true)), format!("<system>Answer.{turns}"));
    assert_eq!(
        shown("", with(Some("Be good."), false)),
        format!("<system>Be good.{one}")
    );
    let both = "<system>Be good.\n\nAnswer.";
    assert_eq!(shown("Answer.", with(Some("Be good."), true)), format!("{both}{turns}"));
    assert_eq!(shown("Answer.", with(Some("Be good."), false)), format!("{both}{one}"));
    // After the template's header nothing stands before a scored choice.
    let set = build(QUIZ, [&questions(1), ""], with(None, true)).unwrap();
    assert_eq!(pairs(&set.prompts[0])[0], ("<user>q0?<assistant>", "x"));
    let Requests::Choices(requests) = &set.prompts[0].requests else {
        panic!("choices expected");
    };
    assert!(matches!(requests[0].special.as_slice(), [range] if *range == (9..20)));
}
