// What differs between two texts, line by line. Pure.

const MOST = 2000;

// Returns [{sign: " " | "-" | "+", text}], from the longest common subsequence.
export function diffLines(before, after) {
  const [old, fresh] = [lines(before), lines(after)];
  let [start, oldEnd, freshEnd] = [0, old.length, fresh.length];
  while (start < oldEnd && start < freshEnd && old[start] === fresh[start]) start++;
  while (oldEnd > start && freshEnd > start && old[oldEnd - 1] === fresh[freshEnd - 1]) {
    oldEnd--;
    freshEnd--;
  }
  return [
    ...same(old.slice(0, start)),
    ...middle(old.slice(start, oldEnd), fresh.slice(start, freshEnd)),
    ...same(old.slice(oldEnd)),
  ];
}

function lines(text) {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

const same = (texts) => texts.map((text) => ({ sign: " ", text }));
const gone = (texts) => texts.map((text) => ({ sign: "-", text }));
const come = (texts) => texts.map((text) => ({ sign: "+", text }));

function middle(old, fresh) {
  if (old.length * fresh.length > MOST * MOST) return [...gone(old), ...come(fresh)];
  const table = lengths(old, fresh);
  const found = [];
  let [i, j] = [0, 0];
  while (i < old.length && j < fresh.length) {
    if (old[i] === fresh[j]) {
      found.push({ sign: " ", text: old[i] });
      i++;
      j++;
    } else if (table[i + 1][j] >= table[i][j + 1]) found.push({ sign: "-", text: old[i++] });
    else found.push({ sign: "+", text: fresh[j++] });
  }
  return [...found, ...gone(old.slice(i)), ...come(fresh.slice(j))];
}

// How long what two ends have in common is.
function lengths(old, fresh) {
  const table = Array.from({ length: old.length + 1 }, () => new Uint32Array(fresh.length + 1));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = fresh.length - 1; j >= 0; j--) {
      table[i][j] = old[i] === fresh[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  return table;
}
