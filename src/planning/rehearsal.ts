import { spawnSync } from 'node:child_process';
import {
  type ProcessUse,
  processPolicy,
  recallProcess,
  rememberProcess,
  tokenizerBytes,
} from '../loading/footprint.js';
import type { Machine } from '../loading/machine.js';
import { folderSource } from '../loading/source.js';
import type { LoadOptions } from '../options.js';
import type { Report } from '../report.js';

/** How a small model is run from the command line. */
export interface Rehearsal {
  /** The program's own script. */
  script: string;
  /** Folder of the model. */
  model: string;
}

/** Longest that a run may take, in milliseconds: a driver compiles its kernels the first time. */
const TIMEOUT = 120_000;
/** Tokens of the prompt, a whole chunk, and generated ones: JavaScript's heap grows while it decodes. */
const PROMPT = 512;
const GENERATED = 256;
/** With a GPU, whose library and driver take more for longer. */
const GENERATED_ON_GPU = 1024;
/** What still longer answers take there, as part of that. */
const GROWTH_ON_GPU = 0.01;
/** On a GPU in software or without memory of its own, which is slow and whose driver takes more than that. */
const GENERATED_IN_RAM = 32;

/**
 * What the process takes beside a model, in bytes, as a small model's run showed: it is measured where it is not
 * remembered. Blocks.
 * @returns undefined where that run failed, or for a machine that is not here
 */
export function rehearsedProcess(
  machine: Machine,
  { onWarning, ...use }: Pick<LoadOptions, 'dtype' | 'policy' | 'onWarning'>,
  rehearsal: Rehearsal,
): number | undefined {
  if (machine.elsewhere) return undefined;
  const known = recallProcess(machine, use);
  if (known !== undefined) return known;
  // A driver that compiles kernels takes more memory than once it has stored them.
  const runs = Array.from({ length: machine.kind.gpu ? 2 : 1 }, () => rehearse(machine, use, rehearsal));
  const measured = runs.filter((bytes) => bytes !== undefined);
  const bytes = measured.length > 0 ? Math.min(...measured) : undefined;
  if (bytes === undefined) onWarning?.('what the process takes of RAM could not be measured, so that it is estimated');
  else rememberProcess(machine, bytes, use);
  return bytes;
}

function rehearse(machine: Machine, use: ProcessUse, { script, model }: Rehearsal): number | undefined {
  const { kind, inRam } = machine;
  const tokens = Array.from({ length: PROMPT }, (_, i) => 1 + i * 7).join(',');
  const apart = kind.gpu && !inRam;
  const onGpu = apart ? GENERATED_ON_GPU : GENERATED_IN_RAM;
  const generated = kind.gpu ? onGpu : GENERATED;
  const residency = kind.name === 'none' ? [] : ['--experts-resident', '50%'];
  const context = `${PROMPT + generated}`;
  const dtype = use.dtype ?? 'auto';
  const settings = ['--accelerator', kind.name, '--dtype', dtype, '--ctx', context, '--threads', '1'];
  const { stdout } = spawnSync(
    process.execPath,
    [
      ...[script, 'run', '--model', model, '--tokens', tokens, '--max-tokens', `${generated}`, '--json'],
      ...['--no-learn', '--no-profile', '--policy', processPolicy(machine, use), ...settings, ...residency],
    ],
    { encoding: 'utf8', timeout: TIMEOUT, killSignal: 'SIGKILL', windowsHide: true },
  );
  const report = reportIn(stdout ?? '');
  if (!report) return undefined;
  const source = folderSource(model);
  const { peakRss, taken } = report.memory;
  return peakRss * (apart ? 1 + GROWTH_ON_GPU : 1) - taken - tokenizerBytes(source, Number(source.config.vocab_size));
}

function reportIn(stdout: string): Report | undefined {
  try {
    return JSON.parse(stdout.trimEnd().split('\n').at(-1)!).report;
  } catch {
    return undefined;
  }
}
