/**
 * The page's examples: one for each operation, each a valid document by itself, with variables that
 * parse and are of the types that it declares.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { buildSchema, getVariableValues, parse, validate } from "graphql";
import { createServer } from "vite";

const graphql = fileURLToPath(new URL("../../graphql/", import.meta.url));
const schema = buildSchema(readFileSync(`${graphql}schema.graphql`, "utf8"));

// The page's own modules, with Vite's `import.meta.glob`.
const vite = await createServer({
  server: { middlewareMode: true, ws: false },
  optimizeDeps: { noDiscovery: true },
  logLevel: "error",
});
const { EXAMPLES, PAGES } = await vite.ssrLoadModule("/src/examples/examples.ts");
const { startingVariables } = await vite.ssrLoadModule("/src/examples/variables.ts");
await vite.close();

const files = readdirSync(`${graphql}operations`);
const written = files.flatMap((file) =>
  parse(readFileSync(`${graphql}operations/${file}`, "utf8"))
    .definitions.filter((one) => one.kind === "OperationDefinition")
    .map((one) => one.name.value),
);
assert.deepEqual(EXAMPLES.map((example) => example.name).sort(), written.sort());
assert.equal(PAGES.length, files.length);

const known = {
  providers: { nodes: [{ id: "UDox", slug: "anthropic", name: "Anthropic", version: 1 }] },
  models: {
    nodes: [
      { id: "TTox", wireName: "claude-sonnet-4-5", provider: { slug: "anthropic" } },
      { id: "TToy", wireName: "gpt-5", provider: { slug: "openai" } },
    ],
  },
  failoverChains: { nodes: [{ id: "Qzox", slug: "support", version: 1, steps: [{ id: "Uzox" }] }] },
  budgets: { nodes: [{ id: "Qjox" }] },
  gatewayRequests: { nodes: [{ id: "Rjox" }] },
};

for (const page of PAGES) {
  assert.ok(page.title.length > 5, `${page.file} begins with a comment that names its page`);
}
for (const { name, document } of EXAMPLES) {
  const parsed = parse(document);
  assert.deepEqual(validate(schema, parsed).map(String), [], name);
  const declared = parsed.definitions.find((one) => one.kind === "OperationDefinition");
  for (const variant of [known, null]) {
    const text = startingVariables(name, variant);
    // GraphiQL takes comments in variables; JSON doesn't.
    const values = text ? JSON.parse(text.replace(/^\s*\/\/.*$/gm, "")) : {};
    const { errors } = getVariableValues(schema, declared.variableDefinitions ?? [], values);
    assert.deepEqual((errors ?? []).map(String), [], `variables of ${name}`);
    const names = (declared.variableDefinitions ?? []).map((one) => one.variable.name.value);
    for (const given of Object.keys(values)) {
      assert.ok(names.includes(given), `${name} has no variable ${given}`);
    }
    if (variant !== null && !/^(Delete|Remove|Revoke|Rotate)/.test(name)) {
      assert.ok(!text.includes("<"), `${name} leaves something to fill in:\n${text}`);
    }
  }
}
console.log("ok");
