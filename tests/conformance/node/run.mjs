// Drives the 51 operations and every kind of run with the official Node client, whose AssistantStream checks a stream
// more strictly than the Python one: it accumulates every delta and throws at what does not fit.
//
// Usage: node run.mjs OpenAI|AzureOpenAI ADDRESS HASTY_ADDRESS [PART OF A CASE'S NAME]
//
// NODE_MODULES is the folder with openai in it, CONFORMANCE_KEY the key to the client's project.
//
// Prints one JSON line per case, in the form of clients/reporting.py.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";

const [way, address, hasty, part = ""] = process.argv.slice(2);
const require = createRequire(join(process.env.NODE_MODULES, "anchor.js"));
const sdk = require("openai");
const { APIError, NotFoundError, BadRequestError, PermissionDeniedError, toFile } = sdk;
const { VERSION } = require("openai/version");

const ADD = {
  type: "function",
  function: { name: "add", parameters: { type: "object", properties: {} } },
};
const CATS = "Cats purr when they are content. A cat sleeps sixteen hours a day.";
const SHIPS = "The frigate Amalia left the harbour of Rotterdam in 1894 with a cargo of tin.";
const BEGUN = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"];
const RESUMED = ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress"];
const TOOL = ["thread.run.step.created", "thread.run.step.in_progress", "thread.run.step.delta"];
const SPEAKING = [
  "thread.run.step.created",
  "thread.run.step.in_progress",
  "thread.message.created",
  "thread.message.in_progress",
  "thread.message.delta",
];
const SAID = [...SPEAKING, "thread.message.completed", "thread.run.step.completed"];
const CUT_OFF = [...BEGUN, ...SPEAKING, "thread.message.incomplete"];

// --- what went over the wire during the current case

let operations = new Set();
let events = new Set();

async function noting(url, init) {
  const response = await fetch(url, init);
  const refusedAlways = init.method.toUpperCase() === "DELETE" && /\/models\//.test(url) && response.status === 403;
  if (response.ok || refusedAlways) operations.add(`${init.method.toUpperCase()} ${new URL(url).pathname}`);
  return response;
}

function clientOf(base) {
  const apiKey = process.env.CONFORMANCE_KEY ?? "any";
  const common = { apiKey, maxRetries: 0, timeout: 60_000, fetch: noting };
  if (way === "OpenAI") return new sdk.OpenAI({ baseURL: `${base}/v1`, ...common });
  return new sdk.AzureOpenAI({ endpoint: base, apiVersion: "2024-05-01-preview", ...common });
}

const client = clientOf(address);
const expiring = clientOf(hasty);
const cases = [];
const add = (section, name, run) => cases.push({ section, name, run });

// --- what the cases share

async function every(pages) {
  const found = [];
  for await (const item of await pages) found.push(item);
  return found;
}

async function stored(name, text, purpose = "assistants") {
  const file = await client.files.create({ file: await toFile(Buffer.from(text), name), purpose });
  return file.id;
}

async function assistantOf(model, ...tools) {
  return (await client.beta.assistants.create({ model, tools })).id;
}

async function threadOf(text, more = {}) {
  const messages = [{ role: "user", content: text }];
  return (await client.beta.threads.create({ messages, ...more })).id;
}

/** Everything a stream said, its deltas counted once; throws what the SDK's own checks throw. */
async function heard(stream) {
  const order = [];
  stream.on("event", ({ event }) => {
    events.add(event);
    if (!(event.endsWith(".delta") && order.at(-1) === event)) order.push(event);
  });
  await stream.done();
  events.add("done");
  return { order, run: await stream.finalRun() };
}

async function streamed(model, { tools = [], by = client, thread, text = "Hello?", ...settings } = {}) {
  const assistant = await by.beta.assistants.create({ model, tools });
  const where = thread ?? (await by.beta.threads.create({ messages: [{ role: "user", content: text }] })).id;
  return heard(by.beta.threads.runs.stream(where, { assistant_id: assistant.id, ...settings }));
}

async function newest(run, by = client) {
  return (await by.beta.threads.messages.list(run.thread_id, { run_id: run.id })).data[0];
}

function outputsFor(run, output) {
  const calls = run.required_action.submit_tool_outputs.tool_calls;
  return calls.map((call) => ({ tool_call_id: call.id, output }));
}

// --- objects

