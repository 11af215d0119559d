// The shape of a line over time. Pure.

// Returns the path of a line, and of what is below it, for values of which the newest is at the
// right border; null is a gap. `most` is at least the top: so that noise near zero stays flat.
export function sparkline(values, { width, height, slots = values.length, most = 1 }) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const top = Math.max(most, ...known);
  const step = slots > 1 ? width / (slots - 1) : width;
  const start = width - step * (values.length - 1);
  const runs = [];
  let run = null;
  values.forEach((value, at) => {
    if (value === null || value === undefined) {
      run = null;
      return;
    }
    if (!run) runs.push((run = []));
    run.push([start + step * at, height - (value / top) * height]);
  });
  const line = runs.map((points) => `M${points.map(point).join("L")}`).join("");
  const area = runs
    .filter((points) => points.length > 1)
    .map((points) => `M${point([points[0][0], height])}L${points.map(point).join("L")}L${point([points.at(-1)[0], height])}Z`)
    .join("");
  return { line, area, top };
}

function point([x, y]) {
  return `${round(x)},${round(y)}`;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
