// A request as text to copy.

const address = () => new URL("predict", document.baseURI).href;

/** Write JSON with a layer a line. */
function pretty(value, depth = 0) {
  const flat = JSON.stringify(value);
  if (flat.length < 100 || value === null || typeof value !== "object") return flat;
  const inner = Array.isArray(value) ? value.map((one) => pretty(one, depth + 1))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${pretty(one, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const pad = "  ".repeat(depth + 1);
  return `${open}\n${inner.map((one) => pad + one).join(",\n")}\n${"  ".repeat(depth)}${close}`;
}

export function asCurl(body, hasKey) {
  const key = hasKey ? ' -H "Authorization: Bearer $PEEPHOLE_API_KEY"' : "";
  return `curl -s ${address()} -H 'Content-Type: application/json'${key} -d '${pretty(body).replaceAll("'", "'\\''")}'\n`;
}

/** JSON as a Python literal: strings are escaped alike, three words differ. */
function literal(value, depth = 1) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = Array.isArray(value) ? value.map((one) => literal(one, depth + 1))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const flat = open + inner.join(", ") + close;
  if (flat.length < 100 && !flat.includes("\n")) return flat;
  const pad = "    ".repeat(depth);
  return `${open}\n${inner.map((one) => `${pad}${one},`).join("\n")}\n${"    ".repeat(depth - 1)}${close}`;
}

export function asPython(body, hasKey) {
  const key = hasKey ? '\nheaders["Authorization"] = "Bearer " + os.environ["PEEPHOLE_API_KEY"]' : "";
  return `import json${hasKey ? "\nimport os" : ""}
from urllib.request import Request, urlopen

body = ${literal(body)}
headers = {"Content-Type": "application/json"}${key}
request = Request(${JSON.stringify(address())}, json.dumps(body).encode(), headers)
with urlopen(request) as response:
    answer = json.load(response)
for one in answer["predictions"]:
    print(one["id"], one["final_accuracy"], one["lower"][-1], one["upper"][-1])
`;
}
