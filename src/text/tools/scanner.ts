import { Malformed, type Reading } from './reading.js';

/** Reads a text that is still being written. */
export class Scanner {
  #text = '';
  #at = 0;
  #ended = false;
  /** Where {@link since} begins; undefined while nothing is remembered. */
  #marked: number | undefined;

  push(text: string): void {
    const from = this.#marked ?? this.#at;
    this.#text = this.#text.slice(from) + text;
    this.#at -= from;
    if (this.#marked !== undefined) this.#marked = 0;
  }

  end(): void {
    this.#ended = true;
  }

  /** Remembers what is read from here on, and the last characters before. */
  remember(before: number): void {
    this.#marked = this.#at - before;
  }

  forget(): void {
    this.#marked = undefined;
  }

  /** Everything that is remembered, and what was not read yet; all of it counts as read. */
  since(): string {
    const text = this.#text.slice(this.#marked ?? this.#at);
    this.#at = this.#text.length;
    return text;
  }

  /** The next character, which stays; undefined at the end. */
  *peek(): Reading<string | undefined> {
    while (this.#at === this.#text.length && !this.#ended) yield;
    return this.#text[this.#at];
  }

  *space(): Reading {
    for (let next = yield* this.peek(); next !== undefined && /\s/.test(next); next = yield* this.peek()) this.#at++;
  }

  /** Reads exactly this where it comes next. @returns whether it did */
  *take(expected: string): Reading<boolean> {
    const rest = () => this.#text.slice(this.#at, this.#at + expected.length);
    while (rest().length < expected.length && expected.startsWith(rest()) && !this.#ended) yield;
    if (rest() !== expected) return false;
    this.#at += expected.length;
    return true;
  }

  *character(): Reading<string> {
    const next = yield* this.peek();
    if (next === undefined) throw new Malformed();
    this.#at++;
    return next;
  }

  /**
   * Reads up to the first of `marks` (of those at one place the longest) and behind it.
   * @param onText takes what is certain to be before
   * @returns the mark, or undefined at the end
   */
  *until(marks: readonly string[], onText: (text: string) => void): Reading<string | undefined> {
    for (;;) {
      const found = this.#first(marks);
      const held = found || this.#ended ? 0 : this.#beginning(marks);
      const certain = found ? found.at : this.#text.length - held;
      if (certain > this.#at) onText(this.#text.slice(this.#at, certain));
      this.#at = certain;
      if (found) {
        this.#at += found.mark.length;
        return found.mark;
      }
      if (this.#ended) return undefined;
      yield;
    }
  }

  /** As {@link until}, all at once. @throws Malformed at the end */
  *text(...marks: readonly string[]): Reading<{ text: string; mark: string }> {
    let text = '';
    const mark = yield* this.until(marks, (piece) => {
      text += piece;
    });
    if (mark === undefined) throw new Malformed();
    return { text, mark };
  }

  #first(marks: readonly string[]): { at: number; mark: string } | undefined {
    let first: { at: number; mark: string } | undefined;
    for (const mark of marks) {
      const at = this.#text.indexOf(mark, this.#at);
      if (at < 0) continue;
      if (!first || at < first.at || (at === first.at && mark.length > first.mark.length)) first = { at, mark };
    }
    return first;
  }

  /** Length of the longest end of the text with which a mark begins. */
  #beginning(marks: readonly string[]): number {
    let longest = 0;
    for (const mark of marks) {
      for (let length = Math.min(mark.length - 1, this.#text.length - this.#at); length > longest; length--) {
        if (this.#text.endsWith(mark.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
