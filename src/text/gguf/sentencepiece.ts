import { Heap } from './heap.js';

/** Two neighbours that together are a piece. */
interface Pair {
  /** Index of the left one's first character. */
  left: number;
  right: number;
  /** Index behind the right one's last character. */
  end: number;
  score: number;
}

/**
 * Splits a text by SentencePiece's BPE: of all neighbours that together are a piece, those with the best score are merged
 * (of several the leftmost), until there are none. Takes O(n log n).
 * @param scores of the pieces
 * @returns the pieces, and characters that are none
 */
export function splitByScores(text: string, scores: ReadonlyMap<string, number>): string[] {
  const starts: number[] = []; // of characters, in UTF-16 code units
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) starts.push(at);
  const count = starts.length;
  starts.push(text.length);
  // A symbol is known by its first character: `ends` of it, and what is before it. 0 where it was merged into another.
  const ends = Int32Array.from({ length: count }, (_, i) => i + 1);
  const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
  const queue = new Heap<Pair>((a, b) => a.score > b.score || (a.score === b.score && a.left < b.left));
  const offer = (left: number, right: number) => {
    if (left < 0 || right >= count) return;
    const end = ends[right]!;
    const score = scores.get(text.slice(starts[left], starts[end]));
    if (score !== undefined) queue.push({ left, right, end, score });
  };
  for (let i = 1; i < count; i++) offer(i - 1, i);
  for (let pair = queue.pop(); pair; pair = queue.pop()) {
    const { left, right, end } = pair;
    if (ends[left] !== right || ends[right] !== end) continue; // one of them was merged meanwhile
    ends[left] = end;
    ends[right] = 0;
    if (end < count) previous[end] = left;
    offer(previous[left]!, left);
    offer(left, end);
  }
  const pieces: string[] = [];
  for (let i = 0; i < count; i = ends[i]!) pieces.push(text.slice(starts[i], starts[ends[i]!]));
  return pieces;
}
