import { openSync, readSync } from 'node:fs';

/** What this process takes of RAM, in bytes. */
export interface ProcessMemory {
  /** Most that was resident at a time. */
  peak: number;
  /** Of what is resident now, that which is not pages of files. */
  anonymous: number;
}

const FILE = '/proc/self/status';

/** Asked after each answer: opened once, and read into the same memory. */
let status: number | undefined;
const bytes = Buffer.alloc(4096);

export function processMemory(): ProcessMemory {
  let length: number;
  try {
    status ??= openSync(FILE, 'r');
    length = readSync(status, bytes, 0, bytes.length, 0);
  } catch {
    // Elsewhere the system's figure; on Linux that one may be the parent's, whose peak a new program inherits.
    return { peak: process.resourceUsage().maxRSS * 1024, anonymous: 0 };
  }
  const text = bytes.toString('latin1', 0, length);
  const field = (name: string) => Number(text.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))?.[1] ?? 0) * 1024;
  return { peak: field('VmHWM'), anonymous: field('RssAnon') };
}
