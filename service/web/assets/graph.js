// A network as a graph: a row for each layer, an arc for each connection that is not to the next row.
import { count, h, svg } from "./dom.js";

const ROW = 30;
const LANE = 9;
const MOST_LANES = 8;

/** Return the indices of the layers that each layer reads; -1 is the image, names that nobody has are left out. */
export function sourcesOf(layers) {
  const known = new Map([["input", -1]]);
  return layers.map((layer, index) => {
    const found = Array.isArray(layer.inputs) ? layer.inputs.filter((name) => known.has(name)).map((name) => known.get(name)) : [index - 1];
    if (typeof layer.name === "string") known.set(layer.name, index);
    return found;
  });
}

const SHOWN = {
  kernel_size: (value) => (Array.isArray(value) ? value.join("×") : `${value}×${value}`),
  channel_ratio: (value) => `→ ×${value}`,
  out_channels: (value) => `→ ${value}`,
  out_features: (value) => `→ ${value}`,
  stride: (value) => (["1", "1,1"].includes(String(value)) ? "" : `stride ${value}`),
  groups: (value) => (value === "depthwise" ? value : `groups ${value}`),
  p: (value) => String(value),
};

/** Return a layer's fields in a line. */
export function inWords(layer) {
  const fields = Object.entries(layer).filter(([name]) => !["type", "name", "inputs"].includes(name));
  return fields.map(([name, value]) => (SHOWN[name] ? SHOWN[name](value) : `${name} ${JSON.stringify(value)}`)).filter(Boolean).join(", ");
}

function lanes(edges) {
  const taken = [];
  return [...edges].sort((one, other) => one[1] - one[0] - (other[1] - other[0])).map(([from, to]) => {
    let lane = taken.findIndex((spans) => spans.every(([start, end]) => to <= start || from >= end));
    if (lane < 0) lane = taken.push([]) - 1;
    taken[lane].push([from, to]);
    return [from, to, Math.min(lane, MOST_LANES - 1)];
  });
}

function wires(layers, x) {
  const sources = sourcesOf(layers);
  const y = (index) => (index + 1) * ROW + ROW / 2 - 1;
  const edges = sources.flatMap((from, to) => from.map((source) => [source, to]));
  const near = edges.filter(([from, to]) => to === from + 1);
  const far = lanes(edges.filter(([from, to]) => to > from + 1));
  return svg("svg", { width: x + 6, height: (layers.length + 1) * ROW, "aria-hidden": "true" },
    near.map(([from, to]) => svg("path", { d: `M${x} ${y(from)}V${y(to)}` })),
    far.map(([from, to, lane]) => {
      const left = x - (lane + 1) * LANE;
      return svg("path", { d: `M${x} ${y(from)}C${left} ${y(from)} ${left} ${y(from)} ${left} ${y(from) + ROW / 2}`
        + `V${y(to) - ROW / 2}C${left} ${y(to)} ${left} ${y(to)} ${x} ${y(to)}` });
    }),
    [-1, ...layers.keys()].map((index) => svg("circle", { cx: x, cy: y(index), r: 3 })));
}

/**
 * Draw a network into `box`.
 * drawn: [{shape, params, flops}] of each layer, or null while it has faults; faulty: index of the layer at fault, or -1.
 */
export function drawGraph(box, layers, { image, drawn, faulty, selected, onSelect }) {
  const far = lanes(sourcesOf(layers).flatMap((from, to) => from.map((source) => [source, to]).filter(([a, b]) => b > a + 1)));
  const x = 8 + LANE * (1 + Math.max(-1, ...far.map(([, , lane]) => lane)));
  const pad = `${x + 8}px`;
  const rows = layers.map((layer, index) => {
    const costs = drawn && drawn[index];
    const row = h("button", { type: "button", class: index === faulty ? "layer faulty" : "layer", "data-layer": index,
      "aria-pressed": String(index === selected), onclick: () => onSelect(index),
      title: costs ? `${costs.params} parameters, ${costs.flops} FLOPs` : null },
    h("b", {}, layer.type), h("span", { class: "what" }, inWords(layer)),
    h("span", { class: "shape" }, costs ? `${costs.shape.replaceAll("x", "×")}${costs.params ? ` · ${count(costs.params)}` : ""}` : ""));
    row.style.paddingLeft = pad;
    return h("li", {}, row);
  });
  const first = h("div", { class: "layer" }, h("b", {}, "image"), h("span", { class: "shape" }, image ? image.join("×") : ""));
  first.style.paddingLeft = pad;
  const top = box.scrollTop;
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.layer : null;
  box.replaceChildren(h("ol", { class: "layers", "aria-label": "Layers" }, wires(layers, x), h("li", {}, first), rows));
  box.scrollTop = top;
  if (focused !== null) box.querySelector(`[data-layer="${CSS.escape(focused)}"]`)?.focus();
}
