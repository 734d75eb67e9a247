// What happens: candidates come, the person looks and judges, the next one follows.

import { pictureAddress, readQueue, sendVerdict } from "/server.js";
import * as stage from "/stage.js";
import { countFinished, drawCandidate, drawQueue, scrollToCurrent } from "/panels.js";

const by = (id) => document.getElementById(id);
const pause = 500; // milliseconds between two looks at the queue
const settling = 400; // milliseconds; a key meant for the picture before must not judge the one that has just come
const reasons = ["rain is left", "something moves", "the camera moves", "blurred"];

// The token need not stand in the address bar and the history: the cookie does from here on.
history.replaceState(null, "", "/");

let queue = null;
let current = null; // the candidate on the stage
let ready = false; // its pictures can be seen, so it can be judged
let busy = false; // a verdict is on its way
let lost = false; // the server does not answer
let notice = "";

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

// Those to be judged, in the order of arrival.
function candidates() {
  const shown = queue.videos.map((video, index) => ({ ...video.candidate, name: video.name, video: index, stage: video.stage }));
  return shown.filter((video) => video.stage === "shown").sort((a, b) => a.revision - b.revision);
}

function apply(answer) {
  if (answer.queue && (!queue || lost || answer.queue.changes >= queue.changes)) {
    queue = answer.queue;
    lost = false;
    const all = candidates();
    const still = current && all.find((candidate) => candidate.revision === current.revision);
    if (still) drawAll(all);
    else advance(all);
  } else if (answer.refused !== undefined) {
    notice = answer.refused;
    if (queue) drawAll(candidates());
  } else if (answer.gone !== undefined) {
    lose(answer.gone);
  }
}

// The next candidate; the same video's, if it has a new one and nothing else was waiting before.
function advance(all) {
  if (current && !busy) notice = "Judged in another tab or window.";
  if (all.length > 0) return select(all[0]);
  current = null;
  ready = false;
  closeRejection();
  stage.clear(emptyWords());
  drawAll(all);
}

function emptyWords() {
  const { videos } = queue;
  const count = (name) => videos.filter((video) => video.stage === name).length;
  if (videos.length > 0 && countFinished(videos) === videos.length) {
    const failed = count("failed") > 0 ? `, ${count("failed")} failed` : "";
    return `Everything is judged: ${count("accepted")} accepted, ${count("rejected")} rejected${failed}.\nThis page can be closed.`;
  }
  return "Nothing to judge yet.\nThe next clean image is being made and will appear here.";
}

async function select(candidate) {
  current = candidate;
  ready = false;
  closeRejection();
  drawAll(candidates());
  scrollToCurrent();
  const addresses = { clean: pictureAddress(candidate, "clean"), input: pictureAddress(candidate, "input") };
  const shown = await stage.show(addresses, candidate.video);
  await sleep(settling);
  if (shown && current === candidate) {
    ready = true;
    drawAll(candidates());
  }
}

function drawAll(all) {
  const place = all.findIndex((candidate) => candidate.revision === current?.revision) + 1;
  drawQueue(queue.videos, current, choose);
  drawCandidate(current, all.length > 1 ? `${place} of ${all.length} waiting for a verdict` : "waiting for a verdict");
  document.title = all.length > 0 ? `(${all.length}) Review` : "Review";
  by("notice").textContent = notice;
  const can = ready && !busy;
  by("accept").disabled = by("reject").disabled = !can;
  by("more").disabled = !can || !current.next;
}

function lose(words) {
  if (lost) return;
  lost = true;
  const over = queue && queue.videos.length > 0 && countFinished(queue.videos) === queue.videos.length;
  const ended = over ? emptyWords() : "The program that served this page has ended.\nVerdicts given so far are kept.";
  current = null;
  ready = false;
  closeRejection();
  stage.clear(words || ended);
  drawCandidate(null);
  for (const id of ["accept", "more", "reject"]) by(id).disabled = true;
}

