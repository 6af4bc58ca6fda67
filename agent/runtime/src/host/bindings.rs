//! What Wasmtime makes of the contract's imports. Logging is not among them: its texts are read where they lie.

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package pigeon:host;
        world imports {
            import wasi:config/store@0.2.0-rc.1;
            import pigeon:plugin/run@0.1.0;
            import pigeon:plugin/llm@0.1.0;
        }
    ",
    world: "pigeon:host/imports",
    imports: {
        "pigeon:plugin/llm@0.1.0.[method]chat-request.send": async | trappable,
        "pigeon:plugin/llm@0.1.0.[method]chat-request.send-streaming": async | trappable,
        "pigeon:plugin/llm@0.1.0.[method]generate-request.send": async | trappable,
        "pigeon:plugin/llm@0.1.0.[method]generate-request.send-streaming": async | trappable,
        "pigeon:plugin/llm@0.1.0.[method]embed-request.send": async | trappable,
        "pigeon:plugin/llm@0.1.0.[method]answer-stream.next": async | trappable,
        "pigeon:plugin/llm@0.1.0.[method]answer-stream.finish": async | trappable,
        "pigeon:plugin/llm@0.1.0.models": async | trappable,
        default: trappable,
    },
    with: {
        "pigeon:plugin/llm@0.1.0.message": crate::llm::Message,
        "pigeon:plugin/llm@0.1.0.parameters": crate::llm::Parameters,
        "pigeon:plugin/llm@0.1.0.chat-request": crate::llm::ChatRequest,
        "pigeon:plugin/llm@0.1.0.generate-request": crate::llm::GenerateRequest,
        "pigeon:plugin/llm@0.1.0.embed-request": crate::llm::EmbedRequest,
        "pigeon:plugin/llm@0.1.0.answer-stream": crate::llm::AnswerStream,
    },
    additional_derives: [PartialEq],
});
