// The form that creates a stored task, with observations if there are any.
import { call, Rejected } from "./api.js";
import { h } from "./dom.js";
import { addObservations, observationsInput } from "./observations.js";
import { isStored, loadTasks, tasks, taskOf } from "./tasks.js";

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/; // other names may not reach the route
const AT_THE_NAME = [400, 409];
const PRIORS = { auto: "chosen for each request", none: "none" };

let number = 0;

/** Return a field {input, box, fail}: `fail(text)` says beside it what is wrong, nothing with "". */
function field(label, input, hint) {
  number += 1;
  const fault = h("span", { id: `create-fault-${number}`, class: "fault", role: "alert", hidden: true });
  input.setAttribute("aria-describedby", fault.id);
  const fail = (text) => {
    fault.hidden = !text;
    fault.textContent = text;
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  return { input, fail, box: h("div", {}, h("label", {}, `${label} `, input), hint ? h("small", {}, hint) : "", fault) };
}

/** Return the form; `onCreated(name)` is called with each new task, `mostInRequest()` says how many networks fit into a request. */
export function createForm(mostInRequest, onCreated) {
  const fields = {
    name: field("Name", h("input", { autocomplete: "off", maxlength: 64 }), "Letters, digits, _ . and -"),
    input: field("Channels, height, width of an image", h("input", { value: "3, 32, 32", inputmode: "numeric" })),
    prior: field("Prior", h("select"), "A predictor whose knowledge helps while there are few networks."),
    description: field("Description", h("input", { autocomplete: "off", maxlength: 2000 }), "For people: what is measured, and how."),
  };
  const observations = observationsInput();
  const submit = h("button", { type: "submit" }, "Create the task");
  let mine = ""; // created by this form, though its observations were not added: the next try goes on with it

  const offerPriors = () => {
    const { input } = fields.prior;
    const chosen = input.value || "auto";
    input.replaceChildren(...Object.entries(PRIORS).map(([value, label]) => h("option", { value }, label)),
      h("optgroup", { label: "Predictors" }, tasks().filter((one) => !isStored(one)).map((one) => h("option", { value: `=${one.task}` }, one.task))));
    input.value = chosen;
  };

  const document_ = () => {
    const chosen = fields.prior.input.value;
    return {
      input: fields.input.input.value.split(/[\s,;x×]+/).filter(Boolean).map(Number),
      prior: chosen.startsWith("=") ? chosen.slice(1) : chosen === "none" ? null : chosen,
      ...(fields.description.input.value ? { description: fields.description.input.value } : {}),
    };
  };

  const showFaults = (error) => {
    let rest = error.faults?.length ? "" : error.message;
    for (const { pointer, detail } of error.faults || []) {
      const [, name, index] = pointer.split("/");
      if (fields[name]) fields[name].fail(index === undefined ? detail : `Number ${Number(index) + 1}: ${detail}`);
      else rest = `${pointer}: ${detail}`;
    }
    if (rest && AT_THE_NAME.includes(error.status)) fields.name.fail(rest);
    else if (rest) observations.fail(new Error(rest));
    form.querySelector("[aria-invalid]")?.focus();
  };

  async function create() {
    for (const { fail } of Object.values(fields)) fail("");
    const name = fields.name.input.value.trim();
    if (!NAME.test(name)) throw new Rejected(400, { detail: "A name has 1 to 64 letters, digits, _ . and -, and begins with a letter or digit." });
    await loadTasks(); // another client may have created it
    if (name !== mine && taskOf(name)) throw new Rejected(409, { detail: "There is a task of this name. Add observations in its card." });
    const found = await observations.read();
    await call(`tasks/${name}`, document_(), "PUT");
    mine = name;
    if (found.length) {
      try {
        await addObservations(name, found, mostInRequest(), (done) => observations.tell(`${done} of ${found.length} are stored …`));
      } catch (error) {
        error.message = `The task is created. ${error.message} Correct them and try again.`;
        throw error;
      }
    }
    mine = "";
    fields.name.input.value = "";
    fields.description.input.value = "";
    observations.clear();
    observations.tell("");
    return name;
  }

  const form = h("form", { class: "create", onsubmit: async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      const name = await create();
      box.open = false;
      await onCreated(name);
    } catch (error) {
      if (error instanceof Rejected) showFaults(error);
      else observations.fail(error);
    } finally {
      submit.disabled = false;
    }
  } }, Object.values(fields).map((one) => one.box), observations.box, submit, observations.messages);
  const box = h("details", { class: "card" }, h("summary", {}, "New stored task"),
    h("p", {}, "A data set and a training recipe of your own. From 3 measured networks on it is predicted."), form);
  return { box, offerPriors };
}
