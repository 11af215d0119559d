// What the console says of everything, with where to look: that all is well, or all that is not,
// the worst first. Pure.

// Returns {tone, text, action: {label, href}} of each sentence of a summary.
// tone: bad, warn, wait or good.
export function headlines(summary, problem = null) {
  if (problem) return [{ tone: "bad", text: `The console can't tell: ${problem.message}`, action: null }];
  return (summary?.sentences ?? []).map(({ mood, text, about, target }) => ({ tone: mood, text, action: actionFor(about, target, text) }));
}

function actionFor(about, target, text) {
  const place = target && placeOf(target);
  switch (about) {
    case "fleet":
      return { label: "See the fleet", href: "/fleet" };
    case "health":
      return { label: "See services", href: "/services?health=unhealthy" };
    case "history": {
      const revision = /^Held: revision ([0-9]+)/.exec(text)?.[1];
      return { label: "Look at it", href: revision ? `/history/${revision}` : "/history" };
    }
    default:
      return place ? { label: about === "rejected" ? "See why" : "Look at it", href: place } : null;
  }
}

const LISTS = { route: "routes", service: "services", tenant: "settings", setting: "settings" };

// Where an entity is shown, of its key as the API writes it: "route orders".
export function placeOf(key) {
  const [kind, id] = key.split(" ");
  if (kind === "route" || kind === "service") return `/${LISTS[kind]}/${encodeURIComponent(id)}`;
  if (kind === "instance") return "/services";
  return LISTS[kind] ? "/settings" : null;
}
