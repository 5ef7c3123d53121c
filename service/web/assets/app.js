// The page: its views, the key, the address.
import { call, key, say, silence } from "./api.js";
import { beginCards, showCards } from "./cards.js";
import { byId } from "./dom.js";
import * as networks from "./networks.js";
import { load, showPopulation } from "./population.js";
import { pack, state, unpack } from "./state.js";
import { loadTasks, note, showOwn, showTaskLine } from "./tasks.js";

const VIEWS = ["networks", "population", "tasks"];
const SAVE_MS = 250;
let timer = 0;

function save() {
  clearTimeout(timer);
  timer = setTimeout(async () => history.replaceState(null, "", `#${await pack()}`), SAVE_MS);
}

function show(view) {
  state.view = view;
  for (const name of VIEWS) byId(name).hidden = name !== view;
  for (const tab of document.querySelectorAll("[data-view]")) {
    if (tab.dataset.view === view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  document.querySelector(".bar").hidden = view === "tasks";
  showTaskLine();
  if (view === "tasks") byId("own").hidden = true;
  if (view === "networks") networks.showAll();
  if (view === "population") showPopulation(compare);
  if (view === "tasks") showCards().catch((error) => say(error.message));
  save();
}

function compare(name, layers) {
  if (networks.addNetwork(name, layers)) show("networks");
}

function choose(task, view = "networks") {
  state.task = task;
  note("");
  show(view);
}

async function readAddress() {
  try {
    if (location.hash.length > 1) await unpack(location.hash.slice(1));
  } catch {
    note("The address holds no view that can be read. ");
  }
}

async function begin() {
  await readAddress();
  await call("readyz");
  await loadTasks();
  const forms = await call("web/start");
  beginCards(forms.limits.max_architectures, choose);
  networks.begin(forms, save, (many) => {
    show("population");
    load(many);
  });
  if (!state.networks.length) {
    const { id, layers } = forms.examples[1];
    state.networks.push({ name: id, layers, observed: [] });
  }
  showOwn(() => show(state.view));
  show(state.view);
}

byId("key").value = key.get();
byId("key").addEventListener("change", async () => {
  key.set(byId("key").value.trim());
  silence();
  await loadTasks();
  show(state.view);
});
byId("task").addEventListener("change", () => choose(byId("task").value, state.view));
for (const tab of document.querySelectorAll("[data-view]")) tab.addEventListener("click", () => show(tab.dataset.view));
window.addEventListener("hashchange", async () => {
  await readAddress();
  await loadTasks();
  show(state.view);
});
begin().catch((error) => { if (!byId("status").textContent) say(error.message); });
