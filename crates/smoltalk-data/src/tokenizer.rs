//! Tokenizer and chat template together.

mod gguf;
mod specification;

use crate::{ChatTemplate, DataError, Message};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokenizers::Tokenizer;

/// The 17 special tokens of SmolLM2, at ids 0 to 16.
pub const SPECIAL_TOKENS: [&str; 17] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<repo_name>",
    "<reponame>",
    "<file_sep>",
    "<filename>",
    "<gh_stars>",
    "<issue_start>",
    "<issue_comment>",
    "<issue_closed>",
    "<jupyter_start>",
    "<jupyter_text>",
    "<jupyter_code>",
    "<jupyter_output>",
    "<jupyter_script>",
    "<empty_output>",
];

/// Text that every tokenizer has to write and read back: most of the bytes that text is made of. Not all, because
/// SmolLM2's own lacks some control characters and the first bytes of unassigned characters, and leaves them out.
const SAMPLE: &str =
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\n\té日🦀";

/// Largest file read: tokenizer.json of a million tokens is smaller.
const MAX_FILE: u64 = 128 << 20;

/// A tokenizer with its chat template and special ids. Cheap to clone.
///
/// Encoding never adds a begin-of-text or end-of-text token, as SmolLM2's tokenizer does not, and special tokens
/// written out in the text become their ids, as in transformers.
#[derive(Clone, Debug)]
pub struct ChatTokenizer {
    tokenizer: Arc<Tokenizer>,
    template: ChatTemplate,
    bos: u32,
    eos: u32,
    pad: u32,
}

impl ChatTokenizer {
    /// From a Hugging Face folder: tokenizer.json and, when present, tokenizer_config.json (template, special tokens)
    /// and chat_template.jinja. Without a template SmolLM2-Instruct's is used, as its training recipe does.
    ///
    /// # Errors
    /// [`DataError::Io`], [`DataError::Tokenizer`] or [`DataError::Template`] naming the file and field.
    pub fn from_folder(folder: &Path) -> Result<Self, DataError> {
        specification::from_folder(folder)
    }

    /// From the metadata of a GGUF file.
    ///
    /// # Errors
    /// [`DataError::Io`], [`DataError::Tokenizer`] or [`DataError::Template`] naming the file and key.
    pub fn from_gguf(path: &Path) -> Result<Self, DataError> {
        gguf::read(path)
    }

    /// From a folder or a .gguf file.
    ///
    /// # Errors
    /// As [`ChatTokenizer::from_folder`] and [`ChatTokenizer::from_gguf`].
    pub fn open(path: &Path) -> Result<Self, DataError> {
        // A folder may have a name that ends like a file's.
        let named = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if named && !path.is_dir() {
            Self::from_gguf(path)
        } else {
            Self::from_folder(path)
        }
    }

    /// SmolLM2's special tokens and one token a byte: 273 ids, no file needed.
    ///
    /// # Errors
    /// Never; the signature is that of the other constructors.
    pub fn byte_level() -> Result<Self, DataError> {
        specification::byte_level()
    }

