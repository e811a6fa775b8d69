import type { Graph } from '../../native/ggml/graph.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import { refuseUnless } from '../config.js';
import type { AttentionBlock, Block, StepGroup } from '../model.js';
import type { Declarations } from '../parameters.js';
import { causalConvolution, headsAt } from './causal-convolution.js';
import { deltaRule, deltaSize, unitHeads } from './delta-rule.js';
import { linear } from './linear.js';
import { rmsNorm } from './norm.js';

export interface DeltaNetOptions {
  hidden: number;
  /** Each of the keys' heads serves values / keys heads of the values. */
  heads: { keys: number; values: number };
  /** Size of a head's key and of its value. */
  keySize: number;
  valueSize: number;
  kernel: number;
  epsilon: number;
  /** What is made of z to gate the result, `silu` by default. */
  gate?: 'silu' | 'sigmoid';
  /** What the hidden states are projected to. */
  project: DeltaNetProjections;
  /** Heads of the values that share one of the keys lie as far apart as there are of these, not one behind the other. */
  tiled?: boolean;
}

/** Projections of x [hidden, n]. */
export interface DeltaNetProjections {
  /** Queries and keys [keySize · keys], and values [valueSize · values], one behind the other. */
  qkv: Block;
  /** [valueSize · values], what gates the result. */
  z: Block;
  /** [values]: logits of how much each head writes, and what its decay depends on. */
  b: Block;
  a: Block;
}

/**
 * Gated delta net (arXiv 2412.06464, as Qwen3-Next has it in transformers): linear attention whose state, a matrix
 * [keySize, valueSize] a head, decays and is corrected by what each token writes. Tensors `${prefix}.{conv1d, A_log,
 * dt_bias, norm, out_proj}`.
 * @throws FiddlerError `unsupported`
 */
export function gatedDeltaNet(declare: Declarations, prefix: string, options: DeltaNetOptions): AttentionBlock {
  const { hidden, heads, keySize, valueSize, kernel, epsilon, gate = 'silu', project, tiled } = options;
  const size = deltaSize(Math.max(keySize, valueSize), 'linear_key_head_dim or linear_value_head_dim');
  refuseUnless(
    heads.values % heads.keys === 0,
    'linear_num_value_heads',
    `is ${heads.values}, which ${heads.keys} heads of keys do not divide`,
  );
  const [keys, values] = [heads.keys * keySize, heads.values * valueSize];
  const channels = 2 * keys + values;
  const convolve = causalConvolution(declare, `${prefix}.conv1d`, { channels, kernel });
  const decayLog = declare.vector(`${prefix}.A_log`, heads.values);
  const decayBias = declare.vector(`${prefix}.dt_bias`, heads.values);
  const norm = rmsNorm(declare, `${prefix}.norm`, valueSize, epsilon);
  const output = linear(declare, `${prefix}.out_proj`, hidden, values);
  const state = declare.state(size * size * heads.values);
  const repeats = heads.values / heads.keys;

  /** The normalised queries or keys of a group, a head for each of the values': [size, values, tokens, sequences]. */
  const unit = (g: Graph, rows: Tensor, first: number, factor: number, { tokens, sequences }: StepGroup) => {
    const part = headsAt(g, rows, first, keySize, heads.keys);
    const normal = g.scale(unitHeads(g, part), factor);
    const padded = size > keySize ? g.pad(normal, size - keySize) : normal;
    if (repeats === 1 || tiled) return padded;
    const apart = g.reshape(padded, size, 1, heads.keys, tokens * sequences);
    const repeated = g.repeat(apart, [size, repeats, heads.keys, tokens * sequences]);
    return g.reshape(repeated, size, heads.values, tokens, sequences);
  };

  return (g, x, step) => {
    const qkv = project.qkv(g, x);
    const write = g.sigmoid(project.b(g, x));
    const rate = g.softplus(g.add(project.a(g, x), decayBias.tensor));
    const decay = g.scale(g.multiply(rate, g.exp(decayLog.tensor)), -1);
    const mixed = step.groups.map((group) => {
      const { tokens, sequences } = group;
      const rows = g.silu(convolve(g, qkv, group, step));
      // The operation divides by √size.
      const q = unit(g, rows, 0, Math.sqrt(size / keySize), group);
      const k = unit(g, rows, keys, 1, group);
      const v = headsAt(g, rows, 2 * keys, valueSize, heads.values);
      const ofHeads = (a: Tensor) => g.reshape(group.alignedRowsOf(a), 1, heads.values, tokens, sequences);
      const held = g.reshape(group.stateOf(state), size, size, heads.values, sequences);
      const padded = size > valueSize ? g.pad(g.contiguous(v), size - valueSize) : v;
      const heldBy = { state: held, decay: ofHeads(decay), beta: ofHeads(write) };
      return deltaRule(g, { q, k, v: padded, ...heldBy, valueSize });
    });
    const all = g.concatAll(mixed, 2);
    const n = step.tokens;
    const z = g.reshape(project.z(g, x), valueSize, heads.values, n);
    const gated = gate === 'silu' ? g.swiglu(z, norm(g, all)) : g.multiply(norm(g, all), g.sigmoid(z));
    return output(g, g.reshape(gated, values, n));
  };
}
