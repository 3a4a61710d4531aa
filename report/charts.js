// Interactive charts in place of the pictures that are in the page without scripts, and in print.
(() => {
  "use strict";
  const exercises = JSON.parse(document.getElementById("series").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const seconds = (u, value) => value === null ? "" : value.toFixed(0) + " s";

  function hatched(context) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const brush = tile.getContext("2d");
    brush.fillStyle = colour("--failed");
    brush.fillRect(0, 0, 6, 6);
    brush.strokeStyle = colour("--hatch");
    brush.lineWidth = 1.2;
    for (const shift of [-6, 0, 6]) {
      brush.beginPath();
      brush.moveTo(shift, 6);
      brush.lineTo(shift + 6, 0);
      brush.stroke();
    }
    return context.createPattern(tile, "repeat");
  }

  // Numbered dashed lines at the moments at which something was done.
  function marked(marks) {
    return (u) => {
      const context = u.ctx, ratio = devicePixelRatio;
      context.save();
      context.strokeStyle = context.fillStyle = colour("--mark");
      context.setLineDash([3 * ratio, 3 * ratio]);
      context.lineWidth = ratio;
      context.font = "bold " + 11 * ratio + "px system-ui, sans-serif";
      context.textAlign = "center";
      const ends = [-Infinity, -Infinity];  // numbers that are near each other are on two rows
      for (const [at, number] of marks) {
        const x = u.valToPos(at, "x", true);
        if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
        context.beginPath();
        context.moveTo(x, u.bbox.top);
        context.lineTo(x, u.bbox.top + u.bbox.height);
        context.stroke();
        const row = x - ends[0] > 16 * ratio ? 0 : 1;
        ends[row] = x;
        context.fillText(number, x, u.bbox.top - (3 + 12 * row) * ratio);
      }
      context.restore();
    };
  }

  function options(exercise, width, kind) {
    const axis = (more) => Object.assign({
      stroke: colour("--soft"), grid: {stroke: colour("--rule"), width: 1}, ticks: {stroke: colour("--rule"), width: 1},
    }, more);
    const bars = uPlot.paths.bars({size: [0.96, 40], align: 1});
    const requests = [
      {label: "time", value: seconds},
      // All that were sent; in front of it those that were answered. What is left to see failed.
      {label: "failed", stroke: colour("--failed"), width: 1, fill: (u) => hatched(u.ctx), paths: bars, points: {show: false},
        value: (u, value, series, index) => index === null ? "" : String(exercise.failed[index])},
      {label: "answered", stroke: colour("--answered"), width: 1, fill: colour("--answered"), paths: bars, points: {show: false},
        value: (u, value) => value === null ? "" : String(value)},
    ];
    const latency = [
      {label: "time", value: seconds},
      {label: "half of the answers", stroke: colour("--task-edge"), width: 2, value: (u, v) => v === null ? "" : v.toFixed(0) + " ms"},
      {label: "99 of 100", stroke: colour("--slow"), width: 1.5, dash: [5, 3], value: (u, v) => v === null ? "" : v.toFixed(0) + " ms"},
    ];
    return {
      width: width, height: 230, padding: [28, Math.round(width * 12 / 760), 0, 0],
      scales: {x: {time: false, range: (u, low, high) => {
        const all = low === exercise.at[0] && high === exercise.at[exercise.at.length - 1];
        return all ? [0, exercise.end] : [low, high];
      }}, y: {range: (u, low, high) => [0, kind === "latency" ? (high || 1) * 1.05 : high || 1]}},
      axes: [axis({values: (u, all) => all.map((each) => each + " s")}), axis({size: Math.max(56, Math.round(width * 92 / 760)),
        values: (u, all) => all.map((each) => kind === "latency" ? each + " ms" : String(each))})],
      series: kind === "latency" ? latency : requests,
      cursor: {drag: {x: true, y: false}},
      hooks: {draw: [marked(exercise.marks)]},
    };
  }

  const charts = [];
  function draw() {
    for (const chart of charts.splice(0)) chart.destroy();
    for (const figure of document.querySelectorAll("figure[data-chart]")) {
      const exercise = exercises[figure.dataset.exercise];
      const place = figure.querySelector(".interactive"), picture = figure.querySelector(".static");
      const kind = figure.dataset.chart;
      const data = kind === "latency" ? [exercise.at, exercise.p50, exercise.p99]
        : [exercise.at, exercise.sent, exercise.answered];
      place.hidden = false;
      picture.hidden = true;
      charts.push(new uPlot(options(exercise, place.clientWidth, kind), data, place));
    }
  }

  let timer = 0, width = 0;
  function later() {
    clearTimeout(timer);
    timer = setTimeout(draw, 100);
  }
  addEventListener("resize", () => {
    if (innerWidth !== width) later();
    width = innerWidth;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
  draw();
})();
