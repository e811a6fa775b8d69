import type { Experts } from '../experts/experts.js';
import type { Blueprint } from '../loading/blueprint.js';
import { encode, forward } from '../network/forward.js';
import type { Network } from '../network/network.js';
import { madeUpChoice } from '../sampling/sampling.js';

/** Milliseconds after which no further call is begun. */
const PATIENCE = 50;
/** Tokens of the call that stands for a prompt's. */
const PROMPT = 128;

const never = () => false;

export interface WarmUpParts {
  network: Network;
  experts: Experts;
  blueprint: Blueprint;
  sizes: { chunk: number };
}

/**
 * Computes some made-up tokens: the first calls of a process are slow, because devices load their kernels and JavaScript
 * is not compiled yet. Nothing of it counts; what the KV cache holds is of no use afterwards.
 */
export function warmUp({ network, experts, blueprint, sizes }: WarmUpParts): void {
  const { vocabulary } = blueprint.spec;
  const begin = performance.now();
  const elapsed = () => performance.now() - begin;
  const ids = (from: number, count: number) => Array.from({ length: count }, (_, i) => (from + i) % vocabulary);
  // A model's own logits may be such as are refused.
  const choose = madeUpChoice(vocabulary);
  const token = (n: number) => {
    forward(network.decoder, experts, network.madeUp(ids(n, 1), 0), never);
    network.head.logits([0]);
    choose();
  };

  token(0);
  const again = performance.now();
  token(1);
  const ms = performance.now() - again;
  const prompt = Math.min(PROMPT, sizes.chunk);
  // A prompt takes as many times as long as it chooses more experts.
  const spread = Math.max(1, ...blueprint.expertLayers.map(({ count, chosen }) => count / chosen));
  if (ms * Math.min(prompt, spread) < PATIENCE) readPrompt(network, experts, ids(0, prompt));
  for (let n = 2; elapsed() < PATIENCE; n++) token(n);
  experts.wait();
  experts.forgetCalls();
}

/** Passes a made-up prompt through the layers that read prompts. */
export function readPrompt(network: Network, experts: Experts, tokens: readonly number[]): void {
  if (network.encoder) encode(network, experts, tokens, 0, never);
  else forward(network.decoder, experts, network.madeUp(tokens, 0), never);
}
