/** How the live panel names the hours of a day. */

import assert from "node:assert/strict";

import { createServer } from "vite";

const vite = await createServer({
  server: { middlewareMode: true, ws: false },
  optimizeDeps: { noDiscovery: true },
  logLevel: "error",
});
const { bucketName } = await vite.ssrLoadModule("/src/live/format.ts");
await vite.close();

const hours = Array.from({ length: 24 }, (_, hour) => hour);
assert.deepEqual(
  hours.map((hour) => bucketName(new Date(2026, 0, 15, hour).toISOString(), "HOUR")),
  hours.map((hour) => `${String(hour).padStart(2, "0")}:00`),
);
