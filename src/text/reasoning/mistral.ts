import { tagged } from './tagged.js';

/** `[THINK]` reasoning `[/THINK]` answer (Magistral, arXiv 2506.10910, as its control tokens have it). */
export const mistral = tagged({ open: '[THINK]', close: '[/THINK]' });
