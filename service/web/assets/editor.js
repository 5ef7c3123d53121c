// The form of the selected layer.
import { button, h } from "./dom.js";
import { insertBehind, remove, repeat, setField } from "./edits.js";

const RANGES = { out_channels: [1, 256], out_features: [1, 512], kernel_size: [1, 11], stride: [1, 4], p: [0, 0.9, 0.05] };

function read(text) {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const written = (value) => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value));

/** Return the inputs of a field: a slider where it is a number, and a text that takes any value. */
function fieldInputs(layer, field, onValue) {
  const id = `field-${field}`;
  const text = h("input", { id, value: written(layer[field]), autocomplete: "off", oninput: () => {
    const value = field === "name" ? text.value || undefined : read(text.value);
    if (typeof value === "number" && slider) slider.value = value;
    onValue(value);
  } });
  const range = RANGES[field];
  const number = Array.isArray(layer[field]) && new Set(layer[field]).size === 1 ? layer[field][0] : layer[field] ?? undefined;
  const hasSlider = range && (typeof number === "number" || (number === undefined && field === "stride" && layer.type === "conv"));
  const slider = hasSlider && h("input", { type: "range", min: range[0], max: Math.max(range[1], number || 0),
    step: range[2] || 1, value: number ?? range[0], "aria-label": `${field}, slider`, oninput: () => {
      text.value = slider.value;
      onValue(Number(slider.value));
    } });
  return h("div", {}, h("label", { for: id }, field), text, slider || null);
}

/**
 * Show the form of a layer. `change(layers, selected, isSameLayer)` is called with every change.
 * forms: {fields: {type: [field]}, merges: [type]}.
 */
export function showEditor(form, layers, index, forms, change) {
  const layer = layers[index];
  if (!layer) {
    form.replaceChildren();
    return;
  }
  const fields = [...(forms.fields[layer.type] || []), "name", "inputs"];
  let current = layers;
  const set = (field, value) => {
    current = setField(current, index, field, value);
    change(current, index, true);
  };
  const kinds = h("select", { "aria-label": "Type of the layer to insert" },
    Object.keys(forms.fields).filter((type) => !forms.merges.includes(type)).map((type) => h("option", {}, type)));
  kinds.value = "conv";
  form.replaceChildren(
    h("h2", {}, `Layer ${index + 1}: ${layer.type}`),
    ...fields.map((field) => fieldInputs(layer, field, (value) => set(field, value))),
    h("div", { class: "buttons" },
      button("Repeat (deeper)", () => change(repeat(current, index), index)),
      button("Remove", () => change(remove(current, index), Math.max(0, index - 1))),
      button("Insert behind", () => change(insertBehind(current, index, kinds.value), index + 1)), kinds),
  );
}
