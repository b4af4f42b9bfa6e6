//! The task dialect: what is accepted, and how what is not is named.

use llm_bench::{BenchError, ChatPrompt, Gold, Prompt, PromptOptions, Requests, Task, Turn, build_prompts, load_split};

const CHOICE: &str = "
task: quiz
dataset_path: synthetic/quiz
output_type: multiple_choice
test_split: test
doc_to_text: '{{question}}'
doc_to_choice: '{{choices}}'
doc_to_target: '{{answer}}'
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
";

fn no_chat(_: &[Turn], _: bool) -> Result<ChatPrompt, BenchError> {
    Err(BenchError::Model("no chat template".into()))
}

/// A data root with one split of `synthetic/quiz`.
pub(crate) fn root(lines: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("synthetic/quiz/default");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("test.jsonl"), lines).unwrap();
    root
}

fn message(yaml: &str) -> String {
    Task::from_yaml(yaml, "quiz.yaml").unwrap_err().to_string()
}

#[test]
fn every_builtin_task_is_valid_and_named_as_its_file() {
    for name in Task::builtin_names() {
        assert_eq!(Task::builtin(name).unwrap().task, name);
    }
    let error = Task::builtin("arc_hard").unwrap_err().to_string();
    assert!(error.contains("arc_hard") && error.contains("arc_easy"), "{error}");
}

#[test]
fn an_unknown_key_is_named() {
    assert!(message(&format!("{CHOICE}doc_to_txt: x\n")).contains("`doc_to_txt`"));
    let nested = CHOICE.replace("{metric: acc,", "{metric: acc, ignore_cases: true,");
    assert!(message(&nested).contains("`ignore_cases`"), "{}", message(&nested));
}

/// The keys of task files of lm-evaluation-harness 0.4.13 that take their question from a Python function.
const FUNCTIONS: [(&str, &str); 6] = [
    (
        "medmcqa/medmcqa.yaml",
        "task: medmcqa
dataset_path: a/b
output_type: multiple_choice
training_split: train
validation_split: validation
test_split: validation
doc_to_text: !function utils_medmcqa.doc_to_text
doc_to_target: cop
doc_to_choice: [ 'A','B','C','D' ]
should_decontaminate: true
doc_to_decontamination_query: '{{question}}'
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
",
    ),
    (
        "pubmedqa/pubmedqa.yaml",
        "task: pubmedqa
dataset_path: a/b
dataset_name: c
output_type: multiple_choice
training_split: train
validation_split: validation
test_split: test
doc_to_text: !function preprocess_pubmedqa.doc_to_text
doc_to_target: final_decision
doc_to_choice: [\"yes\", \"no\", \"maybe\"]
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
",
    ),
    (
        "glue/mnli/default.yaml",
        "tag: glue
task: mnli
dataset_path: a/b
dataset_name: mnli
output_type: multiple_choice
training_split: train
validation_split: validation_matched
doc_to_text: !function utils.doc_to_text
doc_to_target: label
doc_to_choice: ['True', 'Neither', 'False']
metric_list:
  - metric: acc
metadata:
  version: 1.0
",
    ),
    (
        "super_glue/wsc/default.yaml",
        "tag:
  - a
task: wsc
dataset_path: a/b
dataset_name: wsc.fixed
output_type: multiple_choice
training_split: train
validation_split: validation
doc_to_text: !function preprocess_wsc.default_doc_to_text
doc_to_target: label
doc_to_choice: ['no', 'yes']
metric_list:
  - metric: acc
metadata:
  version: 1.0
",
    ),
    (
        "logiqa2/logiqa2.yaml",
        "task: logiqa2
dataset_path: a/b
dataset_name: logiqa2
output_type: multiple_choice
training_split: train
validation_split: validation
test_split: test
doc_to_choice: '{{options}}'
doc_to_text: !function utils_logiqa2.doc_to_text
doc_to_target: '{{answer}}'
doc_to_decontamination_query: '{{context}}'
should_decontaminate: false
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
metadata:
  version: 0.0
",
    ),
    (
        "basqueglue/coref.yaml",
        "tag: basque-glue
task: epec_koref_bin
dataset_path: a/b
dataset_name: coref
output_type: multiple_choice
validation_split: validation
test_split: test
doc_to_text: !function utils.coref_doc_to_text
doc_to_target: label
doc_to_choice: ['ez', 'bai']
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
",
    ),
];

#[test]
fn task_files_that_call_python_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, yaml) in FUNCTIONS {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, yaml).unwrap();
        let error = Task::from_file(&path).unwrap_err();
        assert!(matches!(error, BenchError::TaskTag { .. }), "{error}");
        let error = error.to_string();
        assert!(
            error.contains(name) && error.contains("`doc_to_text` has the tag !function"),
            "{error}"
        );
        // It is the tag that is refused.
        std::fs::write(&path, yaml.replace("!function ", "")).unwrap();
        Task::from_file(&path).unwrap();
    }
}

