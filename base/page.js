// Draws the plots of FIGURES, lets tables be sorted, and links plots with the rows of #points.
const dark = matchMedia("(prefers-color-scheme: dark)");
const views = {};
const picked = new Set();

function config() {
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ink = css("--ink"), line = css("--line"), soft = css("--soft");
  const text = { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
  return {
    background: "transparent", view: { stroke: line }, font: "system-ui, sans-serif", legend: { ...text, layout: { top: { direction: "vertical", anchor: "start" } } },
    axis: { ...text, gridColor: line, domainColor: soft, tickColor: soft },
  };
}

async function draw(name) {
  const box = document.querySelector(`#${CSS.escape(name)} > div`);
  const options = { actions: false, renderer: "svg", config: config(), tooltip: { theme: dark.matches ? "dark" : "light" } };
  const spec = { autosize: { type: "fit-x", contains: "padding" }, ...FIGURES[name].spec };
  const { view } = await vegaEmbed(box, spec, options);
  views[name] = view;
  view.addEventListener("click", (event, item) => item?.datum?.point >= 0 && pick(item.datum.point));
  mark();
}

function csv(rows) {
  const keys = [...new Set(rows.flatMap(Object.keys))];
  const cell = v => v === undefined || v === null ? "" : /[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : v;
  return [keys.map(cell).join(","), ...rows.map(r => keys.map(k => cell(r[k])).join(","))].join("\n") + "\n";
}

function save(name, ending, make) {
  const link = document.createElement("a");
  link.href = "#";
  link.textContent = ending.toUpperCase();
  link.addEventListener("click", async event => {
    event.preventDefault();
    const file = document.createElement("a");
    file.href = URL.createObjectURL(await make());
    file.download = `${name}.${ending}`;
    file.click();
    setTimeout(() => URL.revokeObjectURL(file.href), 1000);
  });
  document.querySelector(`#${CSS.escape(name)} figcaption`).append(link);
}

for (const name in FIGURES) {
  if (!document.getElementById(name)) continue;
  draw(name);
  save(name, "svg", async () => new Blob([await views[name].toSVG()], { type: "image/svg+xml" }));
  save(name, "csv", async () => new Blob([csv(FIGURES[name].spec.data.values)], { type: "text/csv" }));
}
dark.addEventListener("change", () => Object.keys(views).forEach(draw));

// A point of one plot is the row of that number of #points, and the same point in all plots.
const points = [...document.querySelectorAll("#points tbody tr")];
points.forEach((row, point) => row.addEventListener("click", () => pick(point)));

function pick(point) {
  picked.has(point) ? picked.delete(point) : picked.add(point);
  mark();
}

function mark() {
  points.forEach((row, point) => row.classList.toggle("picked", picked.has(point)));
  for (const view of Object.values(views))
    if ("picked" in view.getState().signals) view.signal("picked", [...picked]).runAsync();
}

for (const head of document.querySelectorAll("thead th")) {
  head.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending", column = head.cellIndex;
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const key = row => row.cells[column].dataset.v ?? row.cells[column].textContent;
    const order = (a, b) => a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b);
    body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * order(key(a), key(b))));
  });
}
