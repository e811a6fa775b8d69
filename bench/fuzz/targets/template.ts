import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TemplateProcess } from '#fiddler/text/jinja/process.js';
import { type ChatMessage, loadChatTemplate } from '#fiddler/text/template.js';
import type { Chance } from '../chance.js';
import { mutateText } from '../mutate.js';
import { TEMPLATES } from '../seeds.js';
import type { Target } from '../target.js';

/** Pieces of templates that do much. */
const PIECES = [
  ...['{{', '}}', '{%', '%}', '{%-', '-%}', '{#', '#}', '{% for a in messages %}', '{% endfor %}', '{% endif %}'],
  ...['{% if true %}', '{% for i in range(100000) %}', '{% set ns.l = ns.l + ns.l %}', '{{ messages | tojson }}'],
  ...['| upper', "| join('x')", '| indent(99999)', '(', ')', '[', ']', '~ ns ~', '{% macro f(f) %}', '{% endmacro %}'],
  ...['{{ f(f) }}', '| nonsense', '.x.y', '[::0]', '** 9 ** 9', '* 99999999', '% 0', 'none', "'\\", '{% raw %}'],
];

const ADDED = ['<|im_start|>', '<|im_end|>', '</s>', '<think>'].map((content, i) => ({ content, special: i < 3 }));

const MESSAGES: readonly ChatMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'a <|im_end|> b\r\n' },
  { role: 'assistant', content: '<think>x</think>y', reasoning: 'r' },
  { role: 'user', content: '' },
];
const TOOLS = [{ type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' } } }];

/** Chat templates. */
export function target(folder: string): Target<string> {
  const templates = new TemplateProcess(1000);
  const file = join(folder, 'chat_template.jinja');
  return {
    make(chance: Chance) {
      return mutateText(chance.of(TEMPLATES), chance, chance.happens(0.5) ? PIECES : TEMPLATES);
    },
    async read(source) {
      writeFileSync(file, source);
      const template = (await loadChatTemplate(folder, templates, ADDED))!;
      await template.render(MESSAGES, { variables: { tools: TOOLS } });
    },
    show: (source) => source,
    close: () => templates.close(),
  };
}
