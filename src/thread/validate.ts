import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import {
  type BeamOptions,
  type ChoicesOptions,
  type GenerateOptions,
  LONGEST_CONTEXT,
  type LoadOptions,
  MOST_LOGPROBS,
  MOST_SEQUENCES,
  QUANTIZATIONS,
  QUANTIZED_TYPES,
} from '../options.js';
import type { ChatMessage } from '../text/template.js';
import type { AnswerOptions } from './generation.js';
import type { Prompt } from './protocol.js';

const integer = (min: number, max = Number.MAX_SAFE_INTEGER) => {
  const rule = `must be an integer ${max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`}`;
  return z.int(rule).min(min, rule).max(max, rule).optional();
};
const number = (rule: string, fits: (value: number) => boolean) => z.number(rule).refine(fits, rule).optional();
const share = number('must be a number from 0 to 1', (value) => value >= 0 && value <= 1);
const penalty = number('must be a number from -2 to 2', (value) => value >= -2 && value <= 2);
const isBias = (value: unknown) =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(value).every(([id, bias]) => /^\d+$/.test(id) && typeof bias === 'number' && Math.abs(bias) <= 100);
const callback = z.custom((value) => typeof value === 'function', 'must be a function').optional();
const signal = z.instanceof(AbortSignal, { error: 'must be an AbortSignal' }).optional();
const texts = 'must be a list of texts';
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
  quantize: z.enum(QUANTIZATIONS, `must be one of ${QUANTIZED_TYPES.join(', ')}, or one of these with :all`).optional(),
  keep: z.boolean('must be true or false').optional(),
  cpuKernels: z.enum(['auto', 'native', 'ggml']).optional(),
  ctx: integer(1, LONGEST_CONTEXT),
  chunk: integer(1, LONGEST_CONTEXT),
  sequences: integer(1, MOST_SEQUENCES),
  profile: z
    .union([z.string().min(1), z.literal(false)], { error: 'must be the path of a profile, or false' })
    .optional(),
  learn: z.boolean('must be true or false').optional(),
  rebalance: z.boolean('must be true or false').optional(),
  trace: z.string().min(1, 'must be the path of a file').optional(),
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
  presencePenalty: penalty,
  frequencyPenalty: penalty,
  logitBias: z.custom(isBias, 'must have token ids as keys and numbers from -100 to 100 as values').optional(),
  seed: integer(0),
  stop: z.array(z.string(stops).min(1, stops), stops).optional(),
  logprobs: integer(0, MOST_LOGPROBS),
  ignoreEnd: z.boolean('must be true or false').optional(),
  ahead: integer(1),
  expected: z.boolean('must be true or false').optional(),
  signal,
} satisfies Record<keyof GenerateOptions, z.ZodType>);

const choicesOptions = generateOptions.omit({ logprobs: true, expected: true }).extend({
  n: integer(1, MOST_SEQUENCES),
  bestOf: integer(1, MOST_SEQUENCES),
} satisfies Record<Exclude<keyof ChoicesOptions, keyof GenerateOptions>, z.ZodType>);

const beamOptions = generateOptions.pick({ maxTokens: true, ignoreEnd: true, signal: true }).extend({
  beams: integer(1, MOST_SEQUENCES).unwrap(),
  n: integer(1, MOST_SEQUENCES),
  lengthPenalty: z.number('must be a number').optional(),
  earlyStopping: z.union([z.boolean(), z.literal('never')], "must be true, false or 'never'").optional(),
} satisfies Record<Exclude<keyof BeamOptions, keyof GenerateOptions>, z.ZodType>);

const scoreOptions = generateOptions.pick({ logprobs: true, signal: true });
const chatOptions = generateOptions.extend({ system: z.string('must be a text').optional() });

const tool = z.object(
  {
    type: z.literal('function'),
    function: z.looseObject({
      name: z.string().min(1),
      description: z.string().optional(),
      parameters: z.record(z.string(), z.unknown()).optional(),
    }),
  },
  'must be a list of tools as chat templates take them',
);
const answerOptions = generateOptions.extend({
  tools: z.array(tool).optional(),
  call: z.union([z.boolean(), z.string()], 'must be true, or the name of a tool').optional(),
  oneCall: z.boolean('must be true or false').optional(),
  schema: z.record(z.string(), z.unknown(), 'must be a JSON schema').optional(),
  regex: z.string('must be a regular expression').min(1).optional(),
  grammar: z.string('must be a grammar').min(1).optional(),
  choice: z.array(z.string(texts).min(1, texts), texts).min(1, texts).optional(),
});
const message = z.strictObject({
  role: z.string('must have a role'),
  content: z.string('must have a text as content'),
  reasoning: z.string('must have a text as reasoning').optional(),
  calls: z
    .array(
      z.strictObject({ id: z.string().optional(), name: z.string(), arguments: z.record(z.string(), z.unknown()) }),
      'must have a list of calls',
    )
    .optional(),
  answers: z.strictObject({ id: z.string().optional(), name: z.string().optional() }).optional(),
} satisfies Record<keyof ChatMessage, z.ZodType>);
const messages = z.object({ messages: z.array(message, 'must be a list').min(1, 'must not be empty') });

const folder = z.object({ dir: z.string('must be the path of a folder').min(1, 'must be the path of a folder') });
const isTokenId = (id: unknown) => Number.isSafeInteger(id) && (id as number) >= 0;
const prompts = z.object({
  prompt: z.custom<Prompt>(
    (value) => typeof value === 'string' || (Array.isArray(value) && value.every(isTokenId)),
    'must be a text or a list of token ids',
  ),
});

/** Options and prompts as they come from outside; each throws a FiddlerError `usage` that names what is wrong. */
export const checkLoadOptions = (value: LoadOptions & { signal?: AbortSignal }) => check(loadOptions, value);
export const checkGenerateOptions = (value: GenerateOptions) => check(generateOptions, value);
export const checkAnswerOptions = (value: AnswerOptions) => check(answerOptions, value);
export const checkBeamOptions = (value: BeamOptions) => check(beamOptions, value);
export const checkScoreOptions = (value: { logprobs?: number; signal?: AbortSignal }) => check(scoreOptions, value);
export const checkChatOptions = (value: GenerateOptions & { system?: string }) => check(chatOptions, value);
export const checkMessages = (value: readonly ChatMessage[]) => check(messages, { messages: value }).messages;
export const checkFolder = (value: string) => check(folder, { dir: value }).dir;
export const checkPrompt = (value: Prompt) => check(prompts, { prompt: value }).prompt;

export function checkChoicesOptions(value: ChoicesOptions): ChoicesOptions {
  const { n = 1, bestOf = n } = check(choicesOptions, value);
  if (n <= bestOf) return value;
  throw new FiddlerError('usage', `the best ${n} of ${bestOf} answers were asked for`, 'sample as many or more');
}

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
