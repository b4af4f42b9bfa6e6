//! Prompts of small tasks, case by case, as lm-evaluation-harness builds them.

use llm_bench::{BenchError, ChatPrompt, Gold, Prompt, PromptOptions, PromptSet, Requests, Task, Turn, build_prompts};

const HEAD: &str = "task: quiz\ndataset_path: synthetic/quiz\nmetric_list: [{metric: acc}]\n";
const QUIZ: &str = "output_type: multiple_choice\ntest_split: test\ndoc_to_text: '{{question}}'\n\
                    doc_to_choice: '{{choices}}'\ndoc_to_target: '{{answer}}'\n";

/// Every turn behind its role, and the role that is to speak.
fn chat(turns: &[Turn], open: bool) -> Result<ChatPrompt, BenchError> {
    let mut text: String = turns.iter().map(|t| format!("<{}>{}", t.role, t.content)).collect();
    let start = text.len();
    text.push_str(if open { "<assistant>" } else { "" });
    let special = vec![start..text.len()];
    Ok(ChatPrompt { text, special })
}

/// `count` questions `q0?`, `q1?`, .. with the choices x and y.
fn questions(count: usize) -> String {
    let line = |i: usize| {
        format!(
            "{{\"question\": \"q{i}?\", \"choices\": [\"x\", \"y\"], \"answer\": {}}}\n",
            i % 2
        )
    };
    (0..count).map(line).collect()
}

/// Builds a task's prompts from the lines of its test split and of its training split.
fn build(yaml: &str, [test, train]: [&str; 2], set: impl FnOnce(&mut PromptOptions)) -> Result<PromptSet, BenchError> {
    let root = crate::tasks::root(test);
    std::fs::write(root.path().join("synthetic/quiz/default/train.jsonl"), train).unwrap();
    let mut options = PromptOptions::new(root.path());
    set(&mut options);
    build_prompts(&Task::from_yaml(&format!("{HEAD}{yaml}"), "quiz")?, &options, &chat)
}

fn failure(yaml: &str, test: &str) -> String {
    build(yaml, [test, ""], |_| {}).unwrap_err().to_string()
}

fn pairs(prompt: &Prompt) -> Vec<(&str, &str)> {
    match &prompt.requests {
        Requests::Choices(pairs) => pairs
            .iter()
            .map(|p| (p.context.as_str(), p.continuation.as_str()))
            .collect(),
        Requests::Text(_) => panic!("choices expected"),
    }
}

fn context(prompt: &Prompt) -> &str {
    pairs(prompt)[0].0
}

#[test]
fn a_bare_name_is_the_documents_field() {
    let bare = "output_type: multiple_choice\ntest_split: test\ndoc_to_text: question_stem\n\
                doc_to_choice: options\ndoc_to_target: label\n";
    let number = "{\"question_stem\": \"Why?\", \"options\": [\"so\", \"not\"], \"label\": 1}\n";
    // A field of text stays text: this label is a choice, not an index.
    let text = "{\"question_stem\": \"7\", \"options\": [\"1\", \"0\"], \"label\": \"0\"}\n";
    let truth = number.replace("1}", "true}");
    for (line, question, first) in [(number, "Why?", " so"), (&truth, "Why?", " so"), (text, "7", " 1")] {
        let set = build(bare, [line, ""], |_| {}).unwrap();
        assert_eq!(pairs(&set.prompts[0])[0], (question, first));
        assert_eq!(set.prompts[0].gold, Gold::Choice(1));
    }
    // The words of a list are choices, whatever the fields are called.
    let words = QUIZ.replace("'{{choices}}'", "[x, question]");
    let set = build(&words, [&questions(1), ""], |_| {}).unwrap();
    assert_eq!(set.prompts[0].choices, ["x", "question"]);
    let wrong = "{\"question_stem\": [\"a\"], \"options\": [\"x\"], \"label\": 0}\n";
    assert!(
        failure(bare, wrong).contains("`doc_to_text`: "),
        "{}",
        failure(bare, wrong)
    );
}

