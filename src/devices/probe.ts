import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { findLibraries } from '../native/ggml/libraries.js';
import type { AcceleratorKind } from './accelerators.js';
import { probeKey, recall, remember } from './probe-cache.js';
import { whyAbsent } from './probe-presence.js';
import type { Probe, ProbedDevice } from './probe-result.js';

/** Longest that a probe may take, in milliseconds: a driver compiles its kernels the first time. */
const TIMEOUT = 30_000;

export interface ProbeOptions {
  /** Probes again, whatever is remembered. */
  refresh?: boolean;
  /** The cache's folder; default: the user's. */
  folder?: string;
  /** The child's script. */
  script?: string;
  /** Milliseconds. */
  timeout?: number;
}

/** Finds out whether a kind of GPU works on this machine, or recalls it: then it takes a few milliseconds. Blocks. */
export function probeAccelerator(kind: AcceleratorKind, options: ProbeOptions = {}): Probe {
  const library = findLibraries().gpu[kind.library ?? ''];
  if (!library) return absent(`no ${kind.name} library is installed for ${process.platform}-${process.arch}`);
  const reason = whyAbsent(kind);
  if (reason) return absent(reason);
  const key = probeKey(kind, library);
  const known = options.refresh ? undefined : recall(key, options.folder);
  if (known) return known;
  const probe = probeInChild(kind, options);
  remember(key, probe, options.folder);
  return probe;
}

function absent(fault: string): Probe {
  return { devices: [], fault, absent: true };
}

/** Runs the probe as a process, which may die of it. */
export function probeInChild(
  kind: AcceleratorKind,
  { script = childScript(), timeout = TIMEOUT }: ProbeOptions = {},
): Probe {
  const { stdout, stderr, status, signal, error } = spawnSync(process.execPath, [script, kind.name], {
    encoding: 'utf8',
    timeout,
    killSignal: 'SIGKILL', // a thread that waits in a driver sees no other
    maxBuffer: 16 * 2 ** 20,
    windowsHide: true,
    env: { ...process.env, GGML_NO_BACKTRACE: '1' }, // which would start a debugger
  });
  if (error && (error as NodeJS.ErrnoException).code !== 'ETIMEDOUT') {
    return { devices: [], fault: `its check could not be started: ${oneLine(error.message)}`, absent: false };
  }
  const [listed, ...checks] = parseLines(stdout);
  const devices = (listed as { devices: ProbedDevice[] } | undefined)?.devices;
  const death = error
    ? `it did not answer within ${timeout / 1000} s`
    : status === 0
      ? undefined
      : deathOf(stderr, signal ?? status);
  if (!devices || devices.length === 0) return emptyProbe(stderr, death);
  const checked = devices.map((device, i) => {
    const check = checks[i] as { fault?: string } | undefined;
    const fault = check ? check.fault : death;
    const lack = device.capability && kind.lack?.(device.capability, fault !== undefined);
    return { ...device, ...(lack && { lack }), fault };
  });
  return { devices: checked, absent: false };
}

/** The library found nothing: because something is wrong, or because there is nothing. */
function emptyProbe(stderr: string, death?: string): Probe {
  const fault = death ?? complaint(stderr);
  return fault === undefined ? absent('its library finds no device') : { devices: [], fault, absent: false };
}

function childScript(): string {
  return createRequire(import.meta.url).resolve('#fiddler/devices/probe-child.js');
}

/** The whole lines of JSON that the child printed. */
function parseLines(stdout: string): unknown[] {
  const lines: unknown[] = [];
  for (const line of stdout.split('\n').filter((l) => l.startsWith('{'))) {
    try {
      lines.push(JSON.parse(line));
    } catch {
      break;
    }
  }
  return lines;
}

function deathOf(stderr: string, end: string | number | null): string {
  return complaint(stderr) ?? `its check ended by ${typeof end === 'number' ? `exit code ${end}` : end}`;
}

const COMPLAINT = /error|fail|assert|insufficient|invalid|could not|cannot|unable|out of memory/i;
const LONGEST_REASON = 200;

/** The first line of what a library printed that says what is wrong. */
export function complaint(stderr: string): string | undefined {
  const line = stderr.split('\n').find((l) => COMPLAINT.test(l));
  return line && oneLine(line).slice(0, LONGEST_REASON);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
