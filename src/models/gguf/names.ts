import { view } from '../../native/os/memory.js';
import type { Checkpoint, Region, StoredTensor } from '../../weights/checkpoint.js';
import type { GgufArchitecture, Undo } from './architecture.js';

/** Tensors outside of layers. */
const OUTER: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
};

/** Tensors of a layer, as most architectures name them (llama.cpp, gguf-py/gguf/tensor_mapping.py). */
const INNER: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'ffn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  'self_attn.sinks': 'attn_sinks.weight',
  'self_attn.q_a_proj': 'attn_q_a',
  'self_attn.q_a_layernorm': 'attn_q_a_norm',
  'self_attn.q_b_proj': 'attn_q_b',
  'self_attn.kv_a_proj_with_mqa': 'attn_kv_a_mqa',
  'self_attn.kv_a_layernorm': 'attn_kv_a_norm',
  'self_attn.kv_b_proj': 'attn_kv_b',
  'self_attn.k_b_proj': 'attn_k_b',
  'self_attn.v_b_proj': 'attn_v_b',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  'mlp.gate': 'ffn_gate_inp',
  'mlp.router': 'ffn_gate_inp',
  'block_sparse_moe.gate': 'ffn_gate_inp',
  'block_sparse_moe.router.layer': 'ffn_gate_inp',
  'mlp.gate.e_score_correction_bias': 'exp_probs_b.bias',
  'mlp.moe_statics.e_score_correction_bias': 'exp_probs_b.bias',
  'mlp.shared_expert.gate_proj': 'ffn_gate_shexp',
  'mlp.shared_expert.up_proj': 'ffn_up_shexp',
  'mlp.shared_expert.down_proj': 'ffn_down_shexp',
  'mlp.shared_experts.gate_proj': 'ffn_gate_shexp',
  'mlp.shared_experts.up_proj': 'ffn_up_shexp',
  'mlp.shared_experts.down_proj': 'ffn_down_shexp',
  'mlp.shared_expert_gate': 'ffn_gate_inp_shexp',
};

/** A published name in its parts: `model.layers.N.`, what is named, and `.weight` or `.bias`. */
const PARTS = /^(?:model\.layers\.(\d+)\.)?(.*?)(\.weight|\.bias)?$/;

/** As if the text of a model that sees more were all of it, and every model were called so. */
const partsOf = (published: string) =>
  PARTS.exec(published.replace(/^((model\.language_model|backbone)\.|(?=layers\.))/, 'model.'))!;

/** What a GGUF file calls a tensor of that published name; the name itself where that is not known. */
export function ggufName(published: string, { names, once }: Pick<GgufArchitecture, 'names' | 'once'>): string {
  const [, layer, stem, suffix = ''] = partsOf(published);
  const outside = once?.[stem!];
  if (outside !== undefined) return `${outside}${suffix}`;
  const table = { ...(layer === undefined ? OUTER : INNER), ...names };
  const name = table[`${stem}${suffix}`] ?? table[stem!];
  if (name === undefined) return published;
  const whole = /\.(weight|bias)$/.test(name) ? name : `${name}${suffix}`;
  return layer === undefined ? whole : `blk.${layer}.${whole}`;
}

/** A projection to queries, keys or values, which a converter may fuse into `attn_qkv`: rows of queries, then the others'. */
const PROJECTION = /^(blk\.\d+\.attn_)([qkv])\.(weight|bias)$/;

/** A tensor that a family calls for. */
export interface Called {
  name: string;
  /** Outermost dimension first. */
  shape: readonly number[];
}

/** A GGUF model whose tensors are found by their published names, too, with what the converter did to them undone. */
export class PublishedNames implements Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Names in the file of all tensors that are called for by these names. */
  readonly used = new Set<string>();

  /** @param called what a family calls for, by its published names */
  constructor(
    private readonly stored: Checkpoint,
    private readonly architecture: GgufArchitecture,
    called: readonly Called[],
  ) {
    const tensors = new Map(stored.tensors);
    const rows = new Map(called.map(({ name, shape }) => [ggufName(name, architecture), shape[0]!]));
    for (const { name, shape } of called) {
      const own = ggufName(name, architecture);
      const found = stored.tensors.get(own) ?? partOfFused(stored, own, rows);
      if (!found) continue;
      const tensor = isVectorOf(found, shape) ? { ...found, shape } : found;
      this.used.add(tensor.name);
      const [, , stem] = partsOf(name);
      const undo = architecture.undo?.[stem!] ?? this.scaled(own);
      tensors.set(name, undo ? { ...tensor, undo } : tensor);
    }
    this.tensors = tensors;
  }

  /** Multiplies a matrix by the factor that comes with NVFP4, as the tensor `.scale` [1]. */
  private scaled(name: string): Undo | undefined {
    const [, stem] = /^(blk\..+)\.weight$/.exec(name) ?? [];
    const scale = this.stored.tensors.get(`${stem}.scale`);
    if (scale?.dtype !== 'F32' || scale.bytes !== 4) return undefined;
    this.used.add(scale.name).add(`${stem}.input_scale`);
    return (values) => {
      const [factor] = new Float32Array(view(scale.address, 4));
      for (let i = 0; i < values.length; i++) values[i]! *= factor!;
    };
  }

  get(name: string): StoredTensor {
    return this.tensors.get(name) ?? this.stored.get(ggufName(name, this.architecture));
  }

  get regions(): readonly Region[] {
    return this.stored.regions;
  }

  release(address: bigint, bytes: number): void {
    this.stored.release(address, bytes);
  }

  close(): void {
    this.stored.close();
  }
}

/** Whether rows of a tensor behind each other are the vector of that shape. */
function isVectorOf(tensor: StoredTensor, shape: readonly number[]): boolean {
  return shape.length === 1 && tensor.shape.reduce((product, extent) => product * extent, 1) === shape[0];
}

/** A projection's rows of `attn_qkv`. @param rows those of every projection, by its name in a file that has it alone */
function partOfFused(
  { tensors }: Checkpoint,
  name: string,
  rows: ReadonlyMap<string, number>,
): StoredTensor | undefined {
  const [, layer, which, kind] = PROJECTION.exec(name) ?? [];
  const fused = tensors.get(`${layer}qkv.${kind}`);
  if (!fused) return undefined;
  const of = (projection: string) => rows.get(`${layer}${projection}.${kind}`) ?? 0;
  const [total, ...inner] = fused.shape as [number, ...number[]];
  if (of('q') + of('k') + of('v') !== total) return undefined;
  const before = { q: 0, k: of('q'), v: of('q') + of('k') }[which as 'q' | 'k' | 'v'];
  const row = fused.bytes / total;
  return {
    ...fused,
    shape: [of(which!), ...inner],
    address: fused.address + BigInt(before * row),
    bytes: of(which!) * row,
  };
}
