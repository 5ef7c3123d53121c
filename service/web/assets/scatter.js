// Predicted against measured accuracies, on equal axes.
import { dots, frame, redrawn, ticks } from "./chart.js";
import { fixed, h, svg } from "./dom.js";

const MOST_PIXELS = 340;
const accuracies = Object.assign((tick) => String(Number(tick.toFixed(4))), { ticks: (range) => ticks(...range) }); // as on the other axis

/** Draw the points {networks, measured, predicted}; the pointer and the arrow keys read them. */
export function drawScatter(box, { networks, measured, predicted }) {
  const points = measured.map((value, index) => [value, predicted[index]]);
  const [least, most] = [Math.min(...measured, ...predicted), Math.max(...measured, ...predicted)];
  const range = [least - 0.03 * (most - least || 1), most + 0.03 * (most - least || 1)];
  const said = `${points.length} of ${networks} networks, each predicted without it; on the line predicted is measured.`;
  const readout = h("p", { class: "readout" }, said);
  const draw = () => {
    const size = Math.min(Math.max(box.clientWidth, 200), MOST_PIXELS);
    const place = frame(size, size, range, range, { xLabel: "measured", yLabel: "predicted", xText: accuracies });
    const [from, to] = range;
    const mark = svg("circle", { class: "picked", r: 6, cx: -20, cy: -20 });
    let at = -1;
    const show = (index) => {
      at = Math.min(Math.max(index, 0), points.length - 1);
      const [x, y] = points[at];
      mark.setAttribute("cx", place.x(x));
      mark.setAttribute("cy", place.y(y));
      readout.textContent = `measured ${fixed(x)}, predicted ${fixed(y)}`;
    };
    const picture = svg("svg", { width: size, height: size, viewBox: `0 0 ${size} ${size}`, role: "img", tabindex: 0,
      "aria-label": `Predicted against measured accuracy of ${points.length} networks; arrow keys read the values`,
      onpointermove: (event) => {
        const far = ([x, y]) => (place.x(x) - event.offsetX) ** 2 + (place.y(y) - event.offsetY) ** 2;
        show(points.reduce((best, one, index) => (far(one) < far(points[best]) ? index : best), 0));
      },
      onkeydown: (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        show(at + step);
      } },
    place.parts, svg("line", { class: "diagonal", x1: place.x(from), y1: place.y(from), x2: place.x(to), y2: place.y(to) }),
    svg("path", { class: "dots c0", d: dots(place, points) }), mark);
    box.replaceChildren(picture, readout);
  };
  box.classList.add("chart", "square");
  draw();
  redrawn.set(box, draw);
}
