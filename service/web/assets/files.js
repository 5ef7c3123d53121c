// Networks from text and files: a layer list, a network, a list of them, a request body, or JSON Lines.

const MOST_BYTES = 64 * 1024 * 1024;

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const lines = text.split("\n").filter((line) => line.trim());
    if (lines.length < 2 || !lines[0].trim().endsWith("}")) throw new Error(`This is not JSON: ${error.message}`);
    return lines.map((line, index) => {
      try {
        return JSON.parse(line);
      } catch {
        throw new Error(`Line ${index + 1} is not JSON.`);
      }
    });
  }
}

const isLayer = (one) => one !== null && typeof one === "object" && typeof one.type === "string";

/** Return the networks in a text, as objects with `layers`; the other fields are kept. */
export function networksOf(text) {
  const value = parsed(text);
  const list = value?.architectures ?? value?.context ?? value?.observations
    ?? (Array.isArray(value) && !value.every(isLayer) ? value : [Array.isArray(value) ? { layers: value } : value]);
  if (!Array.isArray(list) || !list.length) throw new Error("There is no network in it.");
  return list.map((one, index) => {
    const network = Array.isArray(one) ? { layers: one } : one;
    if (!Array.isArray(network?.layers)) throw new Error(`Network ${index + 1} has no list of layers.`);
    return network;
  });
}

export function textOf(file) {
  if (file.size > MOST_BYTES) throw new Error("The file is larger than 64 MiB.");
  return file.text();
}
