/**
 * The page at `/graphiql` in headless Chromium against a running server, as a person would use it.
 *
 *   TRUNKLINE_URL=… TRUNKLINE_ADMIN_TOKEN=… TRUNKLINE_SIGN_IN_LINK=… TRUNKLINE_CHROMIUM=/usr/bin/chromium \
 *     node checks/page.mjs [FOLDER FOR SCREENSHOTS]
 */

import assert from "node:assert/strict";
import { join } from "node:path";

import { openBrowser } from "./chromium.mjs";
import { record, required, run } from "./server.mjs";

const origin = new URL(required("TRUNKLINE_URL")).origin;
const link = required("TRUNKLINE_SIGN_IN_LINK");
const screenshots = process.argv[2];
const PASTE = "Or paste the link, or a token, here";
const FAKE_KEY = "sk-ant-never-to-be-remembered";

const browser = await openBrowser();
const { context, seen } = browser;
const page = await context.newPage();
try {
  await asksToSignIn();
  await signsInByTheLink();
  await runsTheFirstExample();
  await showsUsageArriving();
  await drawsLiveUsage();
  await comesBackAfterALostConnection();
  await looksGoodInBothThemes();
  await remembersNoKey();
  await refusesAUsedLink();
  await signsOut();
  await takesAToken();
  await endsOtherSessions();
  loadsFromOurOriginOnly();
  complainsOfNothing();
  console.log("ok");
} catch (problem) {
  if (screenshots) await shoot("failure");
  console.error("seen in the browser:", seen.problems);
  throw problem;
} finally {
  await browser.close();
}

async function asksToSignIn() {
  await page.goto(`${origin}/graphiql`);
  await page.getByText("trunkline sign-in-link", { exact: true }).waitFor();
  await shoot("sign-in-light");
}

async function signsInByTheLink() {
  // Only the fragment differs, and a browser doesn't load a page again for that.
  await page.goto("about:blank");
  await page.goto(link);
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  assert.equal(new URL(page.url()).hash, "", "the code is still in the address");
  await page.goto(`${origin}/graphiql`);
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}

async function runsTheFirstExample() {
  await editorHolds(/query ProviderOverview/);
  await execute();
  await answerHolds(/"slug": "anthropic"/);
}

async function showsUsageArriving() {
  await openExample("LiveUsage");
  await editorHolds(/subscription LiveUsage/);
  await execute();
  await answerHolds(/"UsageSnapshot"/);
  await record({ agent: "seen-in-graphiql" });
  await answerHolds(/"Usage(Delta|Snapshot)"[^]*"requests": 1\b/);
  await shoot("subscription-light");
  await page.getByRole("button", { name: "Stop query" }).click();
}

async function drawsLiveUsage() {
  await page.getByRole("button", { name: "Show Live usage" }).click();
  await connected();
  await total("Requests", "1");
  await page.getByRole("group", { name: "By" }).getByRole("button", { name: "Agent" }).click();
  await record(
    { agent: "support", inputTokens: 400_000, outputTokens: 60_000 },
    { agent: "research", modelName: "claude-opus-4-1", inputTokens: 90_000, outputTokens: 20_000 },
  );
  await total("Requests", "3");
  await page.locator('tr[data-group="support"]').getByText("460K").waitFor();
  assert.ok((await page.locator(".usage-chart rect").count()) > 0, "no bar is drawn");
}

async function comesBackAfterALostConnection() {
  let toPage;
  await page.routeWebSocket(/\/graphql$/, (socket) => {
    toPage = socket;
    socket.connectToServer();
  });
  await page.reload();
  await connected();
  await total("Requests", "3");
  await toPage.close({ code: 1012, reason: "Service Restart" });
  await record({ agent: "while-away" });
  await total("Requests", "4");
  await connected();
}

async function looksGoodInBothThemes() {
  await page.getByRole("button", { name: "Model", exact: true }).click();
  await total("Requests", "4");
  await shoot("live-usage-light");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.locator(".graphiql-query-editor .monaco-editor.vs-dark").first().waitFor();
  await shoot("live-usage-dark");
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.notEqual(ground, "rgb(255, 255, 255)", "dark is light");
  await page.getByRole("button", { name: "Show Examples" }).click();
  await shoot("examples-dark");
  await page.emulateMedia({ colorScheme: "light" });
  await shoot("examples-light");
}

async function remembersNoKey() {
  await openExample("UpdateProvider");
  await page.locator(".graphiql-editor-tool .view-lines").first().click();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.insertText(
    JSON.stringify({ input: { id: "to-remember", apiKey: FAKE_KEY } }),
  );
  await execute();
  await answerHolds(/updateProvider|errors/);
  // GraphiQL writes what it holds half a second after the last change.
  await page.waitForFunction(() =>
    (sessionStorage["graphiql:tabState"] ?? "").includes("to-remember"),
  );
  const stored = await page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }]),
  );
  assert.ok(stored.includes("apiKey"), "the variables were not typed");
  assert.ok(!stored.includes(FAKE_KEY), "the browser remembers an API key");
}