add("objects", "assistants: create, retrieve, update, delete", async () => {
  const api = client.beta.assistants;
  const tools = [{ type: "code_interpreter" }, { type: "file_search" }, ADD];
  const made = await api.create({ model: "default", name: "Ada", tools, metadata: { k: "v" } });
  assert.deepEqual(await api.retrieve(made.id), made);
  assert.equal((await api.update(made.id, { name: "Grace" })).name, "Grace");
  assert.ok((await every(api.list({ limit: 1 }))).some((item) => item.id === made.id));
  assert.equal((await api.delete(made.id)).object, "assistant.deleted");
  await assert.rejects(api.retrieve(made.id), NotFoundError);
});

add("objects", "threads and messages", async () => {
  const { threads } = client.beta;
  const thread = await threads.create({ messages: [{ role: "user", content: "one" }] });
  assert.equal((await threads.retrieve(thread.id)).created_at, thread.created_at);
  assert.deepEqual((await threads.update(thread.id, { metadata: { k: "v" } })).metadata, { k: "v" });
  const at = { thread_id: thread.id };
  const made = await threads.messages.create(thread.id, { role: "user", content: "two" });
  assert.deepEqual(await threads.messages.retrieve(made.id, at), made);
  const changed = await threads.messages.update(made.id, { ...at, metadata: { k: "w" } });
  assert.deepEqual(changed.metadata, { k: "w" });
  const said = await every(threads.messages.list(thread.id, { limit: 1, order: "asc" }));
  assert.deepEqual(said.map((message) => message.content[0].text.value), ["one", "two"]);
  assert.equal((await threads.messages.delete(made.id, at)).deleted, true);
  assert.equal((await threads.delete(thread.id)).object, "thread.deleted");
});

add("objects", "files", async () => {
  const id = await stored("表.txt", "Hello.", "vision");
  const file = await client.files.retrieve(id);
  assert.deepEqual([file.filename, file.bytes, file.status], ["表.txt", 6, "processed"]);
  assert.ok((await every(client.files.list({ purpose: "vision", limit: 1 }))).some((f) => f.id === id));
  assert.equal(await (await client.files.content(id)).text(), "Hello.");
  await client.files.waitForProcessing(id);
  assert.equal((await client.files.delete(id)).deleted, true);
});

add("objects", "uploads", async () => {
  const whole = Buffer.from("Hello, world.\n");
  const upload = await client.uploads.create({
    filename: "hello.txt", purpose: "vision", bytes: whole.length, mime_type: "text/plain",
  });
  const parts = [];
  for (const data of [whole.subarray(0, 7), whole.subarray(7)]) {
    parts.push((await client.uploads.parts.create(upload.id, { data: await toFile(data, "part") })).id);
  }
  const md5 = createHash("md5").update(whole).digest("hex");
  const done = await client.uploads.complete(upload.id, { part_ids: parts, md5 });
  assert.equal(await (await client.files.content(done.file.id)).text(), whole.toString());
  const second = await client.uploads.create({
    filename: "a.txt", purpose: "vision", bytes: 1, mime_type: "text/plain",
  });
  assert.equal((await client.uploads.cancel(second.id)).status, "cancelled");
});

add("objects", "models: list, retrieve, delete", async () => {
  assert.ok((await every(client.models.list())).some((model) => model.id === "default"));
  assert.equal((await client.models.retrieve("default")).id, "default");
  await assert.rejects(client.models.delete("default"), PermissionDeniedError);
});

/** A batch that was cancelled; one that is indexed before the cancel comes is followed by another. */
async function cancelledBatch(store, attempts = 5) {
  const texts = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => stored(`${attempts}-${n}.txt`, CATS.repeat(50)));
  const batch = await client.vectorStores.fileBatches.create(store, { file_ids: await Promise.all(texts) });
  try {
    return await client.vectorStores.fileBatches.cancel(batch.id, { vector_store_id: store });
  } catch (error) {
    if (!(error instanceof BadRequestError) || attempts === 1) throw error;
    return cancelledBatch(store, attempts - 1);
  }
}

