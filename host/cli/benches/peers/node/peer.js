// BullMQ on Redis.
import { openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { Queue, Worker } from "bullmq";

// Documents of one addBulk, which is one pipeline.
const BATCH = 1_000;
// Jobs that a worker works at, at once: it waits for Redis between them.
const CONCURRENCY = 100;

const NAME = "validation";
const url = new URL(process.env.PEER_URL);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };

function validate(document) {
  const value = JSON.parse(document);
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Error("the document is no object");
  }
}

async function work() {
  let count;
  const judge = async (job) => {
    validate(job.data.document);
    writeSync(count, ".");
  };
  const worker = new Worker(NAME, judge, { connection, concurrency: CONCURRENCY, autorun: false });
  worker.on("failed", (_, error) => console.error(error));
  await worker.waitUntilReady();
  count = openSync(join(process.env.PEER_COUNT, String(process.pid)), "a");
  process.on("SIGTERM", () => worker.close(true).then(() => process.exit(0)));
  await worker.run();
}

async function produce(count) {
  const queue = new Queue(NAME, { connection });
  await queue.waitUntilReady();
  const document = readFileSync(process.env.PEER_DOCUMENT, "utf8").trim();
  // What is done is removed, as the other queues on Redis do.
  const opts = { removeOnComplete: true };
  const lines = createInterface({ input: process.stdin });
  const go = new Promise((resolve) => lines.once("line", resolve));
  console.log("ready");
  await go;
  for (let left = count; left > 0; left -= BATCH) {
    const some = Array.from({ length: Math.min(left, BATCH) }, () => ({ name: NAME, data: { document }, opts }));
    await queue.addBulk(some);
  }
  console.log("enqueued");
  lines.close();
  await queue.close();
}

const [, , what, count] = process.argv;
if (what === "work") await work();
if (what === "produce") await produce(Number(count));
