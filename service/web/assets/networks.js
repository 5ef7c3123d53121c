// The view of up to 12 networks: graph, form, curves, costs, requests to copy.
import { call, key, Rejected } from "./api.js";
import { drawCurves } from "./chart.js";
import { button, byId, count, fixed, h, offerFiles } from "./dom.js";
import { showEditor } from "./editor.js";
import { networksOf, textOf } from "./files.js";
import { drawGraph } from "./graph.js";
import { latest, predictAll, toRequest } from "./predict.js";
import { asCurl, asPython } from "./snippets.js";
import { active, freeName, MOST_NETWORKS, state } from "./state.js";
import { image, isReady, OWN, requestBase } from "./tasks.js";

const COLOURS = 6;
let forms = { fields: {}, merges: [], examples: [] };
let selected = -1;
let answer = { epochs: [], model: null, found: [], faults: [] };
let drawn = null;
let whole = ""; // a fault of the request as a whole
let save = () => {};
let showMany = () => {};

const styleOf = (index) => ({ colour: `c${index % COLOURS}`, dashed: index >= COLOURS });
const swatch = (index) => h("span", { class: `swatch ${styleOf(index).colour}${index >= COLOURS ? " dashed" : ""}` });

/** onChange is called with every change, onMany with more networks than are compared. */
export const begin = (given, onChange, onMany) => {
  forms = given;
  save = onChange;
  showMany = onMany;
  listen();
};

export function addNetwork(name, layers) {
  if (state.networks.length >= MOST_NETWORKS) {
    tell(`At most ${MOST_NETWORKS} networks are compared; remove one first.`);
    return false;
  }
  state.networks.push({ name: freeName(String(name || "network").slice(0, 180)), layers, observed: [] });
  choose(state.networks.length - 1);
  return true;
}

function choose(index) {
  state.active = index;
  selected = -1;
  drawn = null;
  showAll();
}

function tell(text) {
  byId("fault").hidden = !text;
  byId("fault").textContent = text || "";
}

/** Put an example in the place of the active network. */
function take(name, layers) {
  state.networks[state.active] = { name: freeName(name, state.active), layers, observed: [] };
  choose(state.active);
}

async function takeSampled() {
  const seed = Math.floor(Math.random() * 1e6);
  const [network] = await call(`web/sampled?seed=${seed}&count=1`);
  take(network.id, network.layers);
}

function readText(text, name) {
  try {
    const networks = networksOf(text);
    if (networks.length > MOST_NETWORKS) {
      showMany(networks);
      return;
    }
    const [first, ...others] = networks;
    const network = active();
    network.layers = first.layers;
    network.name = freeName(String(first.id ?? name ?? network.name).slice(0, 180), state.active);
    choose(state.active);
    for (const one of others) if (!addNetwork(one.id, one.layers)) break;
  } catch (error) {
    tell(error.message);
  }
}