function choose(index) {
  const candidate = candidates().find((candidate) => candidate.video === index);
  if (candidate && !lost && candidate.revision !== current?.revision && !busy) {
    notice = "";
    select(candidate);
  }
}

// The next waiting candidate, or the one before.
function step(way) {
  const all = candidates();
  const place = all.findIndex((candidate) => candidate.revision === current?.revision);
  if (all.length > 1) choose(all[(place + way + all.length) % all.length].video);
}

async function judge(verdict, reason) {
  if (!ready || busy || (verdict === "more_frames" && !current.next)) return;
  busy = true;
  notice = "";
  drawAll(candidates());
  const answer = await sendVerdict(current, verdict, reason);
  apply(answer);
  if (answer.refused !== undefined) apply(await readQueue());
  busy = false;
  if (queue && current) drawAll(candidates());
}

function openRejection() {
  if (!ready || busy) return;
  by("rejection").hidden = false;
  by("verdicts").hidden = true;
  by("reason").value = "";
  by("reason").focus();
}

function closeRejection() {
  by("rejection").hidden = true;
  by("verdicts").hidden = false;
}

by("rejection").addEventListener("submit", (event) => {
  event.preventDefault();
  const reason = by("reason").value.trim();
  closeRejection();
  judge("reject", reason);
});
by("reasons").append(...reasons.map((words) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = words;
  button.addEventListener("click", () => {
    by("reason").value = words;
    by("reason").focus();
  });
  return button;
}));

function setMode(mode) {
  stage.setMode(mode);
  for (const button of document.querySelectorAll("#modes button")) {
    button.setAttribute("aria-checked", button.dataset.mode === mode);
  }
  by("gain-label").hidden = mode !== "difference";
  by("peek").hidden = by("alternate").hidden = mode === "beside";
}

function alternate() {
  by("alternate").setAttribute("aria-pressed", stage.toggleAlternation());
}

const modes = ["flicker", "slider", "beside", "difference"];
const keys = {
  a: () => judge("accept"),
  m: () => judge("more_frames"),
  r: openRejection,
  n: () => step(1),
  p: () => step(-1),
  f: alternate,
  0: stage.fit,
  z: stage.full,
  "+": () => stage.zoomBy(1.25),
  "-": () => stage.zoomBy(0.8),
};
modes.forEach((mode, index) => { keys[index + 1] = () => setMode(mode); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return closeRejection();
  if (event.target.matches('input:not([type="range"])')) return;
  if (event.key === " " && !event.target.matches("button")) {
    event.preventDefault();
    return stage.hold(true);
  }
  // A key that is held must not judge what comes next.
  const act = keys[event.key.toLowerCase()];
  if (!act || event.repeat) return;
  event.preventDefault();
  act();
});
document.addEventListener("keyup", (event) => {
  if (event.key === " ") stage.hold(false);
});
window.addEventListener("blur", () => stage.hold(false));

const clicks = {
  accept: keys.a, more: keys.m, reject: keys.r, cancel: closeRejection, alternate, fit: stage.fit, full: stage.full,
};
for (const [id, act] of Object.entries(clicks)) by(id).addEventListener("click", () => act());
for (const button of document.querySelectorAll("#modes button")) {
  button.addEventListener("click", () => setMode(button.dataset.mode));
}
by("peek").addEventListener("pointerdown", () => stage.hold(true));
for (const end of ["pointerup", "pointerleave", "pointercancel"]) by("peek").addEventListener(end, () => stage.hold(false));
// After a click, the space key is for the pictures again.
document.addEventListener("click", (event) => {
  if (event.detail > 0) event.target.closest?.("button")?.blur();
});
by("gain").addEventListener("input", () => {
  const gain = 2 ** by("gain").value;
  by("gain-text").textContent = `${gain}×`;
  stage.setGain(gain);
});
stage.whenZoomed((percent) => { by("zoom").textContent = `${percent} %`; });

setMode("flicker");
while (true) {
  if (!busy) {
    const answer = await readQueue(lost ? undefined : queue?.changes);
    if (!busy) apply(answer);
  }
  await sleep(pause);
}
