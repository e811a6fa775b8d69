import type { Experts } from '../experts/experts.js';
import type { Network } from './network.js';

/**
 * One call of the model: every token of `tokens` passes through all layers; their hidden states are in the network
 * afterwards, their keys and values in the KV cache behind the `past` tokens.
 * @param cancelled asked between layers
 * @returns false where it was cancelled; what the call wrote to the KV cache is then of no use
 */
export function forward(
  network: Network,
  experts: Experts,
  tokens: readonly number[],
  past: number,
  cancelled: () => boolean,
): boolean {
  const shape = network.begin(tokens, past, experts.prefetches);
  for (const l of network.layers.keys()) {
    if (cancelled()) {
      experts.settle();
      experts.wait(); // what is queued must not outlive its graphs
      return false;
    }
    const routes = network.attend(l, shape, experts.arrived()); // accelerator; only the router's logits and the experts' input come back
    if (routes) experts.run(routes); // decide, three lanes at once, add up
  }
  experts.settle();
  return true;
}
