// One change of an entity as YAML and as a call of curl; as SQL, see sql.js. Pure.

import { KINDS, mergePatch, said } from "./kinds.js";
import { yaml } from "./yaml.js";

// Returns the file that `fenglingctl apply` takes: the entity as it is to be.
export function changeAsYaml({ kind, id, after }) {
  const { list } = KINDS[kind];
  if (!after) return `# in a file there is nothing to say of what is gone:\n# fenglingctl apply --prune deletes what is not in it\n`;
  if (kind === "setting") return yaml({ [list]: { [id]: after.value } });
  return yaml({ [list]: [{ ...(id ? { id } : {}), ...said(kind, after) }] });
}

// Returns a call of curl, with the address of the console and a token in variables.
export function changeAsCurl({ kind, id, before, after, version, comment = "", origin = "" }) {
  const path = `/api/console/${KINDS[kind].list}`;
  const query = comment ? `?wait=all&comment=${encodeURIComponent(comment)}` : "?wait=all";
  const one = `${path}/${encodeURIComponent(id)}`;
  if (!after) return called("DELETE", `${one}${query}`, { version, origin });
  if (!before) {
    const name = kind === "setting" ? { key: id } : id ? { id } : {};
    return called("POST", `${path}${query}`, { body: { ...name, ...said(kind, after) }, type: "application/json", origin });
  }
  const body = mergePatch(before, after);
  return called("PATCH", `${one}${query}`, { body, type: "application/merge-patch+json", version, origin });
}

function called(method, path, { body, type, version, origin }) {
  const lines = [`curl -X ${method} ${shell(origin + path)}`, '  -H "Authorization: Bearer $TOKEN"'];
  if (version !== undefined) lines.push(`  -H 'If-Match: "${version}"'`);
  if (type) lines.push(`  -H 'Content-Type: ${type}'`);
  if (body) lines.push(`  --data ${shell(JSON.stringify(body, null, 2))}`);
  return `${lines.join(" \\\n")}\n`;
}

function shell(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
