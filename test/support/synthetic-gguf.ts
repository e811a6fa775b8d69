import { closeSync, openSync, writeSync } from 'node:fs';
import { type GgufValue, ggufBytes } from '../../bench/gguf-writer.js';
import { blockBytes, rowBytes, Type } from '../../src/native/ggml/tensor.js';
import type { DType } from '../../src/weights/checkpoint.js';
import { FIXED } from '../../src/weights/conversions/random-blocks.js';
import { HEAD_SIZE, KV_HEADS, type SyntheticSizes } from './synthetic.js';

/** A tensor of such a file. */
export interface SyntheticBlocks {
  name: string;
  dtype: DType;
  /** Innermost first. */
  ne: readonly number[];
}

/** In which layers down projections are in Q6_K. */
type IsFiner = (layer: number) => boolean;

/** Every tensor, as Q4_K_M holds a Mixtral: values, down projections, embeddings and head in Q6_K, the rest in Q4_K. */
export function blocksOf(
  { layers, hidden, width, experts, vocabulary }: SyntheticSizes,
  isFiner: IsFiner = () => true,
): SyntheticBlocks[] {
  const kv = KV_HEADS * HEAD_SIZE;
  const of =
    (dtype: DType) =>
    (name: string, ...ne: number[]) => ({ name: `${name}.weight`, dtype, ne });
  const [exact, matrix, finer] = [of('F32'), of('Q4_K'), of('Q6_K')];
  const ofLayer = (l: number) => [
    exact(`blk.${l}.attn_norm`, hidden),
    matrix(`blk.${l}.attn_q`, hidden, hidden),
    matrix(`blk.${l}.attn_k`, hidden, kv),
    finer(`blk.${l}.attn_v`, hidden, kv),
    matrix(`blk.${l}.attn_output`, hidden, hidden),
    exact(`blk.${l}.ffn_norm`, hidden),
    exact(`blk.${l}.ffn_gate_inp`, hidden, experts),
    matrix(`blk.${l}.ffn_gate_exps`, hidden, width, experts),
    matrix(`blk.${l}.ffn_up_exps`, hidden, width, experts),
    (isFiner(l) ? finer : matrix)(`blk.${l}.ffn_down_exps`, width, hidden, experts),
  ];
  const outer = [
    finer('token_embd', hidden, vocabulary),
    exact('output_norm', hidden),
    finer('output', hidden, vocabulary),
  ];
  return [...outer, ...Array.from({ length: layers }, (_, l) => ofLayer(l)).flat()];
}

export function bytesOfBlocks({ dtype, ne }: SyntheticBlocks): number {
  return rowBytes(
    Type[dtype],
    ne.reduce((a, b) => a * b, 1),
  );
}

/** Writes the model with random blocks of ordinary numbers. */
export function writeBlocks(path: string, sizes: SyntheticSizes, isFiner?: IsFiner): void {
  const all = blocksOf(sizes, isFiner);
  let at = 0;
  const tensors = all.map((blocks) => {
    const offset = at;
    at += Math.ceil(bytesOfBlocks(blocks) / 32) * 32;
    return { name: blocks.name, type: Type[blocks.dtype], ne: blocks.ne, data: new Uint8Array(), offset };
  });
  const file = openSync(path, 'w');
  try {
    const head = ggufBytes({ metadata: metadataOf(sizes), tensors });
    writeSync(file, head);
    for (const [i, blocks] of all.entries()) writeNoise(file, blocks, head.length + tensors[i]!.offset);
  } finally {
    closeSync(file);
  }
}

function metadataOf({ layers, hidden, width, experts, vocabulary }: SyntheticSizes): Record<string, GgufValue> {
  const counts = {
    context_length: 4096,
    embedding_length: hidden,
    block_count: layers,
    feed_forward_length: width,
    'attention.head_count': hidden / HEAD_SIZE,
    'attention.head_count_kv': KV_HEADS,
    expert_count: experts,
    expert_used_count: 2,
    vocab_size: vocabulary,
  };
  const entries = Object.entries(counts).map(([key, value]) => [`llama.${key}`, { kind: 'u32' as const, value }]);
  return {
    'general.architecture': { kind: 'string', value: 'llama' },
    'llama.attention.layer_norm_rms_epsilon': { kind: 'f32', value: 1e-5 },
    ...Object.fromEntries(entries),
  };
}

const noises = new Map<DType, Uint8Array>();
/** Blocks after which they repeat. */
const PERIOD = 8191;

/** Random blocks. */
function noiseOf(dtype: DType): Uint8Array {
  const known = noises.get(dtype);
  if (known) return known;
  const size = blockBytes(Type[dtype]);
  let state = 12345;
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0; // the generator of C's standard, section 7.22.2
    return state >>> 16;
  };
  const bytes = Uint8Array.from({ length: PERIOD * size }, next);
  for (let block = 0; block < PERIOD; block++) {
    for (const [offset, ...values] of FIXED[dtype] ?? []) bytes.set(values, block * size + offset);
  }
  noises.set(dtype, bytes);
  return bytes;
}

function writeNoise(file: number, blocks: SyntheticBlocks, at: number): void {
  const total = bytesOfBlocks(blocks);
  if (blocks.dtype === 'F32') {
    const values = Float32Array.from({ length: total / 4 }, (_, i) => (blocks.ne.length > 1 ? Math.sin(i) : 1));
    writeSync(file, values, 0, total, at);
    return;
  }
  const noise = noiseOf(blocks.dtype);
  for (let done = 0; done < total; done += noise.length) {
    writeSync(file, noise, 0, Math.min(noise.length, total - done), at + done);
  }
}
