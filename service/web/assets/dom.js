// Elements without markup: text is always a text node, so that names from users stay names.

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((one) => one !== null && one !== undefined)
    .map((one) => (one instanceof Node ? one : document.createTextNode(String(one)))));
  return element;
}

export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

export const byId = (id) => document.getElementById(id);

export const button = (label, onclick, more = {}) => h("button", { type: "button", onclick, ...more }, label);

export function count(number) {
  if (!Number.isFinite(number)) return "";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(number) >= size) return `${(number / size).toPrecision(3)} ${unit}`;
  }
  return String(number);
}

export const fixed = (number, digits = 3) => (Number.isFinite(number) ? number.toFixed(digits) : "");

export function offerFiles(element, read) {
  element.addEventListener("dragover", (event) => { event.preventDefault(); element.classList.add("drop"); });
  element.addEventListener("dragleave", () => element.classList.remove("drop"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("drop");
    if (event.dataTransfer.files.length) read(event.dataTransfer.files[0]);
  });
}

/** Do the work when the element first comes near the screen. */
export function whenSeen(element, work) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((one) => one.isIntersecting)) return;
    observer.disconnect();
    work();
  }, { rootMargin: "400px" });
  observer.observe(element);
}

/** A line of a card; nothing where there is nothing to say. */
export const line = (label, text) => (text === null || text === undefined || text === "" ? null : h("p", {}, h("b", {}, `${label}: `), text));
