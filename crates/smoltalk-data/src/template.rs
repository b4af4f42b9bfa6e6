//! Jinja chat templates. The rendered text is identical to that of transformers, byte for byte.

use crate::{DataError, Message};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};

/// SmolLM2-Instruct's template: puts the default system sentence before a conversation that has none.
const SMOLLM2: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}\
{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// ChatML without any default system turn.
const CHATML: &str = "{% for message in messages %}\
{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// minijinja counts an instruction, or 64 bytes of text, as one. A thousand short turns need about 30,000, so this is
/// enough for 60,000 turns or 100 MB of text; an endless loop ends here.
const FUEL: u64 = 2_000_000;

/// A compiled chat template.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
    is_chatml: bool,
}

impl ChatTemplate {
    /// Compiles a Jinja template as found in tokenizer_config.json or a GGUF file.
    ///
    /// # Errors
    /// [`DataError::Template`] when it does not parse.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, DataError> {
        let mut environment = Environment::new();
        // As transformers sets up Jinja2.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(reason)?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned("chat", source.to_string())
            .map_err(reason)?;
        let mut template = Self {
            environment,
            source: source.to_string(),
            bos: bos.to_string(),
            eos: eos.to_string(),
            is_chatml: false,
        };
        let turn = template.render(&[Message::user("Hi")], false);
        template.is_chatml = turn.is_ok_and(|text| text.contains("<|im_start|>user\nHi<|im_end|>"));
        Ok(template)
    }

    /// SmolLM2-Instruct's own template.
    ///
    /// # Errors
    /// Never for this template; the signature is that of [`ChatTemplate::new`].
    pub fn smollm2() -> Result<Self, DataError> {
        Self::new(SMOLLM2, "<|im_start|>", "<|im_end|>")
    }

    /// ChatML without a default system turn.
    ///
    /// # Errors
    /// Never for this template; the signature is that of [`ChatTemplate::new`].
    pub fn chatml() -> Result<Self, DataError> {
        Self::new(CHATML, "<|im_start|>", "<|im_end|>")
    }

    /// The Jinja source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the template writes turns as `<|im_start|>role\ncontent<|im_end|>`.
    pub(crate) fn is_chatml(&self) -> bool {
        self.is_chatml
    }

    /// The conversation as one text.
    ///
    /// # Errors
    /// [`DataError::Template`] when the template raises, uses something undefined, or does not end.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, DataError> {
        let template = self.environment.get_template("chat").map_err(reason)?;
        let (bos_token, eos_token) = (&self.bos, &self.eos);
        let messages: Vec<minijinja::Value> = messages
            .iter()
            .map(|message| context! { role => message.role.clone(), content => message.content.clone() })
            .collect();
        template
            .render(context! { messages, add_generation_prompt, bos_token, eos_token })
            .map_err(reason)
    }
}

fn reason(error: Error) -> DataError {
    DataError::Template {
        reason: error.to_string(),
    }
}
