//! A small synthetic world for runs without any download: people with a city, a food, a pet and a colour, and sums.
//!
//! Every question has three phrasings. Two of them are in the training data, and the `facts` task uses the third. The
//! task therefore measures whether a fact learned in one phrasing is known in another. A fifth of all sums is not in
//! the training data; the `sums` task uses those.

use crate::error::Result;
use crate::files::write_whole;
use llm_bench::Task;
use rand::{Rng, SeedableRng, seq::IndexedRandom, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use smoltalk_data::{Conversation, Message};
use std::path::Path;

const PEOPLE: [&str; 40] = [
    "Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo", "Ida", "Jon", "Kim", "Leo", "Mia", "Ned", "Ola", "Pam",
    "Quin", "Rosa", "Sam", "Tess", "Uma", "Vic", "Wes", "Xena", "Yan", "Zoe", "Abe", "Bea", "Cy", "Dora", "Eli", "Flo",
    "Gus", "Hal", "Ines", "Jan", "Kai", "Lou", "Max", "Nia",
];

/// One attribute of a person: its values and its three phrasings.
struct Attribute {
    values: [&'static str; 8],
    questions: [&'static str; 3],
}

const ATTRIBUTES: [Attribute; 4] = [
    Attribute {
        values: ["Oslo", "Rome", "Lima", "Cairo", "Tokyo", "Paris", "Quito", "Delhi"],
        questions: [
            "Where does {} live?",
            "Which city is home to {}?",
            "In what city is {}?",
        ],
    },
    Attribute {
        values: ["rice", "soup", "bread", "figs", "pasta", "plums", "beans", "cake"],
        questions: [
            "What does {} eat?",
            "Which food is liked by {}?",
            "Name the meal of {}.",
        ],
    },
    Attribute {
        values: [
            "a cat", "a dog", "an owl", "a fox", "a hen", "a mouse", "a pony", "a crab",
        ],
        questions: [
            "Which pet is owned by {}?",
            "What animal has {}?",
            "Name the pet of {}.",
        ],
    },
    Attribute {
        values: ["red", "blue", "green", "pink", "black", "white", "grey", "gold"],
        questions: [
            "Which colour is liked by {}?",
            "What is the colour of {}?",
            "Tell me the colour {} wears.",
        ],
    },
];

const LARGEST_TERM: u32 = 20;
const CHOICES: usize = 4;

/// The world of one seed, split into training data and questions.
pub struct SyntheticWorld {
    /// Conversations for training.
    pub training: Vec<Conversation>,
    /// Conversations for the held-out loss: the held-out phrasings and sums.
    pub held_out: Vec<Conversation>,
    facts: Vec<Value>,
    sums: Vec<Value>,
}

/// Names and files of the tasks, in the order of the report.
const TASKS: [(&str, &str); 2] = [
    ("synthetic_facts", include_str!("../tasks/synthetic_facts.yaml")),
    ("synthetic_sums", include_str!("../tasks/synthetic_sums.yaml")),
];

impl SyntheticWorld {
    /// Builds the world of `seed` with about `conversations` training conversations of one to three exchanges.
    pub fn generate(seed: u64, conversations: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut trained: Vec<(String, String)> = Vec::new();
        let mut asked: Vec<(String, String)> = Vec::new();
        let mut facts = Vec::new();
        for person in PEOPLE {
            for attribute in &ATTRIBUTES {
                let value = rng.random_range(0..attribute.values.len());
                let held_out = rng.random_range(0..attribute.questions.len());
                for (index, question) in attribute.questions.iter().enumerate() {
                    let pair = (question.replace("{}", person), format!("{}.", attribute.values[value]));
                    if index == held_out {
                        facts.push(multiple_choice(&pair.0, attribute, value, &mut rng));
                        asked.push(pair);
                    } else {
                        trained.push(pair);
                    }
                }
            }
        }
        let mut sums = Vec::new();
        for a in 1..=LARGEST_TERM {
            for b in 1..=LARGEST_TERM {
                let pair = (format!("What is {a} + {b}?"), format!("{}.", a + b));
                if rng.random_bool(0.2) {
                    sums.push(json!({ "question": pair.0, "answer": pair.1 }));
                    asked.push(pair);
                } else {
                    trained.push(pair);
                }
            }
        }
        facts.shuffle(&mut rng);
        sums.shuffle(&mut rng);
        let training = (0..conversations).map(|_| conversation(&trained, &mut rng)).collect();
        let held_out = asked
            .iter()
            .map(|pair| from_pairs(std::slice::from_ref(pair)))
            .collect();
        Self {
            training,
            held_out,
            facts,
            sums,
        }
    }

    /// The two tasks, whose items [`SyntheticWorld::write`] puts below `root/data`.
    ///
    /// # Errors
    /// Never: the tasks are part of the program.
    pub fn tasks() -> Result<Vec<Task>> {
        let tasks = TASKS.map(|(name, yaml)| Task::from_yaml(yaml, name));
        Ok(tasks.into_iter().collect::<Result<_, _>>()?)
    }

    /// Their names, in the order of the report.
    pub(crate) fn task_names() -> Vec<String> {
        TASKS.map(|(name, _)| name.to_string()).to_vec()
    }

    /// Writes the world into the folder `root`, for the other commands too: task files into `tasks`, their items into
    /// `data`, the training conversations into `train.jsonl`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, root: &Path) -> Result<()> {
        for (name, yaml) in TASKS {
            write_whole(&root.join(format!("tasks/{name}.yaml")), yaml)?;
        }
        write_jsonl(&root.join("data/synthetic/facts/default/test.jsonl"), &self.facts)?;
        write_jsonl(&root.join("data/synthetic/sums/default/test.jsonl"), &self.sums)?;
        write_conversations(&root.join("train.jsonl"), &self.training)
    }
}

/// Writes conversations as JSONL, one `{"messages": [..]}` a line.
fn write_conversations(path: &Path, conversations: &[Conversation]) -> Result<()> {
    let rows = conversations
        .iter()
        .map(|conversation| json!({ "messages": conversation.messages }));
    write_jsonl(path, &rows.collect::<Vec<_>>())
}

fn write_jsonl(path: &Path, rows: &[Value]) -> Result<()> {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    write_whole(path, &lines)
}

/// One item of the `facts` task: the right value among other values of the same attribute.
fn multiple_choice(question: &str, attribute: &Attribute, value: usize, rng: &mut ChaCha8Rng) -> Value {
    let mut wrong: Vec<usize> = (0..attribute.values.len()).filter(|other| *other != value).collect();
    wrong.shuffle(rng);
    wrong.truncate(CHOICES - 1);
    let answer = rng.random_range(0..CHOICES);
    wrong.insert(answer, value);
    let choices: Vec<String> = wrong
        .iter()
        .map(|index| format!("{}.", attribute.values[*index]))
        .collect();
    json!({ "question": question, "choices": choices, "answer": answer })
}

fn conversation(pairs: &[(String, String)], rng: &mut ChaCha8Rng) -> Conversation {
    let exchanges = rng.random_range(1..=3);
    let chosen: Vec<(String, String)> = pairs.choose_multiple(rng, exchanges).cloned().collect();
    from_pairs(&chosen)
}

fn from_pairs(pairs: &[(String, String)]) -> Conversation {
    let messages = pairs
        .iter()
        .flat_map(|(question, answer)| {
            [
                Message {
                    role: "user".to_string(),
                    content: question.clone(),
                },
                Message {
                    role: "assistant".to_string(),
                    content: answer.clone(),
                },
            ]
        })
        .collect();
    Conversation {
        messages,
        source: Some("synthetic".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_asked_question_is_trained_on() {
        let world = SyntheticWorld::generate(1, 2000);
        let asked: Vec<&str> = world
            .facts
            .iter()
            .chain(&world.sums)
            .filter_map(|item| item["question"].as_str())
            .collect();
        assert_eq!(asked.len(), world.held_out.len());
        for conversation in &world.training {
            for message in conversation.messages.iter().filter(|message| message.role == "user") {
                assert!(
                    !asked.contains(&message.content.as_str()),
                    "{} is asked and trained on",
                    message.content
                );
            }
        }
    }

    #[test]
    fn the_right_choice_is_where_the_item_says() {
        let world = SyntheticWorld::generate(2, 10);
        for (item, conversation) in world.facts.iter().map(|item| {
            let asked = item["question"].as_str();
            let found = world
                .held_out
                .iter()
                .find(|held| Some(held.messages[0].content.as_str()) == asked);
            (item, found.expect("every item is held out"))
        }) {
            let answer = item["answer"].as_u64().expect("an index") as usize;
            assert_eq!(
                item["choices"][answer].as_str(),
                Some(conversation.messages[1].content.as_str())
            );
        }
    }
}
