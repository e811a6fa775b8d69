import type { Experts } from '../experts/experts.js';
import type { Network } from './network.js';
import type { Stack } from './stack.js';

/**
 * One call of the model: every token of `tokens` passes through all layers of the stack; their hidden states are in the
 * network afterwards, their keys and values in the KV cache behind the `past` tokens.
 * @param cancelled asked between layers
 * @returns false where it was cancelled; what the call wrote to the KV cache is then of no use
 */
export function forward(
  stack: Stack,
  experts: Experts,
  tokens: readonly number[],
  past: number,
  cancelled: () => boolean,
): boolean {
  const shape = stack.begin(tokens, past, experts.prefetches);
  for (const l of stack.layers.keys()) {
    if (cancelled()) {
      experts.settle();
      experts.wait(); // what is queued must not outlive its graphs
      return false;
    }
    const routes = stack.attend(l, shape, experts.arrived()); // accelerator; only the router's logits and the experts' input come back
    if (routes) experts.run(routes); // decide, three lanes at once, add up
  }
  experts.settle();
  return true;
}

/** The encoder reads a whole prompt in one call, and the decoder's cross-attention gets the keys and values of that. */
export function encode(
  network: Network,
  experts: Experts,
  prompt: readonly number[],
  cancelled: () => boolean,
): boolean {
  if (!forward(network.encoder!, experts, prompt, 0, cancelled)) return false;
  network.handOver(prompt.length);
  return true;
}
