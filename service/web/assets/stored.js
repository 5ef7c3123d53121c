// The card of a stored task: what it holds, how well that ranks itself, observations over time, fits and versions.
import { call } from "./api.js";
import { drawCurves } from "./chart.js";
import { button, fixed, h, line, whenSeen } from "./dom.js";
import { fitsBox } from "./fits.js";
import { addObservations, observationsInput } from "./observations.js";

const MOST_PAGES = 20;
const MINUTE = 16; // characters of a time

const finalOf = ({ accuracy }) => (Array.isArray(accuracy) ? accuracy.at(-1) : accuracy);

async function observationsOf(path) {
  const found = [];
  let cursor = "";
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = await call(`${path}/observations${cursor && `?cursor=${encodeURIComponent(cursor)}`}`);
    found.push(...answer.observations.map((one) => ({ final: finalOf(one), at: one.added_at, id: one.id })));
    cursor = answer.cursor;
    if (!cursor) break;
  }
  return { found, isAll: !cursor };
}

function drawHistory(box, part, { found, isAll }) {
  let best = 0;
  const bests = found.map(({ final }) => { best = Math.max(best, final); return best; });
  const series = found.length ? [{ name: "best so far", colour: "c0", values: bests, points: found.map((one) => one.final), pointName: "this one" }] : [];
  drawCurves(box, found.map((_, index) => index + 1), series, { xLabel: "observation", height: 200,
    told: (index) => `observation ${index + 1}, ${found[index].at.slice(0, MINUTE).replace("T", " ")}${found[index].id ? `, ${found[index].id}` : ""}` });
  part.textContent = isAll ? "" : `The first ${found.length} observations are shown.`;
}

function figures(task) {
  const tau = task.tau === null ? (task.networks < 3 ? "needs 3 networks" : "not found in time")
    : `Kendall's tau ${fixed(task.tau)}, each network predicted from the others`;
  return [line("Measured", `${task.networks} networks, ${task.observations} observations`),
    task.best && line("Best", `${task.best.id || "a network without a name"}, ${fixed(finalOf(task.best))}`),
    line("Leave-one-out quality", tau), line("Prior", task.prior === null ? "none" : task.prior === "auto" ? "chosen for each request" : task.prior)];
}

/** Return the content of the card of a stored task; `most` networks fit into a request. */
export function storedCard(task, most) {
  const path = `tasks/${encodeURIComponent(task)}`;
  const said = h("div", {}, "…");
  const chart = h("div");
  const part = h("p");
  const fits = fitsBox(task);
  const input = observationsInput();
  const fail = (box) => (error) => box.replaceChildren(h("p", { class: "fault" }, error.message));
  const refresh = () => Promise.all([
    call(path).then((found) => said.replaceChildren(...figures(found).filter(Boolean))).catch(fail(said)),
    observationsOf(path).then((found) => drawHistory(chart, part, found)).catch(fail(chart)),
    fits.refresh(),
  ]);
  const add = button("Add", async () => {
    add.disabled = true;
    try {
      const given = await input.read();
      if (!given.length) throw new Error("There is no observation to add.");
      const { added, repeated, networks } = await addObservations(task, given, most, (done) => input.tell(`${done} of ${given.length} are stored …`));
      input.clear();
      input.tell(`${added} added, ${repeated} stored before; ${networks} networks now.`);
      await refresh();
    } catch (error) {
      input.fail(error);
    } finally {
      add.disabled = false;
    }
  });
  whenSeen(said, refresh); // there may be a hundred tasks, and each costs a model of its observations
  return [said, chart, part, h("details", {}, h("summary", {}, "Add observations"), input.box, add, input.messages), fits.box];
}
