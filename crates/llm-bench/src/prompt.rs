//! From documents to requests: the question, the examples before it, the chat template round it.

use std::ops::Range;
use std::path::PathBuf;

use hub_cache::HubAccess;
use serde::Serialize;

use crate::dataset::Split;
use crate::task::{ChoiceField, OutputType, Sampler, TargetField, Task};
use crate::template::{Rendered, Templates, is_list};
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

/// Text before the answer, and the special tokens in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatPrompt {
    /// The text.
    pub text: String,
    /// Byte ranges of the special tokens that the chat template wrote, in order. The rest is text, even where a
    /// document spells out a special token.
    pub special: Vec<Range<usize>>,
}

/// Asks for the log-likelihood of a continuation of a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoglikelihoodRequest {
    /// What stands before; not scored.
    pub context: String,
    /// Byte ranges of the context's special tokens, as in [`ChatPrompt`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub special: Vec<Range<usize>>,
    /// What is scored.
    pub continuation: String,
}

/// Asks for greedy text after a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GenerationRequest {
    /// The prompt.
    pub context: String,
    /// Byte ranges of the prompt's special tokens, as in [`ChatPrompt`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub special: Vec<Range<usize>>,
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
    /// Examples before the question; the task's own number when absent, and where that is 0.
    pub num_fewshot: Option<usize>,
    /// Documents evaluated at most, from the first; below 1 a fraction of the split, rounded up, as in
    /// lm-evaluation-harness. All when absent or not above 0.
    pub limit: Option<f64>,
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
pub type ChatTemplate<'a> = dyn Fn(&[Turn], bool) -> Result<ChatPrompt, BenchError> + 'a;

/// Builds the prompts of a task. `chat` is called only with [`PromptOptions::apply_chat_template`].
///
/// # Errors
/// When data is missing, empty or malformed, a template fails on a document, or the pool of examples is too small.
pub fn build_prompts(task: &Task, options: &PromptOptions, chat: &ChatTemplate) -> Result<PromptSet, BenchError> {
    let open = |split| Split::open(&options.data_dir, options.hub.as_ref(), task, split);
    let evaluated = open(task.evaluated_split())?;
    let total = evaluated.count()?;
    let limit = match options.limit {
        Some(count) if count >= 1.0 => count as usize,
        Some(fraction) if fraction > 0.0 => (total as f64 * fraction).ceil() as usize,
        _ => total,
    };
    let documents = evaluated.documents(limit)?;
    let Some(first) = documents.first() else {
        return Err(BenchError::NoDocuments {
            task: task.task.clone(),
            split: task.evaluated_split().to_owned(),
        });
    };
    let shots = shots(task, options);
    let pool = match shots {
        0 => Vec::new(),
        _ => open(task.examples_split())?.documents(usize::MAX)?,
    };
    let mut builder = Builder {
        task,
        options,
        chat,
        templates: Templates::new(),
        random: PythonRandom::new(FEWSHOT_SEED),
        pool,
        shots,
        several_contexts: false,
    };
    builder.several_contexts = builder.has_several_contexts(first);
    let numbered = documents.into_iter().enumerate();
    let prompts = numbered.map(|(doc_id, document)| builder.prompt(doc_id, document));
    Ok(PromptSet {
        prompts: prompts.collect::<Result<_, _>>()?,
        documents: total,
        num_fewshot: shots,
    })
}

/// Examples before each question. A task that says 0 means it, as in the original.
fn shots(task: &Task, options: &PromptOptions) -> usize {
    match task.num_fewshot {
        Some(0) => 0,
        own => options.num_fewshot.or(own).unwrap_or(0),
    }
}

/// A document's parts, rendered.
struct Parts {
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
    /// Whether the choices are contexts of one continuation.
    several_contexts: bool,
}

