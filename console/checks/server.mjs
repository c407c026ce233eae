/** A running Trunkline server, as the checks reach it: its address, its token and its operations. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Kind, parse, print, visit } from "graphql";

const PATIENCE_MS = 45_000;

export const url = new URL("/graphql", required("TRUNKLINE_URL")).href;
export const token = required("TRUNKLINE_ADMIN_TOKEN");
export const authorization = `Bearer ${token}`;

const folder = fileURLToPath(new URL("../../graphql/operations/", import.meta.url));
const documents = readdirSync(folder)
  .filter((name) => name.endsWith(".graphql"))
  .map((name) => readFileSync(`${folder}${name}`, "utf8"));

/** The text of a named operation with the fragments that it needs. */
export function operation(name) {
  for (const text of documents) {
    const { definitions } = parse(text);
    const found = definitions.find(
      (one) => one.kind === Kind.OPERATION_DEFINITION && one.name.value === name,
    );
    if (!found) continue;
    const needed = new Set([found]);
    for (const definition of needed) {
      visit(definition, {
        FragmentSpread: (spread) =>
          void needed.add(definitions.find((one) => one.name.value === spread.name.value)),
      });
    }
    return [...needed].map(print).join("\n");
  }
  throw new Error(`no file of graphql/operations/ has ${name}`);
}

/** The name of every operation. */
export function names() {
  return documents.flatMap((text) =>
    parse(text)
      .definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION)
      .map((one) => one.name.value),
  );
}

/**
 * Runs a named operation over HTTP and gives its data. Fails on any error, and on any `userErrors`
 * but those of the codes that are expected.
 */
export async function run(name, variables, ...codes) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/graphql-response+json",
      Authorization: authorization,
    },
    body: JSON.stringify({ query: operation(name), operationName: name, variables }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, `${name}: ${JSON.stringify(errors)}`);
  for (const payload of Object.values(data)) {
    const problems = payload?.userErrors ?? [];
    const found = problems.map((problem) => problem.code);
    assert.deepEqual(found, codes, `${name}: ${JSON.stringify(problems)}`);
  }
  return data;
}

/** Records events; what an event leaves out is filled in. */
export async function record(...events) {
  const { recordUsage } = await run("RecordUsage", {
    input: {
      events: events.map((event) => ({
        idempotencyKey: crypto.randomUUID(),
        providerSlug: "anthropic",
        modelName: "claude-sonnet-4-5",
        inputTokens: 1200,
        outputTokens: 300,
        ...event,
      })),
    },
  });
  assert.equal(recordUsage.recorded, events.length);
}

/** The next result of a subscription, or a failure that says what was awaited. */
export async function next(results, awaited) {
  const { value, done } = await soon(results.next(), awaited);
  assert.ok(!done, `the subscription ended while waiting for ${awaited}`);
  assert.equal(value.errors, undefined, `${awaited}: ${JSON.stringify(value.errors)}`);
  return value.data;
}

/** A promise that does not keep anybody waiting for ever. */
export async function soon(promise, awaited) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${awaited}`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}
