// The one way to the API. Its errors are problem documents (RFC 9457).

export const ROOT = "/api/console";

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `The console answers ${status}.`);
    this.status = status;
    this.code = document.code ?? "";
    this.document = document;
    // What is wrong, and where: [{entity, path, code, message}].
    this.problems = document.problems ?? [];
  }
}

const signedOut = new EventTarget();

export function onSignedOut(listener) {
  signedOut.addEventListener("out", listener);
}

// What a page asks by itself must not make a session last longer: nor does anything, once nobody
// has touched the page for a while.
const ATTENDED_MS = 60_000;
let touched = Date.now();
for (const type of ["keydown", "pointerdown"]) {
  addEventListener(type, () => (touched = Date.now()), { capture: true, passive: true });
}

// Ask the API. Options:
//   query       what is undefined, null or empty is left out
//   version     of the entity that is to be changed
//   patch       whether the body is a merge patch
//   unattended  nobody has asked for it
export async function api(method, path, options = {}) {
  const { body, query, version, patch, signal, unattended } = options;
  const headers = { Accept: "application/json" };
  if (body !== undefined) {
    headers["Content-Type"] = patch ? "application/merge-patch+json" : "application/json";
  }
  if (version !== undefined) headers["If-Match"] = `"${version}"`;
  if (unattended || Date.now() - touched > ATTENDED_MS) headers["X-Unattended"] = "1";
  const answer = await sent(ROOT + path + text(query), {
    method,
    headers,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const value = await content(answer);
  if (answer.ok) return value;
  if (answer.status === 401) signedOut.dispatchEvent(new Event("out"));
  throw new Problem(answer.status, value && typeof value === "object" ? value : {});
}

async function sent(address, request) {
  try {
    return await fetch(address, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "unreachable", detail: "The console can't be reached." });
  }
}

async function content(answer) {
  if (answer.status === 204) return null;
  const type = answer.headers.get("Content-Type") ?? "";
  if (!/[/+]json/.test(type)) return answer.text();
  return answer.json().catch(() => null);
}

function text(query) {
  const pairs = Object.entries(query ?? {}).filter(
    ([, value]) => value !== undefined && value !== null && value !== "" && value !== false,
  );
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

export const get = (path, query, options) => api("GET", path, { query, ...options });
export const post = (path, body, options) => api("POST", path, { body, ...options });

// The path of an entity, or of what is below it.
export function pathOf(kind, id, ...rest) {
  return `/${[kind, id, ...rest].map(encodeURIComponent).join("/")}`;
}
