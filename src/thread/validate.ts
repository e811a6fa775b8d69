import { z } from 'zod';
import type { GenerateOptions, LoadOptions } from '../engine/options.js';
import { FiddlerError } from '../errors.js';
import type { Prompt } from './protocol.js';

const integer = (min: number) => {
  const rule = `must be an integer of ${min} or more`;
  return z.int(rule).min(min, rule).optional();
};
const number = (rule: string, fits: (value: number) => boolean) => z.number(rule).refine(fits, rule).optional();
const share = number('must be a number from 0 to 1', (value) => value >= 0 && value <= 1);
const callback = z.custom((value) => typeof value === 'function', 'must be a function').optional();
const signal = z.instanceof(AbortSignal, { error: 'must be an AbortSignal' }).optional();
const stops = 'must be a list of texts that are not empty';
const accelerators = ['auto', 'cuda', 'vulkan', 'host', 'none'] as const;

const loadOptions = z.strictObject({
  accelerator: z.enum(accelerators, `must be one of ${accelerators.join(', ')}`).optional(),
  gpuMemory: integer(1),
  expertsResident: share,
  policy: z.string('must be the name of a policy').optional(),
  expertCache: integer(0),
  prefetch: z.boolean('must be true or false').optional(),
  threads: integer(1),
  dtype: z.enum(['auto', 'f32'], 'must be auto or f32').optional(),
  cpuKernels: z.enum(['auto', 'native', 'ggml']).optional(),
  ctx: integer(1),
  profile: z
    .union([z.string().min(1), z.literal(false)], { error: 'must be the path of a profile, or false' })
    .optional(),
  learn: z.boolean('must be true or false').optional(),
  rebalance: z.boolean('must be true or false').optional(),
  debug: z.boolean('must be true or false').optional(),
  onProgress: callback,
  onWarning: callback,
  signal,
} satisfies Record<keyof LoadOptions | 'signal', z.ZodType>);

const generateOptions = z.strictObject({
  maxTokens: integer(1),
  temperature: number('must be a number of 0 or more', (value) => value >= 0),
  topK: integer(0),
  topP: number('must be a number above 0, up to 1', (value) => value > 0 && value <= 1),
  minP: share,
  repetitionPenalty: number('must be a number above 0', (value) => value > 0),
  seed: integer(0),
  stop: z.array(z.string(stops).min(1, stops), stops).optional(),
  logprobs: integer(0),
  expected: z.boolean('must be true or false').optional(),
  signal,
} satisfies Record<keyof GenerateOptions, z.ZodType>);

const scoreOptions = generateOptions.pick({ logprobs: true, signal: true });
const chatOptions = generateOptions.extend({ system: z.string('must be a text').optional() });

const folder = z.object({ dir: z.string('must be the path of a folder').min(1, 'must be the path of a folder') });
const isTokenId = (id: unknown) => Number.isSafeInteger(id) && (id as number) >= 0;
const prompt = z.custom<Prompt>(
  (value) => typeof value === 'string' || (Array.isArray(value) && value.every(isTokenId)),
  'must be a text or a list of token ids',
);

/** Options and prompts as they come from outside; each throws a FiddlerError `usage` that names what is wrong. */
export const checkLoadOptions = (value: LoadOptions & { signal?: AbortSignal }) => check(loadOptions, value);
export const checkGenerateOptions = (value: GenerateOptions) => check(generateOptions, value);
export const checkScoreOptions = (value: { logprobs?: number; signal?: AbortSignal }) => check(scoreOptions, value);
export const checkChatOptions = (value: GenerateOptions & { system?: string }) => check(chatOptions, value);
export const checkFolder = (value: string) => check(folder, { dir: value }).dir;
export const checkPrompt = (value: Prompt) => check(z.object({ prompt }), { prompt: value }).prompt;

/** `value` itself, once it fits. */
function check<T>(schema: z.ZodType, value: T): T {
  const result = schema.safeParse(value);
  if (result.success) return value;
  const issue = result.error.issues[0]!;
  const problem =
    issue.code === 'unrecognized_keys'
      ? `there is no option ${issue.keys[0]}`
      : `${String(issue.path[0] ?? 'what was given as options')} ${issue.message}`;
  throw new FiddlerError('usage', problem, 'correct it or leave it out', { cause: result.error });
}
