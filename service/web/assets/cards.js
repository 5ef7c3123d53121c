// The view of tasks: a card in words for each, and the form that creates one.
import { call } from "./api.js";
import { createForm } from "./create.js";
import { button, byId, fixed, h, line } from "./dom.js";
import { drawScatter } from "./scatter.js";
import { storedCard } from "./stored.js";
import { isStored, loadTasks, tasks } from "./tasks.js";

let mostInRequest = 1;
let choose = () => {};
const form = createForm(() => mostInRequest, async (name) => {
  await showCards();
  document.getElementById(`card-${name}`)?.focus();
});

/** most: networks in a request; onChoose(task) is called with the task to predict for. */
export function beginCards(most, onChoose) {
  mostInRequest = most;
  choose = onChoose;
}

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
  const scatter = h("div");
  if (quality.out_of_fold?.measured.length) requestAnimationFrame(() => drawScatter(scatter, quality.out_of_fold));
  return [line("Measured", task.measured), line("Networks", `${space.description || ""} ${space.networks} of ${space.layers.join(" to ")} layers`),
    line("Recipe", recipeOf(task.training_recipe)), line("Quality", [quantities, covered].filter(Boolean).join("; ")), scatter,
    line("Does also", [task.continues_curves && "curves during training", task.reads_weights && "accuracy from weights"].filter(Boolean).join(", ")),
    task.limits.length ? h("ul", {}, task.limits.map((one) => h("li", {}, one))) : null].filter(Boolean);
}

function cardOf(summary) {
  const body = h("div", {}, isStored(summary) ? storedCard(summary.task, mostInRequest) : "…");
  if (!isStored(summary)) {
    call(`tasks/${encodeURIComponent(summary.task)}`).then((task) => body.replaceChildren(...loadedCard(task)))
      .catch((error) => body.replaceChildren(h("p", { class: "fault" }, error.message)));
  }
  return h("article", { class: "card" }, h("h3", { id: `card-${summary.task}`, tabindex: -1 }, summary.task), h("p", {}, summary.description || ""),
    h("div", { class: "buttons" }, button("Predict for it", () => choose(summary.task))), body);
}

export async function showCards() {
  await loadTasks();
  form.offerPriors();
  const stored = tasks().filter(isStored);
  byId("tasks").replaceChildren(
    h("section", { "aria-label": "Stored tasks" }, h("h2", {}, "Stored tasks"), form.box,
      h("div", { class: "cards" }, stored.map(cardOf)), stored.length ? "" : h("p", {}, "There is none yet.")),
    h("section", { "aria-label": "Predictors" }, h("h2", {}, "Predictors"),
      h("div", { class: "cards" }, tasks().filter((one) => !isStored(one)).map(cardOf))));
}
