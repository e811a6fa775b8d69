import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../../', import.meta.url);

/** The model that comes with the package. */
export const BUNDLED_MODEL = fileURLToPath(new URL('models/mini-mixtral', ROOT));

/** The command's own script. */
export const MAIN_SCRIPT = fileURLToPath(new URL('main.js', import.meta.url));

/** The package's version. */
export const VERSION: string = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')).version;
