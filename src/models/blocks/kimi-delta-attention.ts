import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { AttentionBlock, StepGroup } from '../model.js';
import type { Declarations } from '../parameters.js';
import { causalConvolution, headsAt } from './causal-convolution.js';
import { deltaRule, deltaSize, unitHeads } from './delta-rule.js';
import { linear } from './linear.js';
import { rmsNorm } from './norm.js';

export interface KimiDeltaOptions {
  hidden: number;
  heads: number;
  /** Size of a head's key and of its value. */
  headSize: number;
  kernel: number;
  epsilon: number;
}

/**
 * Kimi delta attention (arXiv 2510.26692; transformers, models/kimi_linear): a gated delta net whose state decays by each
 * channel of a key for itself. Tensors `${prefix}.{q,k,v}_{proj,conv1d}`, `${prefix}.{f_a,f_b,g_a,g_b,b,o}_proj` and
 * `${prefix}.{A_log, dt_bias, o_norm}`.
 * @throws FiddlerError `unsupported`
 */
export function kimiDeltaAttention(declare: Declarations, prefix: string, options: KimiDeltaOptions): AttentionBlock {
  const { hidden, heads, headSize, kernel, epsilon } = options;
  const size = deltaSize(headSize, 'linear_head_dim or linear_attn_config.head_dim');
  const channels = heads * headSize;
  const low = (name: string) => {
    const down = linear(declare, `${prefix}.${name}_a_proj`, headSize, hidden);
    const up = linear(declare, `${prefix}.${name}_b_proj`, channels, headSize);
    return (g: Graph, x: Tensor) => up(g, down(g, x));
  };
  const convolved = (name: string) => ({
    project: linear(declare, `${prefix}.${name}_proj`, channels, hidden),
    convolve: causalConvolution(declare, `${prefix}.${name}_conv1d`, { channels, kernel }),
  });
  const [query, key, value] = [convolved('q'), convolved('k'), convolved('v')];
  const [forget, open] = [low('f'), low('g')];
  const write = linear(declare, `${prefix}.b_proj`, heads, hidden);
  const decayLog = declare.vector(`${prefix}.A_log`, heads);
  const decayBias = declare.vector(`${prefix}.dt_bias`, channels);
  const norm = rmsNorm(declare, `${prefix}.o_norm`, headSize, epsilon);
  const output = linear(declare, `${prefix}.o_proj`, hidden, channels);
  const state = declare.state(size * size * heads);

  return (g, x, step) => {
    const n = step.tokens;
    const projected = [query, key, value].map(({ project }) => project(g, x));
    const betas = g.sigmoid(write(g, x));
    const rates = g.reshape(g.softplus(g.add(forget(g, x), decayBias.tensor)), headSize, heads, n);
    const speeds = g.reshape(g.scale(g.exp(decayLog.tensor), -1), 1, heads);
    const decays = g.reshape(g.multiply(rates, speeds), channels, n);
    const padded = (a: Tensor) => (size > headSize ? g.pad(g.contiguous(a), size - headSize) : a);
    const mixed = step.groups.map((group: StepGroup) => {
      const { tokens, sequences } = group;
      const parts = [query, key, value].map(({ convolve }, i) => g.silu(convolve(g, projected[i]!, group, step)));
      const of = (rows: Tensor) => headsAt(g, rows, 0, headSize, heads);
      const [q, k] = [parts[0]!, parts[1]!].map((rows) => unitHeads(g, of(rows)));
      return deltaRule(g, {
        q: padded(g.scale(q!, Math.sqrt(size / headSize))), // the operation divides by √size
        k: padded(k!),
        v: padded(of(parts[2]!)),
        decay: padded(g.reshape(group.alignedRowsOf(decays), headSize, heads, tokens, sequences)),
        beta: g.reshape(group.alignedRowsOf(betas), 1, heads, tokens, sequences),
        state: g.reshape(group.stateOf(state), size, size, heads, sequences),
        valueSize: headSize,
      });
    });
    const normal = norm(g, g.concatAll(mixed, 2));
    const gates = g.sigmoid(g.reshape(open(g, x), headSize, heads, n));
    return output(g, g.reshape(g.multiply(normal, gates), channels, n));
  };
}
