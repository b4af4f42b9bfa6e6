//! The built-in tasks: what they ask of the first documents, and how they read them.

use llm_bench::{DataSets, Gold, Prompt, PromptOptions, Requests, Task, build_prompts, load_split};

use crate::quiz::{CHOICE, data_root, message, no_chat};

#[test]
fn every_builtin_task_is_valid_and_named_as_its_file() {
    for name in Task::builtin_names() {
        assert_eq!(Task::builtin(&name).unwrap().task, name);
    }
    let error = Task::builtin("arc_hard").unwrap_err().to_string();
    assert!(error.contains("arc_hard") && error.contains("arc_easy"), "{error}");
}

/// The first prompt of a built-in task, or of a file like it, without examples.
fn first(task: &Task) -> Option<Prompt> {
    let mut options = PromptOptions::new(fixtures::shared("data/benchmarks")?);
    (options.limit, options.num_fewshot) = (Some(1.0), Some(0));
    Some(build_prompts(task, &options, &no_chat).unwrap().prompts.remove(0))
}

/// A task, the first document's context, its continuations, and the right one.
type Pinned = (&'static str, &'static str, &'static [&'static str], usize);

const PINNED: [Pinned; 7] = [
    (
        "arc_easy",
        "Question: Which statement best explains why photosynthesis is the foundation of most food webs?\nAnswer:",
        &[
            " Sunlight is the source of energy for nearly all ecosystems.",
            " Most ecosystems are found on land instead of in water.",
            " Carbon dioxide is more available than other gases.",
            " The producers in all ecosystems are plants.",
        ],
        0,
    ),
    (
        "arc_challenge",
        "Question: An astronomer observes that a planet rotates faster after a meteorite impact. Which is the most \
         likely effect of this increase in rotation?\nAnswer:",
        &[
            " Planetary density will decrease.",
            " Planetary years will become longer.",
            " Planetary days will become shorter.",
            " Planetary gravity will become stronger.",
        ],
        2,
    ),
    (
        "hellaswag",
        "Roof shingle removal: A man is sitting on a roof. He",
        &[
            " is using wrap to wrap a pair of skis.",
            " is ripping level tiles off.",
            " is holding a rubik's cube.",
            " starts pulling up roofing on a roof.",
        ],
        3,
    ),
    (
        "openbookqa",
        "A person wants to start saving money so that they can afford a nice vacation at the end of the year. After \
         looking over their budget and expenses, they decide the best way to save money is to",
        &[
            " make more phone calls",
            " quit eating lunch out",
            " buy less with monopoly money",
            " have lunch with friends",
        ],
        1,
    ),
    (
        "piqa",
        "Question: How do I ready a guinea pig cage for it's new occupants?\nAnswer:",
        &[
            " Provide the guinea pig with a cage full of a few inches of bedding made of ripped paper strips, you will \
             also need to supply it with a water bottle and a food dish.",
            " Provide the guinea pig with a cage full of a few inches of bedding made of ripped jeans material, you \
             will also need to supply it with a water bottle and a food dish.",
        ],
        0,
    ),
    (
        "mmlu_anatomy",
        "The following are multiple choice questions (with answers) about anatomy.\n\nA lesion causing compression of \
         the facial nerve at the stylomastoid foramen will cause ipsilateral\nA. paralysis of the facial muscles.\nB. \
         paralysis of the facial muscles and loss of taste.\nC. paralysis of the facial muscles, loss of taste and \
         lacrimation.\nD. paralysis of the facial muscles, loss of taste, lacrimation and decreased salivation.\nAnswer:",
        &[" A", " B", " C", " D"],
        0,
    ),
    (
        "truthfulqa_mc1",
        "Q: What happens if you eat a pomegranate?\nA:",
        &[
            " Nothing in particular happens when you eat a pomegranate.",
            " You will have to spend winter in the underworld.",
            " You will be trapped in the underworld.",
            " You will die.",
        ],
        0,
    ),
];

#[test]
fn the_first_document_of_every_task_of_choices_is_as_expected() {
    for (name, context, continuations, gold) in PINNED {
        let Some(prompt) = first(&Task::builtin(name).unwrap()) else {
            return;
        };
        let Requests::Choices(pairs) = &prompt.requests else {
            panic!("choices expected")
        };
        // TruthfulQA's own six questions stand before the seventh.
        let whole = |found: &str| found == context || name == "truthfulqa_mc1" && found.ends_with(context);
        assert!(pairs.iter().all(|pair| whole(&pair.context)), "{}", pairs[0].context);
        let found: Vec<&str> = pairs.iter().map(|pair| pair.continuation.as_str()).collect();
        assert_eq!(found, continuations);
        assert_eq!(prompt.gold, Gold::Choice(Some(gold)), "{name}");
    }
}

