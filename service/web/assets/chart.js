// Curves with their intervals, drawn at the size of their place.
import { fixed, h, svg } from "./dom.js";

const MOST_CIRCLES = 200; // then dots: a page of thousands of elements is slow
const MARGIN = { left: 44, right: 14, top: 24, bottom: 34 };

/** Return about `wanted` round numbers between two numbers. */
export function ticks(least, most, wanted = 7) {
  const raw = (most - least) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const found = [];
  for (let tick = Math.ceil(least / step) * step; tick <= most + step / 1e6; tick += step) found.push(tick);
  return found;
}

export function frame(width, height, xs, ys, { xLabel, yLabel, xText = String }) {
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const x = (value) => MARGIN.left + (inner.width * (value - xs[0])) / (xs[1] - xs[0] || 1);
  const y = (value) => MARGIN.top + inner.height * (1 - (value - ys[0]) / (ys[1] - ys[0] || 1));
  const bottom = MARGIN.top + inner.height;
  const yTicks = ticks(...ys);
  const digits = Math.min(4, Math.max(1, Math.ceil(-Math.log10(yTicks[1] - yTicks[0] || 0.1) - 1e-9)));
  const parts = [
    ...yTicks.map((tick) => [
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, tick.toFixed(digits)),
    ]).flat(),
    ...xText.ticks(xs, Math.max(2, Math.floor(inner.width / 70))).map((tick) =>
      svg("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle" }, xText(tick))),
    svg("text", { x: MARGIN.left + inner.width / 2, y: height - 3, "text-anchor": "middle" }, xLabel),
    svg("text", { x: 4, y: 10 }, yLabel),
  ];
  return { x, y, parts, bottom };
}

export const whole = Object.assign((tick) => String(tick), {
  ticks: ([least, most], wanted) => (least === most ? [least] : ticks(least, most, wanted).filter(Number.isInteger)),
});

/** The path of dots at [x, y] points. */
export const dots = (place, points) => points.map(([x, y]) => `M${place.x(x).toFixed(1)} ${place.y(y).toFixed(1)}h0`).join("");

const path = (points) => points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function lineOf(one, xs, place) {
  const along = (values) => values.map((value, index) => [place.x(xs[index]), place.y(value)]);
  const group = svg("g", { class: one.colour });
  if (one.lower && xs.length > 1) {
    group.append(svg("path", { class: "band", d: `${path([...along(one.upper), ...along(one.lower).reverse()])}Z` }));
  } else if (one.lower) {
    const [[x, low], [, high]] = [along(one.lower)[0], along(one.upper)[0]];
    group.append(svg("line", { class: "reach", x1: x, x2: x, y1: low, y2: high }));
    group.append(svg("circle", { class: "seen", cx: x, cy: place.y(one.values[0]), r: 4 }));
  }
  group.append(svg("path", { class: one.dashed ? "curve dashed" : "curve", d: path(along(one.values)) }));
  const points = one.points || [];
  if (points.length > MOST_CIRCLES) {
    group.append(svg("path", { class: "dots", d: dots(place, points.map((value, index) => [index + 1, value])) }));
    return group;
  }
  for (const [index, value] of points.entries()) {
    group.append(svg("circle", { class: "seen", cx: place.x(index + 1), cy: place.y(value), r: 3.5 }));
  }
  return group;
}

/**
 * Draw curves; the readout below follows the pointer and the arrow keys.
 * series: [{name, colour, dashed, values, lower, upper, points, pointName}], along `xs`; `told(index)` names a place in words.
 */
export function drawCurves(box, xs, series, { xLabel = "epoch", yLabel = "accuracy", told = (index) => `${xLabel} ${xs[index]}`, height = box.clientWidth < 500 ? 220 : 320 } = {}) {
  const readout = h("p", { class: "readout" });
  const draw = () => {
    const width = Math.max(box.clientWidth, 200);
    const all = series.flatMap((one) => [...(one.lower || one.values), ...(one.upper || one.values), ...(one.points || [])]);
    const longest = Math.max(...xs, ...series.map((one) => (one.points || []).length));
    const ys = [Math.max(0, Math.min(...all) - 0.02), Math.min(1, Math.max(...all) + 0.02)];
    const place = frame(width, height, [Math.min(...xs), longest], ys, { xLabel, yLabel, xText: whole });
    const cursor = svg("line", { class: "cursor", y1: MARGIN.top, y2: place.bottom, x1: -9, x2: -9 });
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0,
      "aria-label": `${yLabel} by ${xLabel} of ${series.length} curves; arrow keys read the values` },
    ...place.parts, ...series.map((one) => lineOf(one, xs, place)), cursor);
    let at = xs.length - 1;
    const show = (index) => {
      at = Math.min(Math.max(index, 0), xs.length - 1);
      cursor.setAttribute("x1", place.x(xs[at]));
      cursor.setAttribute("x2", place.x(xs[at]));
      const values = series.map((one) => `${one.name} ${fixed(one.values[at])}`
        + (one.lower ? ` [${fixed(one.lower[at])}, ${fixed(one.upper[at])}]` : "")
        + (one.pointName ? ` · ${one.pointName} ${fixed(one.points[at])}` : ""));
      readout.textContent = `${told(at)}: ${values.join(" · ")}`;
    };
    picture.addEventListener("pointermove", (event) => {
      const distances = xs.map((value) => Math.abs(place.x(value) - event.offsetX));
      show(distances.indexOf(Math.min(...distances)));
    });
    picture.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        event.preventDefault();
        show(at + (event.key === "ArrowLeft" ? -1 : 1));
      }
    });
    box.replaceChildren(picture, readout);
  };
  box.classList.add("chart");
  if (!series.length || !xs.length) {
    box.replaceChildren(h("p", { class: "readout" }, "Nothing to draw yet."));
    return;
  }
  draw();
  redrawn.set(box, draw);
}

// A place that changes its width is drawn again.
export const redrawn = new Map();
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return;
  width = window.innerWidth;
  for (const [box, draw] of redrawn) {
    if (!box.isConnected) redrawn.delete(box);
    else if (box.clientWidth) draw();
  }
});
