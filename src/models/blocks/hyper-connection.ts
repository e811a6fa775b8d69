import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { Block, HyperConnection } from '../model.js';
import type { Declarations } from '../parameters.js';
import { linear } from './linear.js';
import { streamNorm } from './norm.js';

export interface HyperConnectionOptions {
  hidden: number;
  streams: number;
  /** Inner width of what gates the streams. */
  rank: number;
  epsilon: number;
}

/** The streams that are normalised, and what is read of them. */
type Read = (g: Graph, streams: Tensor) => { normal: Tensor; input: Tensor };

/**
 * What a block reads is the mean of the residual streams, each normalised and gated by all of them; its result goes to
 * each stream to a degree of its own, around 1 (hyper-connections, arXiv 2409.19606, as Qwen has them in transformers,
 * models/qwen4_exp). Tensors `${prefix}.{hc_norm, input_mix_weight_down, input_mix_weight_up, block_inject_weight}`.
 */
export function gatedHyperConnection(
  declare: Declarations,
  prefix: string,
  options: HyperConnectionOptions,
): HyperConnection {
  const { hidden, streams } = options;
  const mix = gatedMean(declare, prefix, options);
  const inject = linear(declare, `${prefix}.block_inject_weight`, streams, hidden * streams);
  return {
    read(g, x) {
      const { normal, input } = mix(g, x);
      return { input, weights: g.scale(g.sigmoid(g.scale(inject(g, normal), 1 / streams)), 2) };
    },
    write(g, x, result, weights) {
      const n = x.ne[1];
      const repeated = g.repeat(g.reshape(result, hidden, 1, n), [hidden, streams, n, 1]);
      const written = g.multiply(repeated, g.reshape(weights, 1, streams, n));
      return g.add(x, g.reshape(written, hidden * streams, n));
    },
  };
}

/** What the head reads of the streams: the same mean, [hidden · streams, n] → [hidden, n]. */
export function gatedStreamMean(declare: Declarations, prefix: string, options: HyperConnectionOptions): Block {
  const mix = gatedMean(declare, prefix, options);
  return (g, x) => mix(g, x).input;
}

function gatedMean(declare: Declarations, prefix: string, options: HyperConnectionOptions): Read {
  const { hidden, streams, rank, epsilon } = options;
  const width = hidden * streams;
  const norm = streamNorm(declare, `${prefix}.hc_norm`, { hidden, streams, epsilon });
  const down = linear(declare, `${prefix}.input_mix_weight_down`, rank, width);
  const up = linear(declare, `${prefix}.input_mix_weight_up`, width, rank);
  return (g, x) => {
    const normal = norm(g, x);
    const gates = g.sigmoid(up(g, g.silu(g.scale(down(g, normal), 1 / streams))));
    const gated = g.multiply(normal, gates);
    const each = Array.from({ length: streams }, (_, s) => g.contiguous(g.columns(gated, s * hidden, hidden)));
    const sum = each.reduce((a, b) => g.add(a, b));
    return { normal, input: g.scale(sum, 1 / streams) };
  };
}
