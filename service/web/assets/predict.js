// Predictions of the compared networks: those with faults are left out, and say why.
import { call, Rejected } from "./api.js";

/** Return a function that runs `work` now, or once more when it is called while `work` runs. */
export function latest(work) {
  let running = false;
  let again = false;
  return async () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      do {
        again = false;
        await work();
      } while (again);
    } finally {
      running = false;
    }
  };
}

export const toRequest = ({ name, layers, observed }) =>
  ({ id: name, layers, ...(observed && observed.length ? { observed } : {}) });

const PLACE = /^\/architectures\/(\d+)(?:\/layers\/(\d+))?/;

/**
 * Predict networks.
 * Returns {epochs, model, found: [prediction or null], faults: [{layer, detail} or null]}; a fault of the request as a
 * whole is thrown as `Rejected`.
 */
export async function predictAll(networks, base) {
  const faults = networks.map(() => null);
  const found = networks.map(() => null);
  for (;;) {
    const indices = [...networks.keys()].filter((index) => !faults[index]);
    if (!indices.length) return { epochs: [], model: null, found, faults };
    try {
      const answer = await call("predict", { ...base, architectures: indices.map((index) => toRequest(networks[index])) });
      indices.forEach((index, place) => { found[index] = answer.predictions[place]; });
      return { epochs: answer.epochs, model: answer.model, found, faults };
    } catch (error) {
      if (!(error instanceof Rejected) || error.status !== 422) throw error;
      let isOfNetworks = false;
      for (const { pointer, detail } of error.faults) {
        const match = PLACE.exec(pointer);
        if (!match || faults[indices[match[1]]]) continue;
        isOfNetworks = true;
        faults[indices[match[1]]] = { layer: match[2] === undefined ? -1 : Number(match[2]), detail };
      }
      if (!isOfNetworks) throw error;
    }
  }
}
