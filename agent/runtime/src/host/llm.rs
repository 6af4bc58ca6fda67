//! The contract's `llm`: requests that guests build with setters. What they amount to goes to the run's `Effects`.

use wasmtime::component::{Resource, ResourceTableError};

use super::{Ctx, bindings::pigeon::plugin::llm};
use crate::llm::{
    AnswerStream, ChatRequest, EmbedRequest, GenerateRequest, Message, Parameters,
    types::{Answer, Embeddings, Error, Format, Model, Piece, Role, Thinking, Tool, ToolCall},
};

type Done<T = ()> = wasmtime::Result<T>;

impl Ctx {
    fn put<T: Send + 'static>(&mut self, resource: T) -> Done<Resource<T>> {
        Ok(self.table.push(resource)?)
    }

    fn change<T: 'static>(&mut self, resource: &Resource<T>, change: impl FnOnce(&mut T)) -> Done {
        change(self.table.get_mut(resource)?);
        Ok(())
    }

    fn copy<T: Clone + 'static>(&self, resource: &Resource<T>) -> Result<T, ResourceTableError> {
        self.table.get(resource).cloned()
    }

    fn remove<T: 'static>(&mut self, resource: Resource<T>) -> Done {
        self.table.delete(resource)?;
        Ok(())
    }
}

impl llm::Host for Ctx {
    async fn models(&mut self) -> Done<Result<Vec<Model>, Error>> {
        Ok(self.effects.models().await)
    }
}

impl llm::HostMessage for Ctx {
    fn new(&mut self, role: Role, content: String) -> Done<Resource<Message>> {
        self.hold(content.len())?;
        let (images, tool_calls) = (Vec::new(), Vec::new());
        self.put(Message { role, content, images, tool_calls, tool_name: None, thinking: None })
    }

    fn add_image(&mut self, this: Resource<Message>, image: Vec<u8>) -> Done {
        self.hold(image.len())?;
        self.change(&this, |message| message.images.push(image))
    }

    fn add_tool_call(&mut self, this: Resource<Message>, call: ToolCall) -> Done {
        self.hold(call.name.len() + call.arguments.len())?;
        self.change(&this, |message| message.tool_calls.push(call))
    }

    fn set_tool_name(&mut self, this: Resource<Message>, name: String) -> Done {
        self.hold(name.len())?;
        self.change(&this, |message| message.tool_name = Some(name))
    }

    fn set_thinking(&mut self, this: Resource<Message>, thinking: String) -> Done {
        self.hold(thinking.len())?;
        self.change(&this, |message| message.thinking = Some(thinking))
    }

    fn drop(&mut self, this: Resource<Message>) -> Done {
        self.remove(this)
    }
}

impl llm::HostParameters for Ctx {
    fn new(&mut self) -> Done<Resource<Parameters>> {
        self.put(Parameters::default())
    }

    fn set_temperature(&mut self, this: Resource<Parameters>, value: f64) -> Done {
        self.change(&this, |parameters| parameters.temperature = Some(value))
    }

    fn set_top_p(&mut self, this: Resource<Parameters>, value: f64) -> Done {
        self.change(&this, |parameters| parameters.top_p = Some(value))
    }

    fn set_top_k(&mut self, this: Resource<Parameters>, value: u32) -> Done {
        self.change(&this, |parameters| parameters.top_k = Some(value))
    }

    fn set_min_p(&mut self, this: Resource<Parameters>, value: f64) -> Done {
        self.change(&this, |parameters| parameters.min_p = Some(value))
    }

    fn set_repeat_penalty(&mut self, this: Resource<Parameters>, value: f64) -> Done {
        self.change(&this, |parameters| parameters.repeat_penalty = Some(value))
    }

    fn set_seed(&mut self, this: Resource<Parameters>, value: u64) -> Done {
        self.change(&this, |parameters| parameters.seed = Some(value))
    }

    fn add_stop(&mut self, this: Resource<Parameters>, text: String) -> Done {
        self.hold(text.len())?;
        self.change(&this, |parameters| parameters.stop.push(text))
    }

