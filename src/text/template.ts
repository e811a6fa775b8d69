import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type ErrorCode, FiddlerError } from '../errors.js';
import { readJson, validate } from '../weights/config.js';
import { modelName } from '../weights/hub/cache.js';
import { readGgufText, type TextFiles, textFiles } from './gguf/index.js';
import { hiding } from './hiding.js';
import type { Fault, TemplateProcess } from './jinja/process.js';
import type { AddedToken } from './tokenizer.js';
import { namedTokens, readTokenizerConfig, type TokenizerConfig } from './tokenizer-config.js';

/** One turn of a conversation. */
export interface ChatMessage {
  /** 'system', 'user', 'assistant' or 'tool'; some templates know more. */
  role: string;
  content: string;
  /** What an assistant wrote to itself before `content`. */
  reasoning?: string;
  /** Tools that an assistant called. */
  calls?: readonly ToolCall[];
  /** Of what a tool gave: the call that it answers, and its name. */
  answers?: { id?: string; name?: string };
}

/** A call of a tool. */
export interface ToolCall {
  id?: string;
  name: string;
  arguments: Readonly<Record<string, unknown>>;
}

/** Writes a conversation the way a model was trained to read it. */
export interface ChatTemplate {
  /** As it is in its file; '' for none. */
  readonly source: string;
  /**
   * The text of `messages`, special tokens included: encode it with `standIns` and without adding any. Control tokens that
   * messages or variables spell are no control tokens there.
   * @param options.addGenerationPrompt whether it ends where the assistant's answer begins; default true
   * @param options.continues whether it ends with the text of the last message, an assistant's; default false
   * @param options.variables more for the template, such as `enable_thinking`
   * @throws FiddlerError `unsupported`: the template refuses these messages, uses what is not known, or takes too long or
   * too much memory; `device`: its process fails
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): Promise<string>;
  /** An assistant's answer as a rendered text has it. */
  answer(text: string): string;
}

export interface RenderOptions {
  addGenerationPrompt?: boolean;
  continues?: boolean;
  variables?: Readonly<Record<string, unknown>>;
}

/**
 * Loads the chat template of a model, from its folder: chat_template.jinja, else `chat_template` of tokenizer_config.json
 * (of several the one named default), else that of its GGUF file, else chat_template.json. Templates see what Hugging
 * Face's `apply_chat_template` gives them: `messages`, `add_generation_prompt`, `tools` and `documents` (none), the
 * special tokens by name, `raise_exception` and `strftime_now`.
 * @param process computes it
 * @param added tokens of the tokenizer that reads what is rendered
 * @returns undefined where there is none
 * @throws FiddlerError `file`: a template that does not parse, or a broken file
 */
export async function loadChatTemplate(
  model: string,
  process: TemplateProcess,
  added: readonly AddedToken[],
): Promise<ChatTemplate | undefined> {
  const files = textFiles(model);
  const { folder, gguf } = files;
  const config = readTokenizerConfig(folder, gguf === undefined ? {} : readGgufText(gguf, false).config);
  const found = findTemplate(files, config);
  if (found === undefined) return undefined;
  const { file, source } = found;
  const hide = hiding(added, source);
  const ask = async (variables?: Readonly<Record<string, unknown>>) => {
    const answer = await process.ask({ source, variables });
    if ('fault' in answer) throw faultOf(model, file, answer);
    return answer.text;
  };
  await ask(); // whether it parses
  return {
    source,
    async render(messages, { continues = false, addGenerationPrompt = !continues, variables = {} } = {}) {
      const rendered = await ask({
        ...namedTokens(config),
        tools: null, // defined and none, as templates expect that ask for either
        documents: null,
        ...hide.said(variables),
        messages: messages.map((message) => forTemplate(hide.message(message))),
        add_generation_prompt: addGenerationPrompt,
      });
      return continues ? upTo(rendered, hide.answer(messages.at(-1)!.content)) : rendered;
    },
    answer: hide.answer,
  };
}

/**
 * What was rendered, up to the end of an answer that its template may have trimmed.
 * @throws FiddlerError `unsupported`: it is not there
 */
function upTo(rendered: string, answer: string): string {
  const found = [answer, answer.trim()].find((text) => rendered.includes(text));
  if (found !== undefined) return rendered.slice(0, rendered.lastIndexOf(found) + found.length);
  const problem = 'the chat template leaves out the answer that is to go on';
  throw new FiddlerError('unsupported', problem, 'end with a message of the user');
}

/** Stands in for a template: every message goes on where the last ended, the user's on a new line. */
export function continuation(added: readonly AddedToken[]): ChatTemplate {
  const hide = hiding(added, '');
  return {
    source: '',
    render: async (messages) =>
      messages.reduce((text, message) => {
        const { role, content } = hide.message(message);
        return text + (text === '' || role === 'assistant' ? '' : '\n') + content;
      }, ''),
    answer: hide.answer,
  };
}

/**
 * A message under the names that templates know: reasoning (they say themselves which turns keep theirs), calls of tools
 * as Hugging Face's `apply_chat_template` has them, and what answers them.
 */
function forTemplate({ reasoning, calls, answers, ...message }: ChatMessage): object {
  return {
    ...message,
    ...(reasoning !== undefined && { reasoning_content: reasoning, thinking: reasoning }),
    ...(calls && {
      tool_calls: calls.map(({ id, ...called }) => ({
        ...(id !== undefined && { id }),
        type: 'function',
        function: called,
      })),
    }),
    ...(answers?.id !== undefined && { tool_call_id: answers.id }),
    ...(answers?.name !== undefined && { name: answers.name }),
  };
}

function findTemplate(
  { folder, gguf }: TextFiles,
  config: TokenizerConfig,
): { file: string; source: string } | undefined {
  const jinja = join(folder, 'chat_template.jinja');
  const own = readText(jinja);
  if (own !== undefined) return { file: jinja, source: own };
  const inConfig = choose(config.chat_template);
  if (inConfig !== undefined) return { file: gguf ?? join(folder, 'tokenizer_config.json'), source: inConfig };
  const file = join(folder, 'chat_template.json');
  const json = readJson(folder, 'chat_template.json', { required: false });
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

const FAULTS: Readonly<Record<Fault['fault'], [code: ErrorCode, does: string, remedy: string]>> = {
  broken: ['file', 'is broken', 'correct that template or download it again'],
  refused: [
    'unsupported',
    'refuses these messages',
    'change the roles: some models take no system message, and most want user and assistant in turn',
  ],
  failed: [
    'unsupported',
    'cannot be rendered',
    'put a template that does without into chat_template.jinja in the folder of the model',
  ],
  slow: ['unsupported', 'does not end', 'put another template into chat_template.jinja in the folder of the model'],
  dead: ['device', 'cannot be rendered', 'put another template into chat_template.jinja in the folder of the model'],
};

/** Who is answered by a server and refused is told the model, and not its path there. */
function faultOf(model: string, file: string, { fault, message }: Fault): FiddlerError {
  const [code, does, remedy] = FAULTS[fault];
  const whose = code === 'unsupported' ? `of ${modelName(model)}` : `in ${file}`;
  return new FiddlerError(code, `the chat template ${whose} ${does}: ${oneLine(message)}`, remedy);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
