/**
 * The named operations of `graphql/operations/`, each as a document of its own that runs as it is.
 *
 * The comment above an operation is its description; the first line of a file names its page.
 */

import { parse, visit, type DefinitionNode, type FragmentDefinitionNode } from "graphql";

export interface Example {
  name: string;
  kind: "query" | "mutation" | "subscription";
  description: string;
  /** The operation and the fragments that it spreads, as they are written in the file. */
  document: string;
}

export interface ExamplePage {
  file: string;
  title: string;
  description: string;
  examples: Example[];
}

const FILES = import.meta.glob<string>("../../../graphql/operations/*.graphql", {
  query: "?raw",
  import: "default",
  eager: true,
});

/** As a person would walk through them. */
const ORDER = [
  "provider-overview",
  "provider-configuration",
  "catalog",
  "failover-chains",
  "gateway",
  "usage",
  "usage-events",
  "access",
  "sessions",
  "server",
];

export const PAGES: ExamplePage[] = Object.entries(FILES)
  .map(([path, text]) => readPage(path.replace(/^.*\//, "").replace(/\.graphql$/, ""), text))
  .sort((one, other) => place(one.file) - place(other.file) || one.file.localeCompare(other.file));

export const EXAMPLES: Example[] = PAGES.flatMap((page) => page.examples);

export const EXAMPLES_BY_NAME: ReadonlyMap<string, Example> = new Map(
  EXAMPLES.map((example) => [example.name, example]),
);

export function readPage(file: string, text: string): ExamplePage {
  const definitions = parse(text).definitions;
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of definitions) {
    if (definition.kind === "FragmentDefinition") fragments.set(definition.name.value, definition);
  }
  const examples: Example[] = [];
  let end = 0;
  for (const definition of definitions) {
    const begin = definition.loc?.start ?? 0;
    if (definition.kind === "OperationDefinition" && definition.name) {
      // The file's own comment comes before an empty line.
      const above = text.slice(end, begin).split("\n\n").pop() ?? "";
      examples.push({
        name: definition.name.value,
        kind: definition.operation,
        description: withoutSigns(above),
        document: [definition, ...spreadBy(definition, fragments)]
          .map((part) => text.slice(part.loc?.start, part.loc?.end))
          .join("\n\n"),
      });
    }
    end = definition.loc?.end ?? end;
  }
  const [head = "", ...rest] = withoutSigns(text.slice(0, text.indexOf("\n\n"))).split(":");
  return {
    file,
    title: head.replace(/\.$/, ""),
    description: rest.join(":").trim(),
    examples,
  };
}

/** Every fragment that a definition needs, those of its fragments included, each once. */
function spreadBy(
  definition: DefinitionNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): FragmentDefinitionNode[] {
  const found = new Map<string, FragmentDefinitionNode>();
  const walk = (node: DefinitionNode) =>
    visit(node, {
      FragmentSpread(spread) {
        const fragment = fragments.get(spread.name.value);
        if (fragment && !found.has(spread.name.value)) {
          found.set(spread.name.value, fragment);
          walk(fragment);
        }
      },
    });
  walk(definition);
  return [...found.values()];
}

function withoutSigns(comment: string): string {
  return comment
    .replace(/^#[ \t]?/gm, "")
    .replace(/\s+/g, " ")
    .trim();
}

function place(file: string): number {
  const index = ORDER.indexOf(file);
  return index < 0 ? ORDER.length : index;
}
