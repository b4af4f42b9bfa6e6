//! Prompts of small tasks, case by case, as lm-evaluation-harness builds them.

use llm_bench::{Gold, PromptOptions, Requests, Task, build_prompts};

use crate::quiz::{HEAD, QUIZ, build, chat, context, data_root, pairs, questions};

fn failure(yaml: &str, test: &str) -> String {
    build(yaml, [test, ""], |_| {}).unwrap_err().to_string()
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
        assert_eq!(set.prompts[0].gold, Gold::Choice(Some(1)));
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
    let root = data_root("{\"question\": \"2 + 3 =\", \"answer\": 5}\n");
    let task = Task::from_yaml(&yaml, "quiz").unwrap();
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &chat).unwrap();
    assert_eq!(set.prompts[0].gold, Gold::Texts(vec!["5".to_owned()]));
    assert!(matches!(&set.prompts[0].requests, Requests::Text(request) if request.context == "2 + 3 ="));
    // A field of text stays text.
    let root = data_root("{\"question\": \"2 + 3 =\", \"answer\": \"[5, 6]\"}\n");
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &chat).unwrap();
    assert_eq!(set.prompts[0].gold, Gold::Texts(vec!["[5, 6]".to_owned()]));
}

/// The expected texts of every document of a task of generated text, or the error.
fn expected(target: &str, lines: &[&str]) -> Result<Vec<Vec<String>>, String> {
    let yaml = format!(
        "{HEAD}output_type: generate_until\ntest_split: test\ndoc_to_text: '{{{{q}}}}'\ndoc_to_target: \"{target}\"\n"
    );
    let task = Task::from_yaml(&yaml.replace("acc", "exact_match"), "quiz").unwrap();
    let root = data_root(&(lines.join("\n") + "\n"));
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &chat).map_err(|error| error.to_string())?;
    let texts = set.prompts.into_iter().map(|prompt| match prompt.gold {
        Gold::Texts(texts) => texts,
        other => panic!("texts expected, found {other:?}"),
    });
    Ok(texts.collect())
}

