import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { z } from 'zod';
import { expandPath, homeFolder } from '../native/os/home.js';

/** Fiddler's folder for what can be found out again: FIDDLER_CACHE, or as the platform has it. */
export function cacheFolder(
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
): string {
  if (env.FIDDLER_CACHE) return expandPath(env.FIDDLER_CACHE, env);
  const home = homeFolder(env);
  const own: Partial<Record<NodeJS.Platform, string>> = {
    darwin: join(home, 'Library', 'Caches'),
    win32: env.LOCALAPPDATA || join(home, 'AppData', 'Local'),
  };
  return expandPath(join(own[platform] ?? (env.XDG_CACHE_HOME || join(home, '.cache')), 'fiddler'), env);
}

const stampSchema = z.object({ key: z.string(), time: z.number() });

/** What was found out under a key, a file each in one part of the cache folder; the values are checked when they are read. */
export class CacheEntries<T extends object> {
  constructor(
    private readonly part: string,
    private readonly schema: z.ZodType<T>,
  ) {}

  file(key: string, folder: string): string {
    return join(folder, this.part, `${createHash('sha256').update(key).digest('hex').slice(0, 16)}.json`);
  }

  /** What is stored, and when that was, in milliseconds since 1970; undefined where there is nothing, or nothing of use. */
  read(key: string, folder: string): { value: T; time: number } | undefined {
    try {
      const entry = JSON.parse(readFileSync(this.file(key, folder), 'utf8'));
      const stamp = stampSchema.parse(entry);
      return stamp.key === key ? { value: this.schema.parse(entry), time: stamp.time } : undefined;
    } catch {
      return undefined;
    }
  }

  /** Stores a value; a folder that cannot be written costs finding it out again, nothing more. */
  write(key: string, value: T, folder: string, time = Date.now()): void {
    const file = this.file(key, folder);
    const partial = `${file}.${process.pid}.${threadId}`;
    try {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(partial, JSON.stringify({ key, time, ...value }));
      renameSync(partial, file); // whole or not at all, whoever else writes
    } catch {}
  }

  remove(key: string, folder: string): void {
    try {
      rmSync(this.file(key, folder), { force: true });
    } catch {} // a folder that cannot be written keeps it
  }
}
