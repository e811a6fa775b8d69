import { describe, expect, it } from 'vitest';
import { chatMessages, input } from '../../src/server/responses/input.js';

describe('what was said before, as /v1/responses has it', () => {
  it.each([
    [{ content: [{ text: 'I think.' }], summary: [{ text: 'In short.' }] }, 'I think.'],
    [{ content: [], summary: [{ text: 'In short.' }] }, 'In short.'],
    [{ content: null, summary: [{ text: 'In ' }, { text: 'short.' }] }, 'In short.'],
  ])('keeps what was thought, or its summary where nothing else is: %j', (parts, reasoning) => {
    const items = input.parse([
      { type: 'reasoning', ...parts },
      { role: 'assistant', content: 'Yes.' },
    ]);
    expect(chatMessages(items, null)).toEqual([{ role: 'assistant', content: 'Yes.', reasoning }]);
  });
});
