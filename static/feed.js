// The connection to the service: opens it, notices when it has gone silent, opens it again.

const SILENCE = 5_000; // the service sends a frame each second
const PAUSES = [500, 1_000, 2_000, 5_000, 10_000];

/** Calls `onFrame` with each frame and `onState` with "open" or "lost". */
export function follow(path, onFrame, onState) {
  const url = new URL(path, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  let socket;
  let failures = 0;
  let watchdog;
  let retry;

  function open() {
    clearTimeout(retry);
    const mine = new WebSocket(url);
    socket = mine;
    arm();
    mine.onmessage = (message) => {
      if (mine !== socket) return;
      failures = 0;
      arm();
      onState("open");
      onFrame(JSON.parse(message.data));
    };
    mine.onclose = () => mine === socket && lose();
  }

  function arm() {
    clearTimeout(watchdog);
    watchdog = setTimeout(lose, SILENCE);
  }

  function lose() {
    clearTimeout(watchdog);
    const dead = socket;
    socket = undefined;
    dead?.close();
    onState("lost");
    const pause = PAUSES[Math.min(failures++, PAUSES.length - 1)];
    clearTimeout(retry);
    retry = setTimeout(open, pause * (1 + Math.random() / 4));
  }

  // A tablet that wakes up, or a network that returns, need not wait.
  const again = () => {
    if (document.visibilityState === "visible" && !socket) open();
  };
  document.addEventListener("visibilitychange", again);
  window.addEventListener("online", again);
  open();
}
