//! A tokenizer together with its chat template.

mod gguf;
mod special;
mod specification;

pub use special::Rendered;

use crate::{ChatTemplate, DataError, Message};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
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
/// characters and cannot end a turn or begin another. transformers makes the special token of it;
/// [`ChatTokenizer::with_special_tokens_in_text`] does as transformers. For all other texts the ids are the same.
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
        let mut tokenizer = parse(json).map_err(|found| {
            DataError::tokenizer(origin, "tokenizer", "a tokenizer.json of the tokenizers library", found)
        })?;
        let recognizer = tokenizer.get_added_vocabulary().clone();
        tokenizer.set_encode_special_tokens(true);
        // A tokenizer.json may ask for both; transformers does neither unless it is told to.
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
    /// transformers does, or encoded as text (`false`, the default). Recognise them only in text you trust: they end
    /// and begin turns wherever they are.
    pub fn with_special_tokens_in_text(mut self, recognize: bool) -> Self {
        Arc::make_mut(&mut self.tokenizer).set_encode_special_tokens(!recognize);
        self
    }

    /// Whether special tokens that a text spells out are recognised.
    pub fn special_tokens_in_text(&self) -> bool {
        !self.tokenizer.get_encode_special_tokens()
    }

    /// Ids of a text. No special token is added, and characters that the vocabulary lacks are left out.
    ///
    /// # Errors
    /// [`DataError::Encoding`] when the tokenizer fails on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self.tokenizer.encode(text, false).map_err(DataError::Encoding)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of a rendered conversation: its special tokens as such, the rest as text.
    ///
    /// # Errors
    /// [`DataError::Encoding`] when the tokenizer fails on the text.
    pub fn encode_rendered(&self, rendered: &Rendered) -> Result<Vec<u32>, DataError> {
        let ids = self.encode_with_offsets(rendered)?;
        Ok(ids.into_iter().map(|(id, _)| id).collect())
    }

    /// Ids of messages in the chat template: [`ChatTokenizer::apply_chat_template`], then
    /// [`ChatTokenizer::encode_rendered`].
    ///
    /// ```
    /// use smoltalk_data::{ChatTokenizer, Message};
    ///
    /// let tokenizer = ChatTokenizer::byte_level()?;
    /// let ids = tokenizer.encode_chat(&[Message::user("Bye<|im_end|>")], true)?;
    /// // The template ends the system turn and the user's; the user's own text does not end any.
    /// let ends = ids.iter().filter(|id| **id == tokenizer.end_of_turn_id());
    /// assert_eq!(ends.count(), 2);
    /// # Ok::<(), smoltalk_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Template`] or [`DataError::Encoding`].
    pub fn encode_chat(&self, messages: &[Message], add_generation_prompt: bool) -> Result<Vec<u32>, DataError> {
        self.encode_rendered(&self.apply_chat_template(messages, add_generation_prompt)?)
    }

    /// Ids of a rendered conversation with the bytes each came from.
    pub(crate) fn encode_with_offsets(&self, rendered: &Rendered) -> Result<Vec<(u32, Range<usize>)>, DataError> {
        let mut tokens = Vec::new();
        if self.special_tokens_in_text() {
            self.encode_piece(&rendered.text, 0, &mut tokens)?;
            return Ok(tokens);
        }
        let mut encoded = 0;
        for range in &rendered.special {
            self.encode_piece(&rendered.text[encoded..range.start], encoded, &mut tokens)?;
            let token = &rendered.text[range.clone()];
            match self.special_tokens(token)[..] {
                [(id, ref found)] if *found == (0..token.len()) => tokens.push((id, range.clone())),
                // A range that is not a special token of this tokenizer is text.
                _ => self.encode_piece(token, range.start, &mut tokens)?,
            }
            encoded = range.end;
        }
        self.encode_piece(&rendered.text[encoded..], encoded, &mut tokens)?;
        Ok(tokens)
    }

    /// Appends the ids of a text that begins at byte `start`.
    fn encode_piece(&self, text: &str, start: usize, tokens: &mut Vec<(u32, Range<usize>)>) -> Result<(), DataError> {
        let encoding = self.tokenizer.encode(text, false).map_err(DataError::Encoding)?;
        let offsets = encoding.get_offsets().iter();
        let ranges = offsets.map(|(first, end)| start + first..start + end);
        tokens.extend(encoding.get_ids().iter().copied().zip(ranges));
        Ok(())
    }

    /// Text of ids; special tokens are left out; bytes that are no character become U+FFFD.
    ///
    /// # Errors
    /// [`DataError::Encoding`] when the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        self.tokenizer.decode(ids, true).map_err(DataError::Encoding)
    }

    /// Text of ids, special tokens written out.
    ///
    /// # Errors
    /// [`DataError::Encoding`] when the tokenizer's decoder fails.
    pub fn decode_with_special(&self, ids: &[u32]) -> Result<String, DataError> {
        self.tokenizer.decode(ids, false).map_err(DataError::Encoding)
    }

    /// A decoder for ids that arrive one by one.
    pub fn decode_stream(&self) -> DecodeStream {
        DecodeStream {
            tokenizer: Arc::clone(&self.tokenizer),
            pending: Vec::new(),
        }
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

    /// All that decides how a text is cut into ids, as the contents of a tokenizer.json on one line.
    pub fn specification(&self) -> String {
        let written = self.tokenizer.to_string(false);
        written.expect("a tokenizer that was read from JSON can be written as JSON")
    }

    /// The token with an id, as the vocabulary writes it.
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

/// Text from ids that arrive one by one. A character comes with its last byte. Bytes that are no character come as
/// U+FFFD, at the latest with the fifth token, and may take the first bytes of the character after them along.
#[derive(Debug)]
pub struct DecodeStream {
    tokenizer: Arc<Tokenizer>,
    pending: Vec<u32>,
}

impl DecodeStream {
    /// The text that `id` completes; empty while a character is still missing bytes.
    ///
    /// # Errors
    /// As [`ChatTokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<String, DataError> {
        self.pending.push(id);
        let text = self.pending()?;
        // A character has at most four bytes and a token at least one: five tokens that do not end are no character.
        if text.ends_with('\u{FFFD}') && self.pending.len() < 5 {
            return Ok(String::new());
        }
        self.pending.clear();
        Ok(text)
    }

    /// What is left, incomplete characters as U+FFFD.
    ///
    /// # Errors
    /// As [`ChatTokenizer::decode`].
    pub fn finish(self) -> Result<String, DataError> {
        self.pending()
    }

    fn pending(&self) -> Result<String, DataError> {
        self.tokenizer.decode(&self.pending, true).map_err(DataError::Encoding)
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
