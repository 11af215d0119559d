// What to do when two have changed the same entity: field by field. Pure.

import { changedFields, equal } from "./kinds.js";

// Returns what only they changed, and what both changed, differently.
export function compare(kind, base, theirs, mine) {
  const by = (other) => changedFields(kind, base, other);
  const [ofThem, ofMe] = [by(theirs), new Set(by(mine))];
  return {
    theirs: ofThem.filter((name) => !ofMe.has(name)),
    both: ofThem.filter((name) => ofMe.has(name) && !equal(theirs[name], mine[name])),
  };
}

// Returns mine on top of theirs: of fields that both changed, those in `take` are theirs.
export function merged(kind, base, theirs, mine, take = new Set()) {
  const result = { ...theirs };
  for (const name of changedFields(kind, base, mine)) {
    if (!take.has(name)) result[name] = mine[name];
  }
  return result;
}
