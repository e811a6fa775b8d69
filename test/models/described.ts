import { readFileSync } from 'node:fs';
import { familyOf } from '../../src/models/index.js';
import { Declarations } from '../../src/models/parameters.js';
import type { JsonObject } from '../../src/weights/config.js';

/** The config of a golden model. */
export function golden(name: string): JsonObject {
  return JSON.parse(readFileSync(`test/golden/${name}/config.json`, 'utf8'));
}

/** What its family makes of a config. */
export function describeModel(config: JsonObject) {
  const declare = new Declarations();
  return { spec: familyOf(config).describe(config, declare), declare };
}