#[test]
fn a_tag_is_refused_wherever_it_is() {
    for (field, tagged, key) in [
        (
            "dataset_path: synthetic/quiz",
            "dataset_path: !x synthetic/quiz",
            "dataset_path",
        ),
        (
            "aggregation: mean",
            "aggregation: !function utils.mean",
            "metric_list.aggregation",
        ),
        (
            "doc_to_choice: '{{choices}}'",
            "doc_to_choice: [a, !function b]",
            "doc_to_choice",
        ),
        (
            "task: quiz",
            "task: quiz\nmetadata: {deep: [{er: !y {}}]}",
            "metadata.deep.er",
        ),
        ("task: quiz", "task: quiz\n!z description: a", "description"),
        (
            "task: quiz",
            "task: quiz\ndescription: !!python/name:os.system ''",
            "a value",
        ),
    ] {
        let error = message(&CHOICE.replace(field, tagged));
        assert!(error.contains(&format!("`{key}` has the tag !")), "{tagged}: {error}");
    }
    // Tags of YAML's own and exclamation marks in texts are no calls.
    let quiet = CHOICE.replace("task: quiz", "task: !!str quiz\ndescription: 'Answer! !function'");
    assert_eq!(
        Task::from_yaml(&quiet, "quiz").unwrap().description,
        "Answer! !function"
    );
}

#[test]
fn further_keys_of_a_filter_are_refused() {
    let filtered = |step: &str| {
        CHOICE
            .replace("multiple_choice", "generate_until")
            .replace("doc_to_choice: '{{choices}}'\n", "")
            .replace("metric: acc,", "metric: exact_match,")
            + &format!("filter_list: [{{name: a, filter: [{step}]}}]\n")
    };
    for function in ["take_first", "lowercase", "uppercase", "remove_whitespace"] {
        Task::from_yaml(&filtered(&format!("{{function: {function}}}")), "quiz").unwrap();
        let error = message(&filtered(&format!("{{function: {function}, k: 3}}")));
        assert!(error.contains("`k`"), "{function}: {error}");
    }
}

#[test]
fn contradictions_name_their_key() {
    assert!(message(&CHOICE.replace("test_split: test\n", "")).contains("`test_split`"));
    assert!(message(&CHOICE.replace("doc_to_choice: '{{choices}}'\n", "")).contains("`doc_to_choice`"));
    assert!(message(&CHOICE.replace("metric: acc,", "metric: exact_match,")).contains("`metric_list`"));
    let sampled = format!("{CHOICE}generation_kwargs: {{do_sample: true}}\n");
    assert!(message(&sampled).contains("`generation_kwargs`"));
    let chosen = CHOICE
        .replace("multiple_choice", "generate_until")
        .replace("metric: acc,", "metric: exact_match,");
    assert!(message(&chosen).contains("`doc_to_choice`"));
    assert!(message(&CHOICE.replace("'{{answer}}'", "[0, 1]")).contains("doc_to_target: an index or a template"));
    for template in ["{{question}}", "{% if x %}", "{# x #}"] {
        assert!(message(&format!("{CHOICE}description: 'see {template}'\n")).contains("`description`"));
    }
}

