import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Forecast } from '../../src/experts/forecast.js';

const EXPERTS = 10;
const ALL = Array.from({ length: EXPERTS }, (_, e) => e);

/** What happens to a layer: a call that decodes, or a prompt. */
interface Event {
  experts: number[];
  shares?: number[];
}

const experts = fc.uniqueArray(fc.nat(EXPERTS - 1), { minLength: 1, maxLength: 4 });
const decoding = experts.map((experts): Event => ({ experts }));
const prompt = experts.map((experts): Event => ({ experts, shares: experts.map((e) => 1 / (1 + e)) }));
const events = fc.array(fc.oneof({ weight: 4, arbitrary: decoding }, prompt), { minLength: 1, maxLength: 150 });
const profile = fc.record({
  counts: fc.array(fc.nat(1000), { minLength: EXPERTS, maxLength: EXPERTS }),
  tokens: fc.integer({ min: 0, max: 5000 }),
});

function told(all: readonly Event[], known?: { counts: readonly number[]; tokens: number }): Forecast {
  const forecast = new Forecast([EXPERTS]);
  if (known) forecast.recall(0, known.counts, known.tokens);
  for (const { experts, shares } of all) {
    if (shares) forecast.prompted(0, experts, shares);
    else forecast.used(0, experts);
  }
  return forecast;
}

const worths = (forecast: Forecast, layer = 0) => ALL.map((e) => forecast.worth(layer, e));

describe('foretelling which experts will be used', () => {
  it('gives each a positive number, whatever happened', () => {
    fc.assert(
      fc.property(events, fc.option(profile, { nil: undefined }), (all, known) => {
        for (const worth of worths(told(all, known))) expect(worth > 0 && Number.isFinite(worth)).toBe(true);
      }),
    );
  });

  it('does not depend on how experts are numbered', () => {
    const order = fc.shuffledSubarray(ALL, { minLength: EXPERTS });
    fc.assert(
      fc.property(events, profile, order, (all, known, to) => {
        const moved = all.map(({ experts, shares }) => ({ experts: experts.map((e) => to[e]!), shares }));
        const counts = ALL.map((e) => known.counts[to.indexOf(e)]!);
        const [was, is] = [worths(told(all, known)), worths(told(moved, { ...known, counts }))];
        for (const e of ALL) expect(is[to[e]!]).toBeCloseTo(was[e]!, 9);
      }),
    );
  });

  it('counts calls since each was used, prompts left out', () => {
    fc.assert(
      fc.property(events, (all) => {
        const forecast = told(all);
        const calls = all.filter(({ shares }) => !shares).map(({ experts }) => experts);
        for (const e of ALL) {
          const age = calls.toReversed().findIndex((experts) => experts.includes(e));
          if (age < 0) expect(forecast.age(0, e)).toBeGreaterThan(1e6);
          else expect(forecast.age(0, e)).toBe(age);
        }
      }),
    );
  });

  it('goes on as before where weights are reduced', () => {
    const forecast = new Forecast([EXPERTS]);
    const period = 12 * EXPERTS; // each expert is used in 12 calls
    const history: number[][] = [];
    for (let call = 0; call < 20 * period; call++) {
      forecast.used(0, [Math.floor(call / 12) % EXPERTS]);
      history.push(worths(forecast));
      if (call < 10 * period) continue; // reduced first at call 1,329, which is 332 half-lives
      const before = history[call - period]!;
      history[call]!.forEach((worth, e) => void expect(Math.abs(worth / before[e]! - 1)).toBeLessThan(0.2));
    }
  });

  it('remembers of two experts how much more one was used, of late or often', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), (uses) => {
        const forecast = new Forecast([EXPERTS]);
        for (let call = 0; call < uses; call++) forecast.used(0, [1]);
        // The counts forget, none the faster for what the other expert has; some of them, or an even choice, foretell nothing.
        expect(forecast.excess(0, 1, 2)).toBeGreaterThan(0.7 * uses ** 0.5);
        expect(forecast.excess(0, 1, 2)).toBeLessThan(uses);
        expect(forecast.excess(0, 2, 1)).toBe(0);
        for (let call = 0; call < 4; call++) forecast.used(0, [2]);
        if (uses < 10) return;
        expect(forecast.excess(0, 1, 2)).toBeGreaterThan(0); // often
        expect(forecast.excess(0, 2, 1)).toBeGreaterThan(0); // of late
      }),
    );
  });

  it('takes what a profile counted for what is used', () => {
    fc.assert(
      fc.property(profile, ({ counts, tokens }) => {
        const found = worths(told([], { counts, tokens: tokens + 1 }));
        for (const a of ALL)
          for (const b of ALL) if (counts[a]! > counts[b]!) expect(found[a]).toBeGreaterThan(found[b]!);
      }),
    );
  });

  it('believes what was used of late where use wanders, and what is used often where it stays', () => {
    const [wanders, stays] = [new Forecast([EXPERTS]), new Forecast([EXPERTS])];
    for (let [call, random] = [0, 1]; call < 600; call++) {
      random = (random * 48_271) % 2_147_483_647; // Park and Miller
      wanders.used(0, [Math.floor(call / 60) % EXPERTS]);
      stays.used(0, [Math.max(0, (random % 18) - 8)]); // 0 in half of the calls
    }
    const last = Math.floor(599 / 60) % EXPERTS;
    const most = (forecast: Forecast) => ALL.toSorted((a, b) => forecast.worth(0, b) - forecast.worth(0, a))[0];
    expect(most(wanders)).toBe(last);
    expect(most(stays)).toBe(0);
  });

  it('sees within a few calls that use wanders, however long it stayed', () => {
    const forecast = new Forecast([EXPERTS]);
    for (let [call, random] = [0, 1]; call < 60_000; call++) {
      random = (random * 48_271) % 2_147_483_647; // Park and Miller
      forecast.used(0, [Math.floor(EXPERTS * (random / 2_147_483_647) ** 2)]);
    }
    for (let call = 0; call < 10; call++) forecast.used(0, [EXPERTS - 1]);
    for (let call = 0; call < 60; call++) forecast.used(0, [EXPERTS - 2]);
    expect(forecast.worth(0, EXPERTS - 2)).toBe(Math.max(...worths(forecast)));
  });

  it('learns after how many calls what was used is used no more, and again', () => {
    const forecast = new Forecast([EXPERTS]);
    const calls = 60 * EXPERTS * 5;
    for (let call = 0; call < calls; call++) forecast.used(0, [Math.floor(call / 5) % EXPERTS]);
    // Each was used in five calls in turn: the first is due, and the last but one was used most lately but for the last.
    expect(forecast.worth(0, 0)).toBeGreaterThan(forecast.worth(0, EXPERTS - 2));
  });

  it('learns of each layer alone what foretells it', () => {
    const forecast = new Forecast([EXPERTS, EXPERTS]);
    const alone = new Forecast([EXPERTS]);
    for (let call = 0; call < 200; call++) {
      forecast.used(0, [call % 3]);
      alone.used(0, [call % 3]);
    }
    expect(forecast.age(1, 0)).toBeGreaterThan(1e6);
    expect(worths(forecast)).toEqual(worths(alone));
    expect(new Set(worths(forecast, 1)).size).toBe(1);
  });
});
