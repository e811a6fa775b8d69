import { expect, it } from 'vitest';
import { Trial } from '../../src/experts/trial.js';

const COSTS = { saved: 0.03, exchange: 0.05 };

/** Runs calls that find so many hits more than before, with so many exchanges while the trial is active. */
function run(trial: Trial, calls: number, more: number, exchanges: number) {
  let active = 0;
  for (let i = 0; i < calls; i++) {
    const made = trial.active ? exchanges : 0;
    if (trial.active) active++;
    trial.call({ hits: 50 + more, before: 50, exchanges: made }, COSTS);
  }
  return active;
}

it('goes on for as long as hits pay for exchanges', () => {
  expect(run(new Trial(), 5000, 10, 5)).toBe(5000);
});

it('ends soon where nothing is hit more, and tries again ever less often', () => {
  const trial = new Trial();
  expect(run(trial, 64, 0, 5)).toBe(64);
  expect(trial.active).toBe(false);
  expect(trial.lost).toBe(false);
  const active = run(trial, 20_000, 0, 5);
  expect(active).toBeGreaterThanOrEqual(64);
  expect(active / 20_000).toBeLessThan(0.03);
});

it('says where hits were lost', () => {
  const trial = new Trial();
  run(trial, 64, -2, 0);
  expect(trial.active).toBe(false);
  expect(trial.lost).toBe(true);
});

it('follows use that changes later', () => {
  const trial = new Trial();
  run(trial, 3000, 0, 5);
  run(trial, 9000, 10, 5);
  expect(trial.active).toBe(true);
  expect(run(trial, 500, 10, 5)).toBe(500);
});