add("objects", "vector stores, their files, batches and search", async () => {
  const api = client.vectorStores;
  const store = await api.create({ name: "library" });
  assert.equal((await api.update(store.id, { name: "archive" })).name, "archive");
  assert.equal((await api.retrieve(store.id)).name, "archive");
  assert.ok((await every(api.list({ limit: 1 }))).some((item) => item.id === store.id));
  const ships = await stored("ships.md", SHIPS);
  const done = await api.files.createAndPoll(store.id, { file_id: ships });
  assert.equal(done.status, "completed");
  const at = { vector_store_id: store.id };
  await api.files.update(ships, { ...at, attributes: { year: 1894 } });
  assert.deepEqual((await api.files.retrieve(ships, at)).attributes, { year: 1894 });
  assert.match((await every(api.files.content(ships, at)))[0].text, /Amalia/);
  const filters = { type: "gte", key: "year", value: 1800 };
  const [hit] = await every(api.search(store.id, { query: "frigate", filters }));
  assert.equal(hit.file_id, ships);
  const batch = await api.fileBatches.uploadAndPoll(store.id, {
    files: [await toFile(Buffer.from(CATS), "cats.txt"), await toFile(Buffer.from("x"), "x.bin")],
  });
  assert.deepEqual([batch.file_counts.completed, batch.file_counts.failed], [1, 1]);
  assert.equal((await api.fileBatches.retrieve(batch.id, at)).id, batch.id);
  assert.equal((await every(api.fileBatches.listFiles(batch.id, at))).length, 2);
  assert.equal((await every(api.files.list(store.id, { limit: 1 }))).length, 3);
  assert.equal((await cancelledBatch(store.id)).file_counts.total, 8);
  assert.equal((await api.files.delete(ships, at)).deleted, true);
  assert.equal((await api.delete(store.id)).object, "vector_store.deleted");
});

add("objects", "runs and steps", async () => {
  const { runs } = client.beta.threads;
  const thread = await threadOf("Hi");
  const run = await runs.createAndPoll(thread, { assistant_id: await assistantOf("default") });
  const at = { thread_id: thread };
  assert.equal(run.status, "completed");
  assert.deepEqual((await runs.update(run.id, { ...at, metadata: { k: "v" } })).metadata, { k: "v" });
  assert.equal((await runs.retrieve(run.id, at)).id, run.id);
  assert.deepEqual((await every(runs.list(thread))).map((item) => item.id), [run.id]);
  const [step] = await every(runs.steps.list(run.id, at));
  assert.deepEqual(await runs.steps.retrieve(step.id, { ...at, run_id: run.id }), step);
});

// --- helpers

add("helpers", "runs.createAndPoll, submitToolOutputsAndPoll, createAndRunPoll", async () => {
  const assistant_id = await assistantOf("two-rounds", ADD);
  let run = await client.beta.threads.createAndRunPoll({ assistant_id });
  while (run.status === "requires_action") {
    run = await client.beta.threads.runs.submitToolOutputsAndPoll(run.id, {
      thread_id: run.thread_id, tool_outputs: outputsFor(run, "7"),
    });
  }
  assert.equal((await newest(run)).content[0].text.value, "It said 7.");
});

add("helpers", "stream: true, without AssistantStream", async () => {
  const assistant_id = await assistantOf("default");
  const names = [];
  for await (const { event } of await client.beta.threads.createAndRun({ assistant_id, stream: true })) {
    events.add(event);
    names.push(event);
  }
  assert.deepEqual([names[0], names.at(-1)], ["thread.created", "thread.run.completed"]);
});

add("helpers", "AssistantStream as a readable stream and back", async () => {
  const { AssistantStream } = require("openai/lib/AssistantStream");
  const assistant_id = await assistantOf("default");
  const first = client.beta.threads.runs.stream(await threadOf("Hi"), { assistant_id });
  const { run } = await heard(AssistantStream.fromReadableStream(first.toReadableStream()));
  assert.equal(run.status, "completed");
});

// --- run kinds

add("run kinds", "(a) plain answer", async () => {
  const { order, run } = await streamed("default");
  assert.deepEqual(order, [...BEGUN, ...SAID, "thread.run.completed"]);
  assert.equal((await newest(run)).content[0].text.value, "You said Hello?.");
});

add("run kinds", "(b) function calls", async () => {
  const { order, run } = await streamed("functions", { tools: [ADD] });
  assert.deepEqual(order, [...BEGUN, ...TOOL, "thread.run.requires_action"]);
  await client.beta.threads.runs.cancel(run.id, { thread_id: run.thread_id });
});

