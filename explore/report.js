"use strict";
// Linked scatter plots and a sortable table over DATA.points; filled by explore/report.py.
(() => {
  const points = DATA.points, plots = DATA.plots;
  const W = 420, H = 300, L = 58, R = 14, T = 12, B = 40;
  const NS = "http://www.w3.org/2000/svg";
  const networks = [...new Set(points.map(p => p.network))];
  const colour = p => `hsl(${(networks.indexOf(p.network) * 137.5 + 205) % 360} 65% 42%)`;
  const hidden = new Set(), pinned = new Set();
  const marks = points.map(() => []);
  const rows = [...document.querySelectorAll("#points tbody tr")];
  const rowOf = i => rows.find(r => +r.dataset.i === i);

  function make(name, attributes, parent) {
    const node = document.createElementNS(NS, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (parent) parent.append(node);
    return node;
  }
  const nice = v => v >= 1e6 ? +(v / 1e6).toPrecision(5) + " M" : v >= 1e4 ? +(v / 1e3).toPrecision(5) + " k"
    : "" + +v.toPrecision(5);

  function axis(values, log) {
    let low = Math.min(...values), high = Math.max(...values);
    log = log && high > 4 * low;
    if (log) { low = Math.log10(low); high = Math.log10(high); }
    const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
    const floor = low >= 0 && low - pad < 0 && !log ? 0 : low - pad;
    low = floor; high += pad;
    const ticks = [];
    if (log) {
      for (let e = Math.floor(low); e <= high; e++)
        for (const m of high - low < 2.5 ? [1, 2, 5] : [1]) ticks.push(m * 10 ** e);
    } else {
      const raw = (high - low) / 5, size = 10 ** Math.floor(Math.log10(raw));
      const step = [1, 2, 5, 10].map(m => m * size).find(s => s >= raw);
      for (let t = Math.ceil(low / step) * step; t <= high; t += step) ticks.push(t);
    }
    const share = v => ((log ? Math.log10(v) : v) - low) / (high - low);
    return { share, ticks: ticks.filter(t => share(t) >= 0 && share(t) <= 1) };
  }

  function shape(guard, x, y) {
    const s = 5;
    if (guard === "off") return make("circle", { cx: x, cy: y, r: s });
    if (guard === "bound") return make("rect", { x: x - s, y: y - s, width: 2 * s, height: 2 * s });
    if (guard === "fixed") return make("path", { d: `M${x} ${y - 6}l6 6l-6 6l-6 -6Z` });
    return make("path", { d: `M${x} ${y - 6}L${x + 6} ${y + 5}L${x - 6} ${y + 5}Z` });
  }

  function draw(plot) {
    const there = points.map((p, i) => i).filter(i => points[i].values[plot.x] && points[i].values[plot.y]);
    if (!there.length) return;
    const at = (i, k) => points[i].values[k];
    const xs = axis(there.flatMap(i => at(i, plot.x)), plot.xlog);
    const ys = axis(there.flatMap(i => at(i, plot.y)), plot.ylog);
    const px = v => L + xs.share(v) * (W - L - R), py = v => H - B - ys.share(v) * (H - B - T);
    const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, class: "plot" }, document.getElementById("plots"));
    for (const t of xs.ticks) {
      make("line", { x1: px(t), x2: px(t), y1: T, y2: H - B, class: "grid" }, svg);
      make("text", { x: px(t), y: H - B + 14, "text-anchor": "middle" }, svg).textContent = nice(t);
    }
    for (const t of ys.ticks) {
      make("line", { x1: L, x2: W - R, y1: py(t), y2: py(t), class: "grid" }, svg);
      make("text", { x: L - 5, y: py(t) + 4, "text-anchor": "end" }, svg).textContent = nice(t);
    }
    make("text", { x: (L + W - R) / 2, y: H - 8, "text-anchor": "middle", class: "name" }, svg).textContent = DATA.names[plot.x];
    make("text", { transform: `translate(12 ${(T + H - B) / 2}) rotate(-90)`, "text-anchor": "middle", class: "name" }, svg).textContent = DATA.names[plot.y];
    for (const i of there) {
      const [x, xl, xh] = at(i, plot.x), [y, yl, yh] = at(i, plot.y), p = points[i];
      const g = make("g", { class: "mark", "data-i": i }, svg);
      for (const [a, b, c, d] of [[px(xl), px(xh), py(y), py(y)], [px(x), px(x), py(yl), py(yh)]])
        make("line", { x1: a, x2: b, y1: c, y2: d, class: "interval", stroke: colour(p) }, g);
      const s = shape(p.guard, px(x), py(y));
      s.setAttribute("stroke", colour(p));
      s.setAttribute("fill", p.front ? colour(p) : "#fff");
      g.append(s);
      make("title", {}, g).textContent = p.title;
      link(g, i);
      marks[i].push(g);
    }
  }

  function link(node, i) {
    node.addEventListener("mouseenter", () => light(i, true));
    node.addEventListener("mouseleave", () => light(i, false));
    node.addEventListener("click", () => { pinned.has(i) ? pinned.delete(i) : pinned.add(i); light(i, true); });
  }
  function light(i, on) {
    const shown = on || pinned.has(i);
    for (const g of marks[i]) {
      g.classList.toggle("on", shown);
      if (shown) g.parentNode.append(g);
    }
    rowOf(i).classList.toggle("on", shown);
    rowOf(i).classList.toggle("pinned", pinned.has(i));
    document.body.classList.toggle("picked", on || pinned.size > 0);
  }

  function choices() {
    const box = document.getElementById("choices");
    for (const key of ["network", "array", "guard"]) {
      const line = box.appendChild(document.createElement("div"));
      line.append(`${key}: `);
      for (const value of [...new Set(points.map(p => p[key]))]) {
        const label = line.appendChild(document.createElement("label"));
        const input = label.appendChild(document.createElement("input"));
        input.type = "checkbox";
        input.checked = true;
        if (key === "network") label.style.color = colour({ network: value });
        label.append(" " + value + " ");
        input.addEventListener("change", () => {
          hidden[input.checked ? "delete" : "add"](key + value);
          points.forEach((p, i) => {
            const off = ["network", "array", "guard"].some(k => hidden.has(k + p[k]));
            for (const node of [...marks[i], rowOf(i)]) node.classList.toggle("hidden", off);
          });
        });
      }
    }
  }

  plots.forEach(draw);
  rows.forEach(r => link(r, +r.dataset.i));
  choices();
  document.querySelectorAll("#points th").forEach((head, column) => {
    let up = false;
    head.addEventListener("click", () => {
      up = !up;
      const key = r => r.children[column].dataset.v ?? r.children[column].textContent;
      const order = (a, b) => isNaN(+a) || isNaN(+b) ? ("" + a).localeCompare(b) : a - b;
      rows.sort((a, b) => (up ? 1 : -1) * order(key(a), key(b)));
      document.querySelector("#points tbody").append(...rows);
    });
  });
})();
