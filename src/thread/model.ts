import { setTimeout } from 'node:timers/promises';
import { prepareEnvironment } from '../devices/environment.js';
import { FiddlerError } from '../errors.js';
import type { Profile } from '../experts/profile.js';
import { localModel } from '../loading/named.js';
import { leaveDeletedFolder } from '../native/os/working-folder.js';
import type { BeamOptions, ChoicesOptions, GenerateOptions, LoadOptions } from '../options.js';
import type { Activity, Choices, ModelInfo } from '../report.js';
import { Grammars } from '../text/grammar/grammars.js';
import { TemplateProcess } from '../text/jinja/process.js';
import type { ChatMessage, ChatTemplate } from '../text/template.js';
import type { ToolFormat } from '../text/tools/format.js';
import { toolFormat } from '../text/tools/index.js';
import { sample } from './choices.js';
import { EngineThread } from './client.js';
import { type ChatOptions, Conversation } from './conversation.js';
import { type AnswerOptions, Generation, Scoring } from './generation.js';
import { heldTo } from './held.js';
import type { LoadEvent, Prompt } from './protocol.js';
import {
  checkAnswerOptions,
  checkBeamOptions,
  checkChatOptions,
  checkChoicesOptions,
  checkFolder,
  checkGenerateOptions,
  checkLoadOptions,
  checkMessages,
  checkPrompt,
  checkScoreOptions,
} from './validate.js';

/** How long it is waited for until a thread told to stop loading has freed what it holds, in milliseconds. */
const LOADING_GRACE = 1000;

/**
 * Loads the model in the folder `dir`, or in that of the downloaded repository `organisation/name`: config.json, weights
 * as safetensors, and tokenizer.json unless only token ids are given to it. It is computed on a thread of its own.
 * `signal` ends the loading, which then rejects with its reason. A file of the model that becomes shorter while it is
 * loaded ends the process by SIGBUS.
 * @throws FiddlerError `usage` (options), `file` (missing or broken files), `unsupported` (an architecture this engine
 * does not run), `memory` (it does not fit), `device` (the accelerator does not work)
 */
export async function load(dir: string, options: LoadOptions & { signal?: AbortSignal } = {}): Promise<Model> {
  const folder = localModel(checkFolder(dir));
  const { signal, onProgress, onWarning, ...plain } = checkLoadOptions(options);
  signal?.throwIfAborted();
  prepareEnvironment(plain);
  leaveDeletedFolder();
  const thread = new EngineThread();
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal?.reason);
  });
  signal?.addEventListener('abort', onAbort);
  try {
    const loading = thread.call('load', { dir: folder, options: plain }, { onItem: report, signal });
    const info = await Promise.race([loading, aborted]);
    signal?.throwIfAborted();
    return new Model(folder, thread, info);
  } catch (error) {
    const closed = Promise.allSettled([thread.close()]);
    await Promise.race([closed, setTimeout(LOADING_GRACE, undefined, { ref: false })]);
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }

  function report(event: LoadEvent): void {
    if ('warning' in event) onWarning?.(event.warning);
    else onProgress?.(event.done, event.total);
  }
}

/** The format in which a model calls tools. @throws FiddlerError `unsupported` */
function callFormat(model: string, source: string): ToolFormat {
  const format = toolFormat(source);
  if (format) return format;
  const problem = source.includes('tools')
    ? `${model} calls tools in a format that is not known`
    : `the chat template of ${model} knows no tools`;
  throw new FiddlerError('unsupported', problem, 'ask without tools, or take a model that calls them');
}

/**
 * A loaded model. Texts are generated at once, as many as it was loaded for (`sequences`): a call of the model computes a
 * token of each, or a part of a prompt. What else is asked waits its turn; `score` and `profile` let all others wait.
 */
export class Model {
  /** What was loaded, and how it is divided. */
  readonly info: ModelInfo;
  readonly #dir: string;
  readonly #thread: EngineThread;
  readonly #templates = new TemplateProcess();
  readonly #grammars: Grammars;
  #template: Promise<{ template: ChatTemplate; trained: boolean }> | undefined;

