import type { OrderLoops } from '../native/order-loops.js';

/** In JavaScript, where the native library is not there. */
export const plainLoops: OrderLoops = {
  count(ids, counts) {
    counts.fill(0);
    for (let i = 0; i < ids.length; i++) if (ids[i]! >= 0) counts[ids[i]!]!++;
  },

  sort(ids, weights, chosen, nexts, to) {
    for (let token = 0, i = 0; i < ids.length; token++) {
      for (const end = i + chosen; i < end; i++) {
        if (ids[i]! < 0) continue;
        const at = nexts[ids[i]!]!++;
        to.rows[at] = token;
        to.weights[at] = weights[i]!;
      }
    }
  },

  gather(members, of, to, seen, sizes) {
    seen.fill(0);
    sizes.fill(0);
    let total = 0;
    for (let m = 0; m < members.length; m += 3) {
      const [slot, start, count] = [members[m]!, members[m + 1]!, members[m + 2]!];
      for (let a = start; a < start + count; a++, total++) {
        const token = of.rows[a]!;
        to.slots[total] = slot;
        to.tokens[total] = token;
        to.weights[total] = of.weights[a]!;
        sizes[seen[token]!++]!++;
      }
    }
  },

  layOut(ids, tokens, { rows, abreast, total }, gathered) {
    let place = 0;
    for (let row = 0; row < rows; row++) {
      const first = place;
      for (let i = row; i < total; i += rows, place++) {
        ids[place] = gathered.slots[i]!;
        tokens[place] = gathered.tokens[i]!;
      }
      for (; place < first + abreast; place++) {
        const used = ids.subarray(first, place);
        const i = gathered.slots.findIndex((slot) => !used.includes(slot));
        ids[place] = gathered.slots[i]!;
        tokens[place] = gathered.tokens[i]!;
      }
    }
  },

  rounds(numbers, weights, tokens, { rows, abreast, total }, gathered, { orders, targets, found }, { seen, places }) {
    seen.fill(0);
    for (let row = 0; row < rows; row++) {
      let place = row * abreast;
      for (let i = row; i < total; i += rows, place++) {
        const token = tokens[place]!;
        const nth = seen[token]!++;
        if (targets[nth]! >= 0) {
          places[token] = found[nth]!++;
          numbers[targets[nth]! + places[token]!] = token;
        }
        numbers[orders[nth]! + places[token]!] = place;
        weights[place] = gathered.weights[i]!;
      }
    }
  },

  atOnce(order, weights, columns, { rows, abreast, total }, gathered, seen) {
    seen.fill(0);
    order.fill(0);
    weights.fill(0);
    let [row, column] = [0, 0];
    for (let i = 0; i < total; i++) {
      const token = gathered.tokens[i]!;
      const target = token * columns + seen[token]!++;
      order[target] = row * abreast + column;
      weights[target] = gathered.weights[i]!;
      if (++row < rows) continue;
      row = 0;
      column++;
    }
  },
};