#[test]
fn a_bare_name_serves_generated_text() {
    let yaml = "output_type: generate_until\ntest_split: test\ndoc_to_text: question\ndoc_to_target: answer\n";
    let yaml = format!("{HEAD}{yaml}").replace("acc", "exact_match");
    let root = crate::tasks::root("{\"question\": \"2 + 3 =\", \"answer\": 5}\n");
    let task = Task::from_yaml(&yaml, "quiz").unwrap();
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &chat).unwrap();
    assert_eq!(set.prompts[0].gold, Gold::Text("5".to_owned()));
    assert!(matches!(&set.prompts[0].requests, Requests::Text(request) if request.context == "2 + 3 ="));
    let root = crate::tasks::root("{\"question\": \"2 + 3 =\", \"answer\": \"[5, 6]\"}\n");
    let error = build_prompts(&task, &PromptOptions::new(root.path()), &chat)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`doc_to_target`: several right answers"), "{error}");
}

#[test]
fn a_missing_item_is_no_choice() {
    let yaml = QUIZ.replace("{{choices}}", "{{[one, two]}}");
    for line in [
        "{\"question\": \"q\", \"one\": \"x\", \"answer\": 0}\n",
        "{\"question\": \"q\", \"one\": \"x\", \"two\": null, \"answer\": 0}\n",
    ] {
        let error = failure(&yaml, line);
        assert!(
            error.contains("`doc_to_choice`") && error.contains("[one, two]"),
            "{error}"
        );
    }
    let error = failure(
        QUIZ,
        "{\"question\": \"q\", \"choices\": [\"x\", null], \"answer\": 0}\n",
    );
    assert!(error.contains("`choices`"), "{error}");
}

#[test]
fn a_question_of_digits_or_in_brackets_is_text() {
    for question in ["1", "[\\\"a\\\"]"] {
        let line = format!("{{\"question\": \"{question}\", \"choices\": [\"x\", \"y\"], \"answer\": \"y\"}}\n");
        let set = build(QUIZ, [&(line + &questions(1)), ""], |_| {}).unwrap();
        assert_eq!(context(&set.prompts[0]), question.replace('\\', ""));
        assert_eq!(
            (set.prompts[0].gold.clone(), context(&set.prompts[1])),
            (Gold::Choice(1), "q0?")
        );
    }
}

#[test]
fn several_contexts_take_an_integer_of_every_document() {
    let line =
        |gold: &str| format!("{{\"question\": {gold}, \"choices\": [\"a b\", \"a c\"], \"answer\": \"ends.\"}}\n");
    let set = build(QUIZ, [&line("1"), ""], |_| {}).unwrap();
    assert_eq!(pairs(&set.prompts[0]), [("a b", " ends."), ("a c", " ends.")]);
    assert_eq!(set.prompts[0].gold, Gold::Choice(1));
    let error = failure(QUIZ, &(line("0") + &line("\"why?\"")));
    assert!(error.contains("document 1: `doc_to_text`: an integer"), "{error}");
    let error = failure(QUIZ, &line("2"));
    assert!(error.contains("`doc_to_text`: choice 2 of 2"), "{error}");
}

#[test]
fn several_right_choices_are_refused() {
    let error = failure(
        QUIZ,
        "{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": [0, 1]}\n",
    );
    assert!(error.contains("`doc_to_target`: several right answers"), "{error}");
}

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

#[test]
fn an_empty_split_is_an_error_and_a_limit_of_zero_is_none() {
    let error = failure(QUIZ, "");
    assert!(error.contains("split `test` holds no documents"), "{error}");
    assert_eq!(limited(3, 0.0), 3);
}

fn limited(documents: usize, limit: f64) -> usize {
    let set = build(QUIZ, [&questions(documents), ""], |options| options.limit = Some(limit)).unwrap();
    assert_eq!(set.documents, documents);
    set.prompts.len()
}

#[test]
fn a_limit_below_one_is_a_fraction_rounded_up() {
    for (limit, expected) in [
        (0.3, 3),
        (0.31, 4),
        (0.999, 10),
        (1.0, 1),
        (7.9, 7),
        (50.0, 10),
        (f64::NAN, 10),
    ] {
        assert_eq!(limited(10, limit), expected, "{limit}");
    }
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
    assert_eq!(requests[0].special, [9..20]);
}
