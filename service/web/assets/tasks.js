// Tasks: which there are, what each predicts, and measurements of one's own in place of a task.
import { call } from "./api.js";
import { drawCurves } from "./chart.js";
import { button, byId, fixed, h, offerFiles } from "./dom.js";
import { networksOf, textOf } from "./files.js";
import { state } from "./state.js";

export const OWN = "*own";
const MOST_PAGES = 20;
const own = { input: [3, 32, 32], context: [], name: "" };
let known = [];
let missing = "";

const isStored = (task) => "created_at" in task;
export const taskOf = (name) => known.find((one) => one.task === name);
export const image = () => (state.task === OWN ? own.input : taskOf(state.task)?.input);
export const requestBase = () => (state.task === OWN ? { input: own.input, context: own.context } : { task: state.task });
export const isReady = () => state.task !== OWN || own.context.length >= 3;

/** Say beside the task what else there is to know; it stays until a task is chosen. */
export const note = (text) => { missing = text; };

export async function loadTasks() {
  known = await call("tasks");
  if (state.task !== OWN && !taskOf(state.task)) {
    if (state.task) missing = `There is no task ${state.task} here. `;
    state.task = known[0]?.task ?? OWN;
  }
  const option = (task) => h("option", { value: task.task }, task.task);
  byId("task").replaceChildren(
    h("optgroup", { label: "Predictors" }, known.filter((one) => !isStored(one)).map(option)),
    h("optgroup", { label: "Stored tasks" }, known.filter(isStored).map(option)),
    h("option", { value: OWN }, "Measurements of my own"));
}

export function showTaskLine() {
  byId("task").value = state.task;
  const task = taskOf(state.task);
  const text = task ? `${task.description || ""} ${task.input.join("×")} pixels${task.epochs ? `, ${task.epochs} epochs` : ""}.` : "";
  byId("task-line").textContent = missing + text.trim();
  byId("own").hidden = state.task !== OWN;
}

/** Show where measurements are taken from; `changed` is called when there are new ones. */
export function showOwn(changed) {
  const told = h("p", { role: "status" });
  const tell = () => {
    told.textContent = own.context.length ? `${own.context.length} measured networks from ${own.name}.`
      : "At least 3 measured networks are needed.";
  };
  const read = async (text, name) => {
    try {
      const networks = networksOf(await text);
      const bare = networks.findIndex((one) => one.accuracy === undefined);
      if (bare >= 0) throw new Error(`Network ${bare + 1} has no accuracy.`);
      own.context = networks.map(({ layers, accuracy }) => ({ layers, accuracy }));
      own.name = name;
      tell();
      changed();
    } catch (error) {
      told.textContent = error.message;
    }
  };
  const size = h("input", { value: own.input.join(", "), "aria-label": "Channels, height, width of an image", oninput: () => {
    const numbers = size.value.split(/[^\d]+/).filter(Boolean).map(Number);
    if (numbers.length !== 3) return;
    own.input = numbers;
    if (own.context.length) changed();
  } });
  const file = h("input", { type: "file", accept: ".json,.jsonl,.ndjson", "aria-label": "File of measured networks",
    onchange: () => file.files.length && read(textOf(file.files[0]), file.files[0].name) });
  const pasted = h("textarea", { rows: 2, spellcheck: "false", onchange: () => read(pasted.value, "the text") });
  byId("own").replaceChildren(h("div", { class: "card own" },
    h("p", {}, "Networks that you trained, as JSON or JSON Lines: ", h("code", {}, '{"layers": [...], "accuracy": 0.71}'),
      ". Predictions are then for your data set and recipe. They stay in this tab."),
    h("label", {}, "Channels, height, width ", size), h("label", {}, "Measurements ", file), h("label", {}, "or pasted ", pasted), told));
  offerFiles(byId("own"), (dropped) => read(textOf(dropped), dropped.name));
  tell();
}

const line = (label, text) => (text === null || text === undefined || text === "" ? null : h("p", {}, h("b", {}, `${label}: `), text));

function recipeOf(recipe) {
  return recipe && Object.entries(recipe).map(([name, value]) => `${name.replaceAll("_", " ")} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

function loadedCard(task) {
  const { quality, search_space: space } = task;
  const known_as = [["Kendall's tau", quality.tau], ["of a second training run", quality.tau_ceiling], ["R2", quality.r2],
    ["mean error", quality.mean_absolute_error]].filter(([, value]) => Number.isFinite(value));
  const quantities = known_as.map(([name, value]) => `${name} ${fixed(value)}`).join(", ");
  const level = Math.round(100 * quality.interval_level);
  const covered = Number.isFinite(quality.interval_coverage) ? `${level} % intervals hold ${fixed(100 * quality.interval_coverage, 1)} %` : "";
  return [line("Measured", task.measured), line("Networks", `${space.description || ""} ${space.networks} of ${space.layers.join(" to ")} layers`),
    line("Recipe", recipeOf(task.training_recipe)), line("Quality", [quantities, covered].filter(Boolean).join("; ")),
    line("Does also", [task.continues_curves && "curves during training", task.reads_weights && "accuracy from weights"].filter(Boolean).join(", ")),
    task.limits.length ? h("ul", {}, task.limits.map((one) => h("li", {}, one))) : null];
}

async function observationsOf(name) {
  const found = [];
  let cursor = "";
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = await call(`tasks/${encodeURIComponent(name)}/observations${cursor && `?cursor=${encodeURIComponent(cursor)}`}`);
    found.push(...answer.observations);
    cursor = answer.cursor;
    if (!cursor) break;
  }
  return found.map((one) => (Array.isArray(one.accuracy) ? one.accuracy.at(-1) : one.accuracy));
}

async function storedCard(task) {
  const final = await observationsOf(task.task);
  let best = 0;
  const bests = final.map((value) => { best = Math.max(best, value); return best; });
  const chart = h("div");
  const series = final.length ? [{ name: "best so far", colour: "c0", values: bests, points: final }] : [];
  requestAnimationFrame(() => drawCurves(chart, final.map((_, index) => index + 1), series, { xLabel: "observation", height: 200 }));
  return [line("Measured", `${task.networks} networks, ${task.observations} observations`),
    task.best && line("Best", `${task.best.id || "a network without a name"}, ${fixed(best)}`),
    line("Prior", task.prior === null ? "none" : task.prior), chart];
}

export async function showTasks(choose) {
  await loadTasks();
  const cards = known.map((summary) => {
    const body = h("div", {}, "…");
    call(`tasks/${encodeURIComponent(summary.task)}`)
      .then(async (task) => body.replaceChildren(...(isStored(task) ? await storedCard(task) : loadedCard(task)).filter(Boolean)))
      .catch((error) => body.replaceChildren(h("p", { class: "fault" }, error.message)));
    return h("article", { class: "card" }, h("h2", {}, summary.task), h("p", {}, summary.description || ""),
      body, button("Predict for it", () => choose(summary.task)));
  });
  const stored = known.some(isStored) ? null
    : h("p", {}, "No stored task yet: PUT /tasks/NAME and post the networks that you train; ", h("a", { href: "docs" }, "the API"), " shows how.");
  byId("tasks").replaceChildren(h("div", { class: "cards" }, cards), stored ?? "");
}
