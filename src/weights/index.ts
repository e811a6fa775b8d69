import { readdirSync } from 'node:fs';
import { extname } from 'node:path';
import { FiddlerError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import type { JsonObject } from './config.js';
import type { Repository } from './hub/repository.js';
import { hasSafetensors, openSafetensors } from './safetensors.js';
import { INDEX_FILE, SINGLE_FILE } from './safetensors-index.js';
import { fetchSafetensors, safetensorsFiles } from './safetensors-remote.js';

/** A file format of weights. */
interface Format {
  /** Whether a file of that name shows that a folder holds weights in this format. */
  readonly matches: (file: string) => boolean;
  /** The files `matches` looks for, for an error message. */
  readonly looksFor: string;
  readonly open: (dir: string) => Checkpoint;
  /** Whether a folder holds every file of the weights. */
  readonly complete: (dir: string) => boolean;
  /** The files of a repository's weights. */
  readonly files: (repository: Repository) => Promise<readonly string[]>;
  /** Fetches all but the tensors' data, and gives what opens a checkpoint without them. */
  readonly fetch: (repository: Repository) => Promise<(config: JsonObject) => Checkpoint>;
}

/** Every format, in the order in which a folder that holds several is read. */
const FORMATS: readonly Format[] = [
  {
    matches: (file) => file === SINGLE_FILE || file === INDEX_FILE,
    looksFor: `${SINGLE_FILE} or ${INDEX_FILE}`,
    open: openSafetensors,
    complete: hasSafetensors,
    files: safetensorsFiles,
    fetch: fetchSafetensors,
  },
];

const findFormat = (files: readonly string[]) => FORMATS.find(({ matches }) => files.some(matches));

const sought = (): string => FORMATS.map(({ looksFor }) => looksFor).join(', or ');

/**
 * Maps the weights in a model's folder, whatever their format.
 * @throws FiddlerError `file`: no such folder, no weights in it, or broken weights
 */
export function openCheckpoint(dir: string): Checkpoint {
  const format = findFormat(listFolder(dir));
  if (!format) {
    throw new FiddlerError('file', `${dir} holds no weights (looked for ${sought()})`, 'give the folder of a model');
  }
  return format.open(dir);
}

/** Whether a folder holds every file of a model's weights. @throws FiddlerError `file`: no such folder, or a broken index */
export function hasWeights(dir: string): boolean {
  return findFormat(listFolder(dir))?.complete(dir) ?? false;
}

/**
 * Fetches what describes the weights in a repository, whatever their format.
 * @returns opens a checkpoint whose tensors have addresses but no data. It throws as {@link openCheckpoint}
 * @throws FiddlerError `unsupported`: no weights in a format that is read; `file` or `network`
 */
export async function fetchCheckpoint(repository: Repository): Promise<(config: JsonObject) => Checkpoint> {
  const format = findFormat([...repository.files]);
  return format ? format.fetch(repository) : refuseFormat(repository);
}

function refuseFormat({ id, files }: Repository): never {
  const problem = `${id} holds no weights that are read (looked for ${sought()}); it has ${summary([...files])}`;
  throw new FiddlerError('unsupported', problem, 'use the repository of the original model');
}

/** Whether a repository holds weights beside a config.json, in a format that is read. */
export function describesWeights({ files }: Repository): boolean {
  return findFormat([...files]) !== undefined;
}

/** The files that a repository's weights are in. @throws FiddlerError as {@link fetchCheckpoint} */
export async function weightFiles(repository: Repository): Promise<readonly string[]> {
  const format = findFormat([...repository.files]);
  return format ? format.files(repository) : refuseFormat(repository);
}

/** How many files there are of each kind. */
function summary(files: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const file of files) {
    const kind = extname(file) || file;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const most = [...counts].sort(([, a], [, b]) => b - a).slice(0, 5);
  return (
    most.map(([kind, count]) => `${count} ${kind.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 40)}`).join(', ') ||
    'no files'
  );
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