#[test]
fn missing_data_names_the_path_expected() {
    let task = Task::from_yaml(CHOICE, "quiz").unwrap();
    let error = build_prompts(&task, &PromptOptions::new("/nowhere"), &no_chat)
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nowhere/synthetic/quiz/default/test.jsonl"), "{error}");
}

#[test]
fn an_undefined_field_is_an_error_that_names_document_and_key() {
    let task = Task::from_yaml(CHOICE, "quiz").unwrap();
    let root = root("{\"question\": \"a\", \"answer\": 0}\n");
    let error = build_prompts(&task, &PromptOptions::new(root.path()), &no_chat)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("document 0") && error.contains("doc_to_choice"),
        "{error}"
    );
}

#[test]
fn a_broken_line_is_named_and_only_newlines_end_lines() {
    let task = Task::from_yaml(CHOICE, "quiz").unwrap();
    let good = "{\"question\": \"a\u{2028}b\", \"choices\": [\"x\", \"y\"], \"answer\": \"y\"}\n";
    let whole = root(good);
    let set = build_prompts(&task, &PromptOptions::new(whole.path()), &no_chat).unwrap();
    assert_eq!(set.prompts[0].gold, Gold::Choice(Some(1)));
    let Requests::Choices(pairs) = &set.prompts[0].requests else {
        panic!("choices expected")
    };
    assert_eq!(
        (&*pairs[0].context, pairs[1].continuation.as_str()),
        ("a\u{2028}b", " y")
    );
    let broken = root(&format!("{good}{{\n"));
    let error = build_prompts(&task, &PromptOptions::new(broken.path()), &no_chat)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("test.jsonl:2: expected a JSON object, found EOF while parsing an object at column 1"),
        "{error}"
    );
    let marked = root(&format!("\u{feff}{good}"));
    let marked = build_prompts(&task, &PromptOptions::new(marked.path()), &no_chat).unwrap();
    assert!(marked == set);
}

#[test]
fn a_limit_reads_no_further_and_counts_the_rest() {
    let task = Task::from_yaml(CHOICE, "quiz").unwrap();
    let good = "{\"question\": \"q\", \"choices\": [\"x\", \"y\"], \"answer\": \"y\"}\n";
    let folder = root(&format!("{}no JSON\n\n{good}", good.repeat(8)));
    let mut options = PromptOptions::new(folder.path());
    for (limit, prompts) in [(8.0, 8), (3.0, 3), (0.5, 5)] {
        options.limit = Some(limit);
        let set = build_prompts(&task, &options, &no_chat).unwrap();
        assert_eq!((set.prompts.len(), set.documents), (prompts, 10));
    }
    options.limit = Some(9.0);
    let error = build_prompts(&task, &options, &no_chat).unwrap_err().to_string();
    assert!(error.contains("test.jsonl:9: expected a JSON object"), "{error}");
}

