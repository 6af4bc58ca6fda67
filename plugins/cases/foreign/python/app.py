"""A validator in Python, by componentize-py: valid is the item `pigeon` and nothing else."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import logging, run, types


class Validation(exports.Validation):
    def metadata(self) -> types.Metadata:
        return types.Metadata(
            name="python",
            version="0.1.0",
            description="Asks for one word, in Python.",
            formats=["text/plain"],
            options=[],
            codes=[types.CodeSpec("wrong-word", types.Severity.ERROR, "the item is not the word")],
            instances=types.InstancePolicy.SHARED,
            vote=types.Vote.WORST,
            memory=types.MemoryNeed(base=256 << 20, factor=8.0),
            models=[],
            extensions=[],
        )

    def validate(self, item: types.Item) -> types.Judgement:
        body = item.body.decode()
        logging.log(logging.Level.INFO, "python", f"iteration {run.iteration()}")
        print(f"{item.id}: {len(body)} characters")
        if body == "fail":
            raise Err(types.Failure(types.FailureKind.PERMANENT, "asked-to-fail", "the item asked for it"))
        findings = []
        if body != "pigeon":
            findings.append(types.Finding(types.Severity.ERROR, "wrong-word", f"{body!r} is not the word", None))
        return types.Judgement(findings, types.Counts(0, 0, 0), None, None)

    def generate_test_cases(self, count: int, seed: int) -> list[types.TestCase]:
        return []
