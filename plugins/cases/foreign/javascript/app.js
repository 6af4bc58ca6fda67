// A validator in JavaScript, by ComponentizeJS: valid is the item `pigeon` and nothing else.
import { log } from "wasi:logging/logging@0.1.0-draft";
import { iteration } from "pigeon:plugin/run@0.1.0";

export const validation = {
    metadata() {
        return {
            name: "javascript",
            version: "0.1.0",
            description: "Asks for one word, in JavaScript.",
            formats: ["text/plain"],
            options: [],
            codes: [{ code: "wrong-word", severity: "error", description: "the item is not the word" }],
            instances: "shared",
            vote: "worst",
            memory: { base: 256n << 20n, factor: 8 },
            models: [],
            extensions: [],
        };
    },

    validate(item) {
        const body = new TextDecoder().decode(item.body);
        log("info", "javascript", `iteration ${iteration()}`);
        console.log(`${item.id}: ${body.length} characters`);
        if (body === "fail") {
            throw { kind: "permanent", code: "asked-to-fail", message: "the item asked for it" };
        }
        const findings = [];
        if (body !== "pigeon") {
            const message = `${JSON.stringify(body)} is not the word`;
            findings.push({ severity: "error", code: "wrong-word", message, place: undefined });
        }
        return { findings, omitted: { errors: 0n, warnings: 0n, infos: 0n }, score: undefined, data: undefined };
    },

    generateTestCases(count, seed) {
        return [];
    },
};
