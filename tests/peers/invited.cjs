// The real Control UI at an invite's link, in a real Chromium: prints one line of JSON. Certificates count. The UI's own files
// stand in for what an upstream gateway will serve there; every socket goes to the door itself.
//
//   node invited.cjs PLAYWRIGHT CHROMIUM HOST-RULES LINK UI-FOLDER
const [playwright, executablePath, rules, link, ui] = process.argv.slice(2);
const { chromium } = require(playwright);
const fs = require("node:fs");
const path = require("node:path");

const kinds = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".json": "application/json",
  ".svg": "image/svg+xml", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json" };

const serve = (route) => {
  const asked = decodeURIComponent(new URL(route.request().url()).pathname);
  const file = path.join(ui, asked === "/" ? "index.html" : asked);
  if (!file.startsWith(ui)) return route.abort();
  const found = fs.existsSync(file) && fs.statSync(file).isFile();
  if (!found && path.extname(asked)) return route.fulfill({ status: 404, body: "" });
  const kept = found ? file : path.join(ui, "index.html");
  return route.fulfill({ status: 200, contentType: kinds[path.extname(kept)] ?? "application/octet-stream", path: kept });
};

// What one visit to `url` came to: the last `connect` that was sent, and its answer.
const visit = async (context, url) => {
  const page = await context.newPage();
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  let sent;
  const answered = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("no answer to a connect")), 120_000);
    page.on("websocket", (socket) => {
      socket.on("framesent", ({ payload }) => {
        const frame = JSON.parse(payload);
        if (frame.method === "connect") sent = frame;
      });
      socket.on("framereceived", ({ payload }) => {
        const frame = JSON.parse(payload);
        if (frame.type === "res" && sent && frame.id === sent.id) { clearTimeout(late); resolve(frame); }
      });
    });
  });
  await page.goto(url, { timeout: 120_000, waitUntil: "domcontentloaded" });
  const answer = await answered;
  const leaves = (object) => Object.fromEntries(Object.entries(object ?? {}).filter(([, value]) => value));
  await page.waitForFunction(() => !location.hash.includes("bootstrapToken"), null, { timeout: 120_000 });
  const told = { url: page.url(), socket: sent.params.client.id, auth: leaves(sent.params.auth),
    device: sent.params.device?.id, ok: answer.ok, hello: answer.payload?.auth, error: answer.error,
    leaked: asked.filter((url) => url.includes("doorward-invite-")) };
  await page.close();
  return told;
};

(async () => {
  // The page comes from this script, so Chromium cannot know that it is of the same network as the door.
  const blind = "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets";
  const args = [blind, "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", `--host-resolver-rules=${rules}`];
  const browser = await chromium.launch({ executablePath, args, timeout: 120_000 });
  try {
    const context = await browser.newContext({ serviceWorkers: "block" });
    await context.route(`${new URL(link).origin}/**`, serve);
    const first = await visit(context, link);
    const again = await visit(context, new URL("/", link).href);
    const stranger = await browser.newContext({ serviceWorkers: "block" });
    await stranger.route(`${new URL(link).origin}/**`, serve);
    const late = await visit(stranger, link);
    console.log(JSON.stringify({ first, again, late }));
  } catch (error) {
    console.log(JSON.stringify({ failed: String(error.message).split("\n")[0] }));
  } finally {
    await browser.close();
  }
})();