add("run kinds", "(c) streamed submit of tool outputs", async () => {
  const { run } = await streamed("functions", { tools: [ADD] });
  const { order } = await heard(client.beta.threads.runs.submitToolOutputsStream(run.id, {
    thread_id: run.thread_id, tool_outputs: outputsFor(run, "7"),
  }));
  assert.deepEqual(order, [...RESUMED, ...SAID, "thread.run.completed"]);
});

add("run kinds", "(c) calls again after a submit", async () => {
  const first = await streamed("two-rounds", { tools: [ADD] });
  assert.deepEqual(first.order, [...BEGUN, ...SAID, ...TOOL, "thread.run.requires_action"]);
  const { order } = await heard(client.beta.threads.runs.submitToolOutputsStream(first.run.id, {
    thread_id: first.run.thread_id, tool_outputs: outputsFor(first.run, "7"),
  }));
  assert.deepEqual(order, [...RESUMED, ...TOOL, "thread.run.requires_action"]);
});

async function searching(withStore) {
  const tools = [{ type: "file_search" }];
  const text = "When did the Amalia leave Rotterdam?";
  if (!withStore) return streamed("search", { tools, text });
  const store = await client.vectorStores.create({});
  await client.vectorStores.files.createAndPoll(store.id, { file_id: await stored("ships.md", SHIPS) });
  const resources = { tool_resources: { file_search: { vector_store_ids: [store.id] } } };
  return streamed("search", { tools, thread: await threadOf(text, resources) });
}

add("run kinds", "(d) file search", async () => {
  const { order, run } = await searching(true);
  const expected = [...BEGUN, ...TOOL, "thread.run.step.completed", ...SAID, "thread.run.completed"];
  assert.deepEqual(order, expected);
  const { value, annotations } = (await newest(run)).content[0].text;
  assert.equal(value.slice(annotations[0].start_index, annotations[0].end_index), annotations[0].text);
});

add("run kinds", "(d) file search without any store", async () => {
  assert.equal((await searching(false)).run.status, "completed");
});

add("run kinds", "(e) code interpreter with logs, a picture and a file", async () => {
  const { order, run } = await streamed("code", { tools: [{ type: "code_interpreter" }] });
  const expected = [...BEGUN, ...TOOL, "thread.run.step.completed", ...SAID, "thread.run.completed"];
  assert.deepEqual(order, expected);
  const [picture, text] = (await newest(run)).content;
  const png = Buffer.from(await (await client.files.content(picture.image_file.file_id)).arrayBuffer());
  assert.equal(png.subarray(1, 4).toString(), "PNG");
  const csv = await client.files.content(text.text.annotations[0].file_path.file_id);
  assert.equal(await csv.text(), "a,b\n1,2\n");
});

add("run kinds", "(e) code and a function in one turn", async () => {
  const { run } = await streamed("mixed", { tools: [{ type: "code_interpreter" }, ADD] });
  const done = await heard(client.beta.threads.runs.submitToolOutputsStream(run.id, {
    thread_id: run.thread_id, tool_outputs: outputsFor(run, "3"),
  }));
  assert.equal(done.run.status, "completed");
});

async function cancelled(model, at, ...tools) {
  const thread = await threadOf("Go on for long.");
  const stream = client.beta.threads.runs.stream(thread, { assistant_id: await assistantOf(model, ...tools) });
  let asked;
  stream.on("event", ({ event, data }) => {
    if (event === at && !asked) {
      asked = client.beta.threads.runs.cancel(data.id.startsWith("run") ? data.id : stream.currentRun().id, {
        thread_id: thread,
      });
    }
  });
  const said = await heard(stream);
  assert.equal((await asked).status, "cancelling");
  return said;
}

add("run kinds", "(f) cancelled while speaking", async () => {
  const { order, run } = await cancelled("slow", "thread.message.delta");
  const ended = ["thread.message.incomplete", "thread.run.step.cancelled", "thread.run.cancelled"];
  const rest = order.filter((name) => name !== "thread.run.cancelling");
  assert.deepEqual(rest.filter((name, at) => name !== rest[at - 1]), [...BEGUN, ...SPEAKING, ...ended]);
  assert.equal((await newest(run)).incomplete_details.reason, "run_cancelled");
});

add("run kinds", "(f) cancelled in a tool step", async () => {
  const { order } = await cancelled("endless-code", "thread.run.step.delta", { type: "code_interpreter" });
  const ended = ["thread.run.cancelling", "thread.run.step.cancelled", "thread.run.cancelled"];
  assert.deepEqual(order.slice(-3), ended);
});

