import type { GgufTensor } from '../../src/weights/gguf/header.js';

/** A golden model's tensors in bf16, by their published names, and a file's metadata. */
export interface Published {
  rows(name: string): { shape: readonly number[]; values: Uint16Array };
  key(name: string): number;
}

/** Numbers as float32. */
export function floatsOf(values: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(values, (bits) => bits << 16).buffer);
}

/** What llama.cpp's converter changes of models with recurrent layers; undefined where it changes nothing of a tensor. */
export function recurrentNumbers(
  architecture: string,
  { name }: Pick<GgufTensor, 'name'>,
  published: Published,
): Float32Array | Uint16Array | undefined {
  const [, layer, part] = /^blk\.(\d+)\.(.*)$/.exec(name) ?? [undefined, undefined, name];
  const of = (stem: string) => published.rows(layer === undefined ? stem : `model.layers.${layer}.${stem}`);
  switch (architecture) {
    case 'qwen3next':
    case 'qwen35moe':
      return zeroCentred(part!, of) ?? deltaNet(architecture, part!, of, published);
    case 'granitehybrid':
      return part === 'ssm_a' ? decays(of('mamba.A_log').values) : halfOfShared(part!, of);
    case 'nemotron_h_moe':
      return part === 'ssm_a' ? decays(of('mixer.A_log').values) : undefined;
    default:
      return undefined;
  }
}

/** Of gate and up in one, which every token passes through. */
function halfOfShared(part: string, of: Published['rows']): Uint16Array | undefined {
  const half = ['ffn_gate_shexp.weight', 'ffn_up_shexp.weight'].indexOf(part);
  if (half < 0) return undefined;
  const { values } = of('shared_mlp.input_linear.weight');
  return values.slice((half * values.length) / 2, ((half + 1) * values.length) / 2);
}

const ZERO_CENTRED: Readonly<Record<string, string>> = {
  'attn_norm.weight': 'input_layernorm.weight',
  'post_attention_norm.weight': 'post_attention_layernorm.weight',
  'attn_q_norm.weight': 'self_attn.q_norm.weight',
  'attn_k_norm.weight': 'self_attn.k_norm.weight',
  'output_norm.weight': 'model.norm.weight',
};

function zeroCentred(part: string, of: Published['rows']): Float32Array | undefined {
  const norm = ZERO_CENTRED[part];
  return norm ? floatsOf(of(norm).values).map((weight) => weight + 1) : undefined;
}

/** PyTorch's exp of this float32 is a unit in the last place above the nearest number. */
const ROUNDED_UP = -0.033203125;

/** −exp(A_log). */
function decays(values: Uint16Array): Float32Array {
  const decayed = floatsOf(values).map((value) => -Math.exp(value));
  const bits = new Uint32Array(decayed.buffer);
  for (const [i, value] of floatsOf(values).entries()) if (value === ROUNDED_UP) bits[i]!++;
  return decayed;
}

function deltaNet(
  architecture: 'qwen3next' | 'qwen35moe',
  part: string,
  of: Published['rows'],
  { key }: Published,
): Float32Array | Uint16Array | undefined {
  const [keys, heads] = [key('ssm.group_count'), key('ssm.time_step_rank')];
  const [keySize, each] = [key('ssm.state_size'), heads / keys];
  const valueSize = key('ssm.inner_size') / heads;
  if (architecture === 'qwen3next') {
    if (part === 'ssm_a') return decays(of('linear_attn.A_log').values);
    if (part !== 'attn_qkv.weight' && part !== 'attn_gate.weight') return undefined;
    const { shape, values } = of('linear_attn.in_proj_qkvz.weight');
    const widths = [keySize, keySize, each * valueSize, each * valueSize];
    const group = widths.reduce((a, b) => a + b);
    const rowsOf = (which: number) => {
      const first = widths.slice(0, which).reduce((a, b) => a + b, 0);
      return numbered(keys).flatMap((head) => numbered(widths[which]!).map((row) => head * group + first + row));
    };
    const wanted = part === 'attn_gate.weight' ? [3] : [0, 1, 2];
    return pick(values, shape[1]!, wanted.flatMap(rowsOf));
  }
  /** Rows of heads of the values, of which those of one key lie apart. */
  const tiled = (size: number, first = 0) =>
    numbered(each).flatMap((j) =>
      numbered(keys).flatMap((k) => numbered(size).map((row) => first + (k * each + j) * size + row)),
    );
  const qkv = [...numbered(2 * keys * keySize), ...tiled(valueSize, 2 * keys * keySize)];
  const rows = (stem: string, order: readonly number[]) => {
    const { shape, values } = of(`linear_attn.${stem}`);
    return pick(values, values.length / shape[0]!, order);
  };
  switch (part) {
    case 'ssm_a':
      return decays(rows('A_log', tiled(1)));
    case 'ssm_dt.bias':
      return rows('dt_bias', tiled(1));
    case 'ssm_conv1d.weight':
      return rows('conv1d.weight', qkv);
    case 'attn_qkv.weight':
      return rows('in_proj_qkv.weight', qkv);
    case 'attn_gate.weight':
      return rows('in_proj_z.weight', tiled(valueSize));
    case 'ssm_alpha.weight':
      return rows('in_proj_a.weight', tiled(1));
    case 'ssm_beta.weight':
      return rows('in_proj_b.weight', tiled(1));
    case 'ssm_out.weight': {
      const { shape, values } = of('linear_attn.out_proj.weight');
      const order = tiled(valueSize);
      return values.map((_, i) => values[i - (i % shape[1]!) + order[i % shape[1]!]!]!);
    }
    default:
      return undefined;
  }
}

function numbered(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Rows of so many numbers, in that order. */
function pick(values: Uint16Array, width: number, order: readonly number[]): Uint16Array {
  return Uint16Array.from(order.flatMap((row) => [...values.subarray(row * width, (row + 1) * width)]));
}
