// Places within a value: steps like ["policies", "retry", "attempts"], and as the API writes them. Pure.

export function pathText(steps) {
  return steps.reduce((text, step) => (typeof step === "number" ? `${text}[${step}]` : text ? `${text}.${step}` : step), "");
}

export function valueAt(value, steps) {
  return steps.reduce((found, step) => found?.[step], value);
}

// Returns a copy that has something else at a place; undefined takes it out.
export function withValue(value, [step, ...rest], fresh) {
  const copy = Array.isArray(value) ? [...value] : { ...value };
  const inner = rest.length ? withValue(copy[step] ?? (typeof rest[0] === "number" ? [] : {}), rest, fresh) : fresh;
  if (inner === undefined && Array.isArray(copy)) copy.splice(step, 1);
  else if (inner === undefined) delete copy[step];
  else copy[step] = inner;
  return copy;
}

// Whether one place is the other, or within it; all is within nothing.
export function isWithin(inner, outer) {
  return inner === outer || outer === "" || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`);
}