    fn assemble(
        origin: &Path,
        json: &[u8],
        template: Option<&str>,
        [bos, eos, pad]: [&str; 3],
    ) -> Result<Self, DataError> {
        let wrong = |field: &str, expected: &str, found| DataError::tokenizer(origin, field, expected, found);
        let tokenizer =
            parse(json).map_err(|found| wrong("tokenizer", "a tokenizer.json of the tokenizers library", found))?;
        let id = |field: &str, token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| wrong(field, "a token of the vocabulary", format!("`{token}`")))
        };
        // The others default to the end-of-turn token, so it is the one to name.
        let eos_id = id("eos_token", eos)?;
        let (bos_id, pad_id) = (id("bos_token", bos)?, id("pad_token", pad)?);
        let template = match template {
            Some(source) => ChatTemplate::new(source, bos, eos)?,
            None => ChatTemplate::smollm2()?,
        };
        let assembled = Self {
            tokenizer: Arc::new(tokenizer),
            template,
            bos: bos_id,
            eos: eos_id,
            pad: pad_id,
        };
        match assembled.decode_with_special(&assembled.encode(SAMPLE)) {
            back if back == SAMPLE => Ok(assembled),
            back => Err(wrong(
                "tokenizer",
                &format!("one that writes {SAMPLE:?}"),
                format!("{back:?}"),
            )),
        }
    }

    /// Ids of a text. No special token is added.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.encode_with_offsets(text).into_iter().map(|(id, _)| id).collect()
    }

    /// Ids of a text with the bytes each came from.
    pub fn encode_with_offsets(&self, text: &str) -> Vec<(u32, std::ops::Range<usize>)> {
        // That texts have an encoding was seen in assembling; bytes the vocabulary lacks are left out.
        match self.tokenizer.encode(text, false) {
            Ok(encoding) => {
                let offsets = encoding.get_offsets().iter().map(|(start, end)| *start..*end);
                encoding.get_ids().iter().copied().zip(offsets).collect()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Text of ids; special tokens are left out; bytes that are no character become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_default()
    }

    /// Text of ids, special tokens written out.
    pub fn decode_with_special(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, false).unwrap_or_default()
    }

    /// A decoder for ids that arrive one by one.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream {
            tokenizer: self,
            pending: Vec::new(),
        }
    }

    /// The conversation as the model's template writes it.
    ///
    /// # Errors
    /// [`DataError::Template`].
    pub fn apply_chat_template(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, DataError> {
        self.template.render(messages, add_generation_prompt)
    }

    /// The template.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// The same tokenizer with another template.
    pub fn with_template(mut self, template: ChatTemplate) -> Self {
        self.template = template;
        self
    }

    /// All that decides how a text is cut into ids, as the contents of a tokenizer.json on one line.
    pub fn specification(&self) -> String {
        // It was read from such a text, so it can be written as one.
        self.tokenizer.to_string(false).unwrap_or_default()
    }

    /// Number of ids.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Id that begins a turn (Instruct) or a text (base).
    pub fn bos_id(&self) -> u32 {
        self.bos
    }

    /// The end-of-text token of the configuration: it ends a turn (Instruct) or a text (base).
    pub fn eos_id(&self) -> u32 {
        self.eos
    }

    /// Id that ends a turn: `<|im_end|>` where the template writes it, else [`ChatTokenizer::eos_id`]. They differ in a
    /// base checkpoint, which is given SmolLM2-Instruct's template and ends its texts with `<|endoftext|>`.
    pub fn end_of_turn_id(&self) -> u32 {
        self.end_of_turn(&self.template)
    }

    pub(crate) fn end_of_turn(&self, template: &ChatTemplate) -> u32 {
        let token = SPECIAL_TOKENS[2];
        let written = template.source().contains(token);
        let id = self.tokenizer.token_to_id(token).filter(|_| written);
        id.unwrap_or(self.eos)
    }

    /// Id that fills a row. It equals the end-of-turn id in SmolLM2-Instruct, so masks go by position, never by id.
    pub fn pad_id(&self) -> u32 {
        self.pad
    }

    /// Ids at which generation stops: end of turn, end of text and `<|endoftext|>`, each once.
    pub fn stop_ids(&self) -> Vec<u32> {
        let mut ids = vec![self.end_of_turn_id()];
        for id in [Some(self.eos), self.tokenizer.token_to_id(SPECIAL_TOKENS[0])] {
            ids.extend(id.filter(|id| !ids.contains(id)));
        }
        ids
    }

    /// Writes tokenizer.json and tokenizer_config.json, which transformers opens. Their `eos_token` is the end of a turn,
    /// because the template is written beside it.
    ///
    /// # Errors
    /// [`DataError::Io`] or [`DataError::Tokenizer`].
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        specification::save(self, folder)
    }
}

/// Text from ids that arrive one by one. A character comes with its last byte. Bytes that are no character come as
/// U+FFFD, at the latest with the fifth token, and may take the first bytes of the character after them along.
#[derive(Debug)]
pub struct DecodeStream<'a> {
    tokenizer: &'a ChatTokenizer,
    pending: Vec<u32>,
}

impl DecodeStream<'_> {
    /// The text that `id` completes; empty while a character is still missing bytes.
    pub fn push(&mut self, id: u32) -> String {
        self.pending.push(id);
        let text = self.tokenizer.decode(&self.pending);
        // A character has at most four bytes and a token at least one: five tokens that do not end are no character.
        if text.ends_with('\u{FFFD}') && self.pending.len() < 5 {
            return String::new();
        }
        self.pending.clear();
        text
    }

    /// What is left, incomplete characters as U+FFFD.
    pub fn finish(self) -> String {
        self.tokenizer.decode(&self.pending)
    }
}

fn parse(json: &[u8]) -> Result<Tokenizer, String> {
    // The library panics on bad syntax in some places.
    serde_json::from_slice::<Value>(json).map_err(|error| error.to_string())?;
    Tokenizer::from_bytes(json).map_err(|error| error.to_string())
}

/// A file of at most [`MAX_FILE`] bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let file = File::open(path).map_err(|source| DataError::io(path, source))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::io(path, source))?;
    match bytes.len() as u64 <= MAX_FILE {
        true => Ok(bytes),
        false => Err(DataError::tokenizer(
            path,
            "file",
            &format!("at most {MAX_FILE} bytes"),
            "more",
        )),
    }
}

pub(crate) fn built_in() -> PathBuf {
    PathBuf::from("built-in")
}
