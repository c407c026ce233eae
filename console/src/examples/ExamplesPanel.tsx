import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { Kind, parse } from "graphql";
import { useState, type ReactNode } from "react";

import { useApi } from "../ApiContext";
import { PAGES, type Example } from "./examples";
import { KNOWN_QUERY, startingVariables, type Known } from "./variables";

export const EXAMPLES_TITLE = "Examples";

/** The operations of a dashboard; a click opens one in a tab of its own, ready to run. */
export function ExamplesPanel() {
  const { ask } = useApi();
  const { addTab, setOperationFacts } = useGraphiQLActions();
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const variableEditor = useGraphiQL((state) => state.variableEditor);
  const [search, setSearch] = useState("");

  async function open(example: Example) {
    // Without the server's ids the example still opens, with placeholders.
    const known = await ask<Known>(KNOWN_QUERY).catch(() => null);
    if (queryEditor?.getValue().trim()) addTab();
    queryEditor?.setValue(example.document);
    variableEditor?.setValue(startingVariables(example.name, known));
    // GraphiQL reads a new text after a moment; until then it would run the operation shown before.
    setOperationFacts(factsOf(example));
    queryEditor?.focus();
  }

  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const pages = PAGES.map((page) => ({
    ...page,
    examples: page.examples.filter((example) => {
      const text = `${page.title} ${example.kind} ${spaced(example.name)} ${example.name} ${example.description}`;
      return words.every((word) => text.toLowerCase().includes(word));
    }),
  })).filter((page) => page.examples.length > 0);

  return (
    <section aria-label="Examples" className="examples">
      <h2 className="panel-title">Examples</h2>
      <input
        type="search"
        className="examples-search"
        aria-label="Search examples"
        placeholder="Search examples"
        value={search}
        onChange={(event) => setSearch(event.target.value)}
      />
      {pages.length === 0 && <p className="panel-note">No example has these words.</p>}
      {pages.map((page) => (
        <section key={page.file} aria-label={page.title}>
          <h3>{page.title}</h3>
          <ul>
            {page.examples.map((example) => (
              <li key={example.name}>
                <button
                  type="button"
                  data-example={example.name}
                  onClick={() => void open(example)}
                >
                  <span className={`example-kind example-${example.kind}`}>{example.kind}</span>
                  <span className="example-name">{spaced(example.name)}</span>
                  {example.description && (
                    <span className="example-description">{withCode(example.description)}</span>
                  )}
                </button>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </section>
  );
}

export function ExamplesIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
      <path d="M12 6.5C10 5 7 4.5 3.5 4.5v13c3.5 0 6.5 .5 8.5 2 2-1.5 5-2 8.5-2v-13c-3.5 0-6.5 .5-8.5 2zM12 6.5v13" />
    </svg>
  );
}

/** Text with `code` in it, as the comments of the operations have it. */
function withCode(text: string): ReactNode[] {
  return text.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part));
}

function factsOf({ document, name }: Example) {
  const documentAST = parse(document);
  const operations = documentAST.definitions.filter(
    (definition) => definition.kind === Kind.OPERATION_DEFINITION,
  );
  return { documentAST, operationName: name, operations };
}

function spaced(name: string): string {
  const words = name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
