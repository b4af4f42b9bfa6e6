//! English text as the Python package nltk takes it apart (version 3.10), and which language a text is in.

mod languages;
mod letters;
mod model;
mod punkt;
mod tokens;

use std::cell::{OnceCell, RefCell};
use std::path::Path;

use crate::BenchError;
use languages::Languages;
use letters::Letters;
use model::Model;

/// Where the model of English sentences lies below the root of the data.
const MODEL: &str = "nltk/punkt_tab/english";

/// Sentences, words and languages.
pub(crate) struct English {
    model: Model,
    letters: Letters,
    /// Loaded when the first language is asked for.
    languages: OnceCell<RefCell<Languages>>,
}

impl English {
    /// Reads the model of sentences below the root of the data.
    ///
    /// # Errors
    /// [`BenchError::NoPunkt`] for a file that is missing, [`BenchError::PunktLine`] for one with a malformed line.
    pub(crate) fn open(root: &Path) -> Result<Self, BenchError> {
        Ok(Self {
            model: Model::read(&root.join(MODEL))?,
            letters: Letters::new(),
            languages: OnceCell::new(),
        })
    }

    /// The sentences of a text.
    pub(crate) fn sentences<'a>(&self, text: &'a str) -> Vec<&'a str> {
        punkt::sentences(text, self)
    }

    /// Words and punctuation marks, each by itself.
    pub(crate) fn tokens(&self, text: &str) -> Vec<String> {
        let sentences = self.sentences(text).into_iter();
        sentences
            .flat_map(|sentence| tokens::tokens(sentence, &self.letters))
            .collect()
    }

    /// How many runs of letters, digits and underscores there are.
    pub(crate) fn words(&self, text: &str) -> usize {
        self.letters.words(text)
    }

    /// Whether a character is part of a word to Python's package `re`: a letter, a number or an underscore.
    pub(crate) fn is_letter(&self, c: char) -> bool {
        self.letters.is_plain(c)
    }

    /// The ISO 639-1 code of a text's language; `None` where nothing in it tells languages apart.
    pub(crate) fn language(&self, text: &str) -> Option<String> {
        let languages = self.languages.get_or_init(|| RefCell::new(Languages::new()));
        languages.borrow_mut().detect(text)
    }
}
