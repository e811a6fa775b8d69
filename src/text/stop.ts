/**
 * Ends a text at the first of several stop texts, however the text is cut into pieces. The first is the one that is
 * complete first (of two that end together, the longer): nothing need be generated to know it.
 */
export class StopMatcher {
  /** End of the text so far that may be the start of a stop text. */
  #held = '';
  #found: string | undefined;

  /** @param stops not empty strings */
  constructor(private readonly stops: readonly string[]) {}

  /** The stop text that was found. */
  get found(): string | undefined {
    return this.#found;
  }

  /** Text that is certain to precede every stop text, and whether one was found. After that there is no more text. */
  push(piece: string): { text: string; stopped: boolean } {
    if (this.#found !== undefined) return { text: '', stopped: true };
    const text = this.#held + piece;
    const first = this.#firstStop(text);
    this.#found = first?.stop;
    const certain = first?.start ?? text.length - this.#startOfStop(text);
    this.#held = first ? '' : text.slice(certain);
    return { text: text.slice(0, certain), stopped: first !== undefined };
  }

  /** Text that was held back, at the end of everything. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** The stop text that is complete first, and where it begins and ends. */
  #firstStop(text: string): { stop: string; start: number; end: number } | undefined {
    let first: { stop: string; start: number; end: number } | undefined;
    for (const stop of this.stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (!first || end < first.end || (end === first.end && start < first.start)) first = { stop, start, end };
    }
    return first;
  }

  /** Length of the longest end of `text` with which a stop text begins. */
  #startOfStop(text: string): number {
    let longest = 0;
    for (const stop of this.stops) {
      let length = Math.min(stop.length - 1, text.length);
      while (length > longest && !text.endsWith(stop.slice(0, length))) length--;
      longest = Math.max(longest, length);
    }
    return longest;
  }
}
