// Writes values as YAML that `fenglingctl apply` reads. Pure.

// What a reader takes for text without quotes: nothing that could be something else, in whatever
// version of YAML.
const PLAIN = /^[A-Za-z_/][A-Za-z0-9_./*{}~+-]*$/;
const WORDS = /^(?:null|true|false|yes|no|on|off|y|n|~|\.nan|[-+]?\.inf)$/i;
const INLINE = 80;

export function yaml(value) {
  return isEmpty(value) || !isNested(value) ? `${scalar(value)}\n` : `${block(value, 0).join("\n")}\n`;
}

function block(value, depth) {
  const pad = "  ".repeat(depth);
  if (Array.isArray(value)) return value.flatMap((one) => item(one, depth, pad));
  return Object.entries(value).flatMap(([name, one]) => field(`${pad}${scalar(name)}:`, one, depth));
}

function item(value, depth, pad) {
  if (isEmpty(value) || !isNested(value)) return [`${pad}- ${scalar(value)}`];
  const [first, ...rest] = block(value, depth + 1);
  return [`${pad}- ${first.trimStart()}`, ...rest];
}

function field(start, value, depth) {
  if (typeof value === "string" && isLines(value)) {
    const pad = "  ".repeat(depth + 1);
    const lines = value.replace(/\n$/, "").split("\n");
    return [`${start} |${value.endsWith("\n") ? "" : "-"}`, ...lines.map((line) => (line ? pad + line : ""))];
  }
  if (isEmpty(value) || !isNested(value)) return [`${start} ${scalar(value)}`];
  const short = inline(value);
  if (start.length + short.length < INLINE && isFlat(value)) return [`${start} ${short}`];
  return [start, ...block(value, depth + 1)];
}

// Text of several lines that reads as it is.
function isLines(text) {
  return /\n/.test(text) && !/[^\S\n]+(?:\n|$)|^\s|[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/.test(text) && !/\n\n$/.test(text);
}

function isNested(value) {
  return typeof value === "object" && value !== null;
}

function isEmpty(value) {
  return isNested(value) && Object.keys(value).length === 0;
}

function isFlat(value) {
  return Object.values(value).every((one) => !isNested(one) || isEmpty(one));
}

function inline(value) {
  if (Array.isArray(value)) return `[${value.map(flowed).join(", ")}]`;
  return `{${Object.entries(value).map(([name, one]) => `${flowed(name)}: ${flowed(one)}`).join(", ")}}`;
}

// Within brackets, commas and brackets mean something.
function flowed(value) {
  if (typeof value === "string" && /[,[\]{}]/.test(value)) return quoted(value);
  return scalar(value);
}

function scalar(value) {
  if (isEmpty(value)) return Array.isArray(value) ? "[]" : "{}";
  if (typeof value !== "string") return value === undefined ? "null" : JSON.stringify(value);
  return PLAIN.test(value) && !WORDS.test(value) ? value : quoted(value);
}

// (What JSON leaves as it is and YAML takes for the end of a line is escaped, too.)
function quoted(text) {
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
