//! The port behind which a model server stands: what the contract's `llm` asks for, as plain requests.
//!
//! The runtime knows no model server. Whoever builds it gives it something that implements [`Llm`]; until then
//! [`DeniedLlm`] answers that nothing was granted.

use async_trait::async_trait;

/// The words that requests and answers share with the contract, as the contract has them.
pub mod types {
    pub use crate::host::bindings::pigeon::plugin::llm::{
        Answer, Embeddings, Error, Finish, Format, Model, Piece, Role, Thinking, Tool, ToolCall, Usage,
    };
}

use types::{Answer, Embeddings, Error, Format, Model, Piece, Role, Thinking, Tool, ToolCall};

/// A message of a conversation.
#[derive(Debug, Clone)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// PNG or JPEG bytes.
    pub images: Vec<Vec<u8>>,
    /// Calls that the model asked for.
    pub tool_calls: Vec<ToolCall>,
    /// The tool that answers.
    pub tool_name: Option<String>,
    /// The thinking that led to it.
    pub thinking: Option<String>,
}

/// How the model draws its words. What is not set is the model's own default.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// 0 for the likeliest word always.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The likeliest k only.
    pub top_k: Option<u32>,
    /// Those at least this likely, of the likeliest.
    pub min_p: Option<f64>,
    /// Against repetition.
    pub repeat_penalty: Option<f64>,
    /// Seed of the drawing; not set: derived from the run's own.
    pub seed: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// Context window, in tokens.
    pub num_ctx: Option<u32>,
    /// Tokens to generate at most.
    pub num_predict: Option<u32>,
    /// How long the model stays loaded afterwards, in milliseconds.
    pub keep_alive_ms: Option<u64>,
    /// Deadline of the call, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Parameters by the model server's own names, with JSON values.
    pub other: Vec<(String, String)>,
}

/// A turn of a conversation.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// Which model.
    pub model: String,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Tools that the model may ask to have called.
    pub tools: Vec<Tool>,
    /// Form of the answer.
    pub format: Format,
    /// Whether the model thinks first.
    pub thinking: Option<Thinking>,
    /// How it draws its words.
    pub parameters: Parameters,
}

/// The continuation of a prompt.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// Which model.
    pub model: String,
    /// What is continued.
    pub prompt: String,
    /// The system text.
    pub system: Option<String>,
    /// Text behind the gap.
    pub suffix: Option<String>,
    /// A template that replaces the model's own.
    pub template: Option<String>,
    /// With no template at all.
    pub raw: bool,
    /// PNG or JPEG bytes.
    pub images: Vec<Vec<u8>>,
    /// Form of the answer.
    pub format: Format,
    /// Whether the model thinks first.
    pub thinking: Option<Thinking>,
    /// How it draws its words.
    pub parameters: Parameters,
}

/// Texts to be turned into vectors.
#[derive(Debug, Clone)]
pub struct EmbedRequest {
    /// Which model.
    pub model: String,
    /// The texts.
    pub input: Vec<String>,
    /// Cut texts that are too long instead of failing.
    pub truncate: Option<bool>,
    /// Length of the vectors.
    pub dimensions: Option<u32>,
    /// How the model is run.
    pub parameters: Parameters,
}

/// An answer as it is being made. Dropping it stops the model.
#[async_trait]
pub trait Stream: Send + Sync {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Piece>, Error>;

    /// The answer as a whole, once `next` gave `None`.
    async fn finish(&mut self) -> Result<Answer, Error>;
}

/// A [`Stream`] in a guest's hands.
pub struct AnswerStream(pub(crate) Box<dyn Stream>);

/// A model server. Every call carries its own deadline, and is cancelled by being dropped.
#[async_trait]
pub trait Llm: Send + Sync {
    /// A turn of a conversation.
    async fn chat(&self, request: ChatRequest) -> Result<Answer, Error>;

    /// The same, piece by piece.
    async fn chat_streaming(&self, request: ChatRequest) -> Result<Box<dyn Stream>, Error>;

    /// The continuation of a prompt.
    async fn generate(&self, request: GenerateRequest) -> Result<Answer, Error>;

    /// The same, piece by piece.
    async fn generate_streaming(&self, request: GenerateRequest) -> Result<Box<dyn Stream>, Error>;

    /// Vectors for texts.
    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error>;

    /// The models that the node holds.
    async fn models(&self) -> Result<Vec<Model>, Error>;
}

/// Answers every call with `denied`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeniedLlm;

impl DeniedLlm {
    fn denied<T>() -> Result<T, Error> {
        Err(Error::Denied("the power llm was not granted to this plugin".to_owned()))
    }
}

#[async_trait]
impl Llm for DeniedLlm {
    async fn chat(&self, _: ChatRequest) -> Result<Answer, Error> {
        Self::denied()
    }

    async fn chat_streaming(&self, _: ChatRequest) -> Result<Box<dyn Stream>, Error> {
        Self::denied()
    }

    async fn generate(&self, _: GenerateRequest) -> Result<Answer, Error> {
        Self::denied()
    }

    async fn generate_streaming(&self, _: GenerateRequest) -> Result<Box<dyn Stream>, Error> {
        Self::denied()
    }

    async fn embed(&self, _: EmbedRequest) -> Result<Embeddings, Error> {
        Self::denied()
    }

    async fn models(&self) -> Result<Vec<Model>, Error> {
        Self::denied()
    }
}
