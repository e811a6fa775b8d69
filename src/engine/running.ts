import type { Outcome } from './engine.js';
import type { Sequence } from './sequence.js';
import type { Writing } from './writing.js';

/** A line of an answer, and the sequence in which it is computed. */
export class Line {
  constructor(
    readonly running: Running,
    readonly number: number,
    readonly sequence: Sequence,
  ) {}

  get tokens(): readonly number[] {
    return this.running.answer.lines[this.number]!;
  }

  /** Tokens that are not in the KV cache yet; 0 where the line waits for others of its answer. */
  get pending(): number {
    return this.tokens.length - this.sequence.length;
  }
}

/** An answer that is being generated, and its sequences. */
export class Running {
  lines: readonly Line[];
  /** From which the beginning of its prompt was copied. */
  from?: Sequence;
  /** A part of its prompt was computed. */
  begun = false;
  private spare: readonly Sequence[];

  /** @param sequences as many as it may have lines; the first one computes the prompt */
  constructor(
    readonly answer: Writing,
    readonly sequences: readonly Sequence[],
    readonly onEnd: (outcome: Outcome) => void,
  ) {
    this.lines = [new Line(this, 0, sequences[0]!)];
    this.spare = sequences.slice(1);
  }

  /**
   * Each line goes on from the one that its parent was. The first child of a line keeps its sequence; others take one that
   * no line goes on in, and which needs the fewest rows of the KV cache copied.
   */
  fork(parents: readonly number[]): void {
    const before = this.lines;
    const spare = [...this.spare, ...before.filter((_, i) => !parents.includes(i)).map(({ sequence }) => sequence)];
    this.lines = parents.map((parent, i) => {
      const { sequence } = before[parent]!;
      if (parents.indexOf(parent) === i) return new Line(this, i, sequence);
      const nearest = spare.reduce((a, b) => (b.sharedWith(sequence) > a.sharedWith(sequence) ? b : a));
      spare.splice(spare.indexOf(nearest), 1);
      nearest.copy(sequence, sequence.length);
      return new Line(this, i, nearest);
    });
    this.spare = spare;
  }
}
