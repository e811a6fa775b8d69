import { FiddlerError } from '../../errors.js';
import type { Checkpoint } from '../../weights/checkpoint.js';
import type { JsonObject } from '../../weights/config.js';
import { broken } from '../../weights/gguf/cursor.js';
import type { GgufModel } from '../../weights/gguf/gguf.js';
import type { Metadata } from '../../weights/gguf/metadata.js';
import { quote } from '../../weights/mapped.js';
import { layersOf, type ModelSpec } from '../model.js';
import type { Declarations, RowGroups } from '../parameters.js';
import { afmoe } from './afmoe.js';
import type { GgufArchitecture } from './architecture.js';
import { cohere2moe } from './cohere2moe.js';
import { deepseek } from './deepseek.js';
import { deepseek2 } from './deepseek2.js';
import { deepseek4 } from './deepseek4.js';
import { deepseek32 } from './deepseek32.js';
import { dots1 } from './dots1.js';
import { ernie45Moe } from './ernie4-5-moe.js';
import { exaoneMoe } from './exaone-moe.js';
import { ggufExperts } from './experts.js';
import { gemma4 } from './gemma4.js';
import { glmDsa } from './glm-dsa.js';
import { glm4moe } from './glm4moe.js';
import { gptOss } from './gpt-oss.js';
import { granitehybrid } from './granitehybrid.js';
import { granitemoe } from './granitemoe.js';
import { hunyuanMoe } from './hunyuan-moe.js';
import { hyV3 } from './hy-v3.js';
import { GgufKeys } from './keys.js';
import { kimiLinear } from './kimi-linear.js';
import { laguna } from './laguna.js';
import { lfm2moe } from './lfm2moe.js';
import { llama } from './llama.js';
import { mimo2 } from './mimo2.js';
import { minimaxM2 } from './minimax-m2.js';
import { mistral4 } from './mistral4.js';
import { PublishedNames } from './names.js';
import { nemotronHMoe } from './nemotron-h-moe.js';
import { olmoe } from './olmoe.js';
import { phimoe } from './phimoe.js';
import { qwen2moe } from './qwen2moe.js';
import { qwen3moe } from './qwen3moe.js';
import { qwen3next } from './qwen3next.js';
import { qwen3vlmoe } from './qwen3vlmoe.js';
import { qwen4exp } from './qwen4exp.js';
import { qwen35moe } from './qwen35moe.js';

/** Every architecture of GGUF files whose family is here. */
export const ARCHITECTURES: readonly GgufArchitecture[] = [
  llama,
  qwen2moe,
  qwen3moe,
  qwen3vlmoe,
  qwen3next,
  qwen35moe,
  qwen4exp,
  lfm2moe,
  olmoe,
  phimoe,
  deepseek,
  deepseek2,
  deepseek32,
  deepseek4,
  granitemoe,
  granitehybrid,
  nemotronHMoe,
  glm4moe,
  glmDsa,
  gptOss,
  ernie45Moe,
  dots1,
  exaoneMoe,
  hunyuanMoe,
  hyV3,
  minimaxM2,
  gemma4,
  cohere2moe,
  afmoe,
  laguna,
  kimiLinear,
  mimo2,
  mistral4,
];

/** A GGUF file as its family describes it. */
export interface GgufDescription {
  /** What config.json would say. */
  config: JsonObject;
  /** What of the file is left out, a line each. */
  notes: string[];
}

/**
 * Reads the config from a file's metadata.
 * @param hasData the tensors' data are here, not only their header
 * @throws FiddlerError `file` or `unsupported`, naming the key
 */
export function describeGguf({ metadata, checkpoint }: GgufModel, hasData: boolean): GgufDescription {
  const { name, config } = architectureOf({ metadata });
  checkTokens(metadata, checkpoint.tensors.get('token_embd.weight')?.shape[0]);
  const keys = new GgufKeys(metadata, checkpoint, name, hasData);
  const left = keys.nextTokenLayers;
  const line = `${left} layer${left === 1 ? '' : 's'} that predict${left === 1 ? 's' : ''} further tokens left out`;
  return { config: config(keys), notes: left > 0 ? [line] : [] };
}

/** @param rows of the embedding. @throws FiddlerError `file`: there are not as many tokens */
function checkTokens(metadata: Metadata, rows: number | undefined): void {
  const tokens = metadata.count('tokenizer.ggml.tokens');
  if (tokens === undefined || rows === undefined || tokens === rows) return;
  throw broken(metadata.file, `its tokenizer has ${tokens} tokens, but its embedding ${rows} rows`);
}

/**
 * The weights of a GGUF model under the names by which its family calls for them; the experts' places in `spec` become
 * those of the file.
 * @throws FiddlerError `unsupported`: a tensor that the family does not compute with
 */
export function adoptGguf(
  { metadata, checkpoint }: GgufModel,
  spec: ModelSpec,
  declarations: Declarations,
): Checkpoint {
  const { parameters, hostVectors, integers, tables } = declarations;
  const architecture = architectureOf({ metadata });
  const embedding = { ...spec.embedding, shape: [spec.vocabulary, spec.hidden] };
  const alone = parameters.flatMap(({ groups, shape }) =>
    groups?.alone ? { name: groups.alone, shape: [rowsTaken(groups), shape[1]!] } : [],
  );
  const rows = tables.flatMap(({ names, width, rows }) => names.map((name) => ({ name, shape: [rows, width] })));
  const named = new PublishedNames(checkpoint, architecture, [
    embedding,
    ...hostVectors,
    ...integers,
    ...parameters,
    ...alone,
    ...rows,
  ]);
  const used = new Set(named.used);
  for (const name of ['rope_freqs.weight', ...(architecture.ofConfig ?? [])]) used.add(name);
  const layers = layersOf(spec);
  const blocks = metadata.integer(`${architecture.name}.block_count`) ?? layers.length; // with those left out
  for (const [l, { moe }] of layers.entries()) {
    if (!moe) continue;
    const { tensors, ...held } = ggufExperts(checkpoint, l, moe.experts);
    Object.assign(moe.experts, held, { alternatives: undefined });
    for (const name of tensors) used.add(name);
  }
  for (const { name, file } of checkpoint.tensors.values()) {
    const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0);
    if (used.has(name) || (layer >= layers.length && layer < blocks)) continue;
    const why = layer < blocks ? 'is not one that models of this family have here' : `is behind all ${blocks} layers`;
    const problem = `${file}: tensor ${quote(name)} ${why}`;
    throw new FiddlerError('unsupported', problem, 'use a model without it: docs/families.md lists what is supported');
  }
  return named;
}

/** Rows that are made of a matrix. */
function rowsTaken({ count, rows }: RowGroups): number {
  return count * rows;
}

/** @throws FiddlerError `unsupported`, listing the architectures that are there */
function architectureOf({ metadata }: Pick<GgufModel, 'metadata'>): GgufArchitecture {
  const name = metadata.architecture;
  const found = ARCHITECTURES.find((architecture) => architecture.name === name);
  if (found) return found;
  const known = ARCHITECTURES.map((architecture) => architecture.name).join(', ');
  const problem = `${metadata.file} is of the architecture ${quote(name ?? '')}, which is not supported`;
  throw new FiddlerError('unsupported', problem, `use a model of one of: ${known}`);
}
