import { readFileSync } from 'node:fs';

/** What this process takes of RAM, in bytes. */
export interface ProcessMemory {
  /** Most that was resident at a time. */
  peak: number;
  /** Of what is resident now, that which is not pages of files. */
  anonymous: number;
}

export function processMemory(): ProcessMemory {
  let status: string;
  try {
    status = readFileSync('/proc/self/status', 'utf8');
  } catch {
    // Elsewhere the system's figure; on Linux that one may be the parent's, whose peak a new program inherits.
    return { peak: process.resourceUsage().maxRSS * 1024, anonymous: 0 };
  }
  const field = (name: string) => Number(status.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))?.[1] ?? 0) * 1024;
  return { peak: field('VmHWM'), anonymous: field('RssAnon') };
}
