/**
 * Builds the page that the server serves at `/graphiql` into `server/page/`, which git ignores.
 *
 * No source maps: they alone would weigh more than the page.
 */

import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const operations = fileURLToPath(new URL("../graphql/operations/", import.meta.url));
const page = fileURLToPath(new URL("../server/page/", import.meta.url));

/** The wheel carries what is in the page's folder, and its users want the operations too. */
function carryOperations(): Plugin {
  return {
    name: "carry-operations",
    apply: "build",
    closeBundle() {
      mkdirSync(`${page}operations`, { recursive: true });
      for (const name of readdirSync(operations).filter((name) => name.endsWith(".graphql"))) {
        copyFileSync(`${operations}${name}`, `${page}operations/${name}`);
      }
    },
  };
}

export default defineConfig({
  base: "/graphiql/",
  plugins: [react(), carryOperations()],
  worker: { format: "es" },
  build: {
    outDir: page,
    emptyOutDir: true,
    sourcemap: false,
    target: "es2022",
    rolldownOptions: {
      // GraphiQL's files carry "use no memo" for React's compiler, which has run on them already.
      onLog: (level, log, keep) => {
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") keep(level, log);
      },
    },
    // The editor is one big library, loaded once and then from the browser's cache.
    chunkSizeWarningLimit: 6000,
  },
  server: {
    // `npm run dev` beside a running `trunkline serve`.
    proxy: Object.fromEntries(
      ["/graphql", "/session"].map((path) => [
        path,
        { target: "http://127.0.0.1:8787", ws: true, changeOrigin: true },
      ]),
    ),
  },
});