    fn set_num_ctx(&mut self, this: Resource<Parameters>, tokens: u32) -> Done {
        self.change(&this, |parameters| parameters.num_ctx = Some(tokens))
    }

    fn set_num_predict(&mut self, this: Resource<Parameters>, tokens: u32) -> Done {
        self.change(&this, |parameters| parameters.num_predict = Some(tokens))
    }

    fn set_keep_alive(&mut self, this: Resource<Parameters>, milliseconds: u64) -> Done {
        self.change(&this, |parameters| parameters.keep_alive_ms = Some(milliseconds))
    }

    fn set_timeout(&mut self, this: Resource<Parameters>, milliseconds: u64) -> Done {
        self.change(&this, |parameters| parameters.timeout_ms = Some(milliseconds))
    }

    fn set_other(&mut self, this: Resource<Parameters>, name: String, value: String) -> Done {
        self.hold(name.len() + value.len())?;
        self.change(&this, |parameters| parameters.other.push((name, value)))
    }

    fn drop(&mut self, this: Resource<Parameters>) -> Done {
        self.remove(this)
    }
}

impl llm::HostChatRequest for Ctx {
    fn new(&mut self, model: String) -> Done<Resource<ChatRequest>> {
        self.hold(model.len())?;
        let (messages, tools) = (Vec::new(), Vec::new());
        let (format, parameters) = (Format::Text, Parameters::default());
        self.put(ChatRequest { model, messages, tools, format, thinking: None, parameters })
    }

    fn add_message(&mut self, this: Resource<ChatRequest>, message: Resource<Message>) -> Done {
        let message = self.table.delete(message)?;
        self.change(&this, |request| request.messages.push(message))
    }

    fn add_tool(&mut self, this: Resource<ChatRequest>, tool: Tool) -> Done {
        self.hold(tool.name.len() + tool.description.len() + tool.parameters.len())?;
        self.change(&this, |request| request.tools.push(tool))
    }

    fn set_format(&mut self, this: Resource<ChatRequest>, format: Format) -> Done {
        self.hold(format_size(&format))?;
        self.change(&this, |request| request.format = format)
    }

    fn set_thinking(&mut self, this: Resource<ChatRequest>, thinking: Thinking) -> Done {
        self.change(&this, |request| request.thinking = Some(thinking))
    }

    fn set_parameters(&mut self, this: Resource<ChatRequest>, parameters: Resource<Parameters>) -> Done {
        let parameters = self.table.delete(parameters)?;
        self.change(&this, |request| request.parameters = parameters)
    }

    async fn send(&mut self, this: Resource<ChatRequest>) -> Done<Result<Answer, Error>> {
        let request = self.copy(&this)?;
        Ok(self.effects.chat(request).await)
    }

