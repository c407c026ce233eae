/**
 * Typed code generation over the schema and the operations, as a front end would set it up: the client
 * preset with strict scalars. Writes into `generated/`, which git ignores. A warning fails it.
 */

import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { generate } from "@graphql-codegen/cli";

const root = fileURLToPath(new URL("../../", import.meta.url));
const generated = fileURLToPath(new URL("../generated/", import.meta.url));

const warnings = [];
for (const channel of ["warn", "error"]) {
  const say = console[channel].bind(console);
  console[channel] = (...words) => {
    warnings.push(words.join(" "));
    say(...words);
  };
}

rmSync(generated, { recursive: true, force: true });
await generate(
  {
    schema: `${root}graphql/schema.graphql`,
    documents: `${root}graphql/operations/*.graphql`,
    generates: {
      [generated]: {
        preset: "client",
        config: {
          strictScalars: true,
          enumsAsTypes: true,
          useTypeImports: true,
          scalars: { DateTime: "string", Decimal: "string", SafeInt: "number" },
        },
      },
    },
  },
  true,
);
process.exit(warnings.length > 0 ? 1 : 0);
