/**
 * The page's own script: sorting, filtering and hovering. Everything shows without it.
 *
 * Written as text, since it runs in the reader's browser; `tests/report` drives it there.
 */
export const script = `"use strict";
const table = document.querySelector("#results");
const body = table.tBodies[0];
const rows = [...body.rows];
const heads = [...table.tHead.rows[0].cells];

// Sorting: numbers from the largest down first, names from the first letter; what is missing last.
heads.forEach((head, column) => head.addEventListener("click", () => {
  const numeric = head.classList.contains("num");
  const now = head.getAttribute("aria-sort");
  const down = now === null ? numeric : now === "ascending";
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent;
    return cell.dataset.v === "" ? null : Number(cell.dataset.v);
  };
  const sign = down ? -1 : 1;
  const keyed = rows.map((row) => [key(row), row]);
  keyed.sort(([a], [b]) => a === null || b === null
    ? (a === null) - (b === null)
    : sign * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true })));
  body.append(...keyed.map(([, row]) => row));
}));

// Filtering: every word must stand in the row's name or seeds.
const filter = document.querySelector("#filter");
const count = document.querySelector("#count");
filter.closest(".filter").hidden = false;
const names = rows.map((row) => row.cells[0].textContent.toLowerCase());
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((row, i) => {
    row.hidden = !words.every((word) => names[i].includes(word));
    shown += row.hidden ? 0 : 1;
  });
  count.textContent = shown === rows.length ? rows.length + " rows" : shown + " of " + rows.length + " rows";
});

// Hovering: the nearest point of a figure, by pointer or arrow keys.
const tip = document.body.appendChild(document.createElement("div"));
tip.id = "tip";
tip.hidden = true;
let near = null;
const clear = () => {
  near?.classList.remove("near");
  near = null;
  tip.hidden = true;
};
const show = ({ element, text }, x, y) => {
  clear();
  near = element;
  near.classList.add("near");
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 4)) + "px";
  tip.style.top = (y - height - 12 < 4 ? y + 16 : y - height - 12) + "px";
};
const moved = /translate\\(([-\\d.]+),\\s*([-\\d.]+)\\)/;
const pointsOf = (svg) => [...svg.querySelectorAll("title")].map((title) => {
  const element = title.parentNode;
  const at = moved.exec(element.getAttribute("transform"));
  const [x, y] = at ? [at[1], at[2]] : [element.getAttribute("cx"), element.getAttribute("cy")];
  const text = title.textContent;
  title.remove(); // The browser's own tip would stand beside this one.
  return { element, text, x: Number(x), y: Number(y) };
});
const curvesOf = (figure) => {
  const series = JSON.parse(figure.querySelector("script").textContent);
  const { unit, digits } = figure.dataset;
  return (svg) => [...svg.querySelectorAll("path[data-series]")].flatMap((element) => {
    const [name, ...values] = series[element.dataset.series];
    const places = [...element.getAttribute("d").matchAll(/(-?[\\d.]+),(-?[\\d.]+)/g)];
    return places.map(([, x, y], i) => ({
      element,
      text: name + ", epoch " + values[2 * i] + ": " + values[2 * i + 1].toFixed(digits) + unit,
      x: Number(x),
      y: Number(y),
    }));
  });
};
for (const figure of document.querySelectorAll("[data-hover]")) {
  const read = figure.dataset.hover === "points" ? pointsOf : curvesOf(figure);
  for (const svg of figure.querySelectorAll("svg")) {
    let points = null;
    let index = -1;
    const ready = () => points ??= read(svg).sort((a, b) => a.x - b.x || a.y - b.y);
    const screen = (x, y) => new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    svg.tabIndex = 0;
    svg.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      let best = Infinity;
      ready().forEach(({ x, y }, i) => {
        const distance = Math.hypot(x - at.x, y - at.y);
        if (distance < best) [best, index] = [distance, i];
      });
      if (best > 40) clear();
      else show(points[index], event.clientX, event.clientY);
    });
    for (const left of ["pointerleave", "blur"]) {
      svg.addEventListener(left, () => svg.contains(near) && clear());
    }
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") clear();
      if (step === undefined || ready().length === 0) return;
      event.preventDefault();
      index = (index + step + points.length) % points.length;
      const { x, y } = screen(points[index].x, points[index].y);
      show(points[index], x, y);
    });
  }
}
`;
