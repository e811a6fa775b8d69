import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { ggufFile } from '../../loading/gguf.js';
import type { JsonObject } from '../../weights/config.js';
import { readGgufMetadata } from '../../weights/gguf/gguf.js';
import { type Description, describeTokenizer } from './description.js';
import { endIds } from './ends.js';
import { idsOf, readVocabulary } from './vocabulary.js';

/** What a GGUF file says of how its model reads and writes. */
export interface GgufText {
  /** Undefined where it has no tokenizer, or none is wanted. */
  description?: Description;
  /** Ids of tokens that end an answer. */
  ends: ReadonlySet<number>;
  /** Special tokens and chat template, as in tokenizer_config.json. */
  config: JsonObject;
}

/** Where a model's files for text are. */
export interface TextFiles {
  /** Its folder. */
  folder: string;
  /** Its GGUF file. */
  gguf?: string;
}

/** @param model a folder, or a GGUF file. @throws FiddlerError `usage`: a folder with several GGUF files */
export function textFiles(model: string): TextFiles {
  const gguf = existsSync(model) ? ggufFile(model) : undefined;
  return gguf === undefined ? { folder: model } : { folder: dirname(gguf), gguf };
}

/**
 * @param describes whether the tokenizer is wanted
 * @throws FiddlerError `file`: what the metadata holds of it makes no sense; `unsupported`: a tokenizer that is not known
 */
export function readGgufText(file: string, describes: boolean): GgufText {
  const metadata = readGgufMetadata(file);
  const template = metadata.string('tokenizer.chat_template');
  const chat = template === undefined ? {} : { chat_template: template };
  const vocabulary = readVocabulary(metadata);
  if (!vocabulary) return { ends: new Set(), config: chat };
  const { tokens } = vocabulary;
  const ids = idsOf(vocabulary);
  const names = (['bos', 'eos', 'unk', 'sep', 'pad', 'mask'] as const).filter((name) => ids[name] !== undefined);
  return {
    ...(describes && { description: describeTokenizer(vocabulary) }),
    ends: endIds(vocabulary),
    config: { ...chat, ...Object.fromEntries(names.map((name) => [`${name}_token`, tokens[ids[name]!]])) },
  };
}
