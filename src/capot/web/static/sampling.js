// The sliders' arithmetic: the second implementation of sampling.py, held to it by a test on random cases.
// The order of the logits is found once; a slider then costs one exponential for each token of the vocabulary.

/** Filters apply in this order: temperature, top_k, top_p, min_p. All arithmetic is in float64. */
export class Distribution {
  /**
   * `logits` is a Float32Array of V raw logits.
   * @param {Float32Array} logits
   */
  constructor(logits) {
    this.logits = logits;
    this.order = descending(logits);
  }

  /**
   * Probabilities in descending order of logit. Returns { p: Float64Array(V), kept, order }: p[i] belongs to token
   * order[i]; the first `kept` may be chosen, the others have probability 0. Temperature 0 leaves the first alone.
   * @param {{ temperature?: number, topK?: number, topP?: number, minP?: number }} [settings]
   */
  probabilities({ temperature = 1, topK = 0, topP = 1, minP = 0 } = {}) {
    const { logits, order } = this;
    const size = order.length;
    if (this.p === undefined) this.p = new Float64Array(size);
    const p = this.p;
    if (temperature === 0) {
      p.fill(0);
      p[0] = 1;
      return { p, kept: 1, order };
    }
    let kept = topK > 0 ? tied(logits, order, Math.min(topK, size)) : size;
    const top = logits[order[0]];
    let total = 0;
    for (let i = 0; i < kept; i += 1) total += p[i] = Math.exp((logits[order[i]] - top) / temperature);
    /** @type {Uint32Array} */
    let ranked = order;
    if (topP < 1) {
      const limit = kept;
      [kept, total] = nucleus(p, limit, total, topP);
      ranked = highestFirst(p, order, kept, limit);
    }
    if (minP > 0) [kept, total] = likely(p, kept, minP);
    for (let i = 0; i < kept; i += 1) p[i] /= total;
    p.fill(0, kept);
    return { p, kept, order: ranked };
  }

  /**
   * The probability of a token with nothing moved: temperature 1, no filter.
   * @param {number} id
   */
  plain(id) {
    const top = this.logits[this.order[0]];
    if (this.total === undefined) {
      this.total = 0;
      for (const logit of this.logits) this.total += Math.exp(logit - top);
    }
    return Math.exp(this.logits[id] - top) / this.total;
  }

  /**
   * Rank, from 1, of a token among all by raw logit; the lowest id is first among equals.
   * @param {number} id
   */
  rank(id) {
    if (this.places === undefined) {
      this.places = new Uint32Array(this.order.length);
      for (const [place, token] of this.order.entries()) this.places[token] = place;
    }
    return this.places[id] + 1;
  }
}

/**
 * Ids by descending logit, lower ids first among equals: a radix sort of the bits, since V may be 128,256.
 * @param {ArrayLike<number>} logits
 */
export function descending(logits) {
  const size = logits.length;
  const bits = new Uint32Array(Float32Array.from(logits).buffer);
  const keys = new Uint32Array(size);
  for (let i = 0; i < size; i += 1) {
    const value = bits[i] === 0x80000000 ? 0 : bits[i]; // -0 equals 0
    keys[i] = value & 0x80000000 ? value : ~(value | 0x80000000); // descending: the largest float gets the smallest key
  }
  let order = new Uint32Array(size).map((_, index) => index);
  let other = new Uint32Array(size);
  for (const shift of [0, 8, 16, 24]) {
    const counts = new Uint32Array(257);
    for (let i = 0; i < size; i += 1) counts[((keys[i] >>> shift) & 255) + 1] += 1;
    for (let digit = 0; digit < 256; digit += 1) counts[digit + 1] += counts[digit];
    for (let i = 0; i < size; i += 1) {
      const id = order[i];
      const digit = (keys[id] >>> shift) & 255;
      other[counts[digit]] = id;
      counts[digit] += 1;
    }
    [order, other] = [other, order];
  }
  return order;
}

/**
 * The first `count` tokens, and those after them whose logit equals the last one's.
 * @param {Float32Array} logits
 * @param {Uint32Array} order
 * @param {number} count
 */
function tied(logits, order, count) {
  const least = logits[order[count - 1]];
  let kept = count;
  while (kept < order.length && logits[order[kept]] === least) kept += 1;
  return kept;
}

/**
 * The smallest head whose mass reaches `topP` of the total; at least one token.
 * @param {Float64Array} p
 * @param {number} kept
 * @param {number} total
 * @param {number} topP
 */
function nucleus(p, kept, total, topP) {
  let mass = 0;
  for (let i = 0; i < kept; i += 1) {
    mass += p[i];
    if (mass >= topP * total) return [i + 1, mass];
  }
  return [kept, mass];
}

/**
 * The order where top_p cuts through equal weights: of those, the highest ids are the ones that stay.
 * @param {Float64Array} p
 * @param {Uint32Array} order
 * @param {number} kept
 * @param {number} limit
 */
function highestFirst(p, order, kept, limit) {
  if (kept >= limit || p[kept - 1] !== p[kept]) return order;
  let [from, to] = [kept - 1, kept + 1];
  while (from > 0 && p[from - 1] === p[kept]) from -= 1;
  while (to < limit && p[to] === p[kept]) to += 1;
  const ranked = order.slice();
  ranked.subarray(from, to).sort((a, b) => b - a);
  return ranked;
}

/**
 * The tokens at least `minP` times as likely as the first.
 * @param {Float64Array} p
 * @param {number} kept
 * @param {number} minP
 */
function likely(p, kept, minP) {
  let [count, mass] = [0, 0];
  while (count < kept && p[count] >= minP * p[0]) mass += p[count++];
  return [Math.max(count, 1), count ? mass : p[0]];
}

/**
 * Entropy in bits of the first `kept` probabilities.
 * @param {Float64Array} p
 * @param {number} kept
 */
export function entropyBits(p, kept) {
  let sum = 0;
  for (let i = 0; i < kept; i += 1) if (p[i] > 0) sum -= p[i] * Math.log2(p[i]);
  return sum;
}
