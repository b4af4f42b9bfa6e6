//! Resolves the names in a plan to files and folders next to it, and to hub ids.

use crate::device::DeviceKind;
use crate::hub::HubFlags;
use crate::terminal::note;
use anyhow::{Context, Result, anyhow};
use kallm::hub::{ModelSource, fetch_task_data};
use kallm::study::{DataPlan, HeldOutPlan, ModelPlan, StudyFolder, StudyInputs, StudyPlan, text};
use kallm::{KallmError, open};
use llm_bench::report::Report;
use llm_bench::{PromptOptions, Task};
use smoltalk_data::Source;
use std::path::{Path, PathBuf};

/// How the names in a plan are resolved.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Names of models and tasks are relative to this folder: that of the plan, or the working folder where flags are the
    /// plan.
    pub plan: PathBuf,
    /// Names of data are relative to this one.
    pub data: PathBuf,
    /// A model instead of the plan's.
    pub model: Option<String>,
}

impl Places {
    /// Of the plan in a file.
    pub fn of_plan(path: &Path, data_dir: Option<&PathBuf>, model: Option<&String>) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Self {
            data: data_dir.cloned().unwrap_or_else(|| folder.clone()),
            plan: folder,
            model: model.cloned(),
        }
    }

    /// The resolved name of the plan's data: the path if it exists, or the unchanged name, for the hub.
    fn data(&self, name: &str) -> PathBuf {
        there(self.data.join(name), name)
    }

    /// The model: the one given instead of the plan's, the path, or the name.
    fn model(&self, name: &str) -> PathBuf {
        match &self.model {
            Some(model) => PathBuf::from(model),
            None => there(self.plan.join(name), name),
        }
    }

    fn task(&self, name: &str) -> String {
        let path = there(self.plan.join(name), name);
        path.display().to_string()
    }

    /// Everything that a plan names, resolved: what it is, and where.
    pub fn all(&self, plan: &StudyPlan) -> Vec<(&'static str, PathBuf)> {
        let mut all = Vec::new();
        if let ModelPlan::Pretrained(name) = &plan.model {
            all.push(("model", self.model(name)));
        }
        if let DataPlan::Files(files) = &plan.data {
            all.extend(files.training.iter().map(|name| ("training data", self.data(name))));
            if let HeldOutPlan::Files(names) = &files.held_out {
                all.extend(names.iter().map(|name| ("held-out data", self.data(name))));
            }
            let yaml = plan.tasks.names.iter().filter(|name| is_yaml(name));
            all.extend(yaml.map(|name| ("task", PathBuf::from(self.task(name)))));
            if !plan.tasks.names.is_empty() {
                all.push(("data of the tasks", self.data.join(&plan.tasks.data)));
            }
        }
        all
    }

    /// The model of the plan; none where it starts from scratch. A hub id is as it was written.
    ///
    /// # Errors
    /// When the name neither exists nor is a hub id.
    pub fn model_source(&self, plan: &StudyPlan) -> Result<Option<ModelSource>> {
        let ModelPlan::Pretrained(name) = &plan.model else {
            return Ok(None);
        };
        let path = self.model(name).display().to_string();
        Ok(Some(path.parse().with_context(|| "model.pretrained".to_string())?))
    }

    /// Opens everything that a plan names; hub ids are fetched, unless the cache has them.
    ///
    /// # Errors
    /// When something cannot be opened.
    pub fn inputs(&self, plan: &StudyPlan, hub: &HubFlags, hub_data: bool, device: DeviceKind) -> Result<StudyInputs> {
        let prompts = PromptOptions::new(self.data.join(&plan.tasks.data));
        let mut inputs = StudyInputs {
            model: None,
            training: None,
            held_out: None,
            tasks: Vec::new(),
            prompts,
            device: device.to_string(),
        };
        if let DataPlan::Files(files) = &plan.data {
            inputs.tasks = self.tasks(&plan.tasks.names)?;
            if hub_data {
                fetch_task_data(&inputs.tasks, &mut inputs.prompts, &hub.access()?)?;
            }
            inputs.training = Some(self.conversations(&files.training, hub)?);
            if let HeldOutPlan::Files(names) = &files.held_out {
                inputs.held_out = Some(self.conversations(names, hub)?);
            }
        }
        let model = self.model_source(plan)?;
        inputs.model = model.map(|model| hub.model(&model)).transpose()?;
        Ok(inputs)
    }

    fn tasks(&self, names: &[String]) -> Result<Vec<Task>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = names.iter().map(|name| self.task(name)).collect();
        Ok(open::tasks(&names)?)
    }

    fn conversations(&self, names: &[String], hub: &HubFlags) -> Result<Source> {
        let sources = names.iter().map(|name| {
            let path = self.data(name);
            if path.extension().is_some_and(|extension| extension == "txt") {
                return Ok(text::conversations(&path)?);
            }
            hub.conversations(&path)
        });
        let mut sources = sources.collect::<Result<Vec<_>>>()?;
        Ok(if sources.len() == 1 {
            sources.remove(0)
        } else {
            Source::interleave(sources)
        })
    }
}

/// The path, unless nothing is there and the name may be something else.
fn there(path: PathBuf, name: &str) -> PathBuf {
    if path.exists() { path } else { PathBuf::from(name) }
}

fn is_yaml(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The default folder of a plan's study.
pub fn default_output(plan: &Path) -> PathBuf {
    let name = plan.file_stem().unwrap_or_default().display();
    PathBuf::from(format!("{name}-output"))
}

/// Prints a note if the folder has no locks.
pub fn note_locks(folder: &StudyFolder) {
    if let Some(error) = &folder.unlocked {
        note(format_args!(
            "{}: cannot be locked ({error}); make sure that no other process works on the same cells",
            folder.root().display()
        ));
    }
}

/// An error of a study with what to do about it.
pub fn with_ways_out(error: KallmError, replace: &str) -> anyhow::Error {
    match error {
        KallmError::OtherStudy { .. } => {
            anyhow!("{error}; {replace}to keep it, choose another folder with --output-path")
        }
        other => other.into(),
    }
}

/// Adds to the report what only the program knows.
pub fn complete(report: &mut Report, device: DeviceKind) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    report.command = std::env::args().collect::<Vec<_>>().join(" ");
    report.hardware = format!("{device}, {cores} CPU threads, {system} {machine}");
    report.date = chrono::Local::now().format("%Y-%m-%d %H:%M").to_string();
}
