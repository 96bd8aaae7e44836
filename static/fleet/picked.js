// The sites that are selected for an order, in order of their selection.

/** Gateways that one order can go to. */
export const MOST = 500;

export class Picked {
  #names = new Map();
  #changed;
  /** Whether orders can be given at all. */
  isPossible = false;

  constructor(changed) {
    this.#changed = changed;
  }

  get size() {
    return this.#names.size;
  }

  get ids() {
    return [...this.#names.keys()];
  }

  has(id) {
    return this.#names.has(id);
  }

  set({ id, name }, isPicked) {
    if (!isPicked) this.#names.delete(id);
    else if (this.#names.size < MOST) this.#names.set(id, name || id);
    this.#changed();
  }

  /** These and no others. */
  replace(sites) {
    this.#names = new Map(sites.slice(0, MOST).map(({ id, name }) => [id, name || id]));
    this.#changed();
  }

  clear() {
    this.replace([]);
  }
}
