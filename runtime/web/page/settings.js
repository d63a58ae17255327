// Settings of the run: sliders, and a region that is drawn on the picture. What they show is what the run has taken up.
"use strict";

const SEND_MS = 150; // while a slider is being moved
const HANDS_OFF_MS = 1500; // so long after it was, it shows what the hand set
const SMOOTH_HZ = [null, 8, 4, 2, 1, 0.5, 0.25, 0.125];
const LEAST = 0.02; // of the frame: a smaller region is a click
const DEFAULT_HZ = 1;

const touched = {};
const waiting = {};
let timer = 0;

function showSettings(settings) {
  for (const [name, setting] of Object.entries(settings)) {
    const place = document.querySelector(`[data-setting="${name}"]`);
    const reason = place.querySelector(".reason");
    if (reason) reason.textContent = setting.impossible_because ?? "";
    $(name).disabled = setting.impossible_because != null;
    if (performance.now() - (touched[name] ?? -Infinity) > HANDS_OFF_MS) showSetting(name, setting);
  }
  $("min_score-own").hidden = settings.min_score.value == null;
  $("roi-whole").hidden = settings.roi.value == null;
  const options = asOptions(settings);
  $("options").textContent = options;
  $("as-options").hidden = !options;
}

function showSetting(name, setting) {
  if (name === "min_score") slide(name, setting.in_use, `${setting.in_use.toFixed(2)}${setting.value == null ? ", the model's own" : ""}`);
  if (name === "smooth") slide(name, smoothStep(setting.value), smoothText(setting.value));
  if (name === "margin") {
    $(name).max = Math.max(1, setting.value);
    slide(name, setting.value, marginText(setting.value));
  }
  if (name === "roi" && document.activeElement !== $(name)) $(name).value = setting.value == null ? "" : setting.value.map(short).join(",");
}

function slide(name, value, text) {
  $(name).value = value;
  $(`${name}-value`).textContent = text;
  $(name).setAttribute("aria-valuetext", text);
}

// Of a run that was started with another cutoff, the next step.
function smoothStep(hz) {
  if (hz == null) return 0;
  const far = (step) => Math.abs(Math.log(SMOOTH_HZ[step] / hz));
  return [1, 2, 3, 4, 5, 6, 7].reduce((best, step) => (far(step) < far(best) ? step : best));
}

const smoothText = (hz) => (hz == null ? "off" : `${hz} Hz${hz < 0.5 ? ", slow" : ""}`);
const marginText = (share) => `${Math.round(100 * share)} %`;
const short = (share) => Number(share.toFixed(4));

function asOptions({ min_score, smooth, margin, roi }) {
  const words = [];
  if (min_score.value != null) words.push(`--min-score ${short(min_score.value)}`);
  if (smooth.value != null) words.push("--smooth");
  if (smooth.value != null && smooth.value !== DEFAULT_HZ) words.push(`--smooth-cutoff ${smooth.value}`);
  if (margin.value) words.push(`--margin ${short(margin.value)}`);
  if (roi.value != null) words.push(`--roi ${roi.value.map(short).join(",")}`);
  return words.join(" ");
}

// The newest value of each, not one for each pixel that a slider is moved by.
function set(name, value) {
  touched[name] = performance.now();
  waiting[name] = value;
  if (!timer) timer = setTimeout(send, SEND_MS);
}

async function send() {
  const values = { ...waiting };
  for (const name of Object.keys(waiting)) delete waiting[name];
  const done = await post("/api/settings", values);
  if (!done) for (const name of Object.keys(values)) delete touched[name];
  timer = 0;
  if (Object.keys(waiting).length) timer = setTimeout(send, SEND_MS);
}

$("min_score").addEventListener("input", ({ target }) => {
  slide("min_score", target.value, Number(target.value).toFixed(2));
  set("min_score", Number(target.value));
});
$("smooth").addEventListener("input", ({ target }) => {
  const hz = SMOOTH_HZ[Number(target.value)];
  slide("smooth", target.value, smoothText(hz));
  set("smooth", hz);
});
$("margin").addEventListener("input", ({ target }) => {
  slide("margin", target.value, marginText(target.value));
  set("margin", Number(target.value));
});
$("min_score-own").addEventListener("click", () => {
  set("min_score", null);
  delete touched.min_score;
});
$("roi").addEventListener("change", ({ target }) => {
  const text = target.value.trim();
  const numbers = text.split(",").map(Number);
  if (text && numbers.some(Number.isNaN)) notice("A region is x,y,width,height, each 0 to 1, such as 0.25,0.25,0.5,0.5", true);
  else set("roi", text ? numbers : null);
});
$("roi-whole").addEventListener("click", () => set("roi", null));
$("copy-options").addEventListener("click", ({ target }) => copyText(target, $("options").textContent));

// Drawing: from one corner to the opposite one, in shares of the whole frame.
let start = null;

function setDrawing(on) {
  start = null;
  $("drawn").replaceChildren();
  $("camera").classList.toggle("drawing", on);
  $("draw").setAttribute("aria-pressed", on);
  $("draw").textContent = on ? "Cancel region" : "Draw region";
  if (on) notice("Draw the region on the frame, from one corner to the opposite one", false);
}

function drawnRegion(event) {
  const [width, height] = state.picture.size;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform($("overlay").getScreenCTM().inverse());
  const share = (value, side) => Math.min(1, Math.max(0, (value + 0.5) / side));
  const corner = [share(at.x, width), share(at.y, height)];
  start ??= corner;
  const [x, y] = [Math.min(start[0], corner[0]), Math.min(start[1], corner[1])];
  return [x, y, Math.abs(start[0] - corner[0]), Math.abs(start[1] - corner[1])];
}

$("draw").addEventListener("click", () => setDrawing(!$("camera").classList.contains("drawing")));
$("overlay").addEventListener("pointerdown", (event) => {
  if (!$("camera").classList.contains("drawing") || !state?.latest) return;
  event.preventDefault();
  $("overlay").setPointerCapture(event.pointerId);
  start = null;
  drawnRegion(event);
});
$("overlay").addEventListener("pointermove", (event) => {
  if (!start) return;
  const [x, y, wide, high] = drawnRegion(event);
  const [width, height] = state.picture.size;
  $("drawn").replaceChildren(...regionShapes(width, height, [x * width, y * height, wide * width, high * height]));
});
$("overlay").addEventListener("pointerup", (event) => {
  if (!start) return;
  const region = drawnRegion(event);
  setDrawing(false);
  if (Math.min(region[2], region[3]) < LEAST) notice("That was a click: draw from one corner of the region to the opposite one", true);
  else set("roi", region.map((share) => Math.floor(10000 * share) / 10000));
});
$("overlay").addEventListener("pointercancel", () => setDrawing(false));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && $("camera").classList.contains("drawing")) setDrawing(false);
});
