// Where the ribbons between solar, home, battery and grid run. Only geometry.

const PAIRS = ["solar-grid", "solar-battery", "solar-load", "grid-load", "grid-battery", "battery-load"];

/** In which order ribbons leave an edge, so that they do not cross there. */
const EDGES = {
  solar: { along: "x", out: [0, 1], order: ["solar-grid", "solar-battery", "solar-load"] },
  battery: { along: "x", out: [0, -1], order: ["grid-battery", "solar-battery", "battery-load"] },
  grid: { along: "y", out: [1, 0], order: ["solar-grid", "grid-load", "grid-battery"] },
  load: { along: "y", out: [-1, 0], order: ["solar-load", "grid-load", "battery-load"] },
};

/** What the full width of a ribbon stands for, W: the most that was seen, in steps; it does not shrink again. */
export function reach(flows, before = 5_000) {
  const most = flows.reduce((most, { watts }) => Math.max(most, watts), 0);
  return Math.max(before, Math.ceil(most / 2_500) * 2_500);
}

/**
 * Ribbons between `anchors` (by station: `{ x, y }`, the middle of the edge that looks inward).
 * A pair without flow is a thin line. Each: `{ pair, from, to, watts, width, tip, points: [start, c1, c2, end] }`,
 * running in the direction of the power; `tip` is how long the point at its end is, at least `head`.
 */
export function ribbons(anchors, flows, { widest, thinnest, gap, full, head }) {
  const flowing = new Map();
  for (const flow of flows) {
    const pair = PAIRS.find((pair) => pair === `${flow.from}-${flow.to}` || pair === `${flow.to}-${flow.from}`);
    flowing.set(pair, flow);
  }
  const pairs = PAIRS.filter((pair) => pair.split("-").every((station) => anchors[station]));
  const width = (pair) => {
    const flow = flowing.get(pair);
    return flow ? Math.max(thinnest * 2.5, Math.min(1, flow.watts / full) * widest) : thinnest;
  };
  const ports = {};
  for (const [station, edge] of Object.entries(EDGES)) {
    if (!anchors[station]) continue;
    // The one in the middle runs straight, the others lie beside it.
    const middle = width(edge.order[1]) / 2 + gap;
    const aside = { [edge.order[0]]: -1, [edge.order[1]]: 0, [edge.order[2]]: 1 };
    for (const pair of edge.order) {
      const port = { ...anchors[station], out: edge.out };
      port[edge.along] += aside[pair] * (middle + width(pair) / 2);
      // Where power arrives there is a point.
      const room = flowing.get(pair)?.to === station ? Math.max(head, width(pair) * 0.6) : 0;
      port.x += edge.out[0] * room;
      port.y += edge.out[1] * room;
      ports[`${station} ${pair}`] = port;
    }
  }
  return pairs.map((pair) => {
    const flow = flowing.get(pair);
    const [one, other] = pair.split("-");
    const [from, to] = flow ? [flow.from, flow.to] : [one, other];
    const points = bend(ports[`${from} ${pair}`], ports[`${to} ${pair}`]);
    const tip = Math.max(head, width(pair) * 0.6);
    return { pair, from, to, watts: flow?.watts ?? 0, width: width(pair), tip, points };
  });
}

/** Leaves and arrives at right angles to the edges. */
function bend(start, end) {
  const isCorner = start.out[0] === 0 !== (end.out[0] === 0);
  const reach = isCorner ? 0.86 : 0.5;
  const [dx, dy] = [Math.abs(end.x - start.x), Math.abs(end.y - start.y)];
  const pull = ({ x, y, out }) => ({ x: x + out[0] * dx * reach, y: y + out[1] * dy * reach });
  return [start, pull(start), pull(end), end];
}

export const path = ([a, b, c, d]) =>
  `M${a.x.toFixed(1)} ${a.y.toFixed(1)}C${b.x.toFixed(1)} ${b.y.toFixed(1)} ${c.x.toFixed(1)} ${c.y.toFixed(1)} ${d.x.toFixed(1)} ${d.y.toFixed(1)}`;

/** The point at `t` from 0 to 1 of a curve. */
export function at([a, b, c, d], t) {
  const u = 1 - t;
  const mix = (axis) => u * u * u * a[axis] + 3 * u * u * t * b[axis] + 3 * u * t * t * c[axis] + t * t * t * d[axis];
  return { x: mix("x"), y: mix("y") };
}

/** `count` points at equal distances, as x, y, x, y …, and the length of the curve. */
export function walk(points, count) {
  const fine = 64;
  const lengths = [0];
  let before = points[0];
  for (let step = 1; step <= fine; step++) {
    const next = at(points, step / fine);
    lengths.push(lengths[step - 1] + Math.hypot(next.x - before.x, next.y - before.y));
    before = next;
  }
  const length = lengths[fine];
  const places = new Float32Array(2 * count);
  let step = 1;
  for (let index = 0; index < count; index++) {
    const aim = (length * index) / (count - 1);
    while (step < fine && lengths[step] < aim) step++;
    const span = lengths[step] - lengths[step - 1] || 1;
    const { x, y } = at(points, (step - 1 + (aim - lengths[step - 1]) / span) / fine);
    places[2 * index] = x;
    places[2 * index + 1] = y;
  }
  return { places, length };
}
