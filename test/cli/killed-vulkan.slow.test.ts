import { describe, it } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';
import { ENDS, eventually, expectEnd, expectNothingLeft, libraries, onLinux, STREAMING, trace } from './killed.js';

const missing = vulkanMissing();
if (missing) console.warn(`Vulkan is NOT tested: ${missing}`);

describe.skipIf(missing || !onLinux)('a process on Vulkan that is ended leaves nothing behind', () => {
  it.each(ENDS)('%s while it copies experts', (...end) => expectEnd(end, 'vulkan', SOFTWARE_VULKAN));

  it('SIGKILL while a GPU is tried in a process of its own', async () => {
    const cache = temporaryFolder(); // nothing is remembered of an earlier trial
    const run = trace([...STREAMING, '--accelerator', 'vulkan'], { ...SOFTWARE_VULKAN, FIDDLER_CACHE: cache });
    const trial = () => run.processes().find((pid) => pid !== run.child.pid && libraries(pid).includes('ggml-vulkan'));
    await eventually('the trial loads its library', 60, () => trial() !== undefined);
    process.kill(trial()!, 'SIGSTOP'); // as if a driver hung
    run.child.kill('SIGKILL');
    await run.ended;
    await expectNothingLeft(run);
  });
});
