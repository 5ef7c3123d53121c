// Observations from a text or a file, and adding them to a stored task.
import { call, Rejected } from "./api.js";
import { h, offerFiles } from "./dom.js";
import { FILES, networksOf, partsOf, textOf } from "./files.js";

const MOST_SHOWN = 20;
const WRITTEN_BY_SERVICE = ["network", "added_at"]; // in what GET returns; POST does not take them

function observationsOf(text) {
  return networksOf(text).map((one, index) => {
    if (Number.isInteger(one.seed) && !Number.isSafeInteger(one.seed)) {
      throw new Error(`Observation ${index + 1}: the page cannot hold a seed beyond 2^53; post it to the API.`);
    }
    return Object.fromEntries(Object.entries(one).filter(([name]) => !WRITTEN_BY_SERVICE.includes(name)));
  });
}

/** A pointer of the service in words, with the observations counted from `first`. */
function placeOf(pointer, first) {
  const [, list, index, ...rest] = pointer.split("/");
  if (list !== "observations" || index === undefined) return pointer;
  const inside = rest[0] === "layers" && rest[1] !== undefined ? [`layer ${Number(rest[1]) + 1}`, ...rest.slice(2)] : rest;
  return [`Observation ${first + Number(index) + 1}`, ...inside].join(", ");
}

/** What could not be added: the place and reason of each fault. */
class NotAdded extends Error {
  constructor(error, added) {
    super([added ? `${added} observations are stored; the rest is not.` : "No observation is stored.", error.faults?.length ? "" : error.message].join(" ").trim());
    this.lines = (error.faults || []).slice(0, MOST_SHOWN).map(({ pointer, detail }) => `${placeOf(pointer, added)}: ${detail}`);
  }
}

/** Add observations to a stored task, `most` in a request; return {added, repeated, networks}. */
export async function addObservations(task, observations, most, onPart = () => {}) {
  const sum = { added: 0, repeated: 0, networks: 0 };
  for (const part of partsOf(observations, most)) {
    try {
      const { added, repeated, networks } = await call(`tasks/${encodeURIComponent(task)}/observations`, { observations: part });
      Object.assign(sum, { added: sum.added + added, repeated: sum.repeated + repeated, networks });
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      throw new NotAdded(error, sum.added + sum.repeated);
    }
    onPart(sum.added + sum.repeated);
  }
  return sum;
}

/**
 * Return {box, messages, read, tell, fail, clear}: where observations are pasted, dropped or chosen, and what is wrong with
 * them; the messages belong behind the button, which must not move under the pointer. `read()` returns the observations,
 * none where nothing was given.
 */
export function observationsInput() {
  const told = h("p", { role: "status" });
  const fault = h("div", { class: "fault", role: "alert", hidden: true });
  let pending = Promise.resolve([]);

  const fail = (error) => {
    told.textContent = "";
    fault.hidden = false;
    fault.replaceChildren(error.message, error.lines?.length ? h("ul", {}, error.lines.map((one) => h("li", {}, one))) : "");
    text.setAttribute("aria-invalid", "true");
  };
  const tell = (sentence) => {
    fault.hidden = true;
    text.removeAttribute("aria-invalid");
    told.textContent = sentence;
  };
  const take = (source, name) => {
    pending = Promise.resolve(source).then((given) => (given.trim() ? observationsOf(given) : []));
    pending.then((found) => tell(found.length ? `${found.length} observations in ${name}, not added yet.` : ""), fail);
  };
  const takeFile = (chosen) => {
    text.value = "";
    take(Promise.resolve(chosen).then(textOf), chosen.name);
  };
  const text = h("textarea", { rows: 4, spellcheck: "false", placeholder: '{"layers": [...], "accuracy": 0.71}', onchange: () => {
    file.value = "";
    take(text.value, "the text");
  } });
  const file = h("input", { type: "file", accept: FILES, onchange: () => file.files.length && takeFile(file.files[0]) });
  const box = h("div", { class: "observations" },
    h("label", {}, "Observations: JSON, JSON Lines or CSV, pasted ", text), h("label", {}, "or a file, chosen or dropped here ", file));
  offerFiles(box, (dropped) => {
    file.value = "";
    takeFile(dropped);
  });
  const clear = () => {
    text.value = "";
    file.value = "";
    pending = Promise.resolve([]);
  };
  return { box, messages: h("div", { class: "messages" }, told, fault), read: () => pending, tell, fail, clear };
}
