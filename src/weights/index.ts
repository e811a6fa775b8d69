import { readdirSync } from 'node:fs';
import { FiddlerError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import { INDEX_FILE, openSafetensors, SINGLE_FILE } from './safetensors.js';

/** A file format of weights. */
interface Format {
  /** Whether a file of that name shows that a folder holds weights in this format. */
  readonly matches: (file: string) => boolean;
  /** The files `matches` looks for, for an error message. */
  readonly looksFor: string;
  readonly open: (dir: string) => Checkpoint;
}

/** Every format, in the order in which a folder that holds several is read. */
const FORMATS: readonly Format[] = [
  {
    matches: (file) => file === SINGLE_FILE || file === INDEX_FILE,
    looksFor: `${SINGLE_FILE} or ${INDEX_FILE}`,
    open: openSafetensors,
  },
];

/**
 * Maps the weights in a model's folder, whatever their format.
 * @throws FiddlerError `file`: no such folder, no weights in it, or broken weights
 */
export function openCheckpoint(dir: string): Checkpoint {
  const files = listFolder(dir);
  const format = FORMATS.find(({ matches }) => files.some(matches));
  if (!format) {
    const sought = FORMATS.map(({ looksFor }) => looksFor).join(', or ');
    throw new FiddlerError('file', `${dir} holds no weights (looked for ${sought})`, 'give the folder of a model');
  }
  return format.open(dir);
}

function listFolder(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: `there is no folder ${dir}`,
      ENOTDIR: `${dir} is a file, not a folder`,
    };
    const problem = reasons[code ?? ''] ?? `cannot read the folder ${dir}: ${message}`;
    throw new FiddlerError('file', problem, 'give the folder of a model', { cause: error });
  }
}