function listen() {
  byId("examples").replaceChildren("Examples:", ...forms.examples.map((one) => button(one.id, () => take(one.id, one.layers))),
    button("Sampled", () => takeSampled().catch((error) => tell(error.message))));
  byId("name").addEventListener("input", () => {
    active().name = freeName(byId("name").value, state.active);
    showChips();
    refresh();
  });
  byId("json").addEventListener("change", () => readText(byId("json").value));
  byId("json").addEventListener("paste", () => setTimeout(() => readText(byId("json").value)));
  offerFiles(byId("networks"), async (file) => {
    try {
      readText(await textOf(file), file.name);
    } catch (error) {
      tell(error.message);
    }
  });
  byId("observed").addEventListener("input", () => {
    active().observed = numbers(byId("observed").value);
    refresh();
  });
  byId("best").addEventListener("input", () => {
    state.best = numbers(byId("best").value)[0] ?? null;
    refresh();
  });
  for (const copy of document.querySelectorAll("[data-copy]")) {
    copy.addEventListener("click", async () => {
      if (navigator.clipboard) await navigator.clipboard.writeText(byId(copy.dataset.copy).textContent);
      else getSelection().selectAllChildren(byId(copy.dataset.copy)); // browsers give the clipboard to https and localhost only
      copy.textContent = navigator.clipboard ? "Copied" : "Selected";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
  }
  byId("editor").addEventListener("submit", (event) => event.preventDefault());
}

const numbers = (text) => text.split(/[\s,;]+/).filter(Boolean).map(Number).filter((one) => one >= 0 && one <= 1);

function showChips() {
  byId("chips").replaceChildren("Compare:", ...state.networks.map((one, index) => button([swatch(index), one.name], () => choose(index),
    { "aria-pressed": String(index === state.active) })),
  button("+ Copy", () => addNetwork(active().name, structuredClone(active().layers)), { title: "Add a copy of this network" }),
  button("− Remove", () => {
    state.networks.splice(state.active, 1);
    choose(Math.max(0, state.active - 1));
  }, { title: "Remove this network", disabled: state.networks.length < 2 }));
}

/** Show everything of the active network, and predict. */
export function showAll() {
  const network = active();
  showChips();
  byId("name").value = network.name;
  showText();
  byId("observed").value = network.observed.join(", ");
  byId("best").value = state.best ?? "";
  showForm();
  showGraph();
  refresh();
}

function showText() {
  byId("json").value = `[\n${active().layers.map((layer) => `  ${JSON.stringify(layer)}`).join(",\n")}\n]`;
}

function showForm() {
  showEditor(byId("editor"), active().layers, selected, forms, (layers, index, isSameLayer) => {
    if (!layers.length) return;
    active().layers = layers;
    if (isSameLayer) {
      showText();
      showGraph();
      refresh();
      return;
    }
    selected = index;
    drawn = null;
    showAll();
  });
}

function showGraph() {
  const fault = answer.faults[state.active];
  drawGraph(byId("graph"), active().layers, { image: image(), drawn, selected, faulty: fault ? fault.layer : -1, onSelect: (index) => {
    selected = index;
    showGraph();
    showForm();
  } });
}

/** Predict what is shown now; while a request runs, only the last change counts. */
export const refresh = latest(async () => {
  save();
  showSnippets();
  if (!isReady()) {
    answer = { epochs: [], model: null, found: [], faults: [] };
    showAnswer();
    return;
  }
  const networks = [...state.networks];
  const network = active();
  whole = "";
  const drawing = call("web/layers", { layers: network.layers, input: image() }).catch(() => null);
  try {
    answer = await predictAll(networks, requestBase());
  } catch (error) {
    answer = { epochs: [], model: null, found: [], faults: [] };
    if (error instanceof Rejected && error.status !== 401) whole = error.message;
  }
  const found = await drawing;
  if (networks.length !== state.networks.length || networks.some((one, index) => one !== state.networks[index])) return; // asked again
  if (active() === network) drawn = found;
  showAnswer();
  await showDecision();
});

function showAnswer() {
  const fault = answer.faults[state.active];
  const place = fault && fault.layer >= 0 ? `Layer ${fault.layer + 1} (${active().layers[fault.layer]?.type}): ` : "";
  tell(fault ? place + fault.detail : whole);
  showGraph();
  const shown = state.networks.map((one, index) => ({ one, index, found: answer.found[index] })).filter((row) => row.found);
  drawCurves(byId("curves"), answer.epochs, shown.map(({ one, index, found }) => ({ name: one.name, ...styleOf(index),
    values: found.accuracy, lower: found.lower, upper: found.upper, points: one.observed })));
  const heads = ["network", "final accuracy", "90 % interval", "rank", "parameters", "FLOPs", "distance"];
  if (state.task === OWN || !shown.length) heads[2] = "interval";
  byId("results").replaceChildren(h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, shown.map(({ one, index, found }) => {
      const last = answer.epochs.indexOf(Math.max(...answer.epochs));
      return h("tr", {}, h("td", { title: one.name }, swatch(index), one.name), h("td", {}, fixed(found.final_accuracy)),
        h("td", {}, `${fixed(found.lower[last])} – ${fixed(found.upper[last])}`), h("td", {}, found.rank),
        h("td", { title: String(found.params) }, count(found.params)), h("td", { title: String(found.flops) }, count(found.flops)),
        h("td", { class: found.in_distribution ? "" : "far" }, `${fixed(found.distance, 2)} ${found.in_distribution ? "near" : "far"}`));
    })));
  const mine = answer.found[state.active];
  const meaning = mine?.in_distribution && "Near: the predictor was fitted to networks like this one.";
  const basis = answer.model?.networks && `From ${answer.model.networks} measured networks; predicting each of them from the others has tau ${fixed(answer.model.tau)}.`;
  byId("notes").replaceChildren(...[meaning, basis, ...(mine?.notes || [])].filter(Boolean).map((text) => h("li", {}, text)));
}

async function showDecision() {
  const { observed, layers } = active();
  const output = byId("decision");
  byId("training").hidden = state.task === OWN;
  if (!observed.length || state.best === null || answer.faults[state.active] || state.task === OWN) {
    output.textContent = "Enter the accuracies after epochs 1, 2, … and the best final accuracy so far: the band narrows, and the odds appear.";
    return;
  }
  try {
    const { decisions: [one], confidence } = await call("stop", { task: state.task, best: state.best, observed, layers });
    const advice = one.stop ? "stop it" : "go on";
    output.textContent = `Probability of beating ${state.best}: ${fixed(100 * (1 - one.probability_below), 1)} %. At a confidence of ${confidence}: ${advice}.`;
  } catch (error) {
    output.textContent = error.message;
  }
}

function showSnippets() {
  const base = requestBase();
  const body = { ...base, architectures: state.networks.map(toRequest) };
  byId("curl").textContent = asCurl(body, Boolean(key.get()));
  byId("python").textContent = asPython(body, Boolean(key.get()));
}