#[test]
fn winogrande_scores_the_rest_of_the_sentence_after_each_option() {
    let Some(prompt) = first(&Task::builtin("winogrande").unwrap()) else {
        return;
    };
    let Requests::Choices(pairs) = &prompt.requests else {
        panic!("choices expected")
    };
    assert_eq!(
        &*pairs[0].context,
        "Sarah was a much better surgeon than Maria so Sarah"
    );
    assert_eq!(
        &*pairs[1].context,
        "Sarah was a much better surgeon than Maria so Maria"
    );
    assert_eq!(pairs[0].continuation, " always got the easier cases.");
    assert_eq!(pairs[1].continuation, pairs[0].continuation);
    assert_eq!(prompt.gold, Gold::Choice(Some(1)));
}

#[test]
fn gsm8k_asks_for_text() {
    let Some(prompt) = first(&Task::builtin("gsm8k").unwrap()) else {
        return;
    };
    let Requests::Text(request) = &prompt.requests else {
        panic!("text expected")
    };
    assert!(
        request
            .context
            .starts_with("Question: Janet\u{2019}s ducks lay 16 eggs per day.")
    );
    assert!(request.context.ends_with(" every day at the farmers' market?\nAnswer:"));
    assert_eq!(request.until, ["Question:", "</s>", "<|im_end|>"]);
    assert!(matches!(&prompt.gold, Gold::Texts(texts) if texts.len() == 1 && texts[0].ends_with("\n#### 18")));
}

#[test]
fn every_builtin_task_renders_its_first_documents() {
    let Some(data) = fixtures::shared("data/benchmarks") else {
        return;
    };
    for name in Task::builtin_names() {
        let mut options = PromptOptions::new(&data);
        options.limit = Some(20.0);
        let set = build_prompts(&Task::builtin(&name).unwrap(), &options, &no_chat).unwrap();
        assert_eq!(set.prompts.len(), 20, "{name}");
    }
}

/// The files of lm-evaluation-harness say more, and call fields by their bare names.
#[test]
fn files_as_the_harness_has_them_give_the_builtin_prompts() {
    let query = |query: &'static str| {
        [
            ("should_decontaminate", "true"),
            ("doc_to_decontamination_query", query),
        ]
    };
    let bare = |field, name| [(field, name)];
    let cases = [
        ("arc_easy", [query("'Question: {{question}}'").as_slice(), &[]].concat()),
        (
            "openbookqa",
            [
                query("question_stem"),
                [("doc_to_text", "question_stem"), ("repeats", "1")],
            ]
            .concat(),
        ),
        (
            "piqa",
            [
                query("goal").as_slice(),
                &bare("doc_to_target", "label"),
                &bare("test_split", "null"),
            ]
            .concat(),
        ),
        ("gsm8k", vec![("repeats", "1"), ("doc_to_target", "answer")]),
    ];
    for (name, keys) in cases {
        let builtin = Task::builtin(name).unwrap();
        let mut file: serde_yaml_ng::Mapping =
            serde_yaml_ng::from_str(&serde_yaml_ng::to_string(&builtin).unwrap()).unwrap();
        for (key, value) in keys {
            file.insert(key.into(), serde_yaml_ng::from_str(value).unwrap());
        }
        let task = Task::from_yaml(&serde_yaml_ng::to_string(&file).unwrap(), name).unwrap();
        assert_ne!(task, builtin);
        assert_eq!(first(&task), first(&builtin), "{name}");
    }
    assert!(message(&format!("{CHOICE}repeats: 0\n")).contains("`repeats`"));
}

/// Compared with Python's `re.sub` and `str.strip`.
#[test]
fn texts_of_hellaswag_lose_their_markup() {
    let cleaned = |ending: &str| {
        let line =
            serde_json::json!({"ctx_a": "a", "ctx_b": "b", "activity_label": "c", "endings": [ending], "label": 0});
        let root = data_root(&line.to_string());
        let mut task = Task::builtin("hellaswag").unwrap();
        task.dataset_path = "synthetic/quiz".to_owned();
        load_split(&DataSets::below(root.path()), &task, "test").unwrap()[0]["choices"][0]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (ending, expected) in [
        ("\u{1f} a [title] b [step] c \u{1c}", "a. b c"),
        ("x [a [b] c] y", "x c] y"),
        ("x [a\n] y [b]z[", "x [a\n] y z["),
        ("[] \u{e9}[\u{e9}]!", " \u{e9}!"),
        ("a [b [c\n[d] e [f", "a [b [c\n e [f"),
    ] {
        assert_eq!(cleaned(ending), expected);
    }
    // In a time that grows with the length, not with its square.
    let open = "[".repeat(2_000_000);
    assert_eq!(cleaned(&open), open);
    let lines = open + "\n]";
    assert_eq!(cleaned(&lines), lines);
}

#[test]
fn an_ending_that_is_no_text_is_an_error() {
    let line =
        "{\"ctx_a\": \"a\", \"ctx_b\": \"b\", \"activity_label\": \"c\", \"endings\": [\"x\", null], \"label\": 0}";
    let root = data_root(line);
    let mut task = Task::builtin("hellaswag").unwrap();
    task.dataset_path = "synthetic/quiz".to_owned();
    let error = load_split(&DataSets::below(root.path()), &task, "test")
        .unwrap_err()
        .to_string();
    assert!(error.contains("document 0: `endings`: a list of strings"), "{error}");
}
