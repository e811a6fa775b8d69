import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FiddlerError } from '../errors.js';

/** A JSON object of which nothing else is known yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads `name` in the folder `dir`, which must hold a JSON object.
 * @returns undefined where the file is missing and not required
 * @throws FiddlerError `file`: missing, unreadable, not JSON (with line and column), or not an object
 */
export function readJson(dir: string, name: string, options: { required: true }): JsonObject;
export function readJson(dir: string, name: string, options: { required: boolean }): JsonObject | undefined;
export function readJson(dir: string, name: string, { required }: { required: boolean }): JsonObject | undefined {
  const file = join(dir, name);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing && !required) return undefined;
    const problem = missing ? `${file} does not exist` : `cannot read ${file}: ${(error as Error).message}`;
    throw new FiddlerError('file', problem, 'check the folder, and download the file again if it is missing', {
      cause: error,
    });
  }
  return parseObject(file, text);
}

/**
 * `text` as a JSON object; `file` is where it comes from.
 * @throws FiddlerError `file`: not JSON (with line and column), or not an object
 */
export function parseObject(file: string, text: string): JsonObject {
  return validate(z.record(z.string(), z.unknown()), parse(file, text), file);
}

/** Levels of lists and objects within each other in a config; what goes through them calls itself. */
const DEEPEST = 100;

/** @throws FiddlerError `file`: lists and objects lie within each other deeper than any config has them */
export function checkDepth(object: JsonObject, file: string): void {
  let level: object[] = [object];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === DEEPEST) {
      const problem = `${file} has more than ${DEEPEST} lists and objects within each other`;
      throw new FiddlerError('file', problem, 'correct that file or download it again');
    }
    level = level.flatMap((each) => Object.values(each).filter((v) => typeof v === 'object' && v !== null));
  }
}

/**
 * `value` as `schema` describes it; `file` is where it comes from.
 * @throws FiddlerError `file`: the first field that does not fit, and why
 */
export function validate<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const field = path.length > 0 ? ` in ${path.join('.')}` : '';
  throw new FiddlerError('file', `${file}: ${message}${field}`, 'correct that file or download it again', {
    cause: result.error,
  });
}

const nestedText = z.object({ text_config: z.record(z.string(), z.unknown()) });

const endTokenIds = z.object({
  eos_token_id: z
    .union([z.int().nonnegative(), z.array(z.int().nonnegative())], 'not a token id or a list of them')
    .nullish(),
});

/**
 * Ids after which generation ends: `eos_token_id`, one or a list, of config.json, of its `text_config` and of
 * generation_config.json together.
 * @throws FiddlerError `file`: one is not a token id
 */
export function endTokens(config: JsonObject, generationConfig?: JsonObject): Set<number> {
  const ids = (value: JsonObject, file: string) => validate(endTokenIds, value, file).eos_token_id ?? [];
  const text = nestedText.safeParse(config).data?.text_config ?? {};
  const sources = [
    ids(config, 'config.json'),
    ids(text, 'config.json'),
    ids(generationConfig ?? {}, 'generation_config.json'),
  ];
  return new Set(sources.flat());
}

function parse(file: string, written: string): unknown {
  const text = written.includes('Infinity') ? finite(written) : written;
  try {
    return JSON.parse(text);
  } catch (error) {
    const before = text.slice(0, errorOffset(text)).split('\n');
    const position = `line ${before.length}, column ${before.at(-1)!.length + 1}`;
    throw new FiddlerError(
      'file',
      `${file} is not valid JSON at ${position}`,
      'correct that file or download it again',
      {
        cause: error,
      },
    );
  }
}

/** `text` with `Infinity`, which Python writes though JSON has none, as a number beyond all, at the same offsets. */
function finite(text: string): string {
  let inside = false;
  return text.replace(/\\.|"|(?<![\w.])Infinity(?!\w)/gs, (found) => {
    if (found === '"') inside = !inside;
    return found === 'Infinity' && !inside ? '1e999   ' : found;
  });
}

/** Offset of the first character that makes `text` no JSON. V8 does not always report it, so search the prefixes. */
function errorOffset(text: string): number {
  let [valid, broken] = [0, text.length + 1]; // lengths of prefixes: could still become JSON, and could not
  while (broken - valid > 1) {
    const length = Math.floor((valid + broken) / 2);
    if (length <= text.length && couldBecomeJson(text.slice(0, length))) valid = length;
    else broken = length;
  }
  return valid;
}

function couldBecomeJson(prefix: string): boolean {
  try {
    JSON.parse(prefix);
    return true;
  } catch (error) {
    const { message } = error as Error;
    const position = /at position (\d+)/.exec(message)?.[1];
    return position === undefined ? message.includes('end of JSON input') : Number(position) >= prefix.length;
  }
}
