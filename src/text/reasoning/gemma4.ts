import { tagged } from './tagged.js';

/** `<|channel>thought`, a new line, reasoning and `<channel|>`, then the answer: Gemma 4. */
export const gemma4 = tagged({ open: '<|channel>', close: '<channel|>', header: 'thought' });
