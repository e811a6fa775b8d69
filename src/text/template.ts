import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import { readJson, validate } from '../weights/config.js';
import { namedTokens, readTokenizerConfig, type TokenizerConfig } from './tokenizer-config.js';

/** One turn of a conversation. */
export interface ChatMessage {
  /** 'system', 'user' or 'assistant'; some templates know more. */
  role: string;
  content: string;
}

/** Writes a conversation the way a model was trained to read it. */
export interface ChatTemplate {
  /**
   * The text of `messages`, special tokens included: encode it without adding any.
   * @param options.addGenerationPrompt whether it ends where the assistant's answer begins; default true
   * @param options.variables more for the template, such as `enable_thinking`
   * @throws FiddlerError `unsupported`: the template refuses these messages; `file`: it is broken
   */
  render(
    messages: readonly ChatMessage[],
    options?: { addGenerationPrompt?: boolean; variables?: Readonly<Record<string, unknown>> },
  ): string;
}

/**
 * Loads the chat template in the folder `dir`: chat_template.jinja, else `chat_template` of tokenizer_config.json (of
 * several the one named default), else chat_template.json. Templates see what Hugging Face's `apply_chat_template`
 * gives them: `messages`, `add_generation_prompt`, the special tokens by name, `raise_exception`, `strftime_now`.
 * @returns undefined where there is none
 * @throws FiddlerError `file`: a template that does not parse, or a broken file
 */
export function loadChatTemplate(dir: string): ChatTemplate | undefined {
  const config = readTokenizerConfig(dir);
  const found = findTemplate(dir, config);
  if (found === undefined) return undefined;
  const { file, source } = found;
  const template = attempt(file, () => new Template(source));
  return {
    render: (messages, { addGenerationPrompt = true, variables = {} } = {}) =>
      attempt(file, () =>
        template.render({
          ...namedTokens(config),
          raise_exception: refuse,
          ...variables,
          messages,
          add_generation_prompt: addGenerationPrompt,
        }),
      ),
  };
}

function findTemplate(dir: string, config: TokenizerConfig): { file: string; source: string } | undefined {
  const jinja = join(dir, 'chat_template.jinja');
  const own = readText(jinja);
  if (own !== undefined) return { file: jinja, source: own };
  const inConfig = choose(config.chat_template);
  if (inConfig !== undefined) return { file: join(dir, 'tokenizer_config.json'), source: inConfig };
  const file = join(dir, 'chat_template.json');
  const json = readJson(dir, 'chat_template.json', { required: false });
  return json && { file, source: validate(z.object({ chat_template: z.string() }), json, file).chat_template };
}

function choose(template: TokenizerConfig['chat_template']): string | undefined {
  if (typeof template !== 'object') return template;
  return template?.find(({ name }) => name === 'default')?.template;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FiddlerError('file', `cannot read ${file}: ${(error as Error).message}`, 'check the folder', {
      cause: error,
    });
  }
}

/** What templates call as `raise_exception`. */
function refuse(reason: unknown): never {
  throw new FiddlerError(
    'unsupported',
    `the model's chat template refuses these messages: ${oneLine(String(reason))}`,
    'change the roles: some models take no system message, and most want user and assistant in turn',
  );
}

function attempt<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof FiddlerError) throw error;
    throw new FiddlerError(
      'file',
      `the chat template in ${file} is broken: ${oneLine((error as Error).message)}`,
      'correct that template or download it again',
      { cause: error },
    );
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
