// The real Control UI of the gateway behind the door, in a real Chromium, as a person has it: prints a line of JSON when the page
// says that this browser has to be approved, and one when it is in and every view was looked at. Certificates count.
//
//   node bridged.cjs PLAYWRIGHT CHROMIUM URL MESSAGE
//
// With DOORWARD_TESTS_PICTURES set, screenshots go to that folder.
const [playwright, executablePath, url, message] = process.argv.slice(2);
const { chromium } = require(playwright);
const path = require("node:path");

const wait = { timeout: 180_000 };
const pictures = process.env.DOORWARD_TESTS_PICTURES;
const tell = (told) => console.log(JSON.stringify(told));
const words = (page) => page.evaluate(() => document.body.innerText);

const picture = (page, name) =>
  pictures ? page.screenshot({ path: path.join(pictures, `${new URL(url).hostname}-${name}.png`) }) : undefined;

// Keeps what the page asks of the door and is answered.
const listen = (page) => {
  const heard = { connects: [], answered: new Set(), denied: [], events: [], refused: [], complaints: [] };
  const asked = new Map();
  page.on("response", (response) => {
    if (response.status() >= 400) heard.refused.push(`${response.status()} ${new URL(response.url()).pathname}`);
  });
  page.on("console", (line) => {
    if (/Content Security Policy|Mixed Content|ERR_CERT/.test(line.text())) heard.complaints.push(line.text());
  });
  page.on("pageerror", (error) => heard.complaints.push(String(error)));
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => {
      const frame = JSON.parse(payload);
      if (frame.type === "req") asked.set(frame.id, frame.method);
    });
    socket.on("framereceived", ({ payload }) => {
      const frame = JSON.parse(payload);
      if (frame.type === "event") heard.events.push(frame);
      const method = asked.get(frame.id);
      if (frame.type !== "res" || !method) return;
      if (method === "connect") heard.connects.push({ ok: frame.ok, error: frame.error, auth: frame.payload?.auth });
      else if (frame.ok) heard.answered.add(method);
      else heard.denied.push({ method, ...frame.error });
    });
  });
  return heard;
};

// Until `fact` of what was heard holds.
const until = async (page, heard, what, fact) => {
  const end = Date.now() + wait.timeout;
  while (!fact()) {
    if (Date.now() > end) {
      const { connects, denied } = heard;
      throw new Error(`${what} never came: ${JSON.stringify({ connects, denied })} ${await words(page)}`);
    }
    await page.waitForTimeout(50);
  }
};

const shows = (page, text) => page.waitForFunction((text) => document.body.innerText.includes(text), text, wait);

// What the gateway says when it has done with a message.
const ended = ({ event, payload }) => event === "chat" && ["final", "error", "aborted"].includes(payload.state);

(async () => {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  const browser = await chromium.launch({ executablePath, args, ...wait });
  const page = await browser.newPage();
  const heard = listen(page);
  try {
    await page.goto(url, { ...wait, waitUntil: "domcontentloaded" });
    const admitted = () => heard.connects.find((answer) => answer.ok);
    const waits = () => heard.connects.find(({ error }) => error?.code === "NOT_PAIRED");
    await until(page, heard, "a decision", () => admitted() || waits());
    if (waits()) {
      await shows(page, "Approve this browser");
      await picture(page, "waiting");
      tell({ page: await words(page), error: waits().error });
    }
    // Nobody touches the page: it comes back by itself.
    await until(page, heard, "an admission", admitted);
    await until(page, heard, "its sessions", () => heard.answered.has("sessions.list"));
    // A gateway without a model first shows where one is set.
    await page.waitForURL(/model-setup/, wait);
    await shows(page, "Connect a verified AI model");
    await picture(page, "in");
    await page.getByText("Back to app").first().click();
    const composer = page.getByLabel("Chat composer");
    await composer.waitFor(wait);
    await picture(page, "chat");
    const facts = await page.evaluate(() => ({ secure: isSecureContext, kept: location.hash }));
    await composer.fill(message);
    await composer.press("Enter");
    await until(page, heard, "an answer to the message", () => heard.answered.has("chat.send"));
    await shows(page, message);
    await until(page, heard, "the run's end", () => heard.events.some(ended));
    await picture(page, "sent");
    for (const [place, text] of [["sessions", "agent:main:main"], ["settings/devices", "PAIRED DEVICES"]]) {
      await page.goto(new URL(place, url).href, { ...wait, waitUntil: "domcontentloaded" });
      await shows(page, text);
      await picture(page, place.replace("/", "-"));
    }
    await until(page, heard, "the list of devices", () => heard.answered.has("device.pair.list"));
    const { denied, refused, complaints } = heard;
    const end = heard.events.find(ended);
    tell({ ...facts, auth: admitted().auth, end, answered: [...heard.answered], denied, refused, complaints });
  } catch (error) {
    await picture(page, "failed")?.catch(() => {});
    tell({ failed: String(error.message) });
  } finally {
    await browser.close();
  }
})();
