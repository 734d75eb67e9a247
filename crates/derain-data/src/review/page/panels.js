// The panels beside the pictures: the queue on the left, the candidate's figures on the right.

const by = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");

function make(name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function note(video) {
  const reason = video.reason ? `: ${video.reason}` : "";
  switch (video.stage) {
    case "waiting": return "waiting";
    case "computing": return video.frames ? `being computed, ${video.frames} frames` : "being computed";
    case "shown": return `to be judged, ${video.frames} frames`;
    case "accepted": return `accepted, ${video.frames} frames`;
    case "rejected": return `rejected${reason}`;
    default: return `failed${reason}`;
  }
}

const finished = (video) => ["accepted", "rejected", "failed"].includes(video.stage);

export function countFinished(videos) {
  return videos.filter(finished).length;
}

export function drawQueue(videos, current, choose) {
  const list = by("videos");
  const scrolled = list.scrollTop;
  list.replaceChildren(...videos.map((video, index) => {
    const entry = make("li", undefined, video.stage);
    const button = make("button");
    const words = note(video);
    button.append(make("b", video.name), make("small", words));
    button.title = `${video.name}\n${words}`;
    button.disabled = video.stage !== "shown";
    if (current && current.video === index) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => choose(index));
    entry.append(button);
    return entry;
  }));
  list.scrollTop = scrolled;
  const done = countFinished(videos);
  by("progress").max = Math.max(videos.length, 1);
  by("progress").value = done;
  by("progress-text").textContent = `${done} of ${videos.length} done`;
}

export function scrollToCurrent() {
  by("videos").querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
}

// Name, figures and votes; nothing without a candidate.
export function drawCandidate(candidate, place) {
  by("name").textContent = candidate ? candidate.name : "";
  by("place").textContent = candidate ? place : "";
  by("facts").replaceChildren();
  by("votes").replaceChildren();
  by("bar-text").textContent = "";
  document.querySelector("figure").hidden = !candidate;
  by("more-text").textContent = candidate?.next ? `More frames: ${candidate.next}` : candidate ? "No more frames" : "More frames";
  if (!candidate) return;
  const rows = [
    ["Frames N", number.format(candidate.frames)],
    ["Next N", candidate.next ? number.format(candidate.next) : "none"],
    ["Percentile p", candidate.percentile],
    ["Density", candidate.density ?? "not given"],
    ["Size", `${candidate.width} × ${candidate.height}`],
  ];
  by("facts").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
  drawVotes(candidate);
}

const left = 4;
const bar = 2.4;
const floor = 104;
const tallest = 92;
const percentiles = 101;

function shape(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function drawVotes({ votes, percentile }) {
  const most = Math.max(...votes, 1);
  const words = (p) => `p = ${p}: ${number.format(votes[p])}`;
  const rest = () => { by("bar-text").textContent = words(percentile); };
  const shapes = [shape("line", { class: "axis", x1: left, x2: left + bar * percentiles, y1: floor + 0.5, y2: floor + 0.5 })];
  votes.forEach((count, p) => {
    const x = left + bar * p;
    const height = (count / most) * tallest;
    const kind = p === percentile ? "bar chosen" : "bar";
    shapes.push(shape("rect", { class: kind, x, y: floor - height, width: bar - 0.5, height }));
    const hit = shape("rect", { class: "hit", x, y: floor - tallest - 6, width: bar, height: tallest + 6 });
    hit.addEventListener("pointerenter", () => { by("bar-text").textContent = words(p); });
    hit.addEventListener("pointerleave", rest);
    shapes.push(hit);
  });
  for (let p = 0; p < percentiles; p += 20) {
    const x = left + bar * (p + 0.5);
    const anchor = p === 0 ? "start" : p === 100 ? "end" : "middle";
    shapes.push(shape("line", { class: "axis", x1: x, x2: x, y1: floor, y2: floor + 3 }));
    shapes.push(shape("text", { x: p === 0 ? left : x, y: floor + 14, "text-anchor": anchor }, p));
  }
  by("votes").replaceChildren(...shapes);
  rest();
}
