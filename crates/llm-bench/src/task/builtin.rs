//! The tasks that ship with the crate, as YAML compiled into it.

use super::Task;
use crate::BenchError;

const TASKS: &[(&str, &str)] = &[
    ("arc_challenge", include_str!("../../tasks/arc_challenge.yaml")),
    ("arc_easy", include_str!("../../tasks/arc_easy.yaml")),
    ("gsm8k", include_str!("../../tasks/gsm8k.yaml")),
    ("hellaswag", include_str!("../../tasks/hellaswag.yaml")),
    ("ifeval", include_str!("../../tasks/ifeval.yaml")),
    ("mmlu_anatomy", include_str!("../../tasks/mmlu_anatomy.yaml")),
    ("openbookqa", include_str!("../../tasks/openbookqa.yaml")),
    ("piqa", include_str!("../../tasks/piqa.yaml")),
    ("truthfulqa_mc1", include_str!("../../tasks/truthfulqa_mc1.yaml")),
    ("winogrande", include_str!("../../tasks/winogrande.yaml")),
];

pub(super) fn names() -> Vec<&'static str> {
    TASKS.iter().map(|(name, _)| *name).collect()
}

pub(super) fn load(name: &str) -> Result<Task, BenchError> {
    match TASKS.iter().find(|(known, _)| *known == name) {
        Some((name, yaml)) => Task::from_yaml(yaml, name),
        None => Err(BenchError::UnknownTask {
            name: name.to_owned(),
            known: names().join(", "),
        }),
    }
}
