import type { AnyRoute } from '../route.js';
import { chatCompletions } from './chat-completions.js';
import { completions } from './completions.js';
import { countTokens } from './count-tokens.js';
import { detokenize } from './detokenize.js';
import { health } from './health.js';
import { messages } from './messages.js';
import { metrics } from './metrics.js';
import { models } from './models.js';
import { placement } from './placement.js';
import { props } from './props.js';
import { responses } from './responses.js';
import { tokenize } from './tokenize.js';

/** Everything that is answered. */
export const ROUTES: readonly AnyRoute[] = [
  ...[health, models, props, metrics, placement],
  ...[chatCompletions, completions, responses],
  ...[messages, countTokens],
  ...[tokenize, detokenize],
];