#[test]
fn examples_exclude_the_document_itself_and_a_small_pool_is_refused() {
    let lines: String = (0..4)
        .map(|i| {
            format!(
                "{{\"question\": \"q{i}\", \"choices\": [\"x\", \"y\"], \"answer\": {}}}\n",
                i % 2
            )
        })
        .collect();
    let root = root(&lines);
    let task = Task::from_yaml(&format!("{CHOICE}fewshot_split: test\n"), "quiz").unwrap();
    let mut options = PromptOptions::new(root.path());
    options.num_fewshot = Some(2);
    for prompt in build_prompts(&task, &options, &no_chat).unwrap().prompts {
        let Requests::Choices(pairs) = &prompt.requests else {
            panic!("choices expected")
        };
        assert_eq!(
            pairs[0].context.matches(&format!("q{}", prompt.doc_id)).count(),
            1,
            "{}",
            pairs[0].context
        );
        assert_eq!(pairs[0].context.matches("\n\n").count(), 2);
    }
    options.num_fewshot = Some(9);
    let error = build_prompts(&task, &options, &no_chat).unwrap_err();
    assert!(matches!(
        error,
        BenchError::TooFewExamples {
            asked: 9,
            available: 3,
            ..
        }
    ));
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
        let set = build_prompts(&Task::builtin(name).unwrap(), &options, &no_chat).unwrap();
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
    assert!(message(&format!("{CHOICE}repeats: 2\n")).contains("`repeats`"));
}

/// Compared with Python's `re.sub` and `str.strip`.
#[test]
fn texts_of_hellaswag_lose_their_markup() {
    let cleaned = |ending: &str| {
        let line =
            serde_json::json!({"ctx_a": "a", "ctx_b": "b", "activity_label": "c", "endings": [ending], "label": 0});
        let root = root(&line.to_string());
        let mut task = Task::builtin("hellaswag").unwrap();
        task.dataset_path = "synthetic/quiz".to_owned();
        load_split(root.path(), None, &task, "test").unwrap()[0]["choices"][0]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (ending, expected) in [
        ("\u{1f} a [title] b [step] c \u{1c}", "a. b c"),
        ("x [a [b] c] y", "x c] y"),
        ("x [a\n] y [b]z[", "x [a\n] y z["),
        ("[] \u{e9}[\u{e9}]!", " \u{e9}!"),
    ] {
        assert_eq!(cleaned(ending), expected);
    }
}

#[test]
fn an_ending_that_is_no_text_is_an_error() {
    let line =
        "{\"ctx_a\": \"a\", \"ctx_b\": \"b\", \"activity_label\": \"c\", \"endings\": [\"x\", null], \"label\": 0}";
    let root = root(line);
    let mut task = Task::builtin("hellaswag").unwrap();
    task.dataset_path = "synthetic/quiz".to_owned();
    let error = load_split(root.path(), None, &task, "test").unwrap_err().to_string();
    assert!(error.contains("document 0: `endings`: a list of strings"), "{error}");
}

/// The two task files of the offline comparison, in a user's words: numbers stay numbers in the data.
#[test]
fn a_users_own_task_file_is_opened_by_its_path() {
    let root = root("{\"question\": \"2 + 3 =\", \"choices\": [\"4\", \"5\"], \"answer\": 1}\n");
    let path = root.path().join("quiz.yaml");
    std::fs::write(&path, CHOICE).unwrap();
    let task = Task::open(&path.display().to_string()).unwrap();
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &no_chat).unwrap();
    assert_eq!(set.prompts[0].gold, Gold::Choice(Some(1)));
    assert_eq!(set.prompts[0].choices, ["4", "5"]);

    let sums = CHOICE
        .replace("multiple_choice", "generate_until")
        .replace("doc_to_choice: '{{choices}}'\n", "")
        .replace("metric: acc,", "metric: exact_match,");
    let task = Task::from_yaml(&sums, "sums").unwrap();
    let set = build_prompts(&task, &PromptOptions::new(root.path()), &no_chat).unwrap();
    let Requests::Text(request) = &set.prompts[0].requests else {
        panic!("text expected")
    };
    assert_eq!(
        (request.context.as_str(), request.until.as_slice()),
        ("2 + 3 =", &["\n\n".to_owned()][..])
    );
    assert_eq!(
        (set.prompts[0].gold.clone(), request.max_gen_toks),
        (Gold::Texts(vec!["1".to_owned()]), 256)
    );
    assert!(
        Task::open("/nowhere/quiz.yaml")
            .unwrap_err()
            .to_string()
            .contains("/nowhere/quiz.yaml")
    );
}
