//! Trains and evaluates each variant of a model once per seed.

mod cell;
mod estimate;
mod folder;
mod observer;
mod plan;
mod record;
pub mod text;
mod tokens;

pub use estimate::CellEstimate;
pub use folder::{CellState, StudyFolder};
pub use observer::StudyObserver;
pub use plan::{
    Cell, DataPlan, FeedForwardStart, FilesPlan, HeldOutPlan, ModelPlan, ModelShape, StudyPlan, SyntheticPlan,
    TasksPlan, TokenizerPlan, VariantPlan,
};
pub use record::{CellRecord, report};

use crate::error::{KallmError, Result};
use crate::{identity, open, training};
use llm_bench::{EvaluateOptions, PromptOptions, Task, load_split};
use serde_json::{Value, json};
use smollm2_infer::Engine;
use smollm2_model::{FeedForwardKind, SmolLm2, SmolLm2Config};
use smollm2_train::StepBackend;
use smoltalk_data::{ChatTokenizer, Conversation, PackedRow, Source};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The inputs that a plan names, resolved to paths by the application: this crate does not download hub ids.
pub struct StudyInputs {
    /// Folder or .gguf file of the pretrained model, where the plan has one.
    pub model: Option<PathBuf>,
    /// Training conversations, if they come from files.
    pub training: Option<Source>,
    /// Held-out conversations, if they come from separate files.
    pub held_out: Option<Source>,
    /// The tasks of the plan, except those of the synthetic world.
    pub tasks: Vec<Task>,
    /// Where the tasks' data are. The plan sets how the questions are asked.
    pub prompts: PromptOptions,
    /// The name of the device, for the record.
    pub device: String,
}

/// Where every variant starts.
enum Start<B: StepBackend> {
    /// From scratch, with the configuration's shape.
    Scratch(Box<SmolLm2Config>),
    /// From a pretrained SwiGLU model.
    Pretrained(Box<SmolLm2<B>>),
}

/// What is trained on and held out.
enum Data {
    /// One synthetic world per seed, with this many conversations.
    Worlds(usize),
    /// The same for every seed.
    Files { training: Source, held_out: Vec<PackedRow> },
}

/// A plan that was opened and checked in its folder, ready to run its cells.
pub struct Study<B: StepBackend> {
    plan: StudyPlan,
    start: Start<B>,
    tokenizer: ChatTokenizer,
    data: Data,
    tasks: Vec<Task>,
    evaluation: EvaluateOptions,
    /// Whether an earlier study in the folder was removed.
    pub replaced: bool,
}

/// Held-out conversations that identify the data.
const IDENTIFYING: usize = 1000;

