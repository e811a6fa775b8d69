/** At most so many tokens before the end of a prompt the model's turn begins; histories may have that turn otherwise. */
const OPENING = 8;

/** Fewer tokens than this are computed again rather than come back to. */
const LEAST = 32;

/**
 * To which positions behind the first `served` tokens of a prompt others may come back: where it parts from what was
 * there, and the end of what users said.
 * @param shared tokens with which another begins, too, be they there or not
 */
export function turnsOf(served: number, shared: number, length: number): number[] {
  const turns: number[] = [];
  const end = length - OPENING;
  for (const turn of [Math.min(shared, end), end]) {
    if (turn - (turns.at(-1) ?? served) >= LEAST) turns.push(turn);
  }
  return turns;
}

/**
 * `turns` with one more, where another that begins with `shared` of a sequence's tokens, too, parts from it.
 * @param past tokens of the sequence that are there
 * @param length of what it goes on with
 */
export function turnsWith(turns: readonly number[], shared: number, past: number, length: number): readonly number[] {
  const turn = Math.min(shared, length - OPENING);
  return turn <= past || turns.includes(turn) ? turns : [...turns, turn].sort((a, b) => a - b);
}