    async fn send_streaming(&mut self, this: Resource<ChatRequest>) -> Done<Result<Resource<AnswerStream>, Error>> {
        let request = self.copy(&this)?;
        match self.effects.chat_streaming(request).await {
            Ok(stream) => Ok(Ok(self.put(AnswerStream(stream))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn drop(&mut self, this: Resource<ChatRequest>) -> Done {
        self.remove(this)
    }
}

impl llm::HostGenerateRequest for Ctx {
    fn new(&mut self, model: String, prompt: String) -> Done<Resource<GenerateRequest>> {
        self.hold(model.len() + prompt.len())?;
        self.put(GenerateRequest {
            model,
            prompt,
            system: None,
            suffix: None,
            template: None,
            raw: false,
            images: Vec::new(),
            format: Format::Text,
            thinking: None,
            parameters: Parameters::default(),
        })
    }

    fn set_system(&mut self, this: Resource<GenerateRequest>, system: String) -> Done {
        self.hold(system.len())?;
        self.change(&this, |request| request.system = Some(system))
    }

    fn set_suffix(&mut self, this: Resource<GenerateRequest>, suffix: String) -> Done {
        self.hold(suffix.len())?;
        self.change(&this, |request| request.suffix = Some(suffix))
    }

    fn set_template(&mut self, this: Resource<GenerateRequest>, template: String) -> Done {
        self.hold(template.len())?;
        self.change(&this, |request| request.template = Some(template))
    }

    fn set_raw(&mut self, this: Resource<GenerateRequest>, raw: bool) -> Done {
        self.change(&this, |request| request.raw = raw)
    }

    fn add_image(&mut self, this: Resource<GenerateRequest>, image: Vec<u8>) -> Done {
        self.hold(image.len())?;
        self.change(&this, |request| request.images.push(image))
    }

    fn set_format(&mut self, this: Resource<GenerateRequest>, format: Format) -> Done {
        self.hold(format_size(&format))?;
        self.change(&this, |request| request.format = format)
    }

    fn set_thinking(&mut self, this: Resource<GenerateRequest>, thinking: Thinking) -> Done {
        self.change(&this, |request| request.thinking = Some(thinking))
    }

    fn set_parameters(&mut self, this: Resource<GenerateRequest>, parameters: Resource<Parameters>) -> Done {
        let parameters = self.table.delete(parameters)?;
        self.change(&this, |request| request.parameters = parameters)
    }

    async fn send(&mut self, this: Resource<GenerateRequest>) -> Done<Result<Answer, Error>> {
        let request = self.copy(&this)?;
        Ok(self.effects.generate(request).await)
    }

    async fn send_streaming(&mut self, this: Resource<GenerateRequest>) -> Done<Result<Resource<AnswerStream>, Error>> {
        let request = self.copy(&this)?;
        match self.effects.generate_streaming(request).await {
            Ok(stream) => Ok(Ok(self.put(AnswerStream(stream))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn drop(&mut self, this: Resource<GenerateRequest>) -> Done {
        self.remove(this)
    }
}

impl llm::HostEmbedRequest for Ctx {
    fn new(&mut self, model: String) -> Done<Resource<EmbedRequest>> {
        self.hold(model.len())?;
        let parameters = Parameters::default();
        self.put(EmbedRequest { model, input: Vec::new(), truncate: None, dimensions: None, parameters })
    }

    fn add_input(&mut self, this: Resource<EmbedRequest>, text: String) -> Done {
        self.hold(text.len())?;
        self.change(&this, |request| request.input.push(text))
    }

    fn set_truncate(&mut self, this: Resource<EmbedRequest>, truncate: bool) -> Done {
        self.change(&this, |request| request.truncate = Some(truncate))
    }

    fn set_dimensions(&mut self, this: Resource<EmbedRequest>, dimensions: u32) -> Done {
        self.change(&this, |request| request.dimensions = Some(dimensions))
    }

    fn set_parameters(&mut self, this: Resource<EmbedRequest>, parameters: Resource<Parameters>) -> Done {
        let parameters = self.table.delete(parameters)?;
        self.change(&this, |request| request.parameters = parameters)
    }

    async fn send(&mut self, this: Resource<EmbedRequest>) -> Done<Result<Embeddings, Error>> {
        let request = self.copy(&this)?;
        Ok(self.effects.embed(request).await)
    }

    fn drop(&mut self, this: Resource<EmbedRequest>) -> Done {
        self.remove(this)
    }
}

impl llm::HostAnswerStream for Ctx {
    async fn next(&mut self, this: Resource<AnswerStream>) -> Done<Result<Option<Piece>, Error>> {
        Ok(self.table.get_mut(&this)?.0.next().await)
    }

    async fn finish(&mut self, this: Resource<AnswerStream>) -> Done<Result<Answer, Error>> {
        Ok(self.table.get_mut(&this)?.0.finish().await)
    }

    fn drop(&mut self, this: Resource<AnswerStream>) -> Done {
        self.remove(this)
    }
}

fn format_size(format: &Format) -> usize {
    match format {
        Format::Text | Format::Json => 0,
        Format::Schema(schema) => schema.len(),
    }
}
