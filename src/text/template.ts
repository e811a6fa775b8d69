import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { z } from 'zod';
import { FiddlerError } from '../errors.js';
import { readJson, validate } from '../weights/config.js';
import { STRIPS, stripWithArguments } from './strip.js';
import { namedTokens, readTokenizerConfig, type TokenizerConfig } from './tokenizer-config.js';

/** One turn of a conversation. */
export interface ChatMessage {
  /** 'system', 'user' or 'assistant'; some templates know more. */
  role: string;
  content: string;
  /** What an assistant wrote to itself before `content`. */
  reasoning?: string;
}

/** Writes a conversation the way a model was trained to read it. */
export interface ChatTemplate {
  /**
   * The text of `messages`, special tokens included: encode it without adding any.
   * @param options.addGenerationPrompt whether it ends where the assistant's answer begins; default true
   * @param options.variables more for the template, such as `enable_thinking`
   * @throws FiddlerError `unsupported`: the template refuses these messages, or uses what @huggingface/jinja does not know
   */
  render(
    messages: readonly ChatMessage[],
    options?: { addGenerationPrompt?: boolean; variables?: Readonly<Record<string, unknown>> },
  ): string;
}

/**
 * Loads the chat template in the folder `dir`: chat_template.jinja, else `chat_template` of tokenizer_config.json (of
 * several the one named default), else chat_template.json. Templates see what Hugging Face's `apply_chat_template`
 * gives them: `messages`, `add_generation_prompt`, `tools` and `documents` (none), the special tokens by name,
 * `raise_exception` and `strftime_now`.
 * @returns undefined where there is none
 * @throws FiddlerError `file`: a template that does not parse, or a broken file
 */
export function loadChatTemplate(dir: string): ChatTemplate | undefined {
  const config = readTokenizerConfig(dir);
  const found = findTemplate(dir, config);
  if (found === undefined) return undefined;
  const { file, source } = found;
  const template = parse(file, source);
  return {
    render(messages, { addGenerationPrompt = true, variables = {} } = {}) {
      try {
        return template.render({
          ...STRIPS,
          ...namedTokens(config),
          tools: null, // defined and none, as templates expect that ask for either
          documents: null,
          ...variables,
          messages: messages.map(forTemplate),
          add_generation_prompt: addGenerationPrompt,
        });
      } catch (error) {
        throw refused(file, error as Error);
      }
    },
  };
}

/** Reasoning under the names that templates know it by; they say themselves which turns keep theirs. */
function forTemplate({ reasoning, ...message }: ChatMessage): object {
  return reasoning === undefined ? message : { ...message, reasoning_content: reasoning, thinking: reasoning };
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

function parse(file: string, source: string): Template {
  try {
    const template = new Template(source);
    stripWithArguments(template.parsed);
    return template;
  } catch (error) {
    throw new FiddlerError(
      'file',
      `the chat template in ${file} is broken: ${oneLine((error as Error).message)}`,
      'correct that template or download it again',
      { cause: error },
    );
  }
}

/** The library's `raise_exception` and its own failures throw the same kind of error. */
function refused(file: string, error: Error): FiddlerError {
  return new FiddlerError(
    'unsupported',
    `the chat template in ${file} refuses these messages: ${oneLine(error.message)}`,
    'change the roles: some models take no system message, and most want user and assistant in turn',
    { cause: error },
  );
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
