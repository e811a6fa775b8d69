import type { Router } from '../models/router.js';
import type { ExpertKernels, ExpertPool } from '../native/kernels.js';
import { encodeRouting, isRouted } from '../native/routing-arguments.js';

/** Has routers choose the experts of a call's tokens: by native code where it follows the router's rule. */
export class Choices {
  private readonly encoded = new Map<Router, Uint8Array>();

  /** @param native its threads, or the library alone; nothing where JavaScript is to do it */
  constructor(private readonly native?: Pick<ExpertPool | ExpertKernels, 'route'> | null) {}

  /** Fills ids and weights [tokens, chosen] by logits [tokens, experts], for tokens of these ids. */
  choose(router: Router, logits: Float32Array, tokens: Int32Array, ids: Int32Array, weights: Float32Array): void {
    const { chosen, rule } = router;
    const experts = logits.length / tokens.length;
    if (this.native && rule && isRouted(rule, experts)) {
      this.native.route(rule, this.encodedOf(router), logits, tokens.length, ids, weights);
      return;
    }
    for (let t = 0; t < tokens.length; t++) {
      const [from, to] = [t * chosen, (t + 1) * chosen];
      router.choose(
        logits.subarray(t * experts, (t + 1) * experts),
        ids.subarray(from, to),
        weights.subarray(from, to),
        tokens[t],
      );
    }
  }

  private encodedOf(router: Router): Uint8Array {
    let encoded = this.encoded.get(router);
    if (!encoded) this.encoded.set(router, (encoded = encodeRouting(router.rule!)));
    return encoded;
  }
}
