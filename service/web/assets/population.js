// A population: many networks predicted, as a scatter with its front and as a table.
import { call, Rejected } from "./api.js";
import { dots, frame, redrawn } from "./chart.js";
import { button, byId, count, fixed, h, offerFiles, svg } from "./dom.js";
import { FILES, networksOf, partsOf, textOf } from "./files.js";
import { image, isReady, requestBase } from "./tasks.js";

const MOST_FAULTS = 200;
const PAGE = 100;
const SAMPLED = 300;
const COLUMNS = [["name", "network"], ["final", "accuracy"], ["lower", "lower"], ["upper", "upper"], ["params", "parameters"],
  ["flops", "FLOPs"], ["distance", "distance"], ["front", "front"]];
const COSTS = { params: "parameters", flops: "FLOPs", bytes: "largest activations (bytes)" };
const view = { networks: [], rows: [], faults: [], cost: "params", sort: "final", down: true, shown: PAGE, told: "", asked: "", run: 0 };
let compare = () => {};

/** Predict a part; networks with faults are left out and noted, as long as they are few. */
async function predictPart(part, base, faults) {
  for (;;) {
    try {
      const { predictions, epochs } = await call("predict", { ...base, architectures: part.map(({ layers }) => ({ layers })) });
      const last = epochs.indexOf(Math.max(...epochs));
      return predictions.map((one, place) => ({ ...part[place], final: one.final_accuracy, lower: one.lower[last], upper: one.upper[last],
        params: one.params, flops: one.flops, bytes: one.activation_bytes, distance: one.distance, front: false }));
    } catch (error) {
      if (!(error instanceof Rejected) || error.status !== 422 || !error.faults.length) throw error;
      const bad = new Map(error.faults.map(({ pointer, detail }) => [Number(/^\/architectures\/(\d+)/.exec(pointer)?.[1] ?? NaN), { pointer, detail }]));
      if (bad.has(NaN)) throw error;
      for (const [place, fault] of bad) faults.push(`${part[place].name}${fault.pointer.replace(/^\/architectures\/\d+/, " ")}: ${fault.detail}`);
      if (faults.length > MOST_FAULTS) throw new Error("Too many of the networks have mistakes.");
      part = part.filter((_, place) => !bad.has(place));
      if (!part.length) return [];
    }
  }
}

function markFront(rows, cost) {
  let best = -1;
  for (const row of [...rows].sort((one, other) => one[cost] - other[cost] || other.final - one.final)) {
    row.front = row.final > best;
    best = Math.max(best, row.final);
  }
}

async function predict() {
  const asked = JSON.stringify([image(), requestBase().task ?? requestBase().context?.length]);
  const run = view.run + 1;
  Object.assign(view, { rows: [], faults: [], shown: PAGE, asked, run });
  if (!isReady()) return;
  try {
    const rows = [];
    for (const part of partsOf(view.networks)) {
      view.told = `${rows.length} of ${view.networks.length} networks predicted …`;
      tell();
      rows.push(...await predictPart(part, requestBase(), view.faults));
      if (view.run !== run) return;
    }
    view.rows = rows;
    view.told = `${rows.length} networks predicted.`;
  } catch (error) {
    view.told = error.message;
  }
  show();
}

export function load(networks) {
  view.networks = networks.map((one, index) => ({ name: String(one.id ?? `network ${index + 1}`), layers: one.layers }));
  return predict();
}

async function read(file) {
  try {
    await load(networksOf(await textOf(file)));
  } catch (error) {
    view.told = error.message;
    tell();
  }
}

const tell = () => { byId("population-told").textContent = view.told; };

function sorted() {
  const sign = view.down ? -1 : 1;
  return [...view.rows].sort((one, other) => sign * (view.sort === "name" ? one.name.localeCompare(other.name) : one[view.sort] - other[view.sort]));
}

const quote = (value) => {
  const text = String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // or a spreadsheet takes it for a formula
  return `"${safe.replaceAll('"', '""')}"`;
};

function exportCsv() {
  const lines = [COLUMNS.map(([name]) => name), ...sorted().map((row) => COLUMNS.map(([name]) => quote(row[name])))];
  const link = h("a", { href: URL.createObjectURL(new Blob([`${lines.map((line) => line.join(",")).join("\r\n")}\r\n`], { type: "text/csv" })), download: "population.csv" });
  link.click();
  URL.revokeObjectURL(link.href);
}

const powers = Object.assign((tick) => count(10 ** tick), { ticks: ([least, most]) => {
  const found = [];
  const fine = most - least < 1.5;
  for (let power = Math.floor(least); power <= most; power += 1) {
    for (const factor of fine ? [1, 2, 5] : [1]) {
      const tick = power + Math.log10(factor);
      if (tick >= least && tick <= most) found.push(tick);
    }
  }
  return found;
} });

