import { createHash, type Hash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { FiddlerError } from '../../errors.js';
import { repositoryFolder } from './cache.js';
import { claim } from './claim.js';
import { atMost } from './limit.js';
import type { FileEntry } from './listing.js';
import type { Downloadable } from './repository.js';

/** Files under way at once. */
const CONCURRENT = 4;

/** Bytes of a disk that a download leaves free. */
const SPARE = 64 << 20;

/** What is known of a download while it runs, in bytes. */
export interface DownloadProgress {
  /** Here and checked or on the way to it, those of earlier attempts among them. */
  done: number;
  total: number;
  /** Of `done`, what came over the network. */
  received: number;
}

/** What of a repository is to be downloaded, and what of it is here already. */
export interface Download {
  readonly files: readonly FileEntry[];
  /** The folder of the repository in the cache. */
  readonly folder: string;
  /** Bytes of all files, those of equal ones once, and what of them must still be transferred. */
  readonly total: number;
  readonly missing: number;
}

/** @param cache the folder of all repositories, as huggingface_hub lays it out */
export function planDownload({ id }: Downloadable, files: readonly FileEntry[], cache: string): Download {
  const folder = repositoryFolder(cache, id);
  const here = (file: FileEntry) => (existsSync(blobOf(folder, file)) ? file.size : sizeOf(partOf(folder, file)));
  const blobs = byContent(files).map(([file]) => file);
  const total = blobs.reduce((sum, { size }) => sum + size, 0);
  return { files, folder, total, missing: blobs.reduce((sum, file) => sum + Math.max(0, file.size - here(file)), 0) };
}

/** Files of the same content share a blob, and are transferred once. */
function byContent(files: readonly FileEntry[]): [FileEntry, ...FileEntry[]][] {
  const groups = new Map<string, [FileEntry, ...FileEntry[]]>();
  for (const file of files) {
    const group = groups.get(file.checksum.value);
    if (group) group.push(file);
    else groups.set(file.checksum.value, [file]);
  }
  return [...groups.values()];
}

/** Bytes that may still be written to the disk that holds `folder`, which need not exist. */
export function freeBytes(folder: string): number {
  const existing = existsSync(folder) ? folder : dirname(folder);
  if (existing !== folder && !existsSync(existing)) return freeBytes(existing);
  const { bavail, bsize } = statfsSync(existing);
  return bavail * bsize;
}

/** @throws FiddlerError `memory` where the disk does not hold what is missing */
export function checkDisk({ missing, folder }: Download, free = freeBytes(folder)): void {
  if (missing === 0 || missing + SPARE <= free) return;
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  const problem = `${gb(missing)} are to be downloaded, but the disk of ${folder} has only ${gb(free)} left`;
  throw new FiddlerError('memory', problem, 'make room there, or let HF_HOME name a folder on another disk');
}

/**
 * Downloads files into the cache as huggingface_hub would: blobs/ holds contents by their checksums, snapshots/COMMIT/
 * links to them by name, and once all are there refs/REVISION names the commit. A transfer that was broken off goes on
 * where it ended, now or later; what is here already is not transferred.
 * @returns the snapshot's folder
 * @throws FiddlerError `network`: bytes that are not those of the checksum, and whatever the repository throws; `file`:
 *   the cache cannot be written, or another process downloads the same file
 */
export async function download(
  repository: Downloadable,
  { files, folder, total }: Download,
  onProgress: (progress: DownloadProgress) => void = () => {},
): Promise<string> {
  const progress = { done: 0, total, received: 0 };
  const advance = (bytes: number, received: boolean) => {
    progress.done += bytes;
    if (received) progress.received += bytes;
    onProgress({ ...progress });
  };
  const snapshot = join(folder, 'snapshots', repository.commit);
  const limited = atMost(CONCURRENT);
  const failed = new AbortController(); // ends the other transfers when one failed
  try {
    mkdirSync(join(folder, 'blobs'), { recursive: true });
    const fetching = byContent(files).map(([file, ...others]) =>
      limited(async () => {
        const blob = blobOf(folder, file);
        failed.signal.throwIfAborted();
        try {
          if (existsSync(blob)) advance(file.size, false);
          else await fetchBlob(repository, file, { blob, part: partOf(folder, file), advance, stop: failed.signal });
          for (const { path } of [file, ...others]) link(blob, join(snapshot, path));
        } catch (error) {
          failed.abort(error);
        }
      }),
    );
    await Promise.allSettled(fetching); // no file is written any more
    failed.signal.throwIfAborted();
    if (repository.revision !== repository.commit) {
      const ref = join(folder, 'refs', repository.revision);
      mkdirSync(dirname(ref), { recursive: true });
      writeFileSync(ref, repository.commit);
    }
  } catch (error) {
    throw writeError(folder, error);
  }
  return snapshot;
}

interface Target {
  blob: string;
  /** What is here of it so far. */
  part: string;
  /** Called with bytes that are here, and whether they were received now; less than 0 where they are thrown away. */
  advance(bytes: number, received: boolean): void;
  stop: AbortSignal;
}

/** Transfers what is missing of a file; a part of earlier that turns out to be damaged is transferred anew, once. */
async function fetchBlob(repository: Downloadable, file: FileEntry, target: Target): Promise<void> {
  const release = claim(target.part);
  try {
    if ((await fetchRest(repository, file, target)) || (await fetchRest(repository, file, target))) return;
  } finally {
    release();
  }
  throw new FiddlerError(
    'network',
    `${repository.id}/${file.path}: the bytes received are not those of its checksum (${file.checksum.value.slice(0, 12)}…)`,
    'try again; if it stays so, the server or something on the way to it changes files',
  );
}

/** @returns whether the bytes are right; where a part of earlier was not, true is still possible in a second attempt */
async function fetchRest(repository: Downloadable, file: FileEntry, target: Target): Promise<boolean> {
  const { blob, part, advance, stop } = target;
  if (sizeOf(part) > file.size) rmSync(part);
  const hash = hashOf(file);
  let size = 0;
  const handle = await open(part, 'a');
  try {
    for await (const piece of createReadStream(part, { signal: stop })) {
      hash.update(piece);
      size += piece.length;
      advance(piece.length, false);
    }
    const append = async (piece: Uint8Array) => {
      await writeAll(handle, piece);
      hash.update(piece);
      size += piece.length;
      advance(piece.length, true);
    };
    if (size < file.size) await repository.transfer(file, () => size, append, stop);
  } finally {
    await handle.close();
  }
  if (hash.digest('hex') === file.checksum.value) {
    await rename(part, blob);
    return true;
  }
  rmSync(part);
  advance(-size, false);
  return false;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await handle.write(bytes, written)).bytesWritten;
  }
}

function hashOf({ size, checksum }: FileEntry): Hash {
  if (checksum.algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${size}\0`); // as git names a blob
}

const blobOf = (folder: string, { checksum }: FileEntry) => join(folder, 'blobs', checksum.value);
const partOf = (folder: string, file: FileEntry) => `${blobOf(folder, file)}.incomplete`;

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    return 0; // not there
  }
}

/** A relative link, so that the cache may be moved. */
function link(blob: string, name: string): void {
  mkdirSync(dirname(name), { recursive: true });
  rmSync(name, { force: true });
  symlinkSync(relative(dirname(name), blob), name);
}

/** What it means that the cache cannot be written; other errors stay what they are. */
function writeError(folder: string, error: unknown): unknown {
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof FiddlerError || syscall === undefined) return error;
  const remedy = code === 'ENOSPC' ? 'make room there; the download then goes on where it ended' : 'make it writable';
  return new FiddlerError('file', `cannot write ${folder}: ${message}`, remedy, { cause: error });
}
