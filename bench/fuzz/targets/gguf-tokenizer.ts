import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadTokenizer } from '#fiddler/text/tokenizer.js';
import { type GgufValue, ggufBytes } from '../../gguf-writer.js';
import { type Json, mutateBytes, mutateJson } from '../mutate.js';
import { VOCABULARIES } from '../seed-vocabularies.js';
import type { Target } from '../target.js';
import { LONGEST, useTokenizer } from './tokenizer.js';

/** Keys `tokenizer.ggml.*` of a GGUF file: texts are read, and what is read is written. */
export function target(folder: string): Target<Uint8Array> {
  const path = join(folder, 'model.gguf');
  return {
    make(chance) {
      const keys = mutateJson(chance.of(VOCABULARIES), chance, VOCABULARIES);
      const file = ggufBytes({ metadata: entriesOf(keys) });
      return chance.happens(0.1) ? mutateBytes(file, chance) : file;
    },
    read(bytes) {
      writeFileSync(path, bytes);
      const tokenizer = loadTokenizer(path, LONGEST);
      if (tokenizer) useTokenizer(tokenizer);
    },
    show: (bytes) => bytes,
  };
}

function entriesOf(keys: Json): Record<string, GgufValue> {
  if (typeof keys !== 'object' || keys === null) return {};
  const entries = Object.entries(keys).flatMap(([key, value]) => {
    const typed = typedValue(value);
    return typed ? [[`tokenizer.ggml.${key}`, typed] as const] : [];
  });
  return Object.fromEntries(entries);
}

/** A value of the type that its content has; none of what the format has no type for. */
function typedValue(value: Json): GgufValue | undefined {
  if (typeof value === 'string') return { kind: 'string', value };
  if (typeof value === 'boolean') return { kind: 'bool', value: Number(value) };
  if (typeof value === 'number') return { kind: numberKind([value]), value };
  if (!Array.isArray(value)) return undefined;
  const numbers = value.filter((each) => typeof each === 'number');
  if (numbers.length === value.length) return { kind: 'array', of: numberKind(numbers), value: numbers };
  const texts = value.map((each) => (typeof each === 'string' ? each : JSON.stringify(each)));
  return { kind: 'array', of: 'string', value: texts };
}

function numberKind(values: readonly number[]): 'i64' | 'f64' {
  return values.every(Number.isSafeInteger) ? 'i64' : 'f64';
}
