// Which page is shown: the path decides, by the browser's own history.

const routes = [];
let shown = null;
let guard = null;
let show = () => {};

// Say that a page is at a path such as /routes/:id. The first that fits is shown.
export function at(pattern, view) {
  const names = [];
  const source = pattern.replace(/:([a-z]+)/g, (_, name) => {
    names.push(name);
    return "([^/]+)";
  });
  routes.push({ expression: new RegExp(`^${source}/?$`), names, view, pattern });
}

export function found(path) {
  for (const { expression, names, view, pattern } of routes) {
    const match = expression.exec(path);
    if (match) {
      const params = names.map((name, at) => [name, decoded(match[at + 1])]);
      return { view, pattern, params: Object.fromEntries(params) };
    }
  }
  return null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// `shower` is called with {view, params, query, path} for each page that is to be shown.
export function start(shower) {
  show = shower;
  document.addEventListener("click", followed);
  addEventListener("popstate", () => arrive({ isBack: true }));
  addEventListener("beforeunload", (event) => {
    if (guard?.()) event.preventDefault();
  });
  arrive({});
}

export function go(href, { replace = false } = {}) {
  if (!mayLeave()) return;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  arrive({});
}

// Have the address say what the page shows, without showing another. `keep` is what `kept` returns to
// whoever comes back to it.
export function say(query, keep = null) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  shown = location.pathname + (text ? `?${text}` : "");
  history.replaceState(keep, "", shown);
}

export const kept = () => history.state;

// What is lost if somebody leaves is asked about; null: nothing is.
export function guardWith(question) {
  guard = question;
}

function mayLeave() {
  const question = guard?.();
  if (question && !confirm(question)) return false;
  guard = null;
  return true;
}

function arrive({ isBack }) {
  const here = location.pathname + location.search;
  if (isBack && guard?.() && !mayLeave()) {
    history.pushState(null, "", shown);
    return;
  }
  guard = null;
  shown = here;
  const query = Object.fromEntries(new URLSearchParams(location.search));
  show({ ...(found(location.pathname) ?? { view: null, params: {} }), query, path: location.pathname });
}

function followed(event) {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest("a[href]");
  if (!link || link.target || link.origin !== location.origin || !found(link.pathname)) return;
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  go(link.pathname + link.search);
}
