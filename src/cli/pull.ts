import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { prepareEnvironment } from '../devices/environment.js';
import { FiddlerError } from '../errors.js';
import type { ModelSource } from '../loading/source.js';
import type { Download } from '../weights/hub/download.js';
import { Ending } from './ending.js';
import { addModelArgument } from './model.js';
import { addCommon, addMachineOptions, addYes, loadOptions, type ModelFlags } from './options.js';
import { downloadProgress } from './progress.js';
import { formatBytes } from './report.js';
import { warn } from './warn.js';

const EXAMPLES = `
fiddler pull Qwen/Qwen3-30B-A3B
fiddler pull unsloth/Qwen3-30B-A3B-GGUF:Q4_K_M
fiddler pull organisation/name@revision --yes`;

export function addPull(program: Command): void {
  const command = program
    .command('pull')
    .summary('download a model')
    .description(
      'Downloads a model from the Hugging Face hub into its cache, after saying how large it is and whether it fits here. A download that was broken off goes on where it ended; what is here is not transferred again. HF_TOKEN, HF_HOME and HF_ENDPOINT are those of the Hugging Face libraries.',
    );
  addYes(addMachineOptions(addModelArgument(command)));
  addCommon(command, EXAMPLES).action((_: unknown, flags: ModelFlags) => pull(flags));
}

async function pull(flags: ModelFlags): Promise<void> {
  const ending = new Ending();
  const { parseRepositoryId } = await import('../weights/hub/id.js');
  if (!parseRepositoryId(flags.model)) {
    throw new FiddlerError(
      'usage',
      `${flags.model} is no name on the hub`,
      'give organisation/name, as in its address',
    );
  }
  const path = await download(flags, ending.signal, (line) => warn(line));
  ending.throwIfEnded();
  process.stdout.write(`${path}\n`);
}

/** The path of the model that is meant, downloaded before where it is not here. @throws FiddlerError as `pullModel` */
export async function presentModel(flags: ModelFlags, signal: AbortSignal): Promise<string> {
  const { findModel } = await import('../loading/named.js');
  const found = findModel(flags.model);
  if ('path' in found) return found.path;
  return download(flags, signal, (line) => {
    throw new FiddlerError('memory', `${flags.model} is not downloaded, since it does not fit`, line);
  });
}

/** @param onShortage called with what does not fit */
async function download(flags: ModelFlags, signal: AbortSignal, onShortage: (line: string) => void): Promise<string> {
  prepareEnvironment(flags);
  const { pullModel } = await import('../loading/pull.js');
  const { freeBytes } = await import('../weights/hub/download.js');
  const progress = await downloadProgress();
  const agree = async (found: Download, headers: () => Promise<ModelSource>) => {
    const { shortagesOf } = await import('../planning/plan.js');
    const already = found.total - found.missing;
    const here = already > 0 ? `, ${formatBytes(already)} of them here` : '';
    const disk = `${formatBytes(freeBytes(found.folder))} free`;
    process.stderr.write(`${flags.model}: ${formatBytes(found.total)}${here}, into ${found.folder} (${disk})\n`);
    const shortages = shortagesOf(await headers(), { ...loadOptions(flags), onWarning: warn });
    for (const line of shortages) onShortage(line);
    if (shortages.length === 0) process.stderr.write('it fits this machine\n');
    if (!flags.yes) await ask(`download ${formatBytes(found.missing)}?`, signal);
  };
  try {
    return await pullModel(flags.model, { signal, agree, onProgress: progress.update });
  } finally {
    progress.stop();
  }
}

/** @throws FiddlerError `usage`: the answer is no, or there is nobody to answer; the reason of `signal` */
async function ask(question: string, signal: AbortSignal): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new FiddlerError('usage', 'nobody is asked whether to download it', 'give --yes');
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [Y/n] `, { signal });
    if (/^(y(es)?)?$/i.test(answer.trim())) return;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    terminal.close();
  }
  throw new FiddlerError('usage', 'nothing was downloaded', 'answer y, or give --yes');
}
