/**
 * Validates every file of `graphql/operations/` by itself against a schema, and prints what they hold.
 *
 *   node checks/operations.mjs ../graphql/schema.graphql
 *
 * Exits 1 with every problem where a file doesn't validate, or a name is taken twice: typed code
 * generation puts all files into one namespace.
 */

import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

import { buildSchema, GraphQLError, parse, validate } from "graphql";

const folder = fileURLToPath(new URL("../../graphql/operations/", import.meta.url));
const schemaFile =
  process.argv[2] ?? fileURLToPath(new URL("../../graphql/schema.graphql", import.meta.url));

const schema = buildSchema(readFileSync(schemaFile, "utf8"));
const problems = [];
const operations = [];
const takenBy = new Map();

for (const file of readdirSync(folder)
  .filter((name) => name.endsWith(".graphql"))
  .sort()) {
  const document = parse(readFileSync(`${folder}${file}`, "utf8"));
  for (const problem of validate(schema, document)) problems.push(`${file}: ${inLine(problem)}`);
  for (const definition of document.definitions) {
    const name = definition.name?.value;
    if (!name || !/^[A-Z][A-Za-z0-9]*$/.test(name)) {
      problems.push(
        `${file}: ${name ?? "an operation without a name"}: give it a name in PascalCase`,
      );
      continue;
    }
    if (takenBy.has(name)) problems.push(`${file}: ${name} is a name of ${takenBy.get(name)} too`);
    takenBy.set(name, file);
    if (definition.kind === "OperationDefinition") {
      operations.push({ file, name, kind: definition.operation });
    }
  }
}

if (problems.length > 0) {
  console.error(`${basename(schemaFile)}:\n${problems.join("\n")}`);
  process.exit(1);
}
console.log(JSON.stringify(operations));

function inLine(problem) {
  const [place] = problem instanceof GraphQLError ? (problem.locations ?? []) : [];
  return `${place ? `line ${place.line}: ` : ""}${problem.message}`;
}
