//! From documents to requests: the question, the examples before it, the chat template round it.

use std::path::PathBuf;

use hub_cache::HubAccess;
use serde::Serialize;
use serde_json::Value;

use crate::dataset::load_split;
use crate::task::{ChoiceField, OutputType, Sampler, TargetField, Task};
use crate::template::{Rendered, Templates};
use crate::{BenchError, Document, PythonRandom};

/// Seed of the few-shot sampler in lm-evaluation-harness.
const FEWSHOT_SEED: u64 = 1234;
/// Tokens generated at most when a task does not say.
const DEFAULT_MAX_GEN_TOKS: usize = 256;

/// One turn of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// The text.
    pub content: String,
}

/// Asks for the log-likelihood of a continuation of a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoglikelihoodRequest {
    /// What stands before; not scored.
    pub context: String,
    /// What is scored.
    pub continuation: String,
}

/// Asks for greedy text after a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GenerationRequest {
    /// The prompt.
    pub context: String,
    /// The text is cut before the first of these.
    pub until: Vec<String>,
    /// Tokens generated at most.
    pub max_gen_toks: usize,
}

/// The requests of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Requests {
    /// One per choice.
    Choices(Vec<LoglikelihoodRequest>),
    /// One text.
    Text(GenerationRequest),
}

/// The right answer of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gold {
    /// Index of the right choice.
    Choice(usize),
    /// The expected text.
    Text(String),
}

/// A document ready to be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Index of the document in its split.
    pub doc_id: usize,
    /// The document, processed.
    pub document: Document,
    /// The requests, with everything before the question.
    pub requests: Requests,
    /// The texts whose lengths normalise the scores: the choices without delimiter. Empty for generated text.
    pub choices: Vec<String>,
    /// The right answer.
    pub gold: Gold,
    /// `doc_to_target`, as samples files report it.
    pub target: String,
}

/// The prompts of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptSet {
    /// The documents evaluated, in order.
    pub prompts: Vec<Prompt>,
    /// Documents in the split, before the limit.
    pub documents: usize,
    /// Examples before each question.
    pub num_fewshot: usize,
}

/// How prompts are built.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptOptions {
    /// Root of the data sets.
    pub data_dir: PathBuf,
    /// The hub from which data sets come that the root lacks; none is asked when absent. What its cache lacks needs the
    /// crate feature `hub`.
    pub hub: Option<HubAccess>,
    /// Examples before the question; the task's own number when absent.
    pub num_fewshot: Option<usize>,
    /// Documents evaluated at most, from the first; all when absent.
    pub limit: Option<usize>,
    /// Put the prompt into the model's chat template.
    pub apply_chat_template: bool,
    /// With the template: examples as turns of their own (true, as lm-evaluation-harness 0.4.13) or within the one
    /// user turn (as before).
    pub fewshot_as_multiturn: bool,
    /// Text of the system turn (or the start of the plain prompt), before the task's description.
    pub system_instruction: Option<String>,
}

impl PromptOptions {
    /// Options with every default: the task's own examples, all documents, no hub, no chat template.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            hub: None,
            num_fewshot: None,
            limit: None,
            apply_chat_template: false,
            fewshot_as_multiturn: true,
            system_instruction: None,
        }
    }
}

/// A model's chat template: turns, and whether to open the assistant's next turn, to text.
pub type ChatTemplate<'a> = dyn Fn(&[Turn], bool) -> Result<String, BenchError> + 'a;

/// Builds the prompts of a task. `chat` is called only with [`PromptOptions::apply_chat_template`].
///
/// # Errors
/// When data is missing or malformed, a template fails on a document, or the pool of examples is too small.
pub fn build_prompts(task: &Task, options: &PromptOptions, chat: &ChatTemplate) -> Result<PromptSet, BenchError> {
    let load = |split| load_split(&options.data_dir, options.hub.as_ref(), task, split);
    let documents = load(task.evaluated_split())?;
    let shots = options.num_fewshot.or(task.num_fewshot).unwrap_or(0);
    let pool = match shots {
        0 => Vec::new(),
        _ if task.examples_split() == task.evaluated_split() => documents.clone(),
        _ => load(task.examples_split())?,
    };
    let mut builder = Builder {
        task,
        options,
        chat,
        templates: Templates::new(),
        random: PythonRandom::new(FEWSHOT_SEED),
        pool,
        shots,
    };
    let total = documents.len();
    let numbered = documents.into_iter().take(options.limit.unwrap_or(total)).enumerate();
    let prompts = numbered.map(|(doc_id, document)| builder.prompt(doc_id, document));
    Ok(PromptSet {
        prompts: prompts.collect::<Result<_, _>>()?,
        documents: total,
        num_fewshot: shots,
    })
}

