import { tagged } from './tagged.js';

/** `<|START_THINKING|>` reasoning `<|END_THINKING|>`, then the answer between tags of its own (Command A). */
export const cohere = tagged({
  open: '<|START_THINKING|>',
  close: '<|END_THINKING|>',
  around: ['<|START_RESPONSE|>', '<|END_RESPONSE|>', '<|START_TEXT|>', '<|END_TEXT|>'],
});
