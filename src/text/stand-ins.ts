/** The first of the private-use characters that stand for control tokens, and the last; U+F0000 to U+FFFFD. */
const FIRST = 0xf0000;
const LAST = 0xffffd;
/** Before one of these characters, or itself, that was in the text already. */
const ESCAPE = '\u{10fffd}';

/** The most tokens that can have a stand-in. */
export const MOST_STAND_INS = LAST - FIRST + 1;

/**
 * Has texts go through a chat template without the control tokens that they spell: while it renders, a private-use
 * character stands for each such spelling, and the tokenizer spells it out again behind its search for control tokens.
 * Characters of that kind in a text are kept by an escape, so that both ways together change nothing.
 */
export class StandIns {
  readonly #spellings: readonly string[];
  readonly #indices: ReadonlyMap<string, number>;

  /** @param spellings of tokens, in an order that stays: a stand-in is an index */
  constructor(spellings: readonly string[]) {
    this.#spellings = spellings;
    this.#indices = new Map(spellings.map((spelling, i) => [spelling, i]));
  }

  /** What replaces each of `hidden` (of several that begin alike the longest) in a text. */
  hiding(hidden: readonly string[]): (text: string) => string {
    const byFirst = new Map<string, string[]>();
    for (const spelling of [...hidden].sort((a, b) => b.length - a.length)) {
      const first = spelling[0];
      if (first !== undefined) byFirst.set(first, [...(byFirst.get(first) ?? []), spelling]);
    }
    const firsts = [...byFirst.keys()].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    const candidate = new RegExp(`[${firsts.join('')}]`, 'g'); // ten times as fast as a look at each character here
    return (text) => {
      const escaped = text.replace(PRIVATE_CHARACTERS, (found) => ESCAPE + found);
      let [result, copied] = ['', 0];
      candidate.lastIndex = 0;
      while (candidate.test(escaped)) {
        const at = candidate.lastIndex - 1;
        const found = byFirst.get(escaped[at]!)!.find((spelling) => escaped.startsWith(spelling, at));
        if (found === undefined) continue;
        result += escaped.slice(copied, at) + String.fromCodePoint(FIRST + this.#indices.get(found)!);
        copied = at + found.length;
        candidate.lastIndex = copied;
      }
      return result + escaped.slice(copied);
    };
  }

  /** The text as it was before. */
  show(text: string): string {
    return text.replace(HIDDEN, (found) => {
      if (found.startsWith(ESCAPE)) return found.slice(ESCAPE.length);
      return this.#spellings[found.codePointAt(0)! - FIRST] ?? found;
    });
  }
}

const PRIVATE = `[${String.fromCodePoint(FIRST)}-${String.fromCodePoint(LAST)}${ESCAPE}]`;
const PRIVATE_CHARACTERS = new RegExp(PRIVATE, 'gu');
const HIDDEN = new RegExp(`${ESCAPE}${PRIVATE}|${PRIVATE}`, 'gu');
