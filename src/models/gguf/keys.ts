import { FiddlerError } from '../../errors.js';
import { view } from '../../native/os/memory.js';
import type { Checkpoint } from '../../weights/checkpoint.js';
import type { Metadata } from '../../weights/gguf/metadata.js';

/** How experts' scores come from a router's logits (llama.cpp, llama_expert_gating_func_type). */
const GATINGS = ['', 'softmax', 'sigmoid', 'softmax over chosen', 'sqrt softplus'] as const;
export type Gating = Exclude<(typeof GATINGS)[number], ''>;

/** Numbers of what is read as a list, half a head's at most: a header can declare any. */
const LONGEST_LIST = 65_536;

/** The metadata of a GGUF file below its architecture's name, and which tensors it has. */
export class GgufKeys {
  constructor(
    readonly metadata: Metadata,
    private readonly checkpoint: Checkpoint,
    readonly architecture: string,
    /** The tensors' data are here; of a file elsewhere only the header is. */
    private readonly hasData: boolean,
  ) {}

  private key(name: string): string {
    return `${this.architecture}.${name}`;
  }

  number(name: string): number | undefined {
    return this.metadata.number(this.key(name));
  }

  flag(name: string): boolean | undefined {
    return this.metadata.flag(this.key(name));
  }

  string(name: string): string | undefined {
    return this.metadata.string(this.key(name));
  }

  /** A whole number; of a list with one for each layer the first, where those of all `layers` are equal. */
  integer(name: string): number | undefined {
    if (!this.metadata.isList(this.key(name))) return this.metadata.integer(this.key(name));
    const values = new Set(this.integers(name)!.slice(0, this.layers));
    if (values.size > 1) this.refuse(name, 'differs between layers');
    return [...values][0];
  }

  /** One for each layer, whether there is a list of them or one that holds for all. */
  perLayer(name: string): number[] | undefined {
    if (this.metadata.isList(this.key(name))) return this.integers(name)!.slice(0, this.layers);
    const value = this.metadata.integer(this.key(name));
    return value === undefined ? undefined : Array(this.layers).fill(value);
  }

  integers(name: string): number[] | undefined {
    return this.metadata.integers(this.key(name));
  }

  /** As `integers`, of any size. */
  bigIntegers(name: string): bigint[] | undefined {
    return this.metadata.bigIntegers(this.key(name));
  }

  /** A number; of a list with one for each layer the first, where those of all `layers` are equal. */
  shared(name: string): number | undefined {
    if (!this.metadata.isList(this.key(name))) return this.number(name);
    const values = new Set(this.metadata.numbers(this.key(name))!.slice(0, this.layers));
    if (values.size > 1) this.refuse(name, 'differs between layers');
    return [...values][0];
  }

  /** Flags of a list, which may be one for each layer. */
  flags(name: string): boolean[] | undefined {
    return this.metadata.flags(this.key(name));
  }

  /** @throws FiddlerError `file`: missing */
  required(name: string): number {
    const value = this.integer(name);
    if (value === undefined) throw this.missing(`metadata ${this.key(name)}`);
    return value;
  }

  /** Layers of the model, without those that predict further tokens. */
  get layers(): number {
    const blocks = this.metadata.integer(this.key('block_count'));
    if (blocks === undefined) throw this.missing(`metadata ${this.key('block_count')}`);
    const layers = blocks - this.nextTokenLayers;
    if (layers >= 1 && layers <= this.checkpoint.tensors.size) return layers;
    return this.refuse('block_count', `leaves ${layers} layers, but there are ${this.checkpoint.tensors.size} tensors`);
  }

  /** Layers behind those that only predict further tokens. */
  get nextTokenLayers(): number {
    return this.metadata.integer(this.key('nextn_predict_layers')) ?? 0;
  }

  get gating(): Gating | undefined {
    const number = this.integer('expert_gating_func');
    if (number === undefined || number === 0) return undefined;
    return (GATINGS[number] || undefined) ?? this.refuse('expert_gating_func', `is ${number}`);
  }

  /** Projections to queries, keys and values have biases. */
  get attentionBias(): boolean {
    return this.has('blk.0.attn_q.bias') || this.has('blk.0.attn_qkv.bias');
  }

  has(tensor: string): boolean {
    return this.checkpoint.tensors.has(tensor);
  }

  /** Outermost dimension first. @throws FiddlerError `file`: there is none */
  shape(tensor: string): readonly number[] {
    return this.checkpoint.get(tensor).shape;
  }

  /** The numbers of a small float32 tensor; ones where only the header is here, undefined where there is none. */
  floats(tensor: string): number[] | undefined {
    const stored = this.checkpoint.tensors.get(tensor);
    if (!stored) return undefined;
    const { dtype, address, bytes } = stored;
    if (dtype !== 'F32') throw new FiddlerError('unsupported', `${stored.file}: ${tensor} is ${dtype}`, REMEDY);
    const count = bytes / 4;
    if (count > LONGEST_LIST)
      throw new FiddlerError('unsupported', `${stored.file}: ${tensor} has ${count} numbers`, REMEDY);
    if (!this.hasData) return Array(count).fill(1);
    return [...new Float32Array(view(address, bytes))];
  }

  /** @throws FiddlerError `unsupported`, naming the key whose value this engine would run wrongly */
  refuse(name: string, why: string): never {
    throw new FiddlerError('unsupported', `${this.metadata.file}: ${this.key(name)} ${why}`, REMEDY);
  }

  private missing(what: string): FiddlerError {
    return new FiddlerError('file', `${this.metadata.file} has no ${what}`, 'use another file of this model');
  }
}

const REMEDY = 'use a model without it: docs/families.md lists what is supported';
