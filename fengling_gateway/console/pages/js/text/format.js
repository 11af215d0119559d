// Numbers and times as people read them. Pure.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function number(value) {
  return value === null || value === undefined ? "–" : NUMBER.format(value);
}

export function plural(count, word, words = `${word}s`) {
  return `${number(count)} ${count === 1 ? word : words}`;
}

// A rate: with one digit more where it is small.
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value > 0 && value < 10 ? value.toFixed(1) : number(value);
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 10_000) return `${(value / 1000).toFixed(0)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 10) return `${value.toFixed(0)} ms`;
  return `${value >= 1 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

const UNITS = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
];

// A span of seconds, coarse: 3 d, 2 h, 5 min, 12 s.
export function span(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  for (const [unit, length] of UNITS) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

// A moment, of ISO 8601 text or seconds since 1970; null for none.
export function moment(value) {
  if (value === null || value === undefined || value === "") return null;
  const date = new Date(typeof value === "number" ? value * 1000 : value);
  return Number.isNaN(date.getTime()) ? null : date;
}

export function ago(value, now = Date.now()) {
  const date = moment(value);
  if (!date) return "–";
  const seconds = (now - date.getTime()) / 1000;
  if (seconds < -1) return `in ${span(-seconds)}`;
  return seconds < 2 ? "just now" : `${span(seconds)} ago`;
}

export function clock(value) {
  const date = moment(value);
  return date ? date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }) : "–";
}

export function list(words, most = 3) {
  if (words.length <= most) return words.join(", ");
  return `${words.slice(0, most).join(", ")} and ${number(words.length - most)} more`;
}