  /** Made by `load`. */
  constructor(dir: string, thread: EngineThread, info: ModelInfo) {
    this.info = info;
    this.#dir = dir;
    this.#thread = thread;
    this.#grammars = new Grammars({ dir, vocabulary: info.vocabulary, ends: info.endTokens ?? [] });
  }

  /**
   * Continues `prompt`: a text, which gets the beginning token as tokenizer.json says, or token ids taken as they are.
   * Starts at once, beside others; where more are asked for than the model was loaded for, in order. Of a prompt that
   * begins as one before, only what is new is computed, as long as that one's keys and values are there.
   * @throws FiddlerError `usage` (options); while iterating, see {@link Generation}
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    const { signal, ahead, ...plain } = checkGenerateOptions(options);
    const input = { prompt: checkPrompt(prompt), options: plain };
    return new Generation(
      (onItem, control) => this.#thread.call('generate', input, { onItem, control }),
      signal,
      ahead,
    );
  }

  /**
   * Several answers to `prompt`, sampled side by side, the likeliest first: those of `bestOf` that have the largest mean of
   * their tokens' log-probabilities, as OpenAI's completions define `best_of`. The prompt is computed once.
   * @throws FiddlerError `usage` (options); as iterating over what `generate` gives
   */
  choices(prompt: Prompt, options: ChoicesOptions = {}): Promise<Choices> {
    const checked = checkChoicesOptions(options);
    return sample((each) => this.generate(prompt, each), checked);
  }

  /**
   * The likeliest answers to `prompt` that a beam search finds, the best first, by the rules of Hugging Face transformers.
   * Ended by its signal, it gives those that were complete.
   * @throws FiddlerError `usage` (options, more beams than `sequences`); as iterating over what `generate` gives
   */
  async beams(prompt: Prompt, options: BeamOptions): Promise<Choices> {
    const { signal, ...plain } = checkBeamOptions(options);
    return this.#thread.call('beams', { prompt: checkPrompt(prompt), options: plain }, { signal });
  }

