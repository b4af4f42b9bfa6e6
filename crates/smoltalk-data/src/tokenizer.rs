//! A tokenizer together with its chat template.

mod encode;
mod gguf;
mod special;
mod specification;
mod stream;
mod training;

pub use special::Rendered;
pub use stream::DecodeStream;

use crate::{ChatTemplate, DataError, Message};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokenizers::{AddedVocabulary, Tokenizer};

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
/// Encoding never adds a begin-of-text or end-of-text token, as SmolLM2's tokenizer does not. Text is text: only the
/// chat template writes special tokens. A text or a message that spells one out, `<|im_end|>` say, is encoded as these
/// characters and cannot end a turn or begin another. transformers encodes it as the special token;
/// [`ChatTokenizer::with_special_tokens_in_text`] does the same. For all other texts the ids are equal.
#[derive(Clone, Debug)]
pub struct ChatTokenizer {
    /// Encodes special tokens that a text spells out as text, unless `special_tokens_in_text`.
    tokenizer: Arc<Tokenizer>,
    /// The tokenizer's added tokens, to find special ones in a text.
    recognizer: Arc<AddedVocabulary>,
    template: ChatTemplate,
    /// What [`SystemPrompt::None`](crate::SystemPrompt::None) renders with.
    chatml: ChatTemplate,
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
    /// [`DataError::Gguf`], [`DataError::Tokenizer`] or [`DataError::Template`] naming the file and key.
    pub fn from_gguf(path: &Path) -> Result<Self, DataError> {
        gguf::read(path)
    }

    /// From a folder or a .gguf file.
    ///
    /// # Errors
    /// As [`ChatTokenizer::from_folder`] and [`ChatTokenizer::from_gguf`].
    pub fn open(path: &Path) -> Result<Self, DataError> {
        if path.is_file() {
            Self::from_gguf(path)
        } else {
            Self::from_folder(path)
        }
    }

    /// SmolLM2's special tokens and one token per byte: 273 ids, no file needed.
    ///
    /// # Errors
    /// Never; the signature is that of the other constructors.
    pub fn byte_level() -> Result<Self, DataError> {
        specification::byte_level()
    }

    /// A byte-level BPE tokenizer learned from these texts, split as SmolLM2's is, with its special tokens first. The
    /// same texts, in any order, give the same tokenizer. Where they have too few different pairs, it has fewer ids than
    /// `vocab_size`.
    ///
    /// # Errors
    /// [`DataError::Tokenizer`] when `vocab_size` leaves no room for the special tokens and the 256 bytes.
    pub fn train_bpe(texts: impl Iterator<Item = String> + Send, vocab_size: usize) -> Result<Self, DataError> {
        training::train_bpe(texts, vocab_size)
    }

    fn assemble(
        origin: &Path,
        json: &[u8],
        template: Option<&str>,
        [bos, eos, pad]: [&str; 3],
    ) -> Result<Self, DataError> {
        let mut tokenizer = parse(json).map_err(|found| {
            DataError::tokenizer(origin, "tokenizer", "a tokenizer.json of the tokenizers library", found)
        })?;
        let recognizer = tokenizer.get_added_vocabulary().clone();
        tokenizer.set_encode_special_tokens(true);
        // A tokenizer.json may ask for both; transformers does neither by default.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| DataError::tokenizer(origin, "truncation", "a tokenizer that can do without", error))?;
        // The others default to the end-of-turn token, so it is the one to name.
        let eos_id = special_id(&tokenizer, origin, "eos_token", eos)?;
        let bos_id = special_id(&tokenizer, origin, "bos_token", bos)?;
        let pad_id = special_id(&tokenizer, origin, "pad_token", pad)?;
        let template = match template {
            Some(source) => ChatTemplate::new(source, bos, eos)?,
            None => ChatTemplate::smollm2()?,
        };
        let assembled = Self {
            tokenizer: Arc::new(tokenizer),
            recognizer: Arc::new(recognizer),
            template,
            chatml: ChatTemplate::chatml()?,
            bos: bos_id,
            eos: eos_id,
            pad: pad_id,
        };
        let ids = assembled.encode(SAMPLE);
        let found = match ids.and_then(|ids| assembled.decode_with_special(&ids)) {
            Ok(back) if back == SAMPLE => return Ok(assembled),
            Ok(back) => format!("{back:?}"),
            Err(error) => error.to_string(),
        };
        let expected = format!("one that writes {SAMPLE:?}");
        Err(DataError::tokenizer(origin, "tokenizer", &expected, found))
    }

    /// The same tokenizer, with special tokens that a text or a message spells out recognised (`true`), as
    /// transformers does, or encoded as text (`false`, the default). Recognise them only in trusted text: they end and
    /// begin turns anywhere.
    pub fn with_special_tokens_in_text(mut self, recognize: bool) -> Self {
        Arc::make_mut(&mut self.tokenizer).set_encode_special_tokens(!recognize);
        self
    }

    /// Whether special tokens that a text spells out are recognised.
    pub fn special_tokens_in_text(&self) -> bool {
        !self.tokenizer.get_encode_special_tokens()
    }

    /// The conversation as the model's template writes it. `add_generation_prompt` opens the assistant's next turn.
    ///
    /// # Errors
    /// [`DataError::Template`].
    pub fn apply_chat_template(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<Rendered, DataError> {
        self.render(&self.template, messages, add_generation_prompt)
    }

    /// The template.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// ChatML without a default system turn.
    pub(crate) fn chatml(&self) -> &ChatTemplate {
        &self.chatml
    }

    /// The same tokenizer with another template.
    pub fn with_template(mut self, template: ChatTemplate) -> Self {
        self.template = template;
        self
    }

    /// Everything that determines how a text is split into ids, as the content of a tokenizer.json on one line.
    pub fn specification(&self) -> String {
        let written = self.tokenizer.to_string(false);
        written.expect("a tokenizer that was read from JSON can be written as JSON")
    }

    /// The token with this id, as spelled in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
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

    /// Writes tokenizer.json and tokenizer_config.json, which transformers opens. Their `eos_token` is the end of a
    /// turn, because the template is written next to it.
    ///
    /// # Errors
    /// [`DataError::Io`] or [`DataError::Tokenizer`].
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        specification::save(self, folder)
    }
}

fn special_id(tokenizer: &Tokenizer, origin: &Path, field: &str, token: &str) -> Result<u32, DataError> {
    let found = format!("`{token}`");
    let id = tokenizer.token_to_id(token);
    id.ok_or_else(|| DataError::tokenizer(origin, field, "a token of the vocabulary", found))
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
    if bytes.len() as u64 > MAX_FILE {
        let expected = format!("at most {MAX_FILE} bytes");
        return Err(DataError::tokenizer(path, "file", &expected, "more"));
    }
    Ok(bytes)
}

pub(crate) fn built_in() -> PathBuf {
    PathBuf::from("built-in")
}
