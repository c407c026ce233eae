/**
 * The official `openai` for JavaScript against a running gateway.
 *
 *   TRUNKLINE_URL=http://127.0.0.1:8787 TRUNKLINE_ADMIN_TOKEN=… SIMULATOR_URL=http://127.0.0.1:8788 \
 *     node checks/gateway.mjs CHECK NAME …
 *
 * The names are what a check asks for: models of the simulated provider, or chains.
 * Prints `ok` and exits 0, or fails with what was expected.
 */

import assert from "node:assert/strict";

import OpenAI from "openai";

const messages = [{ role: "user", content: "hello" }];
const opening = "A simulated answer.";
const weather = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

const client = new OpenAI({
  baseURL: new URL("/v1", required("TRUNKLINE_URL")).href,
  apiKey: required("TRUNKLINE_ADMIN_TOKEN"),
});

const checks = {
  answers,
  tools,
  output,
  lists,
  failingOver,
  streams,
  callsTools,
  assured,
  errors,
  brokenStreams,
};

/** The same words and counts, asked plainly, streamed, and by the helper for streams. */
async function answers(model) {
  const plain = await client.chat.completions.create({ model, messages });
  const [{ message, finish_reason }] = plain.choices;
  assert.ok(message.content.startsWith(opening));
  assert.equal(finish_reason, "stop");

  const stream = await client.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? ""));
  assert.equal(deltas.join(""), message.content);
  assert.equal(chunks.at(-1).usage.completion_tokens, plain.usage.completion_tokens);
  assert.equal(chunks.at(-1).usage.prompt_tokens, plain.usage.prompt_tokens);

  const helper = client.chat.completions.stream({ model, messages });
  let heard = "";
  helper.on("content", (delta) => (heard += delta));
  const whole = await helper.finalChatCompletion();
  assert.equal(heard, message.content);
  assert.equal(whole.choices[0].message.content, message.content);
}

/** An agent's whole loop, by the SDK's own runner: two calls at once, results, an answer. */
async function tools(model) {
  for (const stream of [false, true]) {
    const called = [];
    const tool = (name) => ({
      type: "function",
      function: {
        name,
        parse: JSON.parse,
        parameters: weather,
        function: (given) => {
          called.push([name, Object.keys(given)]);
          return "sunny";
        },
      },
    });
    const runner = client.chat.completions.runTools({
      model,
      messages,
      stream,
      tools: [tool("weather"), tool("forecast")],
    });
    assert.ok((await runner.finalContent()).startsWith(opening));
    assert.deepEqual(called.toSorted(), [
      ["forecast", ["city"]],
      ["weather", ["city"]],
    ]);
  }
}

/** JSON that fits the schema. */
async function output(model) {
  const completion = await client.chat.completions.parse({
    model,
    messages,
    response_format: {
      type: "json_schema",
      json_schema: { name: "weather", strict: true, schema: weather },
    },
  });
  const said = JSON.parse(completion.choices[0].message.content);
  assert.deepEqual(Object.keys(said), ["city"]);
}

/** What may be asked for is listed; texts become vectors. */
async function lists(model) {
  const found = [];
  for await (const one of client.models.list()) found.push(one.id);
  assert.ok(found.includes(model), `${model} is not in ${found}`);
  assert.equal((await client.models.retrieve(model)).id, model);
  const { data } = await client.embeddings.create({ model, input: ["one", "two"], dimensions: 8 });
  assert.deepEqual(
    data.map(({ embedding }) => embedding.length),
    [8, 8],
  );
}

/** A whole answer, whatever the first model of the chain does. */
async function failingOver(chain) {
  const plain = await client.chat.completions.create({ model: chain, messages });
  assert.ok(plain.choices[0].message.content.startsWith(opening));
  const { data, response } = await client.chat.completions
    .create({ model: chain, messages, stream: true })
    .withResponse();
  let text = "";
  for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? "";
  assert.equal(text, plain.choices[0].message.content);
  assert.ok(response.headers.get("x-trunkline-model").endsWith("/sim-ok"));
}

/** A whole stream, whatever the first model of the chain does. */
async function streams(chain) {
  const text = await client.chat.completions.stream({ model: chain, messages }).finalContent();
  assert.ok(text.startsWith(opening));
}

/** The second model's tool call, plain and streamed. */
async function callsTools(chain) {
  const tool = { type: "function", function: { name: "weather", parameters: weather } };
  const asked = { model: chain, messages, tools: [tool], tool_choice: "required" };
  const plain = await client.chat.completions.create(asked);
  const [call] = plain.choices[0].message.tool_calls;
  assert.equal(call.function.name, "weather");
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
  assert.equal(streamed.choices[0].message.tool_calls[0].function.name, "weather");
  assert.equal(streamed.choices[0].finish_reason, "tool_calls");
}

/** A stream that is whole, and whose beginning was heard but once, whatever breaks behind it. */
async function assured(chain) {
  const helper = client.chat.completions.stream({ model: chain, messages });
  const text = await helper.finalContent();
  assert.ok(text.startsWith(opening));
  assert.equal(text.split(opening).length, 2);
}

/** The SDK's own errors, each told once: it does not ask again. */
async function errors(model, className, asked) {
  for (const stream of [false, true]) {
    await forget();
    await assert.rejects(client.chat.completions.create({ model, messages, stream }), (error) => {
      assert.ok(error instanceof OpenAI[className], `${error.constructor.name}: ${error.message}`);
      return true;
    });
    assert.equal((await seen()).length, Number(asked));
  }
}

/** A stream that breaks within its answer is never taken for whole. */
async function brokenStreams(model) {
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  await assert.rejects(async () => {
    for await (const chunk of stream) assert.ok(chunk.choices);
  }, OpenAI.APIError);
}

/** What the simulated provider has seen since it was told to `forget`. */
async function seen() {
  const response = await fetch(new URL("/_simulated/requests", required("SIMULATOR_URL")));
  return (await response.json()).requests;
}

async function forget() {
  const address = new URL("/_simulated/requests", required("SIMULATOR_URL"));
  assert.ok((await fetch(address, { method: "DELETE" })).ok);
}

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const [name, ...cases] = process.argv.slice(2);
for (const one of cases) await checks[name](...one.split(","));
console.log("ok");
