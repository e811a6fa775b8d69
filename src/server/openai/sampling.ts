import { z } from 'zod';
import type { AnswerOptions, GenerateOptions } from '../../index.js';

const number = (min: number, max = Number.MAX_VALUE) => z.number().min(min).max(max).nullish();
const integer = (min: number) => z.int().min(min).nullish();
/** Texts at which an answer stops; more would be looked for in each token. */
const MOST_STOPS = 16;
/** Seeds have up to 64 bits; of large ones a JSON number loses the lowest. */
const MOST_SEED = 2 ** 64;
/** Tokens with a bias, which are added to the logits of each token. */
const MOST_BIASED = 10_000;

/** How tokens are chosen: fields of OpenAI's API, and those that local servers have beside them. */
export const samplingFields = {
  max_tokens: integer(1),
  temperature: number(0),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: integer(-1),
  min_p: number(0, 1),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  repetition_penalty: z.number().gt(0).nullish(),
  logit_bias: z.custom<Record<number, number>>(isObject, 'expected an object').superRefine(checkBias).nullish(),
  seed: z.number().min(-MOST_SEED).max(MOST_SEED).refine(Number.isInteger, 'expected an integer').nullish(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(MOST_STOPS)]).nullish(),
  ignore_eos: z.boolean().nullish(),
  n: z.int().min(1).max(1024).nullish(),
};

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** In one pass and not by a schema for each: there may be thousands. */
function checkBias(bias: Record<number, number>, context: z.RefinementCtx): void {
  const tokens = Object.keys(bias);
  const wrong = tokens.find((token) => !/^\d+$/.test(token));
  const far = tokens.find((token) => !(typeof bias[+token] === 'number' && Math.abs(bias[+token]!) <= 100));
  const refuse = (message: string, path: string[] = []) => context.addIssue({ code: 'custom', message, path });
  if (tokens.length > MOST_BIASED) refuse(`must have at most ${MOST_BIASED} tokens`);
  else if (wrong !== undefined) refuse('must have token ids as keys', [wrong]);
  else if (far !== undefined) refuse('must have numbers from -100 to 100', [far]);
}

type SamplingFields = z.infer<z.ZodObject<typeof samplingFields>>;

/** The options that these fields ask for. */
export function generateOptions(fields: SamplingFields): GenerateOptions {
  const { stop, top_k, seed } = fields;
  return given({
    maxTokens: fields.max_tokens,
    temperature: fields.temperature,
    topP: fields.top_p,
    topK: top_k === -1 ? 0 : top_k, // as vLLM and llama.cpp say that all are kept
    minP: fields.min_p,
    presencePenalty: fields.presence_penalty,
    frequencyPenalty: fields.frequency_penalty,
    repetitionPenalty: fields.repetition_penalty,
    logitBias: fields.logit_bias,
    seed: seed === undefined || seed === null || seed < 0 ? undefined : seed % 2 ** 52, // -1 is a random one there
    stop: typeof stop === 'string' ? [stop] : stop,
    ignoreEnd: fields.ignore_eos,
  });
}

/** Without fields that are not given. */
function given(fields: { [K in keyof GenerateOptions]: GenerateOptions[K] | null }): GenerateOptions {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}

/** Of several answers to one prompt each has a seed of its own, so that all can be had again. */
export function ofChoice(options: AnswerOptions, index: number): AnswerOptions {
  return options.seed === undefined || index === 0 ? options : { ...options, seed: options.seed + index };
}
