// The background fits of a stored task, and which of its versions predicts.
import { call } from "./api.js";
import { button, fixed, h } from "./dom.js";
import { latest } from "./predict.js";

const POLL_MS = 2000;
const DAY = 10; // characters of a date
const isActive = ({ state }) => state === "queued" || state === "running";

function sentenceOf({ id, state, progress, log, result, error }) {
  if (state === "queued") return `Fit ${id} waits for a worker (peephole worker).`;
  if (state === "running") return `Fit ${id} runs, ${Math.round(100 * progress)} %: ${(log.at(-1) ?? "").split(" ").slice(1).join(" ")}`;
  if (state === "failed") return `Fit ${id} failed: ${error}`;
  const taus = `tau ${fixed(result.artifact.tau)}, of the context ${fixed(result.context.tau)}`;
  return `Fit ${id} of ${result.networks} networks is ${result.published ? `published as ${result.version}` : "not published, as it is no better"}: ${taus}.`;
}

/** Return {element, update}: a fit that changes in its place, so that what is open and in focus stays so. */
function fitLine() {
  const said = h("span");
  const bar = h("progress", { max: 1, "aria-label": "Progress of the fit" });
  const log = h("pre", { tabindex: 0 });
  const details = h("details", {}, h("summary", {}, "Log"), log);
  return { element: h("li", {}, said, bar, details), update: (fit) => {
    said.textContent = sentenceOf(fit);
    said.className = fit.state === "failed" ? "fault" : "";
    bar.hidden = fit.state !== "running";
    bar.value = fit.progress;
    log.textContent = fit.log.join("\n");
    details.hidden = !fit.log.length;
  } };
}

function versionBox(path) {
  const served = h("p");
  const fault = h("p", { class: "fault", role: "alert", hidden: true });
  const choice = h("select");
  const show = ({ served: name, pinned, versions }) => {
    const why = pinned ? "as chosen" : versions.length ? "as it won the last fit" : "as no fit is published";
    served.replaceChildren(h("b", {}, "Predicted by: "), `${name === "context" ? "its observations (context)" : name}, ${why}`);
    choice.replaceChildren(h("option", { value: "" }, "What wins the last fit"), h("option", { value: "context" }, "Its observations (context)"),
      ...versions.map((one) => h("option", { value: one.version }, `${one.version}, ${one.created_at.slice(0, DAY)}, tau ${fixed(one.result.artifact.tau)}`)));
    choice.value = pinned ?? "";
  };
  const attempt = async (working) => {
    try {
      show(await working);
      fault.hidden = true;
    } catch (error) {
      fault.hidden = false;
      fault.textContent = error.message;
    }
  };
  const use = button("Use this version", () => attempt(call(`${path}/version`, { version: choice.value || null }, "PUT")));
  return { refresh: () => attempt(call(`${path}/versions`)),
    box: h("div", {}, served, h("div", { class: "buttons" }, h("label", {}, "Version ", choice), use), fault) };
}

/** Return {box, refresh}: the fits of a task, followed while one waits or runs, and its versions. */
export function fitsBox(task) {
  const path = `tasks/${encodeURIComponent(task)}`;
  const list = h("ul", { class: "fits", "aria-label": "Fits" });
  const told = h("p", { role: "status" });
  const fault = h("p", { class: "fault", role: "alert", hidden: true });
  const versions = versionBox(path);
  const lines = new Map();
  let active = new Set();
  let timer = 0;

  const show = (fits) => {
    for (const fit of fits) {
      if (!lines.has(fit.id)) lines.set(fit.id, fitLine());
      lines.get(fit.id).update(fit);
    }
    const elements = fits.map(({ id }) => lines.get(id).element);
    if (elements.length !== list.childElementCount || elements[0] !== list.firstChild) list.replaceChildren(...elements);
    const newest = fits[0] ? `Fit ${fits[0].id} is ${fits[0].state}.` : "No fit yet.";
    if (told.textContent !== newest) told.textContent = newest;
  };
  const fail = (error) => {
    fault.hidden = !error;
    fault.textContent = error?.message ?? "";
  };
  const refresh = latest(async () => {
    clearTimeout(timer);
    try {
      const { fits } = await call(`${path}/fits`);
      fail(null);
      show(fits);
      const before = active;
      active = new Set(fits.filter(isActive).map(({ id }) => id));
      if ([...before].some((id) => !active.has(id))) await versions.refresh();
    } catch (error) {
      fail(error);
      if (error.status >= 400 && error.status < 500) return; // the task is gone, or another key is needed
    }
    if (active.size) timer = setTimeout(poll, POLL_MS);
  });
  const poll = () => {
    if (!box.isConnected) return;
    if (document.hidden || !box.offsetParent) timer = setTimeout(poll, POLL_MS); // nobody looks
    else refresh();
  };
  const start = button("Start a fit", async () => {
    try {
      await call(`${path}/fits`, {});
      await refresh();
    } catch (error) {
      fail(error);
    }
  });
  const box = h("div", { class: "learning" }, versions.box, h("div", { class: "buttons" }, start, told), fault, list);
  return { box, refresh: () => Promise.all([versions.refresh(), refresh()]) };
}
