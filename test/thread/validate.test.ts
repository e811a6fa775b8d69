import { describe, expect, it } from 'vitest';
import {
  checkChatOptions,
  checkGenerateOptions,
  checkLoadOptions,
  checkMessages,
  checkPrompt,
  checkScoreOptions,
} from '../../src/thread/validate.js';
import { fiddlerError } from '../support/errors.js';

/** What arrives from JavaScript, where no type was checked. */
const anything = (value: unknown) => value as never;

describe('options and prompts that make sense are taken as they are', () => {
  it.each([
    [checkLoadOptions, {}],
    [checkLoadOptions, { accelerator: 'host', gpuMemory: 1e9, expertsResident: 0, threads: 1, dtype: 'f32', ctx: 64 }],
    [checkLoadOptions, { policy: 'lru', expertCache: 0, prefetch: false }],
    [checkLoadOptions, { policy: 'static', debug: true, onProgress: () => {}, onWarning: undefined }],
    [
      checkGenerateOptions,
      { maxTokens: 1, temperature: 0, topK: 0, topP: 1, minP: 1, repetitionPenalty: 0.5, seed: 0 },
    ],
    [checkGenerateOptions, { stop: ['a', 'b'], logprobs: 5, signal: new AbortController().signal }],
    [checkScoreOptions, { logprobs: 2 }],
    [checkChatOptions, { system: '', temperature: 1 }],
    [checkPrompt, 'text'],
    [checkPrompt, [0, 1, 2]],
  ])('%o %o', (check, value) => expect(check(anything(value))).toBe(value));
});

describe('what makes no sense is refused by name', () => {
  it.each([
    [checkMessages, [{ role: 'user', content: [{ type: 'image' }] }], 'messages must have a text as content'],
    [checkLoadOptions, { accelerator: 'abacus' }, 'accelerator must be one of auto, cuda'],
    [checkLoadOptions, { gpuMemory: 0 }, 'gpuMemory must be an integer of 1 or more'],
    [checkLoadOptions, { gpuMemory: '24GiB' }, 'gpuMemory must be an integer'],
    [checkLoadOptions, { expertsResident: 25 }, 'expertsResident must be a number from 0 to 1'],
    [checkLoadOptions, { expertCache: -1 }, 'expertCache must be an integer of 0 or more'],
    [checkLoadOptions, { prefetch: 'on' }, 'prefetch must be true or false'],
    [checkLoadOptions, { threads: 1.5 }, 'threads must be an integer'],
    [checkLoadOptions, { ctx: -1 }, 'ctx must be an integer'],
    [checkLoadOptions, { ctx: 1e15 }, 'ctx must be an integer from 1 to 16777216'],
    [checkLoadOptions, { dtype: 'f16' }, 'dtype must be auto or f32'],
    [checkLoadOptions, { onProgress: 1 }, 'onProgress must be a function'],
    [checkLoadOptions, { gpumemory: 1 }, 'there is no option gpumemory'],
    [checkLoadOptions, 'fast', 'what was given as options'],
    [checkGenerateOptions, { temperature: Number.NaN }, 'temperature must be a number of 0 or more'],
    [checkGenerateOptions, { temperature: -1 }, 'temperature must be a number of 0 or more'],
    [checkGenerateOptions, { temperature: Infinity }, 'temperature must be a number of 0 or more'],
    [checkGenerateOptions, { topP: 0 }, 'topP must be a number above 0, up to 1'],
    [checkGenerateOptions, { minP: 1.1 }, 'minP must be a number from 0 to 1'],
    [checkGenerateOptions, { repetitionPenalty: 0 }, 'repetitionPenalty must be a number above 0'],
    [checkGenerateOptions, { maxTokens: 0 }, 'maxTokens must be an integer of 1 or more'],
    [checkGenerateOptions, { stop: [''] }, 'stop must be a list of texts that are not empty'],
    [checkGenerateOptions, { stop: 'x' }, 'stop must be a list of texts'],
    [checkGenerateOptions, { seed: -1 }, 'seed must be an integer of 0 or more'],
    [checkGenerateOptions, { signal: {} }, 'signal must be an AbortSignal'],
    [checkGenerateOptions, { logprobs: 1001 }, 'logprobs must be an integer from 0 to 1000'],
    [checkScoreOptions, { logprobs: 1e9 }, 'logprobs must be an integer from 0 to 1000'],
    [checkScoreOptions, { temperature: 1 }, 'there is no option temperature'],
    [checkChatOptions, { system: 1 }, 'system must be a text'],
    [checkPrompt, [1, -1], 'prompt must be a text or a list of token ids'],
    [checkPrompt, [0.5], 'prompt must be a text or a list of token ids'],
    [checkPrompt, undefined, 'prompt must be a text or a list of token ids'],
  ])('%o %o', (check, value, message) => {
    expect(fiddlerError('usage', () => check(anything(value)))).toContain(message);
  });
});
