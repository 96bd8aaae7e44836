// Time that only passes when a test says so, and a socket that hears what a test sends.
{
  const real = { now: Date.now.bind(Date), timeout: setTimeout.bind(window) };
  // A test may say when it is.
  const started = window.started ?? real.now();
  let passed = 0;
  let number = 1;
  const timers = new Map();
  const later = (call, pause, every) => {
    timers.set(number, { call, due: passed + Math.max(1, pause || 0), every });
    return number++;
  };
  window.setTimeout = (call, pause) => later(call, pause, null);
  window.setInterval = (call, pause) => later(call, pause, Math.max(1, pause));
  window.clearTimeout = window.clearInterval = (timer) => timers.delete(timer);
  performance.now = () => passed;
  Date.now = () => started + passed;
  class Socket {
    constructor() {
      Socket.latest = this;
    }
    close() {}
  }
  window.WebSocket = Socket;
  window.hours = {
    hear: (message) => Socket.latest.onmessage({ data: JSON.stringify(message) }),
    at: () => (started + passed) / 1000,
    /** A second; what is due more than once within it happens once, as in a browser that is busy. */
    second() {
      passed += 1000;
      for (const [key, timer] of [...timers].filter(([, { due }]) => due <= passed)) {
        if (timer.every === null) timers.delete(key);
        else timer.due = passed + timer.every;
        timer.call();
      }
      return timers.size;
    },
    pause: () => new Promise((done) => real.timeout(done, 0)),
  };
}