/// A document's parts, rendered.
struct Parts {
    /// The question; the contexts' common part is empty for a task with several contexts.
    question: Question,
    choices: Vec<String>,
    gold: Gold,
    target: String,
}

enum Question {
    Text(String),
    /// The choices are contexts; this one is right.
    Contexts(usize),
}

impl Parts {
    /// The question of an example, whose right answer is known.
    fn example_question(&self) -> &str {
        match &self.question {
            Question::Text(text) => text,
            Question::Contexts(gold) => &self.choices[*gold],
        }
    }

    /// The answer of an example.
    fn example_answer(&self) -> &str {
        match (&self.question, &self.gold) {
            (Question::Text(_), Gold::Choice(gold)) => &self.choices[*gold],
            _ => &self.target,
        }
    }
}

struct Builder<'a> {
    task: &'a Task,
    options: &'a PromptOptions,
    chat: &'a ChatTemplate<'a>,
    templates: Templates,
    random: PythonRandom,
    pool: Vec<Document>,
    shots: usize,
}

impl Builder<'_> {
    fn prompt(&mut self, doc_id: usize, document: Document) -> Result<Prompt, BenchError> {
        let parts = self.parts(doc_id, &document)?;
        let examples = self.examples(&document)?;
        let context = |builder: &Self, question: &str| builder.context(&examples, question);
        let requests = match (self.task.output_type, &parts.question) {
            (OutputType::GenerateUntil, question) => Requests::Text(GenerationRequest {
                context: context(self, question_text(question))?,
                until: self.task.stop_strings(),
                max_gen_toks: self.task.generation_kwargs.max_gen_toks.unwrap_or(DEFAULT_MAX_GEN_TOKS),
            }),
            (OutputType::MultipleChoice, Question::Text(question)) => {
                let context = context(self, question)?;
                let pair = |choice: &String| LoglikelihoodRequest {
                    context: context.clone(),
                    continuation: format!("{}{choice}", self.answer_delimiter()),
                };
                Requests::Choices(parts.choices.iter().map(pair).collect())
            }
            (OutputType::MultipleChoice, Question::Contexts(_)) => {
                let continuation = format!("{}{}", self.answer_delimiter(), parts.target);
                let pair = |choice: &String| {
                    Ok(LoglikelihoodRequest {
                        context: context(self, choice)?,
                        continuation: continuation.clone(),
                    })
                };
                Requests::Choices(parts.choices.iter().map(pair).collect::<Result<_, BenchError>>()?)
            }
        };
        Ok(Prompt {
            doc_id,
            document,
            requests,
            choices: parts.choices,
            gold: parts.gold,
            target: parts.target,
        })
    }

    /// Between the question and a scored choice: none after a chat template, which ends in a line of its own.
    fn answer_delimiter(&self) -> &str {
        match self.options.apply_chat_template {
            true => "",
            false => &self.task.target_delimiter,
        }
    }

    /// Draws the examples for a document. One more is drawn where the document itself may be among them; the
    /// comparison is of the two splits as written, so two absent ones count as equal, as in the original.
    fn examples(&mut self, document: &Document) -> Result<Vec<(usize, Document)>, BenchError> {
        if self.shots == 0 {
            return Ok(Vec::new());
        }
        let extra = usize::from(self.task.fewshot_split == self.task.test_split);
        let asked = self.shots + extra;
        let picked = match self.task.fewshot_config.sampler {
            Sampler::FirstN => (asked <= self.pool.len()).then(|| (0..asked).collect()),
            Sampler::Default => self.random.sample(self.pool.len(), asked),
        };
        let picked = picked.ok_or_else(|| BenchError::TooFewExamples {
            task: self.task.task.clone(),
            asked,
            available: self.pool.len(),
        })?;
        let others = picked.into_iter().map(|index| (index, &self.pool[index]));
        let others = others.filter(|(_, example)| extra == 0 || *example != document);
        Ok(others
            .take(self.shots)
            .map(|(index, example)| (index, example.clone()))
            .collect())
    }

    /// Everything up to the answer.
    fn context(&self, examples: &[(usize, Document)], question: &str) -> Result<String, BenchError> {
        let shots = examples.iter().map(|(index, example)| self.parts(*index, example));
        let shots = shots.collect::<Result<Vec<_>, _>>()?;
        if self.options.apply_chat_template {
            return self.chat_context(&shots, question);
        }
        let instruction = self.options.system_instruction.as_deref();
        let mut text = instruction
            .map(|s| format!("{s}{}", self.task.fewshot_delimiter))
            .unwrap_or_default();
        text.push_str(&self.task.description);
        text.push_str(&self.shots_text(&shots));
        text.push_str(question);
        Ok(text)
    }

    fn shots_text(&self, shots: &[Parts]) -> String {
        let (middle, end) = (&self.task.target_delimiter, &self.task.fewshot_delimiter);
        let shot = |shot: &Parts| format!("{}{middle}{}{end}", shot.example_question(), shot.example_answer());
        shots.iter().map(shot).collect()
    }

    fn chat_context(&self, shots: &[Parts], question: &str) -> Result<String, BenchError> {
        let mut turns = Vec::new();
        let mut say = |role, content: String| turns.push(Turn { role, content });
        let description = self.task.description.as_str();
        let system = match self.options.system_instruction.as_deref() {
            Some(instruction) if description.is_empty() => instruction.to_owned(),
            Some(instruction) => format!("{instruction}\n\n{description}"),
            None => description.to_owned(),
        };
        if !system.is_empty() {
            say("system", system);
        }
        if self.options.fewshot_as_multiturn {
            for shot in shots {
                say("user", shot.example_question().to_owned());
                say("assistant", shot.example_answer().to_owned());
            }
            say("user", question.to_owned());
        } else {
            say("user", format!("{}{question}", self.shots_text(shots)));
        }
        (self.chat)(&turns, true)
    }

    fn parts(&self, doc_id: usize, document: &Document) -> Result<Parts, BenchError> {
        let fail = |field: &str, problem: String| BenchError::Document {
            task: self.task.task.clone(),
            doc_id,
            field: field.to_owned(),
            problem,
        };
        let value = Value::Object(document.clone());
        let choices = self.choices(&value).map_err(|problem| fail("doc_to_choice", problem))?;
        let question = match self.task.output_type {
            OutputType::GenerateUntil => self.templates.text(&self.task.doc_to_text, &value).map(Rendered::Text),
            OutputType::MultipleChoice => self.templates.value(&self.task.doc_to_text, &value),
        };
        let question = match question.map_err(|error| fail("doc_to_text", format!("{error:#}")))? {
            Rendered::Integer(gold) if gold >= 0 => Question::Contexts(gold as usize),
            Rendered::Text(text) => Question::Text(text),
            other => return Err(fail("doc_to_text", format!("a text is expected, found {other:?}"))),
        };
        let target = match &self.task.doc_to_target {
            TargetField::Index(index) => index.to_string(),
            TargetField::Template(template) => self.target(template, &value).map_err(|e| fail("doc_to_target", e))?,
        };
        let gold = match &question {
            _ if self.task.output_type == OutputType::GenerateUntil => Gold::Text(target.clone()),
            Question::Contexts(gold) => Gold::Choice(*gold),
            Question::Text(_) => {
                let index = target
                    .parse()
                    .ok()
                    .or_else(|| choices.iter().position(|choice| *choice == target));
                Gold::Choice(index.ok_or_else(|| fail("doc_to_target", format!("`{target}` is not a choice")))?)
            }
        };
        match gold {
            Gold::Choice(index) if index >= choices.len() => Err(fail(
                "doc_to_target",
                format!("choice {index} of {} does not exist", choices.len()),
            )),
            _ => Ok(Parts {
                question,
                choices,
                gold,
                target,
            }),
        }
    }

    fn target(&self, template: &str, value: &Value) -> Result<String, String> {
        self.templates
            .text(template, value)
            .map_err(|error| format!("{error:#}"))
    }

    fn choices(&self, value: &Value) -> Result<Vec<String>, String> {
        let describe = |error: minijinja::Error| format!("{error:#}");
        match &self.task.doc_to_choice {
            None => Ok(Vec::new()),
            Some(ChoiceField::List(list)) => list
                .iter()
                .map(|item| self.templates.text(item, value).map_err(describe))
                .collect(),
            Some(ChoiceField::Template(template)) => match self.templates.value(template, value).map_err(describe)? {
                Rendered::List(list) if !list.is_empty() => Ok(list),
                other => Err(format!("a list of choices is expected, found {other:?}")),
            },
        }
    }
}

fn question_text(question: &Question) -> &str {
    match question {
        Question::Text(text) => text,
        Question::Contexts(_) => "",
    }
}
