import type { GraphiQLPlugin } from "@graphiql/react";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useMemo } from "react";

import type { Api } from "./api";
import { ApiContext } from "./ApiContext";
import { EXAMPLES_BY_NAME } from "./examples/examples";
import { EXAMPLES_TITLE, ExamplesIcon, ExamplesPanel } from "./examples/ExamplesPanel";
import { startingVariables } from "./examples/variables";
import { LIVE_USAGE_TITLE, LiveUsageIcon, LiveUsagePanel } from "./live/LiveUsagePanel";
import { pageStorage } from "./storage";

interface Props {
  api: Api;
  onSignOut(): void;
}

const PLUGINS: GraphiQLPlugin[] = [
  { title: EXAMPLES_TITLE, icon: ExamplesIcon, content: ExamplesPanel },
  { title: LIVE_USAGE_TITLE, icon: LiveUsageIcon, content: LiveUsagePanel },
  HISTORY_PLUGIN,
];

/** GraphiQL with our examples and live usage beside it. */
export function Explorer({ api, onSignOut }: Props) {
  const start = useMemo(firstVisit, []);
  return (
    <ApiContext value={api}>
      <GraphiQL
        fetcher={api.fetcher}
        storage={pageStorage}
        plugins={PLUGINS}
        visiblePlugin={EXAMPLES_TITLE}
        defaultQuery={start?.query ?? ""}
        {...(start ? { initialVariables: start.variables } : {})}
        defaultEditorToolsVisibility="variables"
        showPersistHeadersSettings={false}
        schemaDescription
      >
        <GraphiQL.Logo>
          <span className="console-name">Trunkline</span>
          <button type="button" className="console-sign-out" onClick={onSignOut}>
            Sign out
          </button>
        </GraphiQL.Logo>
      </GraphiQL>
    </ApiContext>
  );
}

/** What somebody who has typed nothing yet finds in the editors, ready to run. */
function firstVisit(): { query: string; variables: string } | null {
  const first = EXAMPLES_BY_NAME.get("ProviderOverview");
  if (!first || pageStorage.getItem("graphiql:tabState")) return null;
  return { query: first.document, variables: startingVariables(first.name, null) };
}
