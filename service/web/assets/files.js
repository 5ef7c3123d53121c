// Networks from text and files: a layer list, a network, a list of them, a request body, JSON Lines, or CSV.
import { csvOf, isCsv } from "./csv.js";

const MOST_BYTES = 64 * 1024 * 1024;
const PART_BYTES = 2_000_000;
const PART_NETWORKS = 500;
export const FILES = ".json,.jsonl,.ndjson,.csv";

function parsed(text) {
  if (isCsv(text)) return csvOf(text);
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

/** Yield the networks in parts that fit into a request. */
export function* partsOf(networks, most = PART_NETWORKS) {
  let part = [];
  let bytes = 0;
  for (const network of networks) {
    const size = JSON.stringify(network).length;
    if (part.length && (part.length >= Math.min(most, PART_NETWORKS) || bytes + size > PART_BYTES)) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(network);
    bytes += size;
  }
  if (part.length) yield part;
}

export function textOf(file) {
  if (file.size > MOST_BYTES) throw new Error("The file is larger than 64 MiB.");
  return file.text();
}
