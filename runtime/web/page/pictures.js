// The pictures of the newest frame: drawn, marked, frozen, in full screen.
"use strict";

const $ = (id) => document.getElementById(id);
let frozen = false;
let held = null; // the newest message with pictures that came meanwhile: it may have been the last

function draw(canvas, bitmap) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

// Corners are pixels of the region that is looked at, the picture is the whole frame.
function mark({ picture: { size: [width, height], region: [left, top, wide, high] }, latest, found }) {
  // (0, 0) is the centre of the first pixel.
  $("overlay").setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`);
  $("overlay").classList.toggle("lost", !found);
  const size = Math.max(wide, high) / 90;
  const targets = latest.targets?.length ? latest.targets : [latest];
  const outlines = targets.flatMap((target, place) => outline(target, targets.length > 1 ? name(target, place) : "", size, place === 0));
  const group = shape("g", { transform: `translate(${left} ${top})` });
  group.append(...outlines);
  const isWhole = wide === width && high === height;
  $("marks").replaceChildren(...(isWhole ? [] : regionShapes(width, height, [left, top, wide, high])), group);
  $("camera").querySelector(".picture").style.aspectRatio = `${width} / ${height}`;
}

// What lies outside is dimmed. The region is in pixels from the edge of the first one.
function regionShapes(width, height, [left, top, wide, high]) {
  const box = (x, y, w, h) => `M${x - 0.5} ${y - 0.5}h${w}v${h}h${-w}z`;
  return [
    shape("path", { class: "outside", "fill-rule": "evenodd", d: box(0, 0, width, height) + box(left, top, wide, high) }),
    shape("path", { class: "region", d: box(left, top, wide, high) }),
  ];
}

// A quadrilateral, a dot at its first corner, and its name, if it has one.
function outline({ corners }, text, size, isBest) {
  const [x, y] = corners[0];
  const parts = [
    shape("polygon", { class: "target", ...(isBest ? { id: "target" } : {}), points: corners.map((corner) => corner.join(",")).join(" ") }),
    shape("circle", { class: "first", cx: x, cy: y, r: size }),
  ];
  if (!text) return parts;
  const label = shape("text", { class: "name", x: x + 1.5 * size, y: y + 3 * size, "font-size": 3 * size });
  label.textContent = text;
  return [...parts, label];
}

function shape(kind, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function name(target, place) {
  return String(target.track ?? place + 1);
}

$("freeze").addEventListener("click", () => {
  frozen = !frozen;
  $("freeze").setAttribute("aria-pressed", frozen);
  $("frame-caption").textContent = frozen ? "Frame, frozen" : "Frame";
  if (!frozen && held) take(held);
  held = null;
});

// Where a browser has no full screen for parts of a page (iPhone) they fill its window.
$("full").addEventListener("click", async () => {
  const on = !document.body.classList.contains("full");
  setFull(on);
  try {
    if (on) await $("stage").requestFullscreen();
    else if (document.fullscreenElement) await document.exitFullscreen();
  } catch {
    // refused: the window has to do
  }
});
document.addEventListener("fullscreenchange", () => {
  if (!document.fullscreenElement) setFull(false);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.fullscreenElement) setFull(false);
});

function setFull(on) {
  document.body.classList.toggle("full", on);
  $("full").setAttribute("aria-pressed", on);
  $("full").textContent = on ? "Leave full screen" : "Full screen";
}
