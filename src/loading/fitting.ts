import { FiddlerError } from '../errors.js';
import { LONGEST_VIEW } from '../native/os/memory.js';

/** RAM that the process is taken to need beside a model, where that was not measured: JavaScript, libraries, drivers. */
export const PROCESS_BYTES = 300 * 2 ** 20;

export function gib(bytes: number): string {
  if (bytes < 2 ** 30) return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}

/** @throws FiddlerError `memory` where the accelerator's budget does not hold what must be there */
export function checkBudget(needed: number, budget: number, accelerator: string, sequences = 1): void {
  if (needed <= budget) return;
  throw new FiddlerError(
    'memory',
    `the parts that must be on ${accelerator} take ${gib(needed)}, more than its ${gib(budget)}`,
    `give --gpu-memory ${Math.ceil(needed / 2 ** 20)}MiB or more, ${smaller(sequences)}, or --accelerator none`,
  );
}

/** @throws FiddlerError `memory` where the expert cache does not fit into what is left of the accelerator's budget */
export function checkCache(bytes: number, left: number, accelerator: string): void {
  if (bytes <= left) return;
  throw new FiddlerError(
    'memory',
    `an expert cache of ${gib(bytes)} does not fit on ${accelerator}: ${gib(left)} of its budget are left`,
    'give a smaller --expert-cache, or a larger --gpu-memory',
  );
}

/** @throws FiddlerError `memory` where what is needed of RAM does not fit beside what runs already */
export function checkRam(needed: number, available: number, sequences = 1): void {
  if (needed <= available) return;
  throw new FiddlerError(
    'memory',
    `this model takes ${gib(needed)} of RAM, but ${gib(available)} are available`,
    `end other programs, keep more experts on a GPU (--gpu-memory), or use ${smaller(sequences)} or a smaller model`,
  );
}

/**
 * @param takes bytes of keys, values and activations; `mask`: of one call's mask
 * @throws FiddlerError `memory` where a context that was asked for does not fit, whatever else there is
 */
export function checkContext(
  context: number,
  { takes, has, mask, sequences }: { takes: number; has: number; mask: number; sequences: number },
): void {
  if (takes <= has && mask <= LONGEST_VIEW) return;
  const why =
    takes > has
      ? `takes ${gib(takes)} for keys, values and activations alone, of ${gib(has)}`
      : `takes masks of ${gib(mask)}, but ${gib(LONGEST_VIEW)} are the most`;
  const each = sequences > 1 ? ` for each of ${sequences} sequences` : '';
  throw new FiddlerError('memory', `--ctx ${context}${each} ${why}`, `give ${smaller(sequences)}`);
}

/** What makes the KV cache smaller. */
function smaller(sequences: number): string {
  return sequences > 1 ? 'a smaller --ctx or a smaller --parallel' : 'a smaller --ctx';
}

/** What intermediate values of experts that are computed together may take: the more of them, the fewer graphs. */
const GROUP_BYTES = { least: 64 * 2 ** 20, most: 256 * 2 ** 20, part: 1 / 16 };

/** Bytes for intermediate values of experts that are computed together. @param left for experts, of the accelerator's budget */
export function groupBytes(left: number): number {
  const { least, most, part } = GROUP_BYTES;
  return Math.min(most, Math.max(least, Math.floor(left * part)));
}

/** Tokens of one call in prefill. */
const CHUNK = 512;
/** A GPU waits for the host in every layer of a call, to which experts are streamed once: a longer one pays where it takes a small part of the budget. */
const LONG_CHUNKS = [
  { tokens: 4096, part: 1 / 16 },
  { tokens: 2048, part: 1 / 8 },
];

/**
 * Most tokens of a call: longer on a GPU where its activations leave the budget to experts.
 * @param bytesPerToken activations of one token on the accelerator
 * @param othersOf bytes that must be there beside them with so many tokens
 */
export function chunkSize(
  context: number,
  gpu: boolean,
  bytesPerToken: number,
  budget: number,
  othersOf: (tokens: number) => number,
): number {
  const fits = ({ tokens, part }: { tokens: number; part: number }) => {
    const most = Math.min(tokens, context);
    const bytes = most * bytesPerToken;
    return bytes <= budget * part && bytes + othersOf(most) <= budget;
  };
  return Math.min(context, (gpu ? LONG_CHUNKS.find(fits)?.tokens : undefined) ?? CHUNK);
}
