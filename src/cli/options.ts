import { type Command, Option } from 'commander';
import { POLICIES } from '../experts/policies/index.js';
import type { GenerateOptions, LoadOptions } from '../index.js';
import { LONGEST_CONTEXT, QUANTIZED_TYPES } from '../options.js';
import { GENERATE_DEFAULTS } from '../sampling/sampling.js';
import type { ModelName } from './model.js';
import { VERSION } from './package.js';
import { bytes, integer, number, onOff, quantization, several, share } from './parse.js';

/** Options of every command that loads a model. */
export interface ModelFlags extends ModelName, Omit<LoadOptions, 'onProgress' | 'onWarning'> {
  yes?: boolean;
}

/** Options of every command that generates. */
export type SamplingFlags = Omit<GenerateOptions, 'logprobs' | 'signal'>;

const ACCELERATORS: readonly LoadOptions['accelerator'][] = ['auto', 'cuda', 'vulkan', 'host', 'none'];

/** What belongs to every command: `--version`, and examples at the end of its help. */
export function addCommon(command: Command, examples: string): Command {
  return command
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', `\nExamples:\n${examples.trim().replaceAll(/^/gm, '  ')}`);
}

/** Options that say how a model is loaded. */
export function addLoadOptions(command: Command): Command {
  const loading = command
    .addOption(policyOption().default(POLICIES[0]!.name))
    .option('--trace <file>', 'write what the routers choose into this file, for `fiddler simulate --trace`');
  return addYes(addMachineOptions(loading));
}

export function addYes(command: Command): Command {
  return command.option('-y, --yes', 'download a model that is not here without asking');
}

export function policyOption(): Option {
  const policies = POLICIES.map(({ name, summary }) => `${name}: ${summary}`).join('; ');
  return new Option('--policy <name>', `how missing experts are computed (${policies})`).choices(
    POLICIES.map(({ name }) => name),
  );
}

/** Options that say what of the machine is used, and how. */
export function addMachineOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--accelerator <name>', 'where all but the missing experts is computed; auto takes a GPU that works')
        .choices(ACCELERATORS as string[])
        .default('auto'),
    )
    .option('--gpu-memory <size>', 'accelerator memory to take, e.g. 24GiB (default: what is free)', bytes)
    .option(
      '--experts-resident <share>',
      'share of all experts kept on the accelerator, e.g. 25% (default: as many as fit)',
      share,
    )
    .option(
      '--expert-cache <size>',
      'accelerator memory for a cache of streamed experts, e.g. 4GiB (default: none)',
      bytes,
    )
    .option(
      '--prefetch <on|off>',
      'copy experts ahead that the next layer will probably choose (default: on with the policy lru)',
      onOff,
    )
    .addOption(
      new Option('--cpu-kernels <name>', 'what computes experts on the CPU')
        .choices(['auto', 'native', 'ggml'])
        .default('auto'),
    )
    .option(
      '--profile <file>',
      'choose resident experts by this profile (default: the stored one; see `fiddler profile`)',
    )
    .option('--no-profile', 'choose them without one')
    .option(
      '--threads <n>',
      'CPU threads (default: one for each core this process may use, less one where that pays)',
      integer(1),
    )
    .addOption(new Option('--dtype <type>', 'f32 upcasts everything').choices(['auto', 'f32']).default('auto'))
    .option(
      '--quantize <type>',
      `quantize experts when the model is loaded: ${QUANTIZED_TYPES.join(', ')}; with :all behind it all matrices but routers and embeddings`,
      quantization,
    )
    .option('--keep', 'keep what was quantized under the cache folder, to be mapped at the next load')
    .option('--ctx <tokens>', "context length (default: the model's own, up to 4096)", integer(1, LONGEST_CONTEXT))
    .option('--debug', 'print what the libraries log, and stack traces of errors');
}

/** Options of commands that follow what is used. */
export function addLearningOptions(command: Command): Command {
  return command
    .option(
      '--no-learn',
      'leave the stored profile as it is (default: what is chosen is added to it; bench, score and profile never do that)',
    )
    .option(
      '--rebalance',
      'exchange resident experts while running, where that pays (default: where RAM holds all experts)',
    )
    .option('--no-rebalance', 'resident experts stay until the next load');
}

/** @param maxTokens what is generated without `--max-tokens`, for the help */
export function addSamplingOptions(command: Command, maxTokens = `${GENERATE_DEFAULTS.maxTokens}`): Command {
  const defaults = GENERATE_DEFAULTS;
  return command
    .option('--max-tokens <n>', `most tokens to generate (default: ${maxTokens})`, integer(1))
    .option('--temperature <t>', '0 always takes the likeliest token', number(0), defaults.temperature)
    .option('--top-k <k>', 'keep the k likeliest tokens, 0 keeps all', integer(0), defaults.topK)
    .option('--top-p <p>', 'keep the likeliest tokens that reach this probability', number(0, 1, false), defaults.topP)
    .option('--min-p <p>', 'keep tokens this likely, relative to the likeliest', number(0, 1), defaults.minP)
    .option(
      '--repetition-penalty <r>',
      'above 1 makes tokens less likely that were there before',
      number(0, undefined, false),
      defaults.repetitionPenalty,
    )
    .option('--seed <n>', 'same seed, same text (default: random, printed in the report)', integer(0))
    .option('--stop <text>', 'stop before this text; may be given several times', several);
}

/** The options of `load` among all flags. */
export function loadOptions(flags: ModelFlags): LoadOptions {
  const { accelerator, gpuMemory, expertsResident, policy, expertCache, prefetch } = flags;
  const { cpuKernels, threads, dtype, quantize, keep, ctx, sequences, profile, learn, rebalance, trace, debug } = flags;
  return {
    accelerator,
    gpuMemory,
    expertsResident,
    policy,
    expertCache,
    prefetch,
    cpuKernels,
    threads,
    dtype,
    quantize,
    keep,
    ctx,
    sequences,
    profile,
    learn,
    rebalance,
    trace,
    debug,
  };
}

/** The options of `generate` among all flags. */
export function generateOptions(flags: SamplingFlags): GenerateOptions {
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop } = flags;
  return { maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop };
}
