import { expertTotals } from '../loading/blueprint.js';
import { forward } from '../network/forward.js';
import { FIRST_PROMPT } from './rates.js';
import { readPrompt, type WarmUpParts, warmUp } from './warm-up.js';

/** Bytes of experts from which on a prompt takes so long that the first is like any other. */
const LARGE = 2 ** 30;
/** Milliseconds of a token from which on the first prompt is like any other too. */
const SLOW = 5;
/** Prompts that are timed once all is compiled. */
const LATER = 5;

const never = () => false;

/**
 * Times a process's first prompt, which takes longer than later ones even after the warm-up: JavaScript is compiled
 * meanwhile, on cores that others wait for, and memory is touched for the first time.
 * @returns says, asked once other things were measured, how many milliseconds longer; 0 of a large model or a slow device
 */
export function timeFirstPrompt(parts: WarmUpParts): () => number {
  const { network, experts, blueprint, sizes } = parts;
  const { total, bytes } = expertTotals(blueprint);
  if (total * bytes > LARGE) return () => 0;

  const { vocabulary } = blueprint.spec;
  const length = Math.min(FIRST_PROMPT, sizes.chunk);
  const timed = (run: () => void) => {
    const begin = performance.now();
    run();
    network.head.logits([0]);
    const ms = performance.now() - begin;
    experts.wait();
    experts.forgetCalls();
    return ms;
  };
  const prompt = (offset: number) => {
    const ids = Array.from({ length }, (_, i) => (offset + 31 * i) % vocabulary);
    return timed(() => readPrompt(network, experts, ids));
  };
  warmUp(parts);
  if (timed(() => forward(network.decoder, experts, network.madeUp([0], 0), never)) > SLOW) return () => 0;
  const first = prompt(0);
  return () => {
    const later = Array.from({ length: LATER }, (_, i) => prompt(i)).sort((a, b) => a - b)[LATER >> 1]!;
    return Math.max(0, first - later);
  };
}
