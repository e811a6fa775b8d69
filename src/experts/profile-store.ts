import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { cacheFolder } from '../devices/cache.js';
import { FiddlerError } from '../errors.js';
import { type LockHolder, lockFile } from '../file-lock.js';
import { sleep } from '../sleep.js';
import { aged, fits, formatProfile, mergeProfiles, type Profile, parseProfile } from './profile.js';
import type { ExpertsSpec } from './spec.js';

/** How long another process may hold a file, in milliseconds, until it is taken to have died. */
const LOCK_LIFETIME = 5000;
const LOCK_POLL = 5;

/** Where a model's profile is stored. */
export function profileFile(fingerprint: string, folder = cacheFolder()): string {
  return join(folder, 'profiles', `${fingerprint}.json`);
}

/** The stored profile; undefined where there is none, or with one warning none that can be used. */
export function recallProfile(
  fingerprint: string,
  layers: readonly ExpertsSpec[],
  onWarning?: (line: string) => void,
  folder = cacheFolder(),
): Profile | undefined {
  const file = profileFile(fingerprint, folder);
  const text = read(file);
  if (text === undefined) return undefined;
  const profile = parseProfile(text);
  if (profile?.fingerprint === fingerprint && fits(profile, layers)) return profile;
  onWarning?.(`the stored profile ${file} is damaged and not used; \`fiddler profile\` makes a new one`);
  return undefined;
}

/** The profile in a file that somebody named. @throws FiddlerError `file` */
export function readProfile(file: string): Profile {
  const text = read(file);
  const remedy = 'make a profile with `fiddler profile --data FILE --out FILE`';
  if (text === undefined) throw new FiddlerError('file', `the profile ${file} cannot be read`, remedy);
  const profile = parseProfile(text);
  if (!profile) throw new FiddlerError('file', `${file} is no profile of this version`, remedy);
  return profile;
}

/** Writes a profile, whole or not at all. @throws FiddlerError `file` */
export function writeProfile(file: string, profile: Profile): void {
  const partial = `${file}.${process.pid}.${threadId}`;
  try {
    writeFileSync(partial, formatProfile(profile));
    renameSync(partial, file);
  } catch (error) {
    rmSync(partial, { force: true });
    throw new FiddlerError('file', `cannot write ${file}: ${(error as Error).message}`, 'make room for it', {
      cause: error,
    });
  }
}

/** Stores a profile in place of what is stored. @returns the file. @throws FiddlerError `file` */
export function storeProfile(profile: Profile, folder = cacheFolder()): string {
  const file = profileFile(profile.fingerprint, folder);
  locked(file, () => writeProfile(file, aged(profile)));
  return file;
}

/**
 * Adds what was counted to what is stored by now, whoever else does so; a folder that cannot be written costs what would
 * have been learnt, nothing more.
 */
export function learnProfile(counted: Profile, layers: readonly ExpertsSpec[], folder = cacheFolder()): void {
  const file = profileFile(counted.fingerprint, folder);
  try {
    locked(file, () => {
      const stored = recallProfile(counted.fingerprint, layers, undefined, folder);
      writeProfile(file, stored ? mergeProfiles(stored, counted) : aged(counted));
    });
  } catch (error) {
    if (!(error instanceof FiddlerError)) throw error;
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Does `action` while no other process writes the file. @throws FiddlerError `file` where its folder cannot be written */
function locked(file: string, action: () => void): void {
  let unlock: () => void;
  try {
    mkdirSync(dirname(file), { recursive: true });
    unlock = acquire(file);
  } catch (error) {
    const problem = `cannot write ${dirname(file)}: ${(error as Error).message}`;
    throw new FiddlerError('file', problem, 'make it writable', { cause: error });
  }
  try {
    action();
  } finally {
    unlock();
  }
}

/** Waits until the lock is ours. @returns unlocks it */
function acquire(file: string): () => void {
  for (;;) {
    const locked = lockFile(file, isOld);
    if (typeof locked === 'function') return locked;
    sleep(LOCK_POLL);
  }
}

function isOld({ entry }: LockHolder): boolean {
  const since = statSync(entry, { throwIfNoEntry: false })?.mtimeMs;
  return since === undefined || Math.abs(Date.now() - since) > LOCK_LIFETIME;
}