function drawScatter(box) {
  const points = view.rows.map((row) => [Math.log10(Math.max(row[view.cost], 1)), row.final, row]);
  const range = (values, room) => {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return [least - room * (most - least || 1), most + room * (most - least || 1)];
  };
  const width = Math.max(box.clientWidth, 200);
  const height = 360;
  const place = frame(width, height, range(points.map(([x]) => x), 0.03), range(points.map(([, y]) => y), 0.05),
    { xLabel: COSTS[view.cost], yLabel: "accuracy", xText: powers });
  const front = points.filter(([, , row]) => row.front).sort((one, other) => one[0] - other[0]);
  const mark = svg("circle", { class: "picked", r: 7, cx: -20, cy: -20 });
  const readout = h("p", { class: "readout" }, `${front.length} of ${points.length} networks are on the front: no other is as accurate for as little.`);
  const steps = front.map(([x, y], index) => (index ? `H${place.x(x).toFixed(1)}V${place.y(y).toFixed(1)}` : `M${place.x(x).toFixed(1)} ${place.y(y).toFixed(1)}`)).join("");
  const nearest = (event) => {
    const far = ([x, y]) => (place.x(x) - event.offsetX) ** 2 + (place.y(y) - event.offsetY) ** 2;
    return points.reduce((one, other) => (far(other) < far(one) ? other : one));
  };
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Predicted accuracy against ${COSTS[view.cost]} of ${points.length} networks; the table below holds the same`,
    onpointermove: (event) => {
      const [x, y, row] = nearest(event);
      mark.setAttribute("cx", place.x(x));
      mark.setAttribute("cy", place.y(y));
      readout.textContent = `${row.name}: ${fixed(row.final)} [${fixed(row.lower)}, ${fixed(row.upper)}], ${count(row.params)} parameters, ${count(row.flops)} FLOPs`;
    },
    onclick: (event) => { const [, , row] = nearest(event); compare(row.name, row.layers); } },
  place.parts, svg("path", { class: "dots c0", d: dots(place, points) }), svg("path", { class: "front c1", d: steps }),
  svg("path", { class: "dots c1", d: dots(place, front) }), mark);
  box.replaceChildren(picture, readout);
  redrawn.set(box, () => drawScatter(box));
}

function table() {
  const heads = COLUMNS.map(([name, label]) => h("th", { scope: "col", "aria-sort": view.sort === name ? (view.down ? "descending" : "ascending") : null },
    button(`${label}${view.sort === name ? (view.down ? " ↓" : " ↑") : ""}`, () => {
      Object.assign(view, { down: view.sort === name ? !view.down : name !== "name", sort: name });
      show();
      byId("population").querySelectorAll("th button")[COLUMNS.findIndex(([one]) => one === name)].focus();
    })));
  const rows = sorted().slice(0, view.shown).map((row) => h("tr", {}, h("td", { title: row.name }, row.name),
    h("td", {}, fixed(row.final)), h("td", {}, fixed(row.lower)), h("td", {}, fixed(row.upper)), h("td", {}, count(row.params)), h("td", {}, count(row.flops)),
    h("td", { class: row.distance > 1 ? "far" : "" }, fixed(row.distance, 2)), h("td", {}, row.front ? "yes" : ""),
    h("td", {}, button("Compare", () => compare(row.name, row.layers), { "aria-label": `Compare ${row.name}` }))));
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heads, h("td"))), h("tbody", {}, rows)));
}

function show() {
  const file = h("input", { type: "file", accept: FILES, "aria-label": "File of networks", onchange: () => file.files.length && read(file.files[0]) });
  const costs = h("select", { onchange: () => { view.cost = costs.value; show(); } },
    Object.entries(COSTS).map(([name, label]) => h("option", { value: name }, label)));
  costs.value = view.cost;
  const scatter = h("div", { class: "chart" });
  const sample = () => call(`web/sampled?seed=${Math.floor(Math.random() * 1e6)}&count=${SAMPLED}`).then(load).catch((error) => { view.told = error.message; tell(); });
  markFront(view.rows, view.cost);
  byId("population").replaceChildren(
    h("div", { class: "buttons" }, h("label", {}, "Networks, JSON or JSON Lines ", file), button(`Sample ${SAMPLED}`, sample),
      view.rows.length ? h("label", {}, "against ", costs) : null, view.rows.length ? button("Export CSV", exportCsv) : null),
    h("p", { id: "population-told", role: "status" }, view.told || "Choose or drop a file of networks, or sample some."),
    view.faults.length ? h("details", {}, h("summary", {}, `${view.faults.length} networks with mistakes are left out`), h("ul", {}, view.faults.map((one) => h("li", {}, one)))) : "",
    scatter, view.rows.length ? table() : "",
    view.rows.length > view.shown ? button(`Show ${PAGE} more`, () => { view.shown += PAGE; show(); }) : "");
  if (view.rows.length) drawScatter(scatter);
}

export function showPopulation(onCompare) {
  if (!byId("population").childElementCount) offerFiles(byId("population"), read);
  compare = onCompare;
  show();
  const asked = JSON.stringify([image(), requestBase().task ?? requestBase().context?.length]);
  if (view.networks.length && view.asked !== asked) predict();
}
