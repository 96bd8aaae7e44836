// A screen on a wall: stays awake, hides the cursor, moves a little against burn-in, is dimmed at night.

const STILL = 4_000; // ms until the cursor is hidden
const SHIFT = 60_000;
/** A cloud is no night: so long has the sun given nothing. Seconds */
const DUSK = 900;
const WAY = [[0, 0], [1, 0], [2, 1], [1, 2], [0, 1], [-1, 2], [-2, 1], [-1, 0], [-2, -1], [-1, -2], [0, -1], [1, -2]];

async function stayAwake() {
  if (!("wakeLock" in navigator) || document.hidden) return;
  try {
    await navigator.wakeLock.request("screen");
  } catch {
    // Needs HTTPS and power; without them the tablet's own settings decide.
  }
}

/** What the screen gives: dark and dimmed at night, or when somebody wants it so. */
class Lamp {
  #dim;
  #wanted = null;
  #lit = null;

  constructor(dim) {
    this.#dim = dim;
  }

  isDim() {
    return document.documentElement.classList.contains("night");
  }

  /** The other way round than now, until the night ends or begins. */
  toggle() {
    const wanted = !this.isDim();
    this.#wanted = wanted === this.#isNight() ? null : wanted;
    this.settle();
  }

  /** Whether the sun gives anything at `now`, Unix seconds; `null` is unknown and changes nothing. */
  sun(isShining, now) {
    if (this.#dim !== "sun" || isShining === null) return;
    const before = this.#isNight();
    if (isShining) this.#lit = now;
    else this.#lit ??= -Infinity;
    this.#now = now;
    if (this.#isNight() !== before) this.settle();
  }
  #now = 0;

  #isNight() {
    const dim = this.#dim;
    if (!dim) return false;
    if (dim === "sun") return this.#lit !== null && this.#now - this.#lit > DUSK;
    const hour = new Date(Date.now()).getHours();
    return dim.from < dim.until ? hour >= dim.from && hour < dim.until : hour >= dim.from || hour < dim.until;
  }

  settle() {
    const isNight = this.#isNight();
    if (this.#wanted === isNight) this.#wanted = null;
    document.documentElement.classList.toggle("night", this.#wanted ?? isNight);
  }
}

/** `dim`: `{ from, until }` in hours, `sun`, or null. */
export function hang(dim) {
  stayAwake();
  document.addEventListener("visibilitychange", stayAwake);

  const root = document.documentElement;
  let timer;
  const wake = () => {
    root.classList.remove("still");
    clearTimeout(timer);
    timer = setTimeout(() => root.classList.add("still"), STILL);
  };
  for (const event of ["pointermove", "pointerdown", "keydown"]) addEventListener(event, wake, { passive: true });
  wake();

  const lamp = new Lamp(dim);
  let minute = 0;
  const shift = () => {
    const [x, y] = WAY[minute++ % WAY.length];
    document.body.style.transform = `translate(${x}px, ${y}px)`;
    lamp.settle();
  };
  shift();
  setInterval(shift, SHIFT);
  return lamp;
}

/** Three tones. Browsers allow them only after a touch, or when the kiosk was started so that they do. */
export function alarm() {
  let audio;
  try {
    audio = new AudioContext();
  } catch {
    return; // a screen without a speaker
  }
  for (const [index, pitch] of [523, 392, 523].entries()) {
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    const start = audio.currentTime + index * 0.45;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, start);
    volume.gain.exponentialRampToValueAtTime(0.3, start + 0.03);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.4);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.42);
    if (index === 2) tone.onended = () => audio.close();
  }
}
