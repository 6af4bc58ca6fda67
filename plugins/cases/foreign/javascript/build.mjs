// node build.mjs SOURCE WIT-FOLDER OUTPUT: makes a component of a validator in JavaScript.
import { readFile, writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [source, wit, output] = process.argv.slice(2);
const { component } = await componentize(await readFile(source, "utf8"), {
    witPath: wit,
    worldName: "validator",
    // A validator has no network.
    disableFeatures: ["http", "fetch-event"],
});
await writeFile(output, component);
