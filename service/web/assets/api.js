// Calls of the service's routes; what it says when it is loading, full or wants a key becomes a sentence.
import { byId } from "./dom.js";

const KEY = "peephole-key";
const TRIES = 60; // two minutes of loading

export class Rejected extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.status = status;
    this.faults = problem.errors || [];
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) || "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

let speaker = ""; // the path whose call said the sentence: its success takes it back

export function say(sentence, path = "") {
  if (!sentence && path !== speaker) return;
  speaker = sentence ? path : "";
  if (byId("status").textContent !== sentence) byId("status").textContent = sentence;
}

/** Take back what was said, by any call. */
export const silence = () => say("", speaker);

const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });

function sentenceOf(response, detail, seconds) {
  if (response.status === 429) return `The service is full; the next try is in ${seconds} s.`;
  return `The service is not ready (${detail || "no reason given"}); the next try is in ${seconds} s.`;
}

/** Return the JSON of a response. Waits while the service is loading or full; throws `Rejected` for other errors. */
export async function call(path, body, method = body === undefined ? "GET" : "POST") {
  const [speaks] = path.split("?");
  for (let attempt = 1; ; attempt += 1) {
    const headers = body === undefined ? {} : { "Content-Type": "application/json" };
    if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
    let response;
    try {
      response = await fetch(path, { method, headers, body: JSON.stringify(body) });
    } catch {
      say("The service cannot be reached. Is it running?", speaks);
      throw new Rejected(0, { detail: "The service cannot be reached." });
    }
    if (response.ok) {
      say("", speaks);
      return response.json();
    }
    const problem = await response.json().catch(() => ({}));
    if ([429, 503].includes(response.status) && attempt < TRIES) {
      const seconds = Math.min(Number(response.headers.get("Retry-After")) || 2, 30);
      say(sentenceOf(response, problem.detail, seconds), speaks);
      await pause(seconds);
      continue;
    }
    if (response.status === 401) {
      say("The service wants a key: enter it above. It is kept until this tab is closed.", speaks);
    } else if (response.status >= 500 || response.status === 429 || response.status === 413) {
      say(`${problem.title || "The service failed"}: ${problem.detail || response.status}`, speaks);
    } else {
      say("", speaks);
    }
    throw new Rejected(response.status, problem);
  }
}
