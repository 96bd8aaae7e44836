// The connection to the service: whatever gets through of WebSocket, server-sent events and asking again and again;
// opens it anew when it falls silent, goes on where it was cut, and keeps the state that the messages describe.

const SILENCE = 15_000; // the service says something at least every 5 s
const SHORTEST = 500;
const LONGEST = 15_000;
const POLL = 5_000;
/** After this many failures in a row without a single message, the next way is tried. */
const PATIENCE = 2;

function socket(url, heed) {
  const address = new URL(url);
  address.protocol = address.protocol.replace("http", "ws");
  const opened = new WebSocket(address);
  opened.onmessage = ({ data }) => heed.message(data);
  opened.onclose = () => heed.end();
  return () => opened.close();
}

function events(url, heed) {
  const opened = new EventSource(url);
  const hear = ({ data }) => data && heed.message(data);
  opened.onmessage = hear;
  for (const name of ["state", "change", "beat"]) opened.addEventListener(name, hear);
  opened.onerror = () => heed.end();
  return () => opened.close();
}

function polling(url, heed) {
  const over = new AbortController();
  const ask = async () => {
    const late = setTimeout(() => over.abort(), SILENCE);
    try {
      const answer = await fetch(url, { signal: over.signal, cache: "no-store" });
      if (!answer.ok) return heed.end();
      heed.message(await answer.text());
      timer = setTimeout(ask, POLL);
    } catch {
      heed.end();
    } finally {
      clearTimeout(late);
    }
  };
  let timer = setTimeout(ask, 0);
  return () => {
    clearTimeout(timer);
    over.abort();
  };
}

const WAYS = [
  { name: "WebSocket", path: "ws/live", resumes: true, open: socket },
  { name: "server-sent events", path: "sse/live", resumes: true, open: events },
  { name: "polling", path: "api/live", resumes: false, open: polling },
];

/**
 * Follows the service for as long as the page lives.
 *
 * `onState(live)` after every message that changed something, with `live.state` the newest values by key;
 * `onLink(live)` when the connection comes or goes: `live.link` is `connecting`, `open` or `lost`.
 */
export function follow({ onState, onLink }) {
  const live = {
    state: {},
    link: "connecting",
    way: null,
    /** When the connection was lost, by `performance.now()`. */
    lostAt: null,
    /** When it is tried again, likewise. */
    retryAt: null,
    /** Unix seconds by the clock of the service, so that ages are right on a tablet whose clock is not. */
    now: () => (at === null ? Date.now() / 1000 : at + (performance.now() - heardAt) / 1000),
  };
  let at = null;
  let heardAt = 0;
  let epoch = null;
  let sequence = null;
  let version = null;
  let way = 0;
  let failures = 0;
  let close = null;
  let watchdog;
  let retry;

  function message(text) {
    let news;
    try {
      news = JSON.parse(text);
    } catch {
      return lose();
    }
    if (news.type === "state") {
      if (version !== null && news.version !== version) return location.reload();
      version = news.version;
      epoch = news.epoch;
      live.state = news.state;
    } else if (news.type === "change") {
      if (news.seq <= sequence) return hear(news);
      // Something was not heard: ask for it.
      if (news.seq > sequence + 1) return lose();
      for (const key of news.gone ?? []) delete live.state[key];
      Object.assign(live.state, news.set);
    } else if (news.type !== "beat") return;
    if (news.type === "beat" && news.seq > sequence) return lose();
    sequence = news.seq;
    hear(news);
    if (news.type !== "beat") onState(live);
  }

  function hear(news) {
    at = news.at;
    heardAt = performance.now();
    failures = 0;
    arm();
    if (live.link === "open") return;
    Object.assign(live, { link: "open", way: WAYS[way].name, lostAt: null, retryAt: null });
    onLink(live);
  }

  function open() {
    clearTimeout(retry);
    const mine = {};
    current = mine;
    const url = new URL(WAYS[way].path, document.baseURI);
    if (WAYS[way].resumes && sequence !== null) url.searchParams.set("resume", `${epoch}-${sequence}`);
    arm();
    try {
      close = WAYS[way].open(url, {
        message: (text) => current === mine && message(text),
        end: () => current === mine && lose(),
      });
    } catch {
      lose();
    }
  }
  let current = null;

  function arm() {
    clearTimeout(watchdog);
    watchdog = setTimeout(lose, SILENCE);
  }

  function lose() {
    hangUp();
    failures += 1;
    // A way that never says anything is blocked; after the last the first gets another chance.
    if (failures % PATIENCE === 0) way = (way + 1) % WAYS.length;
    const pause = Math.min(LONGEST, SHORTEST * 2 ** Math.min(failures - 1, 10)) * (0.5 + Math.random() / 2);
    retry = setTimeout(open, pause);
    live.retryAt = performance.now() + pause;
    if (live.link !== "lost") {
      live.lostAt = performance.now();
      live.link = "lost";
    }
    onLink(live);
  }

  function hangUp() {
    clearTimeout(watchdog);
    clearTimeout(retry);
    current = null;
    close?.();
    close = null;
  }

  // A tablet that wakes up, or a network that returns, need not wait.
  const again = () => {
    if (document.visibilityState === "visible" && current === null) open();
  };
  document.addEventListener("visibilitychange", again);
  addEventListener("online", again);
  // A page that is kept for the way back must not hold a connection.
  addEventListener("pagehide", hangUp);
  addEventListener("pageshow", ({ persisted }) => persisted && again());
  open();
  return live;
}
