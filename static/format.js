// Numbers as people read them. What is not known is a dash, never a zero.

export const UNKNOWN = "–";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Watts, without their sign: the direction is told by words and arrows. */
export function power(watts) {
  if (!isNumber(watts)) return UNKNOWN;
  const size = Math.abs(watts);
  if (size < 1000) return `${Math.round(size)} W`;
  return `${(size / 1000).toFixed(size < 9950 ? 2 : 1)} kW`;
}

/** What is stored, and of how much if that is known. */
export function energy(wattHours, capacity) {
  if (!isNumber(wattHours)) return UNKNOWN;
  const of = isNumber(capacity) && capacity > 0 ? ` / ${(capacity / 1000).toFixed(1)}` : "";
  return `${(wattHours / 1000).toFixed(1)}${of} kWh`;
}

export function percent(value) {
  return isNumber(value) ? `${Math.round(value)} %` : UNKNOWN;
}

/** Seconds. */
export function age(seconds) {
  if (!isNumber(seconds)) return UNKNOWN;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** Smaller than what a meter makes of nothing. */
export const isFlowing = (watts) => isNumber(watts) && Math.abs(watts) >= 20;