#[test]
fn a_list_as_target_is_several_right_answers() {
    let names = r#"{"q": "who", "answer": {"aliases": ["Sinclair Lewis", "Harry \"S\" Lewis", "it's"]}}"#;
    let one = [vec!["Sinclair Lewis", "Harry \"S\" Lewis", "it's"]];
    // The expression, its text among others, and a bare field.
    assert_eq!(expected("{{answer.aliases}}", &[names]).unwrap(), one);
    assert_eq!(
        expected("{% if q %}{{answer.aliases}}{% endif %}", &[names]).unwrap(),
        one
    );
    assert_eq!(
        expected("answer", &[r#"{"q": "w", "answer": ["a", 5, 1.5]}"#]).unwrap(),
        [["a", "5", "1.5"]]
    );
    // Texts in Python's notation or JSON's; a single text among lists is one answer; an empty list has none.
    let lines = [
        r#"{"q": "w", "a": "['a', \"b's\"]"}"#,
        r#"{"q": "w", "a": "[\"\\u00e9\"]"}"#,
        r#"{"q": "w", "a": "plain"}"#,
        r#"{"q": "w", "a": []}"#,
    ];
    let found = expected("{{a}}", &lines).unwrap();
    assert_eq!(found, [vec!["a", "b's"], vec!["\u{e9}"], vec!["plain"], vec![]]);
    // Where the first document has a text, a text in brackets is a text, and digits are.
    let lines = [
        r#"{"q": "w", "a": "007"}"#,
        r#"{"q": "w", "a": "[5, 6]"}"#,
        r#"{"q": "w", "a": true}"#,
    ];
    assert_eq!(expected("{{a}}", &lines).unwrap(), [["007"], ["[5, 6]"], ["True"]]);
    let error = expected("{{a}}", &[lines[0], r#"{"q": "w", "a": ["5", "6"]}"#]).unwrap_err();
    assert!(
        error.contains("document 1: `doc_to_target`: a text is expected") && error.contains("['5', '6']"),
        "{error}"
    );
    // What is no text cannot be the answer.
    for (line, word) in [
        (r#"{"q": "w", "a": null}"#, "null"),
        (r#"{"q": "w", "a": ["x", null]}"#, "missing"),
        (r#"{"q": "w", "a": "['x', None]"}"#, "missing"),
        (r#"{"q": "w", "a": [["x"], ["y"]]}"#, "a text or a number"),
    ] {
        let error = expected("{{a}}", &[line]).unwrap_err();
        assert!(error.contains("`doc_to_target`") && error.contains(word), "{error}");
    }
}

#[test]
fn samples_show_several_answers_as_python_does() {
    let yaml = format!("{HEAD}output_type: generate_until\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n");
    let task = Task::from_yaml(&yaml.replace("acc", "exact_match"), "quiz").unwrap();
    let root = data_root("{\"q\": \"w\", \"a\": [\"x\", \"it's\", 2]}\n");
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &chat).unwrap();
    assert_eq!(set.prompts[0].target, r#"['x', "it's", '2']"#);
}

#[test]
fn choices_may_be_a_list_in_pythons_notation() {
    let yaml = QUIZ.replace("{{choices}}", "{{options}}");
    let line = r#"{"question": "q", "options": "['it', \"isn't\"]", "answer": 1}"#;
    let set = build(&yaml, [line, ""], |_| {}).unwrap();
    assert_eq!(set.prompts[0].choices, ["it", "isn't"]);
}

#[test]
fn the_items_of_a_list_of_choices_are_not_templates() {
    let yaml = QUIZ.replace("'{{choices}}'", "['{{question}}', '{% x']");
    let set = build(&yaml, [&questions(1), ""], |_| {}).unwrap();
    assert_eq!(set.prompts[0].choices, ["{{question}}", "{% x"]);
}

#[test]
fn a_target_that_names_no_choice_makes_every_answer_wrong() {
    let line = |answer: &str| format!("{{\"question\": \"q?\", \"choices\": [\"x\", \"y\"], \"answer\": {answer}}}\n");
    let lines: String = ["1", "2", "\"z\"", "-1", "\"y\""].map(line).concat();
    for target in ["'{{answer}}'", "answer"] {
        let set = build(&QUIZ.replace("'{{answer}}'", target), [&lines, ""], |_| {}).unwrap();
        let golds: Vec<_> = set.prompts.iter().map(|prompt| prompt.gold.clone()).collect();
        let right = Gold::Choice(Some(1));
        assert_eq!(
            golds,
            [
                right.clone(),
                Gold::Choice(None),
                Gold::Choice(None),
                Gold::Choice(None),
                right
            ]
        );
        assert_eq!(pairs(&set.prompts[1]), [("q?", " x"), ("q?", " y")]);
    }
    // It cannot be shown as an example.
    let yaml = format!("{QUIZ}fewshot_split: train\n");
    let error = build(&yaml, [&line("1"), &line("2")], |options| options.num_fewshot = Some(1)).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("split `train`: choice 2 of 2 does not exist"), "{error}");
}

#[test]
fn a_template_that_does_not_end_is_stopped() {
    let endless = "{% for a in range(100000) %}{% for b in range(100000) %}{{ a * b }}{% endfor %}{% endfor %}";
    let error = failure(&QUIZ.replace("{{question}}", endless), &questions(1));
    assert!(
        error.contains("document 0: `doc_to_text`") && error.contains("fuel"),
        "{error}"
    );
    let endless = "{{ range(100000) | map('string') | list | join(range(90000) | join) }}";
    let error = failure(&QUIZ.replace("'{{choices}}'", &format!("\"{endless}\"")), &questions(1));
    assert!(error.contains("`doc_to_choice`") && error.contains("fuel"), "{error}");
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
            (Gold::Choice(Some(1)), "q0?")
        );
    }
}

#[test]
fn several_contexts_take_an_integer_of_every_document() {
    let line =
        |gold: &str| format!("{{\"question\": {gold}, \"choices\": [\"a b\", \"a c\"], \"answer\": \"ends.\"}}\n");
    let set = build(QUIZ, [&line("1"), ""], |_| {}).unwrap();
    assert_eq!(pairs(&set.prompts[0]), [("a b", " ends."), ("a c", " ends.")]);
    assert_eq!(set.prompts[0].gold, Gold::Choice(Some(1)));
    let error = failure(QUIZ, &(line("0") + &line("\"why?\"")));
    assert!(error.contains("document 1: `doc_to_text`: an integer"), "{error}");
    let set = build(QUIZ, [&(line("0") + &line("2")), ""], |_| {}).unwrap();
    assert_eq!(set.prompts[1].gold, Gold::Choice(None));
}

/// The first document decides whether targets are lists; an index that names no choice is no right one.
#[test]
fn several_choices_may_be_right() {
    let line = |answer: &str| format!("{{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": {answer}}}\n");
    let set = build(QUIZ, [&(line("[0, 1]") + &line("[1, 7]")), ""], |_| {}).unwrap();
    let golds: Vec<&Gold> = set.prompts.iter().map(|prompt| &prompt.gold).collect();
    assert_eq!(
        golds,
        [
            &Gold::Choices(vec![Some(0), Some(1)]),
            &Gold::Choices(vec![Some(1), None])
        ]
    );
    for lines in [line("[0, 1]") + &line("1"), line("1") + &line("[0, 1]")] {
        let error = failure(QUIZ, &lines);
        assert!(
            error.contains("`doc_to_target`") && error.contains("document 1"),
            "{error}"
        );
    }
}

#[test]
fn the_choices_of_a_document_share_its_context() {
    let set = build(QUIZ, [&questions(1), ""], |_| {}).unwrap();
    let Requests::Choices(pairs) = &set.prompts[0].requests else {
        panic!("choices expected")
    };
    assert!(std::sync::Arc::ptr_eq(&pairs[0].context, &pairs[1].context));
}

#[test]
fn the_splits_read_are_identified() {
    let yaml = format!("{QUIZ}fewshot_split: train\n");
    let splits = |test: &str, train: &str, shots| {
        build(&yaml, [test, train], |options| options.num_fewshot = Some(shots))
            .unwrap()
            .splits
    };
    let both = splits(&questions(3), &questions(4), 1);
    assert_eq!(
        both.iter().map(|s| (s.split.as_str(), s.documents)).collect::<Vec<_>>(),
        [("test", 3), ("train", 4)]
    );
    // White space between the keys of a row is not part of it; another row is.
    assert_eq!(splits(&questions(3).replace(": ", ":"), "", 0), [both[0].clone()]);
    assert_ne!(
        splits(&questions(3).replace("q1", "q7"), "", 0)[0].sha256,
        both[0].sha256
    );
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
