// Turns the first card green when this device trusts this house: it loads a picture from each https address, which a browser
// does only for a certificate that it trusts. No answer is read and nothing is sent.
"use strict";
(() => {
  const [every, most] = [4000, 300];
  const card = document.getElementById("check");
  const verdict = document.getElementById("verdict");
  const words = document.getElementById("words");
  const doors = [...document.querySelectorAll("#doors a")].map((link) => link.origin);
  // A page that came over https came past a warning, or without one: only another address can tell.
  const secure = location.protocol === "https:";
  const asked = doors.filter((door) => door !== location.origin);

  const trusted = (door) => {
    if (card.dataset.state === "trusted") return;
    card.dataset.state = "trusted";
    verdict.textContent = "This device trusts this house";
    words.textContent = "Nothing is left to do here. Open the dashboard:";
    document.querySelectorAll("#doors a").forEach((link) => {
      link.parentElement.hidden = link.origin !== door;
    });
  };
  const knock = (door, turn) => new Promise((resolve) => {
    const picture = new Image();
    picture.onload = () => resolve(true);
    picture.onerror = () => resolve(false);
    // So that the door knows whose page asks: it shows the picture to pages of this house alone.
    picture.crossOrigin = "anonymous";
    picture.src = `${door}/doorward/ca/seal.svg?${turn}`;
  });
  // One door may hang where another opens: each has its own turns.
  const look = async (door, turn) => {
    if (card.dataset.state === "trusted") return;
    if (!document.hidden && await knock(door, Date.now())) return trusted(door);
    if (turn < most) setTimeout(() => look(door, turn + 1), every);
  };

  const agent = navigator.userAgent;
  const touch = navigator.maxTouchPoints > 1;
  const device = /iPhone|iPad|iPod/.test(agent) || (/Macintosh/.test(agent) && touch) ? "ios"
    : /Android/.test(agent) ? "android"
    : /Firefox/.test(agent) ? "firefox"
    : /Windows/.test(agent) ? "windows"
    : /Macintosh/.test(agent) ? "macos"
    : /Linux|CrOS/.test(agent) ? "linux" : null;
  if (device) document.getElementById(device).open = true;

  if (secure) {
    verdict.textContent = "This page came over https";
    words.textContent = "If your browser showed no warning before it, this device trusts this house already.";
  } else if (asked.length) {
    verdict.textContent = "This device does not trust this house yet";
    words.textContent = "Follow the steps below. This turns green by itself as soon as it does.";
  }
  asked.forEach((door) => look(door, 0));
})();
