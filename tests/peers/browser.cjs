// What a page of ours may do in a real Chromium: prints one line of JSON. Certificates count: nothing is told to ignore them.
//
//   node browser.cjs PLAYWRIGHT CHROMIUM HOST-RULES URL
const [playwright, executablePath, rules, url] = process.argv.slice(2);
const { chromium } = require(playwright);

// In the page.
const look = async () => {
  const keys = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  const text = new TextEncoder().encode("a challenge");
  const signature = await crypto.subtle.sign({ name: "Ed25519" }, keys.privateKey, text);
  const verified = await crypto.subtle.verify({ name: "Ed25519" }, keys.publicKey, signature, text);
  const first = await new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://${location.host}/`);
    socket.onmessage = (message) => { resolve(JSON.parse(message.data)); socket.close(); };
    socket.onerror = () => reject(new Error("no socket"));
  });
  return { secure: isSecureContext, verified, bytes: signature.byteLength, event: first.event };
};

(async () => {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", `--host-resolver-rules=${rules}`];
  const browser = await chromium.launch({ executablePath, args, timeout: 120_000 });
  try {
    const page = await browser.newPage();
    await page.goto(url, { timeout: 120_000, waitUntil: "domcontentloaded" });
    console.log(JSON.stringify(await page.evaluate(look)));
  } catch (error) {
    console.log(JSON.stringify({ refused: String(error.message).split("\n")[0] }));
  } finally {
    await browser.close();
  }
})();
