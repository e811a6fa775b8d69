/** A value's place in a {@link Linked}. */
export interface Link<T> {
  readonly value: T;
  older: Link<T> | undefined;
  newer: Link<T> | undefined;
  there: boolean;
}

/**
 * Values that come and go, the oldest first. A Set or a Map leaves garbage behind: each table that it has outgrown refers
 * to its next one, so that V8 keeps all that went through them, and what that refers to, until a full collection.
 */
export class Linked<T> implements Iterable<T> {
  #oldest: Link<T> | undefined;
  #newest: Link<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @returns by which it is removed */
  add(value: T): Link<T> {
    const link: Link<T> = { value, older: this.#newest, newer: undefined, there: true };
    if (this.#newest) this.#newest.newer = link;
    else this.#oldest = link;
    this.#newest = link;
    this.#size++;
    return link;
  }

  /** @returns whether it was there */
  remove(link: Link<T>): boolean {
    if (!link.there) return false;
    const { older, newer } = link;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    link.older = undefined; // a link that is gone refers to nothing
    link.newer = undefined;
    link.there = false;
    this.#size--;
    return true;
  }

  /** Removes the oldest. */
  shift(): T | undefined {
    const link = this.#oldest;
    if (link) this.remove(link);
    return link?.value;
  }

  /** All that are there now, whatever is done meanwhile. */
  [Symbol.iterator](): IterableIterator<T> {
    const all: T[] = [];
    for (let link = this.#oldest; link; link = link.newer) all.push(link.value);
    return all.values();
  }
}
