import type { JsonObject } from '../../weights/config.js';

/** What config.json of published models holds, by the names that `--synthetic` takes. */
export type Shapes = Readonly<Record<string, JsonObject>>;
