import { usableCpus } from '../devices/cores.js';
import { FiddlerError } from '../errors.js';
import { eachMatrix, type MatrixName, matrixEntries } from '../experts/activations.js';
import type { ExpertMatrices, ExpertsSpec } from '../experts/spec.js';
import { wantedTensors } from '../experts/stored.js';
import { expertLayersOf, layersOf, type ModelSpec } from '../models/model.js';
import type { Declarations } from '../models/parameters.js';
import { PUBLISHED } from '../models/published/index.js';
import { type RandomRouting, randomRouter } from '../models/router-random.js';
import type { DType } from '../weights/checkpoint.js';
import type { JsonObject } from '../weights/config.js';
import { FIXED } from '../weights/conversions/random-blocks.js';
import { dividing } from '../weights/dividing.js';
import { openSynthetic, type SyntheticTensor } from '../weights/synthetic.js';
import type { ModelSource } from './source.js';

export interface SyntheticOptions {
  /** Fewer layers than published. */
  layers?: number;
  routing?: RandomRouting;
  /** No weight is ever read: memory is set aside for them but not filled. */
  empty?: boolean;
  /** Type of all matrices, by ggml's name; bf16 by default. */
  type?: string;
}

/** The types in which a model without files holds its matrices, by the layer among those with experts. */
export interface MatrixDTypes {
  /** Of the parameter, or the embeddings, of that name. @param columns of a row */
  parameter(name: string, columns: number): DType;
  expert(layer: number, name: MatrixName, columns: number): DType;
}

/** A published shape with random weights, in bf16, and random routing. @throws FiddlerError `usage` */
export function syntheticSource(name: string, { layers, routing, empty, type }: SyntheticOptions = {}): ModelSource {
  const config = PUBLISHED[name];
  if (!config) {
    const known = Object.keys(PUBLISHED).join(', ');
    throw new FiddlerError('usage', `there is no synthetic model ${name}`, `use one of: ${known}`);
  }
  const dtype = type === undefined ? undefined : typeNamed(type);
  const dtypes = dtype && { parameter: fallback(dtype), expert: fallback(dtype) };
  return {
    name: `${name} (synthetic${dtype ? `, ${dtype}` : ''})`,
    config: layers ? withLayers(config, layers) : config,
    inMemory: !empty,
    tokenizer: false,
    synthetic: true,
    open(spec, declarations) {
      routeAtRandom(spec, routing);
      const tensors = syntheticTensors(spec, declarations, { dtypes });
      return openSynthetic(name, tensors, empty ? 0 : usableCpus());
    },
  };
}

/** @throws FiddlerError `usage`: no type of matrices */
function typeNamed(type: string): DType {
  const known = SYNTHETIC_TYPES.find((name) => name.toLowerCase() === type.toLowerCase());
  if (known) return known;
  const all = SYNTHETIC_TYPES.join(', ').toLowerCase();
  throw new FiddlerError('usage', `there is no type ${type}`, `use one of: ${all}`);
}

/** Types of blocks, and bf16. */
const SYNTHETIC_TYPES = ['BF16', ...(Object.keys(FIXED) as DType[])] as const;

/** A type for rows of so many numbers: the wanted one, or where its blocks do not divide them, one with shorter blocks. */
function fallback(dtype: DType): (...args: [...unknown[], columns: number]) => DType {
  return (...args) => dividing(dtype, args.at(-1) as number) ?? 'BF16';
}

/** The keys that count layers: those of a decoder alone, and those of an encoder and its decoder. */
const LAYER_COUNTS = ['num_hidden_layers', 'num_layers', 'num_decoder_layers'];

/** The same shape with fewer layers, also of the text model inside; lists and patterns with an entry a layer are cut. */
function withLayers(config: JsonObject, layers: number): JsonObject {
  const { text_config: text } = config;
  if (text) return { ...config, text_config: withLayers(text as JsonObject, layers) };
  const counts = LAYER_COUNTS.filter((key) => key in config);
  const before = config[counts[0]!];
  const cut = Object.entries(config).map(([key, value]) =>
    isListed(key, value) && value.length === before ? [key, value.slice(0, layers)] : [key, value],
  );
  return { ...Object.fromEntries(cut), ...Object.fromEntries(counts.map((key) => [key, layers])) };
}

function isListed(key: string, value: unknown): value is string | unknown[] {
  return Array.isArray(value) || (typeof value === 'string' && key.endsWith('_pattern'));
}

/** Replaces a model's routers, whose weights are random, by random ones of known distribution. */
export function routeAtRandom(spec: ModelSpec, routing?: RandomRouting): void {
  for (const [l, { moe }] of layersOf(spec).entries()) {
    if (moe) moe.router = randomRouter(moe.experts.count, moe.router.chosen, l + 1, routing);
  }
}

/**
 * Every tensor that the model reads, once each.
 * @param distinct of each layer as many experts have memory of their own, and the others share it
 * @param dtypes of matrices; as the model is published by default
 */
export function syntheticTensors(
  spec: ModelSpec,
  declarations: Declarations,
  { distinct = Number.POSITIVE_INFINITY, dtypes }: { distinct?: number; dtypes?: MatrixDTypes } = {},
): SyntheticTensor[] {
  const tensors = new Map<string, SyntheticTensor>();
  const add = (tensor: SyntheticTensor) => {
    if (!tensors.has(tensor.name)) tensors.set(tensor.name, tensor);
  };
  const matrix = (name: string, columns: number) => dtypes?.parameter(name, columns) ?? 'BF16';
  const { vocabulary, hidden, embedding } = spec;
  add({ name: embedding.name, shape: [vocabulary, hidden], dtype: matrix(embedding.name, hidden) });
  for (const { name, shape, precision, groups } of declarations.parameters) {
    // What is made of parts of a matrix is put together number by number.
    const whole = precision === 'matrix' && shape.length === 2 && !groups;
    add({ name, shape, dtype: whole ? matrix(name, shape[1]!) : 'BF16' });
  }
  for (const { name, shape } of declarations.hostVectors) add({ name, shape, dtype: 'BF16' });
  for (const { name, shape, usual } of declarations.integers) add({ name, shape, dtype: 'I64', integers: usual });
  for (const { names, rows, width } of declarations.tables) {
    for (const name of names) add({ name, shape: [rows, width], dtype: 'BF16', blank: true });
  }
  for (const [l, experts] of expertLayersOf(spec).entries()) if (dtypes) holdSeparately(experts, l);
  for (const [l, experts] of expertLayersOf(spec).entries()) {
    for (let e = 0; e < experts.count; e++) {
      const shared = e < distinct ? [] : wantedTensors(experts, e % distinct);
      const matrices = dtypes ? matrixEntries(experts.matrices(e)) : [];
      for (const [i, tensor] of wantedTensors(experts, e).entries()) {
        const name = matrices[i]?.[0];
        const dtype = name ? dtypes!.expert(l, name, tensor.shape[1]!) : tensor.dtype;
        add({ ...tensor, dtype, like: shared[i]?.name });
      }
    }
  }
  return [...tensors.values()];
}

/** Each matrix of each expert of layer `l` is a tensor of its own, in order, whatever the model is published as. */
function holdSeparately(experts: ExpertsSpec, l: number): void {
  const matrices: ExpertMatrices = (e) =>
    eachMatrix(experts.activation, (name) => ({ name: `experts.${l}.${e}.${name}` }));
  Object.assign(experts, { matrices, alternatives: undefined });
}
