// Asks for one address again and again while the page is seen, and says how old the newest answer is.

/** Between an answer and the next question. Milliseconds */
const PAUSE = 1_000;
/** Who does not answer within this does not answer. Milliseconds */
const PATIENCE = 10_000;

export class Watch {
  /** The newest answer to what is asked at present, or `null`. */
  body = null;
  /** When the server last said that `body` holds, `Date.now()`. */
  heardAt = 0;
  /** When `body` came, `Date.now()`. */
  cameAt = 0;
  /** Since when it has not answered, `Date.now()`; `null`: it does. */
  lostAt = null;
  /** What the server objects to. */
  refusal = null;
  #path = null;
  #tag = null;
  #timer = null;
  #asking = null;
  #heard;

  constructor(heard) {
    this.#heard = heard;
    document.addEventListener("visibilitychange", () => this.#soon(0));
  }

  /** From now on, `path`; `null`: nothing. The answer to something else does not count any more. */
  follow(path) {
    if (path === this.#path) return;
    this.#path = path;
    this.#tag = null;
    this.refusal = null;
    this.#asking?.abort();
    this.#asking = null;
    this.#soon(0);
  }

  /** Forgets the answer, because it is one to another question. */
  forget() {
    this.body = null;
  }

  #soon(pause) {
    clearTimeout(this.#timer);
    if (this.#path === null || document.hidden || this.#asking !== null) return;
    this.#timer = setTimeout(() => this.#ask(), pause);
  }

  async #ask() {
    const asking = new AbortController();
    this.#asking = asking;
    const late = setTimeout(() => asking.abort(), PATIENCE);
    try {
      const headers = this.#tag === null ? {} : { "if-none-match": this.#tag };
      const answer = await fetch(this.#path, { headers, cache: "no-store", signal: asking.signal });
      const body = answer.status === 304 ? null : await answer.json();
      if (this.#asking === asking) this.#hear(answer, body);
    } catch {
      if (this.#asking === asking) this.lostAt ??= Date.now();
    }
    clearTimeout(late);
    if (this.#asking !== asking) return;
    this.#asking = null;
    this.#heard();
    this.#soon(PAUSE);
  }

  #hear(answer, body) {
    if (answer.status >= 500) {
      this.lostAt ??= Date.now();
      return;
    }
    this.lostAt = null;
    this.refusal = answer.ok || answer.status === 304 ? null : (body?.detail ?? String(answer.status));
    if (this.refusal !== null) return;
    this.heardAt = Date.now();
    if (body === null) return;
    this.body = body;
    this.cameAt = this.heardAt;
    this.#tag = answer.headers.get("etag");
  }
}
