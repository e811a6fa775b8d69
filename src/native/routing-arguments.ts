/** What routers in native code are told, and how C sees it: `fk_routing` of native/include/fiddler_experts.h. */

/** As in `fk_score`; `logit`: the weights of the chosen are softmax over their logits. */
export const SCORES = { logit: 0, softmax: 1, sigmoid: 2, 'root softplus': 3 } as const;
export type Score = keyof typeof SCORES;

/** Most experts of a token, and of a layer. */
const MOST_CHOSEN = 64;
const MOST_ROUTED = 4096;

/** How a router chooses and weighs. */
export interface RoutingRule {
  /** Experts chosen for a token. */
  readonly chosen: number;
  /** How logits become scores, by which experts are chosen and weighed. */
  readonly score: Score;
  /** Experts are chosen from the `kept` best of `count` equal groups; a group is as good as its best expert, or two. */
  readonly groups?: { count: number; kept: number; by: 'best' | 'best two' };
  /** Weights are divided by their sum plus `epsilon`, or by `minimum` where that is more. */
  readonly renormalise?: { epsilon?: number; minimum?: number };
  /** Factor of the weights. */
  readonly scale: number;
  /** Added to the logits, to the scores for choosing only, and further factors of the weights: [experts] each, once they are read. */
  readonly bias?: { readonly values: Float32Array };
  readonly correction?: { readonly values: Float32Array };
  readonly scales?: { readonly values: Float32Array };
}

/** Whether native code follows rules of this size. */
export function isRouted({ chosen }: RoutingRule, experts: number): boolean {
  return chosen <= MOST_CHOSEN && experts <= MOST_ROUTED;
}

/** `fk_routing` as bytes. */
export function encodeRouting({ chosen, score, groups, renormalise, scale }: RoutingRule): Uint8Array {
  const { count, kept, by } = groups ?? { count: 1, kept: 1, by: 'best' };
  const view = new DataView(new ArrayBuffer(36));
  const words = [chosen, SCORES[score], count, kept, by === 'best' ? 1 : 2, renormalise ? 1 : 0];
  words.forEach((word, i) => {
    view.setInt32(4 * i, word, true);
  });
  const numbers = [renormalise?.epsilon ?? 0, renormalise?.minimum ?? 0, scale];
  numbers.forEach((number, i) => {
    view.setFloat32(24 + 4 * i, number, true);
  });
  return new Uint8Array(view.buffer);
}
