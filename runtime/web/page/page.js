// Shows what /stream sends. The page asks for each message when it has drawn the one before, so that pictures never
// queue up on a slow network: it sees fewer of them, and always the newest.
"use strict";

const SILENT_S = 3; // without a frame for so long the pictures are called old
const PATIENCE_MS = 4000; // the server answers within half a second; where it does not, the connection is gone
const AGAIN_MS = 1000;
const HOT_C = 80; // from where on a Raspberry Pi slows itself down
const LITTLE_BYTES = 1e9;
const HEADLINE = 32; // characters of a text in large letters

let socket = null;
let watchdog = 0;
let state = null;
let noticeSeen = null;
let choosing = false;

function connect() {
  if (document.hidden || socket) return;
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream`);
  socket.binaryType = "arraybuffer";
  const own = socket;
  own.onopen = () => ask(own);
  own.onmessage = async (event) => {
    try {
      await take(event.data);
    } catch (error) {
      console.error(error); // one bad picture does not end the view
    }
    if (own === socket) ask(own);
  };
  own.onclose = () => lost(own);
  watch(own);
}

function ask(own) {
  if (own.readyState === WebSocket.OPEN) own.send("next");
  watch(own);
}

function watch(own) {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => lost(own), PATIENCE_MS);
}

async function lost(own) {
  if (own !== socket) return;
  clearTimeout(watchdog);
  own.close();
  socket = null;
  if (document.hidden) return;
  connection("none", "No connection");
  try {
    const answer = await fetch("/api/state", { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.status === 401) location.reload(); // the token is another one now
  } catch {
    // the server is not there: again later
  }
  setTimeout(connect, AGAIN_MS);
}

async function take(message) {
  const head = new DataView(message);
  const texts = 8 + head.getUint32(0);
  const frames = texts + head.getUint32(4);
  const news = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 8, texts - 8)));
  if (frames > texts && frozen) held = message;
  if (frames > texts && !frozen) {
    const pictures = [message.slice(texts, frames), message.slice(frames)];
    const bitmaps = await Promise.all(pictures.map((bytes) => createImageBitmap(new Blob([bytes], { type: "image/jpeg" }))));
    draw($("frame"), bitmaps[0]);
    draw($("rectified"), bitmaps[1]);
    mark(news);
  }
  state = news;
  show();
}

function showTargets(targets) {
  $("targets").hidden = !targets;
  $("targets").replaceChildren(
    ...(targets ?? []).map((target, place) => {
      const item = document.createElement("li");
      const words = [`${name(target, place)}:`, target.label == null ? null : headline(target.label), `score ${target.score.toFixed(2)}`];
      item.textContent = words.filter((word) => word != null).join(" ");
      return item;
    }),
  );
}

// One line: a text of several lines, or a long one, has the rest below, on demand.
function showLabel(latest, found) {
  const sure = latest?.label_score == null ? "" : ` · ${Math.round(100 * latest.label_score)} %`;
  const text = latest?.label;
  const short = text == null ? null : headline(text);
  if (text != null) $("label").textContent = `${short || "No text"}${sure}`;
  else if (found) $("label").textContent = sure ? `Nothing known${sure}` : "Target found";
  else $("label").textContent = "No target";
  $("whole").hidden = text == null || short === text.trim();
  $("whole-text").textContent = $("whole").hidden ? "" : text;
}

function headline(text) {
  const line = text.split("\n").map((part) => part.trim()).find((part) => part) ?? "";
  const characters = Array.from(line);
  if (characters.length > HEADLINE) return `${characters.slice(0, HEADLINE - 1).join("").trimEnd()}…`;
  return line !== text.trim() ? `${line} …` : line;
}

function show() {
  const { latest, found, stats, saving } = state;
  const silent = !state.all_done && (!latest || state.silent_s > SILENT_S);
  document.body.classList.toggle("stale", silent);
  if (state.all_done) connection("live", "All frames done");
  else if (!latest) connection("silent", "No frame yet");
  else if (silent) connection("silent", `No frame for ${Math.round(state.silent_s)} s`);
  else connection("live", "Live");
  $("source").textContent = state.source;

  if (!frozen) showAnswer(latest, found);
  for (const key of ["frames", "misses", "dropped", "reconnections"]) $(key).textContent = count(stats[key]);
  $("frames_per_s").textContent = stats.frames_per_s.toFixed(1);
  for (const key of ["latency_p50_ms", "latency_p99_ms"]) {
    $(key).textContent = stats[key] == null ? "–" : `${stats[key].toFixed(1)} ms`;
  }

  showSaving(saving);
  showMachine(state.machine);
  showSettings(state.settings);
  showReadings(state.readings);
  showModels();
  if (noticeSeen === null) noticeSeen = state.notice.number; // what was said before this page was opened
  if (state.notice.number !== noticeSeen) {
    noticeSeen = state.notice.number;
    notice(state.notice.text, state.notice.is_error);
  }
}

function showAnswer(latest, found) {
  showLabel(latest, found);
  showTargets(latest?.targets);
  $("score-number").textContent = latest ? latest.score.toFixed(2) : "–";
  $("bar").setAttribute("aria-valuenow", latest ? latest.score : 0);
  $("bar").classList.toggle("found", found);
  $("bar").firstElementChild.style.width = `${100 * (latest ? latest.score : 0)}%`;
}

function showSaving(saving) {
  const reason = saving.impossible_because;
  $("saving").setAttribute("aria-checked", saving.is_on);
  $("saving-state").textContent = saving.is_on ? "on" : "off";
  $("saving").disabled = $("snapshot").disabled = reason != null;
  $("why").classList.toggle("error", saving.fault != null);
  if (saving.fault) $("why").textContent = `${saving.folder} does not take pictures: ${saving.fault}`;
  else if (reason) $("why").textContent = `Saving: ${reason}`;
  else $("why").textContent = `${count(saving.saved)} saved in ${saving.folder}${saving.unsaved ? `, ${count(saving.unsaved)} not saved` : ""}`;
}

function showMachine(machine) {
  fact("temperature", machine?.temperature_c, (value) => `${value.toFixed(1)} °C`, (value) => value >= HOT_C);
  const states = machine?.throttled_now == null ? null : machine;
  fact("throttled", states, ({ throttled_now: now, throttled_since_start: before }) => now.join(", ") || (before.length ? `earlier: ${before.join(", ")}` : "no"), (value) => value.throttled_now.length > 0);
  fact("disk", machine?.disk.free_bytes, gigabytes, (value) => value < LITTLE_BYTES);
  if (machine) $("disk").title = `of ${gigabytes(machine.disk.total_bytes ?? 0)}, ${machine.disk.folder}`;
  $("board").hidden = !machine?.board;
  $("board").textContent = machine?.board ?? "";
}

function fact(id, value, text, isBad) {
  $(id).parentElement.hidden = value == null;
  if (value == null) return;
  $(id).textContent = text(value);
  $(id).classList.toggle("bad", isBad(value));
}

const count = (number) => number.toLocaleString("en");
const gigabytes = (bytes) => (bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

function showModels() {
  const select = $("model");
  if (Array.from(select.options, (option) => option.value).join("\n") !== state.models.join("\n")) {
    select.replaceChildren(...state.models.map((name) => new Option(name, name)));
  }
  select.disabled = choosing || state.models.length < 2;
  if (!choosing && document.activeElement !== select) select.value = state.model;
}

function connection(kind, text) {
  if (kind === "none") document.body.classList.add("stale");
  $("connection").dataset.state = kind;
  if ($("connection").textContent !== text) $("connection").textContent = text;
}

function notice(text, isError) {
  $("notice").textContent = text;
  $("notice").classList.toggle("error", isError);
}

async function post(path, values) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(values),
    });
    if (!answer.ok) notice((await answer.json()).error, true);
    return answer.ok;
  } catch {
    notice("No connection: that has not been done", true);
    return false;
  }
}

$("saving").addEventListener("click", () => post("/api/saving", { on: !state.saving.is_on }));
$("snapshot").addEventListener("click", () => post("/api/snapshot", {}));
$("model").addEventListener("change", async (event) => {
  choosing = true;
  event.target.disabled = true;
  notice(`Loading ${event.target.value}`, false);
  if (!(await post("/api/model", { name: event.target.value }))) event.target.value = state.model;
  choosing = false;
  event.target.blur();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) connect();
  else if (socket) socket.close(); // who does not look needs no pictures
});
connect();
