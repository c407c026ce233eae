/** Headless Chromium on the system's own build, watched: what it loads, and what it complains of. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { required } from "./server.mjs";

/**
 * Opens a browser with a profile of its own. `seen.urls` holds every address that its pages asked
 * for, workers and sockets included; `seen.problems` every error that a page logged or threw. What
 * else its command line takes is given as arguments.
 */
export async function openBrowser(...more) {
  const profile = mkdtempSync(join(tmpdir(), "trunkline-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: required("TRUNKLINE_CHROMIUM"),
    headless: true,
    colorScheme: "light",
    viewport: { width: 1440, height: 900 },
    timezoneId: "Europe/Berlin",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...more,
    ],
  });
  context.setDefaultTimeout(45_000);
  const seen = { urls: new Set(), problems: [] };
  context.on("request", (request) => seen.urls.add(request.url()));
  context.on("page", (page) => page.on("websocket", (socket) => seen.urls.add(socket.url())));
  context.on("console", (message) => {
    if (message.type() === "error")
      seen.problems.push(`${message.text()} (${message.location().url})`);
  });
  context.on("weberror", (problem) => seen.problems.push(String(problem.error())));
  return {
    context,
    seen,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
