// Writes a change of an entity as SQL, as one would write it by hand. Pure.

import { changedFields, KINDS, mergePatch, said } from "./kinds.js";

const ARRAYS = new Set(["hosts", "methods"]);
const INTERVALS = new Set(["connect_timeout", "first_byte_timeout", "idle_timeout"]);
const JSON_FIELDS = new Set(["match", "split", "redirect", "respond", "policies", "labels", "health_check", "affinity", "tls", "limits", "value"]);
const UNITS = { ms: "ms", s: "s", m: "min", h: "h", d: "d" };

// Returns the statements of a change, within a transaction that says who and why.
// before or after may be null: it is made, or deleted.
export function sql({ kind, id, before, after, comment = "", author = "" }) {
  const statement = !after ? deleted(kind, id) : before ? updated(kind, id, before, after) : inserted(kind, id, after);
  if (!statement) return "-- nothing changes\n";
  const who = author ? `, author => ${text(author)}` : "";
  return `BEGIN;\nSELECT fengling.describe(${text(comment || "why")}${who});\n${statement};\nCOMMIT;\n`;
}

function column(kind) {
  return kind === "setting" ? "key" : "id";
}

function inserted(kind, id, after) {
  const values = { ...(id ? { [column(kind)]: id } : {}), ...said(kind, after) };
  const names = Object.keys(values);
  const items = names.map((name) => literal(name, values[name]));
  return `INSERT INTO fengling.${kind} (${names.map(quotedName).join(", ")})\nVALUES (${items.join(", ")})`;
}

function updated(kind, id, before, after) {
  const names = changedFields(kind, before, after);
  if (!names.length) return "";
  const defaults = KINDS[kind].defaults;
  const sets = names.map((name) => set(name, before[name], after[name] === undefined ? (defaults[name] ?? null) : after[name]));
  return `UPDATE fengling.${kind} SET\n  ${sets.join(",\n  ")}\nWHERE ${column(kind)} = ${text(id)}`;
}

// Of policies, only those that change: so that nobody's change of another is undone.
function set(name, before, after) {
  if (name === "policies" && before && after) {
    const gone = Object.keys(before).filter((one) => !(one in after));
    const patch = mergePatch(before, after);
    const changed = Object.fromEntries(Object.keys(patch).filter((one) => one in after).map((one) => [one, after[one]]));
    const minus = gone.map((one) => ` - ${text(one)}`).join("");
    const plus = Object.keys(changed).length ? ` || ${json(changed)}` : "";
    return `policies = policies${minus}${plus}`;
  }
  return `${quotedName(name)} = ${literal(name, after)}`;
}

function deleted(kind, id) {
  return `DELETE FROM fengling.${kind} WHERE ${column(kind)} = ${text(id)}`;
}

function literal(name, value) {
  if (JSON_FIELDS.has(name)) return value === null && name !== "value" ? "NULL" : json(value);
  if (value === null || value === undefined) return "NULL";
  if (ARRAYS.has(name)) return text(`{${value.map(arrayItem).join(",")}}`);
  if (INTERVALS.has(name)) return text(interval(value));
  if (typeof value === "number") return String(value);
  if (typeof value === "boolean") return String(value);
  return text(String(value));
}

function arrayItem(value) {
  return /^[A-Za-z0-9._*-]+$/.test(value) && !/^null$/i.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
}

// A duration like 1m30s, or seconds, as PostgreSQL reads it.
function interval(value) {
  if (typeof value === "number") return `${value} s`;
  return value.replace(/([0-9.]+)(ms|s|m|h|d)/g, (_, count, unit) => `${count} ${UNITS[unit]} `).trim();
}

export function text(value) {
  const quoted = `'${value.replaceAll("'", "''")}'`;
  // (A backslash means itself, whatever standard_conforming_strings says.)
  return value.includes("\\") ? `E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}

function json(value) {
  return text(spaced(value));
}

// JSON with a space after colons and commas, as people write it.
function spaced(value) {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${spaced(one)}`).join(", ")}}`;
  }
  return JSON.stringify(value ?? null);
}

function quotedName(name) {
  return /^[a-z_]+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
