import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { AttentionBlock } from '../model.js';
import { type NgramOptions, ngramTable } from '../ngrams.js';
import type { Declarations } from '../parameters.js';
import { causalConvolution } from './causal-convolution.js';
import { linear } from './linear.js';
import { streamNorm } from './norm.js';

export interface NgramEmbeddingOptions {
  hidden: number;
  streams: number;
  kernel: number;
  epsilon: number;
  ngrams: NgramOptions;
}

/** Of what a gate's square root is taken, at least. */
const LEAST = 1e-6;

/**
 * What n-grams say of a token, gated by how much it fits each residual stream and mixed with that of tokens before it by a
 * dilated convolution (as transformers has it, models/qwen4_exp): [hidden · streams, n] → what is added to them. Tensors
 * `${prefix}.{key_proj, value_proj, norm_key, norm_query, norm_conv, conv1d}` and the table `${prefix}.ple_embedding`.
 */
export function ngramEmbedding(declare: Declarations, prefix: string, options: NgramEmbeddingOptions): AttentionBlock {
  const { hidden, streams, kernel, epsilon, ngrams } = options;
  const width = hidden * streams;
  const table = ngramTable(declare, `${prefix}.ple_embedding`, ngrams);
  const read = table.width * table.count;
  const key = linear(declare, `${prefix}.key_proj`, width, read);
  const value = linear(declare, `${prefix}.value_proj`, hidden, read);
  const norm = (name: string) => streamNorm(declare, `${prefix}.${name}`, { hidden, streams, epsilon });
  const [keyNorm, queryNorm, convolvedNorm] = [norm('norm_key'), norm('norm_query'), norm('norm_conv')];
  const dilation = ngrams.longest;
  const convolve = causalConvolution(declare, `${prefix}.conv1d`, { channels: width, kernel, dilation });
  return (g, x, step) => {
    const n = step.tokens;
    const rows = g.rows(table.tensor, 0, n);
    const products = g.multiply(keyNorm(g, key(g, rows)), queryNorm(g, x));
    const fit = g.scale(g.sumRows(g.reshape(products, hidden, streams, n)), 1 / Math.sqrt(hidden));
    const values = g.repeat(g.reshape(value(g, rows), hidden, 1, n), [hidden, streams, n, 1]);
    const gated = g.reshape(g.multiply(values, g.sigmoid(signedRoot(g, fit))), width, n);
    const normal = convolvedNorm(g, gated);
    const mixed = step.groups.map((group) => {
      return g.reshape(convolve(g, normal, group, step), width, group.tokens * group.sequences);
    });
    return g.add(gated, g.silu(g.concatAll(mixed, 1)));
  };
}

/** sign(x) · √|x|. */
function signedRoot(g: Graph, x: Tensor): Tensor {
  return g.multiply(g.sign(x), g.sqrt(g.clamp(g.abs(x), LEAST, Infinity)));
}
