// Which tasks there are, which one is chosen, and measurements of one's own in place of a task.
import { call } from "./api.js";
import { byId, h, offerFiles } from "./dom.js";
import { FILES, networksOf, textOf } from "./files.js";
import { state } from "./state.js";

export const OWN = "*own";
const own = { input: [3, 32, 32], context: [], name: "" };
let known = [];
let missing = "";

export const isStored = (task) => "created_at" in task;
export const tasks = () => known;
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
  const file = h("input", { type: "file", accept: FILES, "aria-label": "File of measured networks",
    onchange: () => file.files.length && read(textOf(file.files[0]), file.files[0].name) });
  const pasted = h("textarea", { rows: 2, spellcheck: "false", onchange: () => read(pasted.value, "the text") });
  byId("own").replaceChildren(h("div", { class: "card own" },
    h("p", {}, "Networks that you trained, as JSON, JSON Lines or CSV: ", h("code", {}, '{"layers": [...], "accuracy": 0.71}'),
      ". Predictions are then for your data set and recipe. They stay in this tab."),
    h("label", {}, "Channels, height, width ", size), h("label", {}, "Measurements ", file), h("label", {}, "or pasted ", pasted), told));
  offerFiles(byId("own"), (dropped) => read(textOf(dropped), dropped.name));
  tell();
}
