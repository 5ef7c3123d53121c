// What a view shows, and the same in the address, so that it can be shared.

export const MOST_NETWORKS = 12;
const MOST_CHARACTERS = 2_000_000;

export const state = { view: "networks", task: null, networks: [], active: 0, best: null };

export const active = () => state.networks[state.active];

/** Return a name that no network has. */
export function freeName(wanted, except = -1) {
  const taken = new Set(state.networks.filter((_, index) => index !== except).map((one) => one.name));
  let name = wanted;
  for (let number = 2; taken.has(name); number += 1) name = `${wanted} (${number})`;
  return name;
}

async function through(stream, bytes) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts = [];
  for (let size = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    size += value.length;
    if (size > MOST_CHARACTERS) throw new Error("the address holds too much");
    parts.push(value);
  }
}

export async function pack() {
  const kept = { ...state, networks: state.networks.map(({ name, layers, observed }) => ({ name, layers, observed })) };
  const bytes = await through(new CompressionStream("deflate-raw"), new TextEncoder().encode(JSON.stringify(kept)));
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Take the state from an address; anything malformed in it is left out. */
export async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
  const found = JSON.parse(new TextDecoder().decode(await through(new DecompressionStream("deflate-raw"), bytes)));
  if (!Array.isArray(found.networks)) return;
  const networks = found.networks
    .filter((one) => one && Array.isArray(one.layers) && one.layers.every((layer) => layer && typeof layer === "object"))
    .slice(0, MOST_NETWORKS)
    .map((one) => ({
      name: String(one.name ?? "").slice(0, 200),
      layers: one.layers,
      observed: Array.isArray(one.observed) ? one.observed.filter(Number.isFinite) : [],
    }));
  if (!networks.length) return;
  state.networks = networks;
  state.active = Number.isInteger(found.active) && networks[found.active] ? found.active : 0;
  state.task = typeof found.task === "string" ? found.task : null;
  state.best = Number.isFinite(found.best) ? found.best : null;
  state.view = ["networks", "population", "tasks"].includes(found.view) ? found.view : "networks";
}