  /**
   * The log-probability of each token of `prompt` given those before it, and at each position the `logprobs` likeliest.
   * The perplexity of a text is exp(−mean of its log-probabilities).
   * @throws FiddlerError `usage` (options); while iterating, see {@link Scoring}
   */
  score(prompt: Prompt, options: { logprobs?: number; signal?: AbortSignal } = {}): Scoring {
    const { signal, logprobs = 0 } = checkScoreOptions(options);
    const input = { prompt: checkPrompt(prompt), logprobs };
    return new Scoring((onItem, control) => this.#thread.call('score', input, { onItem, control }), signal);
  }

  /**
   * How often each expert is chosen over `texts`, each computed anew, a context's length at a time.
   * @param options `onProgress`: called with the tokens computed and those of all texts
   * @throws FiddlerError `usage` (texts without tokens, ids outside the vocabulary); the reason of `signal`
   */
  async profile(
    texts: readonly Prompt[],
    { signal, onProgress }: { signal?: AbortSignal; onProgress?: (done: number, total: number) => void } = {},
  ): Promise<Profile> {
    const input = { texts: texts.map(checkPrompt) };
    const onItem = ({ done, total }: { done: number; total: number }) => onProgress?.(done, total);
    const profile = await this.#thread.call('profile', input, { onItem, signal });
    if (!profile) throw signal?.reason ?? new FiddlerError('usage', 'the model was closed', 'load it again');
    return profile;
  }

  /**
   * A conversation in the model's own chat template; without one, plain continuation of all that was said.
   * @param options `system`: a system message; the rest as for `generate`, for every answer
   * @throws FiddlerError `usage` (options), `file` (a broken template), `unsupported` (an encoder-decoder)
   */
  async chat(options: ChatOptions = {}): Promise<Conversation> {
    const checked = checkChatOptions(options);
    return new Conversation(this.#thread, await this.#chatTemplate(), checked);
  }

  /**
   * The prompt that has `messages` answered: their text by the model's chat template, as token ids. Control tokens that
   * messages or variables spell are text.
   * @param variables more for the template, such as `tools` or `enable_thinking`
   * @param options `continues`: the last message is an assistant's, and the answer goes on with its text
   * @throws FiddlerError `usage` (messages), `file` (a broken template), `unsupported` (the template refuses them)
   */
  async prompt(
    messages: readonly ChatMessage[],
    variables: Readonly<Record<string, unknown>> = {},
    { continues = false }: { continues?: boolean } = {},
  ): Promise<number[]> {
    const { template, trained } = await this.#chatTemplate();
    const text = await template.render(checkMessages(messages), { variables, continues });
    return this.#thread.call('encode', { text, special: !trained, standIns: true });
  }

  /**
   * Answers what `prompt` gave: as `generate`, and its tokens say by their `channel` what is reasoning and what the
   * answer. Without `maxTokens` a model that has a template may answer as long as the context holds.
   * @param options `tools`: those that the prompt was made with; calls of them are taken out of the text
   * @throws FiddlerError while iterating, as `generate`; `unsupported` where it is not known how this model calls tools,
   * or a schema has what cannot be kept; `usage` where another form cannot be read
   */
  answer(prompt: readonly number[], options: AnswerOptions = {}): Generation {
    const {
      signal,
      ahead,
      tools: given,
      call,
      oneCall,
      schema,
      regex,
      grammar,
      choice,
      ...plain
    } = checkAnswerOptions(options);
    const checked = checkPrompt(prompt);
    return new Generation(
      async (onItem, control) => {
        const { template, trained } = await this.#chatTemplate();
        const format = given?.length ? callFormat(this.info.name, template.source) : undefined;
        const tools = format && { format: format.name, tools: given! };
        const held = heldTo({ tools: given, call, oneCall, schema, regex, grammar, choice }, format, template.source);
        const limited = { ...plain, maxTokens: plain.maxTokens ?? (trained ? Number.POSITIVE_INFINITY : undefined) };
        const constraint = held && (await this.#grammars.constrain(held.outline, held));
        const input = { prompt: checked, options: limited, channels: true, tools, constraint };
        try {
          return await this.#thread.call('generate', input, {
            onItem,
            control,
            transfer: constraint && [constraint.port],
          });
        } finally {
          if (constraint) this.#grammars.release(constraint);
        }
      },
      signal,
      ahead,
    );
  }

  /** The source of the chat template; '' where there is none. @throws FiddlerError as `prompt` */
  async chatTemplate(): Promise<string> {
    const { template } = await this.#chatTemplate();
    return template.source;
  }

  /** The template that this model was trained on, else one that continues what was said. */
  #chatTemplate(): Promise<{ template: ChatTemplate; trained: boolean }> {
    if (this.info.architecture === 'encoder-decoder') {
      const problem = `${this.info.name} is an encoder-decoder, which answers one text and holds no conversation`;
      throw new FiddlerError('unsupported', problem, 'use `fiddler run`, or a model that continues texts');
    }
    this.#template ??= this.#loadTemplate();
    return this.#template;
  }

  async #loadTemplate(): Promise<{ template: ChatTemplate; trained: boolean }> {
    try {
      const { loadChatTemplate, continuation } = await import('../text/template.js');
      const added = await this.#thread.call('added', {});
      const template = await loadChatTemplate(this.#dir, this.#templates, added);
      return { template: template ?? continuation(added), trained: template !== undefined };
    } catch (error) {
      this.#template = undefined; // it may be corrected
      throw error;
    }
  }

  /** Token ids of `text`, with the beginning token as tokenizer.json says. @throws FiddlerError `usage` without one */
  encode(text: string): Promise<number[]> {
    return this.#thread.call('encode', { text, special: true });
  }

  /** The text of token ids, control tokens in it. @throws FiddlerError `usage` without a tokenizer */
  decode(ids: readonly number[]): Promise<string> {
    return this.#thread.call('decode', { ids });
  }

  /** What the model does at the moment, and has done: told between two calls of it, while it generates too. */
  activity(): Promise<Activity> {
    return this.#thread.call('activity', {});
  }

  /** Ends what is running, frees all memory and ends the thread. */
  async close(): Promise<void> {
    this.#templates.close();
    this.#grammars.close();
    await this.#thread.close();
  }
}