add("run kinds", "(f) cancelled while waiting for outputs", async () => {
  const { run } = await streamed("functions", { tools: [ADD] });
  const at = { thread_id: run.thread_id };
  await client.beta.threads.runs.cancel(run.id, at);
  assert.equal((await client.beta.threads.runs.poll(run.id, at)).status, "cancelled");
});

add("run kinds", "(f) failed before any step", async () => {
  const { order, run } = await streamed("fails");
  assert.deepEqual(order, [...BEGUN, "thread.run.failed"]);
  assert.equal(run.last_error.code, "rate_limit_exceeded");
});

add("run kinds", "(f) failed while speaking", async () => {
  const { order } = await streamed("fails-speaking");
  assert.deepEqual(order, [...CUT_OFF, "thread.run.step.failed", "thread.run.failed"]);
});

add("run kinds", "(f) incomplete by max_completion_tokens", async () => {
  const { order, run } = await streamed("long", { max_completion_tokens: 256 });
  assert.deepEqual(order, [...CUT_OFF, "thread.run.step.completed", "thread.run.incomplete"]);
  assert.equal(run.incomplete_details.reason, "max_completion_tokens");
});

add("run kinds", "(f) incomplete by max_prompt_tokens", async () => {
  const { run } = await streamed("thirsty", { tools: [ADD], max_prompt_tokens: 300 });
  const done = await heard(client.beta.threads.runs.submitToolOutputsStream(run.id, {
    thread_id: run.thread_id, tool_outputs: outputsFor(run, "3"),
  }));
  assert.equal(done.run.incomplete_details.reason, "max_prompt_tokens");
});

add("run kinds", "(f) expired while speaking", async () => {
  const { order, run } = await streamed("slow", { by: expiring });
  assert.deepEqual(order, [...CUT_OFF, "thread.run.step.expired", "thread.run.expired"]);
  assert.equal((await newest(run, expiring)).incomplete_details.reason, "run_expired");
});

add("run kinds", "(f) expired while waiting for outputs", async () => {
  let { run } = await streamed("functions", { by: expiring, tools: [ADD] });
  while (run.status === "requires_action") {
    await new Promise((resolve) => setTimeout(resolve, 100));
    run = await expiring.beta.threads.runs.retrieve(run.id, { thread_id: run.thread_id });
  }
  assert.equal(run.status, "expired");
});

add("run kinds", "(g) thread and run created at once", async () => {
  const thread = { messages: [{ role: "user", content: "Hi" }] };
  const assistant_id = await assistantOf("default");
  const { order } = await heard(client.beta.threads.createAndRunStream({ assistant_id, thread }));
  assert.deepEqual(order, ["thread.created", ...BEGUN, ...SAID, "thread.run.completed"]);
});

add("run kinds", "(h) a stream that breaks", async () => {
  const broken = streamed("default", { by: expiring, metadata: { stream: "breaks" } });
  await assert.rejects(broken, (error) => error instanceof APIError && /The disk is gone/.test(error.message));
  events.add("error");
});

// --- errors

add("errors", "NotFoundError, BadRequestError with code and param", async () => {
  await assert.rejects(client.beta.threads.retrieve(`thread_${"0".repeat(24)}`), NotFoundError);
  const wrong = client.beta.assistants.create({ model: "default", name: "n".repeat(257) });
  await assert.rejects(wrong, (error) => {
    assert.ok(error instanceof BadRequestError);
    assert.deepEqual([error.param, error.code], ["name", "string_above_max_length"]);
    assert.ok(error.requestID);
    return true;
  });
});

// --- all of them, one after the other

for (const { section, name, run } of cases.filter((one) => one.name.includes(part))) {
  operations = new Set();
  events = new Set();
  const began = performance.now();
  let detail = "";
  try {
    await run();
  } catch (error) {
    detail = String(error?.stack ?? error).slice(0, 1500);
  }
  const seconds = Math.round(performance.now() - began) / 1000;
  const result = {
    client: `openai for Node ${VERSION}, ${way}`, section, case: name,
    passed: !detail, seconds, detail,
    operations: [...operations].sort(), events: [...events].sort(), exceptions: [],
  };
  console.log(JSON.stringify(result));
}
