// The last readings, newest first: a picture, the text, when, how sure; to copy and to download.
"use strict";

const READ_AGAIN_MS = 1000;
const COPIED_MS = 1500;
let shownRevision = null;
let isReading = false;

async function showReadings(revision) {
  if (revision === shownRevision || isReading) return;
  isReading = true;
  try {
    const answer = await fetch("/api/readings", { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) return;
    const news = await answer.json();
    listReadings(news.readings);
    shownRevision = news.revision;
  } catch {
    // the connection is gone, which is said above
  } finally {
    setTimeout(() => { isReading = false; }, READ_AGAIN_MS);
  }
}

function listReadings(readings) {
  const old = new Map(Array.from($("readings").children, (item) => [item.dataset.key, item]));
  $("readings").replaceChildren(
    ...readings.map((reading) => {
      const key = `${reading.number}.${reading.revision}`;
      const item = old.get(key) ?? readingItem(reading, key);
      item.querySelector(".facts").textContent = facts(reading);
      return item;
    }),
  );
  $("nothing-read").hidden = readings.length > 0;
  $("list").hidden = readings.length === 0;
}

function readingItem(reading, key) {
  const item = $("reading").content.firstElementChild.cloneNode(true);
  const text = reading.label == null ? null : headline(reading.label) || "No text";
  item.dataset.key = key;
  item.querySelector(".text").textContent = text ?? "Target found";
  item.querySelector(".text").title = reading.label ?? "";
  const image = item.querySelector("img");
  const link = item.querySelector(".download");
  if (reading.picture) {
    image.src = `/api/readings/${reading.number}.jpg?revision=${reading.revision}`;
    image.alt = `Picture of ${text ?? "the target"}`;
    link.href = `/api/readings/${reading.number}.png`;
    link.download = `${fileName(reading)}.png`;
  } else {
    image.remove();
    link.remove();
  }
  const copy = item.querySelector(".copy");
  copy.setAttribute("aria-label", `Copy ${text ?? "values"}`);
  copy.addEventListener("click", () => copyText(copy, reading.label ?? JSON.stringify(reading)));
  return item;
}

function facts(reading) {
  const sure = reading.label_score == null ? [] : [`${Math.round(100 * reading.label_score)} %`];
  const seen = reading.frames === 1 ? "1 frame" : `${count(reading.frames)} frames`;
  const track = reading.track == null ? [] : [`no. ${reading.track}`];
  return [when(reading), ...sure, `score ${reading.score.toFixed(2)}`, seen, ...track].join(" · ");
}

function when({ first, position_s: position }) {
  if (position != null) return `${Math.floor(position / 60)}:${(position % 60).toFixed(1).padStart(4, "0")} of the video`;
  const time = new Date(1000 * first);
  const isToday = time.toDateString() === new Date().toDateString();
  return isToday ? time.toLocaleTimeString() : time.toLocaleString();
}

// Letters and digits of the text, and the time.
function fileName({ label, first }) {
  const text = (label ?? "target").replace(/[^\p{L}\p{N}-]+/gu, "_").replace(/^_+|_+$/g, "").slice(0, 40) || "target";
  return `${text}-${new Date(1000 * first).toISOString().replace(/[-:]/g, "")}`;
}

// Browsers have a clipboard only where the page comes by HTTPS or from this machine: elsewhere as of old.
async function copyText(button, text) {
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "copied";
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const before = button.dataset.text ?? button.textContent;
  button.dataset.text = before;
  button.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => { button.textContent = before; }, COPIED_MS);
}