impl<B: StepBackend> Study<B> {
    /// Opens what the plan names and claims the folder for this study. Everything is checked here, before anything is
    /// written and before the first step.
    ///
    /// # Errors
    /// When the plan, the model, the conversations, the tasks or their data are not usable, or do not fit together; when
    /// the folder holds something else.
    pub fn open(
        plan: StudyPlan,
        inputs: StudyInputs,
        folder: &StudyFolder,
        device: &B::Device,
        observer: &mut dyn StudyObserver,
    ) -> Result<Self> {
        plan.validate()?;
        let evaluation = evaluation(&plan, inputs.prompts);
        let conversations = conversations(&plan, inputs.training, inputs.held_out)?;
        let tasks = match plan.data {
            DataPlan::Synthetic(_) => plan.synthetic_tasks()?,
            DataPlan::Files(_) => inputs.tasks,
        };
        if conversations.is_some() {
            open::check_tasks_without_model(&tasks, &evaluation.prompts)?;
        }
        let pretrained = pretrained::<B>(&plan, inputs.model.as_deref(), &tasks, &evaluation, device, observer)?;
        let settings = json!({
            "program": identity::of_program()?,
            "device": inputs.device,
            "start": inputs.model.as_deref().map(identity::of_model).transpose()?,
            "data": data_identity(conversations.as_ref(), &tasks, &evaluation.prompts)?,
            "plan": plan.shared()?,
        });
        let replaced = folder.settle(&plan, &settings)?;
        let training = conversations.as_ref().map(|(training, _)| training);
        let (start, tokenizer) = match (pretrained, &plan.model) {
            (Some(start), _) => start,
            (None, ModelPlan::Scratch(shape)) => from_scratch(shape, training, folder, observer)?,
            (None, ModelPlan::Pretrained(name)) => return Err(not_given("model.pretrained", name)),
        };
        let data = match (conversations, &plan.data) {
            (Some((training, held_out)), _) => Data::Files {
                held_out: training::held_out_rows(held_out, &tokenizer, &plan.recipe, observer.reading())?,
                training,
            },
            (None, DataPlan::Synthetic(world)) => Data::Worlds(world.conversations),
            (None, DataPlan::Files(files)) => return Err(not_given("data.files.training", &files.training.join(", "))),
        };
        Ok(Self {
            plan,
            start,
            tokenizer,
            data,
            tasks,
            evaluation,
            replaced,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &StudyPlan {
        &self.plan
    }

    /// Trains and evaluates every unfinished cell in order. Returns false if the observer stopped it.
    ///
    /// # Errors
    /// As [`Study::run_cell`]. Cells finished before the error are kept.
    pub fn run(&self, folder: &StudyFolder, device: &B::Device, observer: &mut dyn StudyObserver) -> Result<bool> {
        for cell in self.plan.cells() {
            if !self.run_cell(&cell, folder, device, observer)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The initial model and the tokenizer of a pretrained model.
type Pretrained<B> = (Start<B>, ChatTokenizer);

fn pretrained<B: StepBackend>(
    plan: &StudyPlan,
    model: Option<&Path>,
    tasks: &[Task],
    evaluation: &EvaluateOptions,
    device: &B::Device,
    observer: &mut dyn StudyObserver,
) -> Result<Option<Pretrained<B>>> {
    let (ModelPlan::Pretrained(_), Some(model)) = (&plan.model, model) else {
        return Ok(None);
    };
    observer.working("loading the model");
    let engine = Engine::<B>::open(model, device)?;
    check_swiglu(model, engine.model().config())?;
    open::check_tasks_for(&engine, tasks, &evaluation.prompts)?;
    let (model, tokenizer) = engine.into_parts();
    let model = training::with_chat_tokens(model, &tokenizer)?;
    Ok(Some((Start::Pretrained(Box::new(model)), tokenizer)))
}

fn from_scratch<B: StepBackend>(
    shape: &ModelShape,
    training: Option<&Source>,
    folder: &StudyFolder,
    observer: &mut dyn StudyObserver,
) -> Result<(Start<B>, ChatTokenizer)> {
    let tokenizer = match (&shape.tokenizer, training) {
        (TokenizerPlan::Bpe(tokens), Some(training)) => {
            observer.working("learning the tokenizer");
            tokens::learned(*tokens, training, folder)?
        }
        _ => tokens::bytes()?,
    };
    let config = shape.config(tokenizer.vocab_size());
    Ok((Start::Scratch(Box::new(config)), tokenizer))
}

/// Training and held-out conversations from files.
fn conversations(
    plan: &StudyPlan,
    training: Option<Source>,
    held_out: Option<Source>,
) -> Result<Option<(Source, Source)>> {
    let (DataPlan::Files(files), Some(training)) = (&plan.data, training) else {
        return Ok(None);
    };
    match (&files.held_out, held_out) {
        (HeldOutPlan::Share(share), _) => training::hold_out(training, *share).map(Some),
        (HeldOutPlan::Files(_), Some(held_out)) => Ok(Some((training, held_out))),
        (HeldOutPlan::Files(names), None) => Err(not_given("data.files.held_out", &names.join(", "))),
    }
}

fn not_given(place: &str, name: &str) -> KallmError {
    KallmError::unusable(place, name, "nothing in the inputs", "open what the plan names")
}

fn evaluation(plan: &StudyPlan, prompts: PromptOptions) -> EvaluateOptions {
    let tasks = &plan.tasks;
    EvaluateOptions {
        batch_size: tasks.batch_size,
        ..EvaluateOptions::new(PromptOptions {
            num_fewshot: tasks.num_fewshot,
            limit: tasks.limit,
            apply_chat_template: tasks.apply_chat_template,
            ..prompts
        })
    }
}

/// Identifies the held-out data and the questions. The training data are identified when they are read, in each cell's
/// record.
fn data_identity(conversations: Option<&(Source, Source)>, tasks: &[Task], prompts: &PromptOptions) -> Result<Value> {
    let Some((_, held_out)) = conversations else {
        return Ok(Value::Null);
    };
    let mut asked = BTreeMap::new();
    for task in tasks {
        let documents = load_split(&prompts.data, task, task.evaluated_split())?;
        asked.insert(&task.task, identity::of_value(&documents)?);
    }
    let first: Vec<Conversation> = held_out
        .conversations()
        .filter_map(usable)
        .take(IDENTIFYING)
        .collect::<Result<_>>()?;
    Ok(json!({ "held_out": identity::of_value(&first)?, "asked": asked }))
}

/// Training skips records that cannot be used.
fn usable(found: Result<Conversation, smoltalk_data::DataError>) -> Option<Result<Conversation>> {
    match found {
        Err(error) if error.is_bad_record() => None,
        other => Some(other.map_err(KallmError::from)),
    }
}

/// Every variant is made from the model's SwiGLU layers, so the model must have no other kind.
fn check_swiglu(model: &Path, config: &SmolLm2Config) -> Result<()> {
    let (found, expected) = (training::kinds(config), FeedForwardKind::SwiGlu.name());
    if found == expected {
        return Ok(());
    }
    Err(KallmError::unusable(
        model.display(),
        format!("{expected} in every layer"),
        found,
        "give the SwiGLU model it was made from",
    ))
}

impl StudyPlan {
    /// Settings that all cells share and that must not change once a cell is finished: everything except the names and
    /// lists of what is compared and the criteria of the report.
    fn shared(&self) -> Result<Value> {
        let mut plan = plan::json(self)?;
        if let Value::Object(fields) = &mut plan {
            for own in ["title", "seeds", "variants", "criteria"] {
                fields.remove(own);
            }
        }
        Ok(plan)
    }

    /// The tasks of the synthetic world that the plan names.
    fn synthetic_tasks(&self) -> Result<Vec<Task>> {
        let mut tasks = crate::synthetic::SyntheticWorld::tasks()?;
        tasks.retain(|task| self.tasks.names.contains(&task.task));
        Ok(tasks)
    }
}
