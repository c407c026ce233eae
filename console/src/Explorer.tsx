import { useGraphiQL, useGraphiQLActions, type GraphiQLPlugin } from "@graphiql/react";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useEffect, useState } from "react";

import type { Api } from "./api";
import { ApiContext } from "./ApiContext";
import { EXAMPLES_BY_NAME } from "./examples/examples";
import { EXAMPLES_TITLE, ExamplesIcon, ExamplesPanel } from "./examples/ExamplesPanel";
import { startingVariables } from "./examples/variables";
import { LIVE_USAGE_TITLE, LiveUsageIcon, LiveUsagePanel } from "./live/LiveUsagePanel";
import { SESSIONS_TITLE, SessionsIcon, SessionsPanel } from "./sessions/SessionsPanel";
import { pageStorage } from "./storage";

interface Props {
  api: Api;
  onSignOut(): void;
}

const PLUGINS: GraphiQLPlugin[] = [
  { title: EXAMPLES_TITLE, icon: ExamplesIcon, content: ExamplesPanel },
  { title: LIVE_USAGE_TITLE, icon: LiveUsageIcon, content: LiveUsagePanel },
  { title: SESSIONS_TITLE, icon: SessionsIcon, content: SessionsPanel },
  HISTORY_PLUGIN,
];

/** How our scalars look in variables, so that the editor can check and complete them. */
const SCALARS = {
  DateTime: { type: "string", examples: ["2026-11-23T14:05:00Z"] },
  Decimal: { type: "string", pattern: "^-?[0-9]+(\\.[0-9]{1,9})?$", examples: ["0.25"] },
  SafeInt: { type: "integer", minimum: 0 },
};

/** GraphiQL with our examples and live usage beside it. */
export function Explorer({ api, onSignOut }: Props) {
  useState(prepareFirstVisit);
  return (
    <ApiContext value={api}>
      <GraphiQL
        fetcher={api.fetcher}
        storage={pageStorage}
        plugins={PLUGINS}
        visiblePlugin={EXAMPLES_TITLE}
        defaultQuery=""
        defaultEditorToolsVisibility="variables"
        showPersistHeadersSettings={false}
        schemaDescription
        customScalarSchemas={SCALARS}
      >
        <GraphiQL.Logo>
          <span className="console-name">Trunkline</span>
          <button type="button" className="console-sign-out" onClick={onSignOut}>
            Sign out
          </button>
        </GraphiQL.Logo>
        <SystemTheme />
      </GraphiQL>
    </ApiContext>
  );
}

/** GraphiQL looks at the system's theme when it starts and not again; its editors would stay behind. */
function SystemTheme() {
  const theme = useGraphiQL((state) => state.theme);
  const { setTheme } = useGraphiQLActions();
  useEffect(() => {
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setTheme(theme);
    system.addEventListener("change", follow);
    return () => system.removeEventListener("change", follow);
  }, [theme, setTheme]);
  return null;
}

/**
 * Somebody who has typed nothing yet finds an operation ready to run. GraphiQL starts from what it
 * remembers; given as properties, the variables would be gone when the page is loaded again.
 */
function prepareFirstVisit(): void {
  const first = EXAMPLES_BY_NAME.get("ProviderOverview");
  if (!first || pageStorage.getItem("graphiql:tabState")) return;
  pageStorage.setItem("graphiql:query", first.document);
  pageStorage.setItem("graphiql:variables", startingVariables(first.name, null));
}
