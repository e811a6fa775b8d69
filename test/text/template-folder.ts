import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { TemplateProcess } from '../../src/text/jinja/process.js';
import { type ChatTemplate, loadChatTemplate } from '../../src/text/template.js';
import { temporaryFolder } from '../support/folder.js';

/** A folder of these files; objects are written as JSON. */
export function folder(files: Record<string, unknown>): string {
  const dir = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return dir;
}

export let templates: TemplateProcess;

/** For the tests of a file, which calls this: several files may run in one process. */
export function openTemplates(): void {
  beforeAll(() => {
    templates = new TemplateProcess();
  });
  afterAll(() => templates.close());
}

export const load = (dir: string) => loadChatTemplate(dir, templates, []);

export async function template(chat_template: unknown, config: object = {}): Promise<ChatTemplate> {
  return (await load(folder({ 'tokenizer_config.json': { chat_template, ...config } })))!;
}

export const user = { role: 'user', content: 'Hi' };
export const assistant = { role: 'assistant', content: 'Hello.' };
export const system = { role: 'system', content: 'Be brief.' };
export const turns = [user, assistant, { role: 'user', content: 'Why?' }];
