// Changes of a network; each returns new layers and leaves the given ones as they are.

const KEPT_TOGETHER = new Set(["batch_norm", "layer_norm", "group_norm", "scale", "dropout", "relu", "relu6", "leaky_relu",
  "prelu", "elu", "gelu", "silu", "hard_swish", "hard_sigmoid", "sigmoid", "tanh"]);

const BEGUN = {
  conv: { kernel_size: 3, out_channels: 32 }, linear: { out_features: 64 }, max_pool: { kernel_size: 2 },
  avg_pool: { kernel_size: 2 }, adaptive_avg_pool: { output_size: 1 }, group_norm: { num_groups: 1 },
  channel_shuffle: { groups: 2 }, slice: { start: 0, end: 1 }, pad: { padding: [1, 1, 1, 1] }, upsample: { scale_factor: 2 },
};

export function setField(layers, index, field, value) {
  const layer = { ...layers[index], [field]: value };
  if (value === undefined) delete layer[field];
  if (field === "out_channels" && value !== undefined) delete layer.channel_ratio;
  return layers.with(index, layer);
}

/** Move the name of a layer to another, so that whatever read the one reads the other. */
function handOver(from, to) {
  if (from.name !== undefined) to.name = from.name;
  delete from.name;
}

export function insertBehind(layers, index, type) {
  const before = { ...layers[index] };
  const added = { type, ...structuredClone(BEGUN[type] || {}) };
  handOver(before, added);
  return [...layers.slice(0, index), before, added, ...layers.slice(index + 1)];
}

/** Return where the unit of a layer ends: with the normalisation and activation that follow it. */
export function unitEnd(layers, index) {
  let end = index;
  while (end + 1 < layers.length && layers[end].name === undefined && layers[end + 1].inputs === undefined
    && KEPT_TOGETHER.has(layers[end + 1].type)) end += 1;
  return end;
}

/** Make the network deeper: repeat a layer with the normalisation and activation that follow it. */
export function repeat(layers, index) {
  const end = unitEnd(layers, index);
  const copies = structuredClone(layers.slice(index, end + 1));
  delete copies[0].inputs;
  if (copies[0].type === "conv") delete copies[0].stride;
  const last = { ...layers[end] };
  handOver(last, copies.at(-1));
  return [...layers.slice(0, end), last, ...copies, ...layers.slice(end + 1)];
}

/** Remove a layer; what read it reads its first input. */
export function remove(layers, index) {
  const kept = layers.map((layer) => ({ ...layer }));
  const [gone] = kept.splice(index, 1);
  let source = gone.inputs?.[0];
  const next = kept[index];
  if (source !== undefined && next && next.inputs === undefined) next.inputs = [source];
  if (gone.name === undefined) return kept;
  if (source === undefined) {
    const before = kept[index - 1];
    if (before) before.name ??= gone.name;
    source = before ? before.name : "input";
  }
  for (const layer of kept) {
    if (layer.inputs) layer.inputs = layer.inputs.map((name) => (name === gone.name ? source : name));
  }
  return kept;
}
