import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ChatTemplate, loadChatTemplate } from '../../src/text/template.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { CHATML, DEEPSEEK, GEMMA, MIXTRAL } from './templates.js';

/** A folder of these files; objects are written as JSON. */
function folder(files: Record<string, unknown>): string {
  const dir = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return dir;
}

function template(chat_template: unknown, config: object = {}): ChatTemplate {
  return loadChatTemplate(folder({ 'tokenizer_config.json': { chat_template, ...config } }))!;
}

const user = { role: 'user', content: 'Hi' };
const assistant = { role: 'assistant', content: 'Hello.' };
const system = { role: 'system', content: 'Be brief.' };
const turns = [user, assistant, { role: 'user', content: 'Why?' }];

describe('published templates', () => {
  it('Mixtral-Instruct', () => {
    const mixtral = template(MIXTRAL, { bos_token: '<s>', eos_token: { content: '</s>', special: true } });
    expect(mixtral.render(turns)).toBe('<s>[INST] Hi [/INST]Hello.</s>[INST] Why? [/INST]');
    expect(fiddlerError('unsupported', () => mixtral.render([user, user]))).toContain('roles must alternate');
    expect(fiddlerError('unsupported', () => mixtral.render([system, user]))).toContain('roles must alternate');
  });

  it('Qwen (ChatML)', () => {
    const qwen = template(CHATML, { eos_token: '<|im_end|>', bos_token: null });
    expect(qwen.render([user])).toBe(
      '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    );
    expect(qwen.render([system, user, assistant], { addGenerationPrompt: false })).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n',
    );
  });

  it('DeepSeek', () => {
    const deepseek = template(DEEPSEEK, { bos_token: { content: '<BOS>' }, eos_token: { content: '<EOS>' } });
    expect(deepseek.render([system, ...turns])).toBe(
      '<BOS>Be brief.\n\nUser: Hi\n\nAssistant: Hello.<EOS>User: Why?\n\nAssistant:',
    );
  });

  it('Gemma, which takes no system message', () => {
    const gemma = template(GEMMA, { bos_token: '<bos>' });
    expect(gemma.render([user, assistant])).toBe(
      '<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n<start_of_turn>model\n',
    );
    expect(fiddlerError('unsupported', () => gemma.render([system, user]))).toContain('System role not supported');
  });
});

describe('where a template comes from', () => {
  const config = { chat_template: 'config', bos_token: '<s>' };
  const json = { chat_template: 'json' };

  it('takes chat_template.jinja before tokenizer_config.json before chat_template.json', () => {
    const files = {
      'chat_template.json': json,
      'tokenizer_config.json': config,
      'chat_template.jinja': '{{ bos_token }}',
    };
    expect(loadChatTemplate(folder(files))!.render([user])).toBe('<s>');
    const { 'chat_template.jinja': _, ...two } = files;
    expect(loadChatTemplate(folder(two))!.render([user])).toBe('config');
    expect(loadChatTemplate(folder({ 'chat_template.json': json }))!.render([user])).toBe('json');
    expect(loadChatTemplate(folder({}))).toBeUndefined();
  });

  it('takes the default of several', () => {
    const several = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'plain' },
    ];
    expect(template(several).render([user])).toBe('plain');
    expect(template(several.slice(0, 1))).toBeUndefined();
  });
});

describe('what a template sees', () => {
  it('has strftime_now, trims blocks, and knows variables', () => {
    const text =
      "{% if true %}\n{{ strftime_now('%Y') }} {{ mood }}\n  {%- if add_generation_prompt %}!{% endif %}\n{% endif %}";
    const rendered = template(text).render([user], { variables: { mood: 'glad' } });
    expect(rendered).toBe(`${new Date().getFullYear()} glad!`);
  });

  it('finds tools defined, as none', () => {
    expect(template('{{ tools is defined and tools is none }}').render([user])).toBe('true');
  });

  it('does not see special tokens that are not there', () => {
    expect(template('{{ bos_token is defined }}').render([user])).toBe('false');
  });
});

describe('a broken template', () => {
  it('is a file error in one line', () => {
    expect(fiddlerError('file', () => template('{% if %}\n{{'))).toContain('tokenizer_config.json');
    const unknown = template("{{ messages[0]['role'] | nonsense }}");
    expect(fiddlerError('unsupported', () => unknown.render([user]))).toContain('nonsense');
    expect(fiddlerError('file', () => template(7))).toContain('chat_template');
    expect(fiddlerError('file', () => loadChatTemplate(folder({ 'chat_template.json': {} })))).toContain(
      'chat_template',
    );
    expect(fiddlerError('file', () => loadChatTemplate(folder({ 'tokenizer_config.json': '{' })))).toContain('JSON');
  });
});
