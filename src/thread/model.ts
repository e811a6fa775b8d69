import { prepareEnvironment } from '../devices/environment.js';
import type { GenerateOptions, LoadOptions, ModelInfo } from '../engine/options.js';
import { FiddlerError } from '../errors.js';
import type { Profile } from '../experts/profile.js';
import { resolveModel } from '../weights/hub/cache.js';
import { EngineThread } from './client.js';
import { type ChatOptions, Conversation } from './conversation.js';
import { Generation, Scoring } from './generation.js';
import type { LoadEvent, Prompt } from './protocol.js';
import {
  checkChatOptions,
  checkFolder,
  checkGenerateOptions,
  checkLoadOptions,
  checkPrompt,
  checkScoreOptions,
} from './validate.js';

/** How long a thread told to stop loading may take to free what it holds, in milliseconds. */
const LOADING_GRACE = 1000;

/**
 * Loads the model in the folder `dir`, or in that of the downloaded repository `organisation/name`: config.json, weights
 * as safetensors, and tokenizer.json unless only token ids are given to it. It is computed on a thread of its own.
 * `signal` ends the loading, which then rejects with its reason.
 * @throws FiddlerError `usage` (options), `file` (missing or broken files), `unsupported` (an architecture this engine
 * does not run), `memory` (it does not fit), `device` (the accelerator does not work)
 */
export async function load(dir: string, options: LoadOptions & { signal?: AbortSignal } = {}): Promise<Model> {
  const folder = resolveModel(checkFolder(dir));
  const { signal, onProgress, onWarning, ...plain } = checkLoadOptions(options);
  signal?.throwIfAborted();
  prepareEnvironment(plain);
  const thread = new EngineThread();
  const kill = () => setTimeout(() => thread.kill(), LOADING_GRACE).unref();
  signal?.addEventListener('abort', kill);
  try {
    const info = await thread.call('load', { dir: folder, options: plain }, { onItem: report, signal });
    signal?.throwIfAborted();
    return new Model(folder, thread, info);
  } catch (error) {
    thread.kill();
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener('abort', kill);
  }

  function report(event: LoadEvent): void {
    if ('warning' in event) onWarning?.(event.warning);
    else onProgress?.(event.done, event.total);
  }
}

/** A loaded model. It does one thing at a time; what is asked meanwhile waits its turn. */
export class Model {
  /** What was loaded, and how it is divided. */
  readonly info: ModelInfo;
  readonly #dir: string;
  readonly #thread: EngineThread;

  /** Made by `load`. */
  constructor(dir: string, thread: EngineThread, info: ModelInfo) {
    this.info = info;
    this.#dir = dir;
    this.#thread = thread;
  }

  /**
   * Continues `prompt`: a text, which gets the beginning token as tokenizer.json says, or token ids taken as they are.
   * Starts at once. Of a prompt that begins as the one before, only what is new is computed.
   * @throws FiddlerError `usage` (options); while iterating, see {@link Generation}
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    const { signal, ...plain } = checkGenerateOptions(options);
    const input = { prompt: checkPrompt(prompt), options: plain };
    return new Generation((onItem, ended) => this.#thread.call('generate', input, { onItem, signal: ended }), signal);
  }

  /**
   * The log-probability of each token of `prompt` given those before it, and at each position the `logprobs` likeliest.
   * The perplexity of a text is exp(−mean of its log-probabilities).
   * @throws FiddlerError `usage` (options); while iterating, see {@link Scoring}
   */
  score(prompt: Prompt, options: { logprobs?: number; signal?: AbortSignal } = {}): Scoring {
    const { signal, logprobs = 0 } = checkScoreOptions(options);
    const input = { prompt: checkPrompt(prompt), logprobs };
    return new Scoring((onItem, ended) => this.#thread.call('score', input, { onItem, signal: ended }), signal);
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
    if (this.info.architecture === 'encoder-decoder') {
      const problem = `${this.info.name} is an encoder-decoder, which answers one text and holds no conversation`;
      throw new FiddlerError('unsupported', problem, 'use `fiddler run`, or a model that continues texts');
    }
    const { loadChatTemplate } = await import('../text/template.js');
    return new Conversation(this.#thread, loadChatTemplate(this.#dir), checked);
  }

  /** Token ids of `text`, with the beginning token as tokenizer.json says. @throws FiddlerError `usage` without one */
  encode(text: string): Promise<number[]> {
    return this.#thread.call('encode', { text, special: true });
  }

  /** Ends what is running, frees all memory and ends the thread. */
  close(): Promise<void> {
    return this.#thread.close();
  }
}
