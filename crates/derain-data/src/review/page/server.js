// What the page asks the server for. Every function resolves to {queue}, or to {gone} or {refused} with words for the person.

const token = document.querySelector('meta[name="token"]').content;
const restarted = "The program was started again.\nOpen the address that it has given now.";

// The queue, or nothing if it has not changed since.
export async function readQueue(since) {
  let answer;
  try {
    answer = await fetch(since === undefined ? "/state" : `/state?since=${since}`);
  } catch {
    return { gone: "" };
  }
  if (answer.status === 204) return {};
  if (answer.status === 403) return { gone: restarted };
  return answer.ok ? readJson(answer) : { refused: await answer.text().catch(() => "") };
}

// The queue after a verdict, which is on disk by then.
export async function sendVerdict(candidate, verdict, reason) {
  const body = { video: candidate.video, revision: candidate.revision, verdict };
  if (verdict === "reject") body.reason = reason;
  let answer;
  try {
    answer = await fetch("/verdict", {
      method: "POST",
      headers: { "content-type": "application/json", "x-review-token": token },
      body: JSON.stringify(body),
    });
  } catch {
    return { gone: "" };
  }
  if (answer.ok) return readJson(answer);
  if (answer.status === 403) return { gone: restarted };
  if (answer.status === 409) return { refused: "This clean image was judged already, perhaps in another tab." };
  return { refused: await answer.text().catch(() => "The verdict was not taken.") };
}

export function pictureAddress(candidate, kind) {
  return `/picture/${candidate.video}/${candidate.revision}/${kind}`;
}

async function readJson(answer) {
  try {
    return { queue: await answer.json() };
  } catch {
    return { gone: "" };
  }
}
