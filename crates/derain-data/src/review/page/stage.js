// The two pictures: ways of comparing them, and one zoom and pan for both.

const stage = document.getElementById("stage");
const sheets = document.getElementById("sheets");
const layers = { clean: document.getElementById("clean-layer"), input: document.getElementById("input-layer") };
const divider = document.getElementById("divider");
const tag = document.getElementById("input-tag");
const message = document.getElementById("message");

const mostZoom = 40;
const wheelSpeed = 0.0016;
const wheelLine = 16; // pixels of a wheel step that is counted in lines
const alternation = 400; // milliseconds
const pixelsFrom = 2; // screen pixels per picture pixel from which pixels show as squares

let mode = "flicker";
let size = null; // of the pictures
let scene = null; // whose pictures these are
const views = new Map(); // of the scenes that were zoomed: a second try is seen where the first was looked at
let view = { x: 0, y: 0, scale: 1 };
let fitted = true;
let share = 0.5; // the divider's place
let held = false; // the person wants to see the input
let timer = null;
let loading = 0;
let gain = 4;
let onZoom = () => {};

export function whenZoomed(tell) {
  onZoom = tell;
}

// Shows other pictures; true once both can be seen, false if they were overtaken by others or cannot be shown.
export async function show(addresses, name) {
  const turn = ++loading;
  say("Loading …");
  const images = {};
  for (const kind of Object.keys(layers)) {
    images[kind] = new Image();
    images[kind].alt = kind;
    images[kind].draggable = false;
    images[kind].src = addresses[kind];
  }
  try {
    await Promise.all(Object.values(images).map((image) => image.decode()));
  } catch {
    if (turn === loading) say("The pictures could not be loaded.");
    return false;
  }
  if (turn !== loading) return false;
  for (const [kind, layer] of Object.entries(layers)) layer.replaceChildren(images[kind]);
  scene = name;
  size = { width: images.clean.naturalWidth, height: images.clean.naturalHeight };
  say("");
  const seen = views.get(scene);
  if (seen && seen.beside === (mode === "beside")) {
    view = seen.view;
    fitted = false;
    place();
  } else {
    fit();
  }
  return true;
}

// Words instead of pictures.
export function clear(words) {
  loading += 1;
  size = null;
  for (const layer of Object.values(layers)) layer.replaceChildren();
  say(words);
}

function say(words) {
  message.textContent = words;
}

export function setMode(name) {
  const refit = fitted || (name === "beside") !== (mode === "beside");
  mode = name;
  refresh();
  if (refit) fit();
}

export function currentMode() {
  return mode;
}

export function setGain(value) {
  gain = value;
  refresh();
}

export function hold(on) {
  if (held === on) return;
  held = on;
  refresh();
}

// Switches between the pictures by itself; says whether it does now.
export function toggleAlternation() {
  if (timer === null) {
    timer = setInterval(() => hold(!held), alternation);
  } else {
    clearInterval(timer);
    timer = null;
    hold(false);
  }
  return timer !== null;
}

function refresh() {
  // Held, the input is seen alone; side by side it is seen anyway.
  const shown = held && mode !== "beside" ? "flicker" : mode;
  stage.className = stage.classList.contains("dragging") ? `${shown} dragging` : shown;
  stage.classList.toggle("input", held);
  stage.classList.toggle("pixels", view.scale * devicePixelRatio >= pixelsFrom);
  const cut = shown === "slider" ? `inset(0 ${(1 - share) * 100}% 0 0)` : "";
  layers.input.style.clipPath = cut;
  divider.style.left = `${share * 100}%`;
  sheets.style.filter = shown === "difference" ? `brightness(${gain})` : "";
  tag.textContent = shown === "difference" ? `|input − clean| × ${gain}` : "input frame";
}

function pane() {
  const { clientWidth: width, clientHeight: height } = stage;
  return { width: mode === "beside" ? width / 2 : width, height };
}

export function fit() {
  if (!size) return;
  const { width, height } = pane();
  const scale = Math.min(width / size.width, height / size.height, mostZoom);
  view = { scale, x: (width - size.width * scale) / 2, y: (height - size.height * scale) / 2 };
  fitted = true;
  place();
}

// One picture pixel on one screen pixel.
export function full() {
  zoomTo(1 / devicePixelRatio);
}

export function zoomBy(factor) {
  zoomTo(view.scale * factor);
}

function zoomTo(scale, at) {
  if (!size) return;
  const { width, height } = pane();
  const { x, y } = at ?? { x: width / 2, y: height / 2 };
  const least = Math.min(width / size.width, height / size.height, 1) / 2;
  const next = Math.min(Math.max(scale, least), mostZoom);
  const factor = next / view.scale;
  view = { scale: next, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor };
  fitted = false;
  place();
}

function place() {
  // A corner of the picture's middle stays in sight.
  const { width, height } = pane();
  const clamp = (from, length, room) => Math.min(Math.max(from, room / 2 - length), room / 2);
  view.x = clamp(view.x, size.width * view.scale, width);
  view.y = clamp(view.y, size.height * view.scale, height);
  for (const layer of Object.values(layers)) {
    const image = layer.firstElementChild;
    if (image) image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  }
  if (fitted) views.delete(scene);
  else views.set(scene, { view: { ...view }, beside: mode === "beside" });
  refresh();
  onZoom(Math.round(view.scale * devicePixelRatio * 100));
}

// A point of the pane under the pointer.
function inPane(event) {
  const box = stage.getBoundingClientRect();
  const x = event.clientX - box.left;
  const half = box.width / 2;
  return { x: mode === "beside" && x >= half ? x - half : x, y: event.clientY - box.top };
}

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const lines = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : wheelLine;
  zoomTo(view.scale * Math.exp(-event.deltaY * lines * wheelSpeed), inPane(event));
}, { passive: false });

let grip = null;
stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !size) return;
  grip = { divider: divider.contains(event.target), x: event.clientX, y: event.clientY, view: { ...view } };
  stage.setPointerCapture(event.pointerId);
  stage.classList.toggle("dragging", !grip.divider);
});
stage.addEventListener("pointermove", (event) => {
  if (!grip || !size) return;
  if (grip.divider) {
    const box = stage.getBoundingClientRect();
    share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    refresh();
    return;
  }
  view.x = grip.view.x + event.clientX - grip.x;
  view.y = grip.view.y + event.clientY - grip.y;
  fitted = false;
  place();
});
for (const end of ["pointerup", "pointercancel"]) {
  stage.addEventListener(end, () => {
    grip = null;
    stage.classList.remove("dragging");
  });
}
new ResizeObserver(() => {
  if (!size) return;
  if (fitted) fit();
  else place();
}).observe(stage);
refresh();