async function refusesAUsedLink() {
  await context.clearCookies();
  await page.goto("about:blank");
  await page.goto(link);
  await page.getByRole("alert").getByText(/used/).waitFor();
}

async function takesAToken() {
  const field = page.getByLabel(PASTE);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("Paste a sign-in link or a token first.").waitFor();
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  await field.fill("two words");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText(/neither a sign-in link nor a token/).waitFor();
  await field.fill("not-the-token-of-this-server");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText(/doesn't know this token/).waitFor();
  assert.equal(await field.inputValue(), "", "the wrong token is still there");
  assert.ok(await field.evaluate((input) => input === document.activeElement));
  await shoot("sign-in-wrong-token");
  await field.fill(required("TRUNKLINE_ADMIN_TOKEN"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Show Live usage" }).click();
  await connected();
  const stored = await page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }]),
  );
  assert.ok(!stored.includes(required("TRUNKLINE_ADMIN_TOKEN")), "the browser remembers the token");
  for (const url of seen.urls) assert.ok(!url.includes(required("TRUNKLINE_ADMIN_TOKEN")), url);
  // It became a session like any other: the page is loaded anew, and still signed in.
  await page.reload();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}

async function endsOtherSessions() {
  await page.getByRole("button", { name: "Show Sessions" }).click();
  const panel = page.getByRole("region", { name: "Sessions", exact: true });
  await panel.getByText("this browser").waitFor();
  // Of the link whose cookie was cleared.
  const ends = panel.getByRole("button", { name: /^End the session of Chrome \d+ on Linux/ });
  assert.equal(await ends.count(), 1);
  await shoot("sessions-light");
  await ends.click();
  await panel.getByText("It is ended.").waitFor();
  await ends.waitFor({ state: "detached" });
  const { browserSessions } = await run("BrowserSessions", {});
  assert.deepEqual(
    browserSessions.nodes.map((one) => one.signedInWith),
    ["ADMIN_TOKEN"],
  );
  // Ended from elsewhere, the page says so at once: its socket is closed.
  await page.getByRole("button", { name: "Show Live usage" }).click();
  await connected();
  await run("RevokeBrowserSession", { input: { id: browserSessions.nodes[0].id } });
  await page.getByRole("alert").getByText("Your session has ended.").waitFor();
}

async function signsOut() {
  await signInAgain();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
  await page.goto(`${origin}/graphiql`);
  await page.getByText("trunkline sign-in-link", { exact: true }).waitFor();
}

async function signInAgain() {
  await page.getByLabel(PASTE).fill(required("TRUNKLINE_OTHER_SIGN_IN_LINK"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}

function loadsFromOurOriginOnly() {
  const foreign = [...seen.urls].filter(
    (url) =>
      !/^(about|blob|data):/.test(url) && new URL(url).origin.replace(/^ws/, "http") !== origin,
  );
  assert.deepEqual(foreign, [], "the page asks elsewhere");
  assert.ok(seen.urls.size > 10, "nothing was watched");
}

function complainsOfNothing() {
  // The page asks who is signed in, and the browser logs the answer 401 as an error of its own.
  const problems = seen.problems.filter((problem) => !/status of 401/.test(problem));
  assert.deepEqual(problems, []);
}

async function openExample(name) {
  const panel = page.getByRole("region", { name: "Examples", exact: true });
  if (!(await panel.isVisible())) await page.getByRole("button", { name: "Show Examples" }).click();
  await page.locator(`[data-example="${name}"]`).click();
}

async function execute() {
  await page.getByRole("button", { name: /^Execute query/ }).click();
}

async function editorHolds(pattern) {
  await holds(".graphiql-query-editor .view-lines", pattern);
}

async function answerHolds(pattern) {
  await holds(".graphiql-response .view-lines", pattern);
}

/** The editors draw spaces as no-break spaces, and only the lines in view. */
async function holds(selector, pattern) {
  await page.waitForFunction(
    ([selector, source]) => {
      const lines = [...document.querySelectorAll(`${selector} > .view-line`)];
      lines.sort(
        (one, other) => Number.parseFloat(one.style.top) - Number.parseFloat(other.style.top),
      );
      const text = lines.map((line) => line.textContent.replaceAll("\u00a0", " ")).join("\n");
      return new RegExp(source).test(text);
    },
    [selector, pattern.source],
  );
}

async function connected() {
  await page.locator('.live-usage[data-connection="live"]').waitFor();
}

async function total(name, value) {
  await page
    .locator(".live-totals > div")
    .filter({ hasText: name })
    .getByText(value, { exact: true })
    .waitFor();
}

async function shoot(name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`) });
}
