//! Files below the data root, other than documents, that metrics need. Each is read once, when first requested.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::BenchError;
use crate::english::English;

pub(crate) struct Resources {
    root: PathBuf,
    english: OnceCell<Rc<English>>,
}

impl Resources {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            english: OnceCell::new(),
        }
    }

    /// # Errors
    /// When the model of English sentences is missing or malformed.
    pub(crate) fn english(&self) -> Result<Rc<English>, BenchError> {
        if let Some(english) = self.english.get() {
            return Ok(english.clone());
        }
        let english = Rc::new(English::open(&self.root)?);
        Ok(self.english.get_or_init(|| english).clone())
    }
}
