import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FiddlerError } from '../errors.js';
import { adoptGguf, describeGguf } from '../models/gguf/index.js';
import { type GgufModel, openGguf } from '../weights/gguf/gguf.js';
import { isLaterShard } from '../weights/gguf/shards.js';
import { chooseVariant, type Variant, variantsOf } from '../weights/gguf/variants.js';
import type { Repository } from '../weights/hub/repository.js';
import { describesWeights } from '../weights/index.js';
import type { ModelSource } from './model-source.js';

/** Projectors of pictures, which come beside a model's file. */
const PROJECTOR = /^mmproj/i;

/**
 * The GGUF file that a path means: itself, or the only model in a folder that holds none in another format.
 * @returns undefined where it means no GGUF file
 * @throws FiddlerError `usage`: a folder with several; `file`: one without the first of a model's shards
 */
export function ggufFile(path: string): string | undefined {
  if (!statSync(path).isDirectory()) return path;
  if (existsSync(join(path, 'config.json'))) return undefined;
  const models = readdirSync(path).filter((name) => name.endsWith('.gguf') && !PROJECTOR.test(name));
  const [first, ...others] = models.filter((name) => !isLaterShard(name)).sort();
  if (first === undefined && models.length > 0) {
    const problem = `${path} holds ${models.sort()[0]}, but not the first part of that model`;
    throw new FiddlerError('file', problem, 'download all parts of the model into one folder');
  }
  if (first === undefined) return undefined;
  if (others.length === 0) return join(path, first);
  throw new FiddlerError('usage', `${path} holds several models`, `give one of: ${[first, ...others].join(', ')}`);
}

/** A GGUF file, or the first of several shards; a tokenizer.json beside it serves before its own. @throws FiddlerError */
export function ggufSource(file: string): ModelSource {
  const beside = existsSync(join(dirname(file), 'tokenizer.json'));
  const source = sourceOf(basename(file, '.gguf'), () => openGguf(file), true);
  return beside ? { ...source, tokenizer: true } : source;
}

/** A GGUF model of which only headers are here. @throws FiddlerError */
export function remoteGgufSource(name: string, open: () => GgufModel): ModelSource {
  return sourceOf(name, open, false);
}

/**
 * The GGUF model that a repository's name means.
 * @returns undefined where it means weights in another format
 * @throws FiddlerError `usage`: none is meant, or several are, with the choices; `file`: it is not whole
 */
export function ggufVariant(repository: Repository): Variant | undefined {
  const { id, files, variant } = repository;
  const models = variantsOf(files);
  if (variant === undefined && (models.length === 0 || describesWeights(repository))) return undefined;
  return chooseVariant(id, models, variant);
}

/** @param hasData the tensors' data are here, not only their header */
function sourceOf(name: string, open: () => GgufModel, hasData: boolean): ModelSource {
  const model = open();
  try {
    const { config, notes } = describeGguf(model, hasData);
    return {
      name,
      config,
      describedBy: model.metadata.file,
      notes,
      inMemory: false,
      quantized: true,
      tokenizer: model.metadata.has('tokenizer.ggml.tokens'),
      open: (spec, declarations) => opened(open(), spec, declarations),
    };
  } finally {
    model.checkpoint.close();
  }
}

function opened(model: GgufModel, ...described: Parameters<ModelSource['open']>) {
  try {
    return adoptGguf(model, ...described);
  } catch (error) {
    model.checkpoint.close();
    throw error;
  }
}
