import type { Running } from './running.js';
import type { Sequence } from './sequence.js';
import type { Sequences } from './sequences.js';

/**
 * Whether an answer that came before computes, and has not yet, what most of this one's prompt begins with: of prompts that
 * come at once one is computed. It is told to stop where the other parts from it, if only there that can go on.
 * @param running nothing of it was computed yet
 * @param all answers in order of arrival
 */
export function awaits(running: Running, all: readonly Running[]): boolean {
  const { prompt } = running.answer.question;
  const own = running.lines[0]!.sequence.length;
  return all.slice(0, all.indexOf(running)).some(({ lines: [first] }) => {
    const { sequence, tokens } = first!;
    const served = sequence.willServe(prompt, tokens);
    if (sequence.length >= served || 2 * (served - own) < prompt.length - own) return false;
    sequence.markTurn(served, tokens.length);
    return true;
  });
}

/** Has the sequence of an answer of which nothing was computed yet keep or copy what any has of its prompt. */
export function takeOver(running: Running, sequences: Sequences<Sequence>): void {
  const { answer, lines } = running;
  const { prompt } = answer.question;
  const { sequence } = lines[0]!;
  const shared = Math.max(...sequences.all.map((each) => each.shared(prompt)));
  const source = sequences.sourceFor(sequence, prompt);
  if (source) {
    sequence.copy(source.from, source.shared);
    running.from = source.from;
  }
  answer.watch.cachedTokens = sequence.reuse(prompt, shared);
}
