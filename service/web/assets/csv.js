// CSV as the service writes observations: a header, and lists and objects as JSON texts.

const TEXTS = ["id", "network", "added_at"]; // columns whose cells are not JSON
const CELL = /(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r?\n|$)/y;
const plain = (text) => text.replace(/^\uFEFF/, "").trimStart();

function rowsOf(text) {
  const rows = [[]];
  CELL.lastIndex = 0;
  while (CELL.lastIndex < text.length) {
    const match = CELL.exec(text);
    if (!match) throw new Error(`Row ${rows.length} is not CSV: check its quotes.`);
    const [, quoted, bare, end] = match;
    rows.at(-1).push(quoted === undefined ? bare.trim() : quoted.replaceAll('""', '"'));
    if (end && end !== ",") rows.push([]);
  }
  return rows.filter((row) => row.some(Boolean));
}

function valueOf(column, text, number) {
  if (TEXTS.includes(column)) return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`Row ${number}, column ${column}: the value is not JSON.`);
  }
}

export const isCsv = (text) => /^[^[{\n]*\blayers\b/.test(plain(text));

/** Return the rows of a CSV text as objects; empty cells are left out. */
export function csvOf(text) {
  const [columns, ...rows] = rowsOf(plain(text));
  return rows.map((row, index) => {
    if (row.length > columns.length) throw new Error(`Row ${index + 2} has ${row.length} cells, the header ${columns.length}: lists and objects need quotes.`);
    return Object.fromEntries(columns.flatMap((column, place) => (row[place] ? [[column, valueOf(column, row[place], index + 2)]] : [])));
  });
}