impl Builder<'_> {
    fn prompt(&mut self, doc_id: usize, document: Document) -> Result<Prompt, BenchError> {
        let parts = self.parts(doc_id, &document)?;
        let examples = self.examples(&document)?;
        let requests = self.requests(&parts, &examples)?;
        Ok(Prompt {
            doc_id,
            document,
            requests,
            choices: parts.choices,
            gold: parts.gold,
            target: parts.target,
        })
    }

    fn requests(&self, parts: &Parts, examples: &[(usize, Document)]) -> Result<Requests, BenchError> {
        let context = |question: &str| self.context(examples, question);
        Ok(match &parts.question {
            Question::Text(question) if self.task.output_type == OutputType::GenerateUntil => {
                let context = context(question)?;
                Requests::Text(GenerationRequest {
                    context: context.text,
                    special: context.special,
                    until: self.task.stop_strings(),
                    max_gen_toks: self.task.generation_kwargs.max_gen_toks.unwrap_or(DEFAULT_MAX_GEN_TOKS),
                })
            }
            Question::Text(question) => {
                let context = context(question)?;
                let pair = |choice: &String| LoglikelihoodRequest {
                    context: context.text.clone(),
                    special: context.special.clone(),
                    continuation: format!("{}{choice}", self.answer_delimiter()),
                };
                Requests::Choices(parts.choices.iter().map(pair).collect())
            }
            Question::Contexts(_) => {
                let continuation = format!("{}{}", self.answer_delimiter(), parts.target);
                let pair = |choice: &String| {
                    let context = context(choice)?;
                    Ok(LoglikelihoodRequest {
                        context: context.text,
                        special: context.special,
                        continuation: continuation.clone(),
                    })
                };
                Requests::Choices(parts.choices.iter().map(pair).collect::<Result<_, BenchError>>()?)
            }
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
        let extra = usize::from(self.task.named_examples_split() == self.task.test_split.as_deref());
        let too_few = |available| BenchError::TooFewExamples {
            task: self.task.task.clone(),
            asked: self.shots,
            available,
        };
        let size = self.pool.len();
        let picked = match self.task.fewshot_config.sampler {
            Sampler::FirstN => Some((0..size).collect()),
            Sampler::Default => self.random.sample(size, self.shots + extra),
        };
        let picked: Vec<usize> = picked.ok_or_else(|| too_few(size.saturating_sub(extra)))?;
        let others = picked.into_iter().map(|index| (index, &self.pool[index]));
        let others = others.filter(|(_, example)| extra == 0 || *example != document);
        let examples: Vec<_> = others
            .take(self.shots)
            .map(|(index, one)| (index, one.clone()))
            .collect();
        match examples.len() == self.shots {
            true => Ok(examples),
            false => Err(too_few(examples.len())),
        }
    }

    /// Everything up to the answer.
    fn context(&self, examples: &[(usize, Document)], question: &str) -> Result<ChatPrompt, BenchError> {
        let shots = examples.iter().map(|(index, example)| self.parts(*index, example));
        let shots = shots.collect::<Result<Vec<_>, _>>()?;
        if self.options.apply_chat_template {
            return self.chat_context(&shots, question);
        }
        Ok(ChatPrompt {
            text: format!("{}{}{question}", self.system_text(), self.shots_text(&shots)),
            special: Vec::new(),
        })
    }

    /// The system instruction, then the task's description; the delimiter stands between them only, and only where
    /// neither brings white space.
    fn system_text(&self) -> String {
        let instruction = self.options.system_instruction.as_deref().unwrap_or_default();
        let description = self.task.description.as_str();
        let spaced = instruction.ends_with(char::is_whitespace) || description.starts_with(char::is_whitespace);
        let delimiter = match instruction.is_empty() || description.is_empty() || spaced {
            true => "",
            false => &self.task.fewshot_delimiter,
        };
        format!("{instruction}{delimiter}{description}")
    }

    fn shots_text(&self, shots: &[Parts]) -> String {
        let (middle, end) = (&self.task.target_delimiter, &self.task.fewshot_delimiter);
        let shot = |shot: &Parts| format!("{}{middle}{}{end}", shot.example_question(), shot.example_answer());
        shots.iter().map(shot).collect()
    }

    fn chat_context(&self, shots: &[Parts], question: &str) -> Result<ChatPrompt, BenchError> {
        let mut turns = Vec::new();
        let mut say = |role, content: String| turns.push(Turn { role, content });
        let system = self.system_text();
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
        let fail = |field: &'static str| {
            move |problem: String| BenchError::Document {
                task: self.task.task.clone(),
                doc_id,
                field: field.to_owned(),
                problem,
            }
        };
        let choices = self.choices(document).map_err(fail("doc_to_choice"))?;
        let target = self.target(document).map_err(fail("doc_to_target"))?;
        let question = self.question(document, choices.len()).map_err(fail("doc_to_text"))?;
        let gold = match &question {
            Question::Contexts(gold) => Gold::Choice(*gold),
            Question::Text(_) => self.gold(&target, &choices).map_err(fail("doc_to_target"))?,
        };
        Ok(Parts {
            question,
            choices,
            gold,
            target: target.to_string(),
        })
    }

    /// Whether the choices are contexts: the question is an integer, and the target a text that is no choice. What
    /// fails here fails again, and is reported, when the document is rendered.
    fn has_several_contexts(&self, first: &Document) -> bool {
        let question = self.templates.value(&self.task.doc_to_text, first);
        let answer = (self.target(first), self.choices(first));
        let integer = matches!(question, Ok(Rendered::Integer(_)));
        let choice = self.task.output_type == OutputType::MultipleChoice;
        choice && integer && matches!(answer, (Ok(Rendered::Text(text)), Ok(choices)) if !choices.contains(&text))
    }

    fn question(&self, document: &Document, choices: usize) -> Result<Question, String> {
        let template = &self.task.doc_to_text;
        if !self.several_contexts {
            return self
                .templates
                .text(template, document)
                .map(Question::Text)
                .map_err(describe);
        }
        match self.templates.value(template, document).map_err(describe)? {
            Rendered::Integer(gold) => Ok(Question::Contexts(index(gold, choices)?)),
            other => Err(format!(
                "an integer is expected, as for the first document, found `{other}`"
            )),
        }
    }

    /// The target; text stays as it is where text is expected.
    fn target(&self, document: &Document) -> Result<Rendered, String> {
        let template = match &self.task.doc_to_target {
            TargetField::Index(index) => return Ok(Rendered::Integer(*index as i64)),
            TargetField::Template(template) => template,
        };
        let generates = self.task.output_type == OutputType::GenerateUntil;
        if !generates && !self.several_contexts {
            return self.templates.value(template, document).map_err(describe);
        }
        let text = self.templates.text(template, document).map_err(describe)?;
        Ok(match generates && is_list(&text) {
            true => Rendered::List(vec![text]),
            false => Rendered::Text(text),
        })
    }

    fn gold(&self, target: &Rendered, choices: &[String]) -> Result<Gold, String> {
        match (target, self.task.output_type) {
            (Rendered::List(_), _) => Err("several right answers are not supported".to_owned()),
            (target, OutputType::GenerateUntil) => Ok(Gold::Text(target.to_string())),
            (Rendered::Integer(gold), _) => Ok(Gold::Choice(index(*gold, choices.len())?)),
            (Rendered::Text(text), _) => {
                let position = choices.iter().position(|choice| choice == text);
                position
                    .map(Gold::Choice)
                    .ok_or_else(|| format!("`{text}` is not a choice"))
            }
        }
    }

    fn choices(&self, document: &Document) -> Result<Vec<String>, String> {
        match &self.task.doc_to_choice {
            None => Ok(Vec::new()),
            // A word of a list is the choice, even where a field is called so.
            Some(ChoiceField::List(list)) => {
                let rendered = list.iter().map(|item| self.templates.render(item, document));
                rendered.collect::<Result<_, _>>().map_err(describe)
            }
            Some(ChoiceField::Template(template)) => {
                match self.templates.value(template, document).map_err(describe)? {
                    Rendered::List(list) if !list.is_empty() => Ok(list),
                    other => Err(format!("a list of choices is expected, found `{other}`")),
                }
            }
        }
    }
}

/// A template's error with its causes.
fn describe(error: minijinja::Error) -> String {
    format!("{error:#}")
}

/// An integer as the index of one of so many choices.
fn index(integer: i64, choices: usize) -> Result<usize, String> {
    let index = usize::try_from(integer).ok().filter(|index| *index < choices);
    index.ok_or_else(|| format!("choice {integer} of {choices} does not exist"))
}
