// What is in this model? Its architecture drawn, areas as parameters; its sizes; the known models beside it.

import { fill, h } from "../lib/dom.js";
import { number, percent, size, tr } from "../lib/words.js";
import { call } from "../lib/api.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { frame, table } from "../parts/frame.js";
import { fault, waiting } from "../parts/fault.js";

const TONES = { embeddings: 0, attention: 1, mlp: 2, norms: 3, head: 4, other: 5 };

export default async function page(main, { model }) {
  const place = h("div");
  main.append(place);
  const note = waiting(main, tr("card.waiting"));
  try {
    draw(await call("card", { known: true }));
  } catch (error) {
    fill(place, fault(error));
  } finally {
    note.done();
  }

  function draw(card) {
    const name = model?.model ?? "boxed";
    const shared = { python: inPython(name, "card", []), command: onCommandLine(name, "card", []), json: card, page: { verb: "card", arguments: {} } };
    const blocks = card.parameters.by_block.filter((one) => one.parameters);
    const drawn = frame(architecture(card), { name: "card", title: tr("card.drawn") });
    const [largest] = [...blocks].sort((a, b) => b.parameters - a.parameters);
    drawn.update({
      ...shared,
      caption: tr("card.caption", { total: card.parameters.total, layers: card.layers, width: card.width, largest: tr(`card.block.${largest.block}`), share: percent(largest.parameters / card.parameters.total, 0) }),
      table: { columns: [tr("card.block_name"), tr("card.parameters"), tr("card.share")], rows: blocks.map((one) => [tr(`card.block.${one.block}`), number(one.parameters), percent(one.parameters / card.parameters.total)]) },
    });
    fill(place, h("div", { class: "side-by-side" }, facts(card), sizes(card)), drawn.box, known(card));
  }
}

function facts(card) {
  const rows = [
    ["parameters", number(card.parameters.total)],
    ["architecture", card.architecture],
    ["kind", tr(`card.kinds.${card.kind}`)],
    ["layers", number(card.layers)],
    ["width", number(card.width)],
    ["heads", tr("card.heads_of", { heads: card.heads, kv_heads: card.kv_heads })],
    ["vocabulary", number(card.vocabulary_size)],
    ["context", card.context_length ? tr("card.tokens", { count: card.context_length }) : "–"],
    ["licence", card.licence ?? "–"],
    ["cache", tr("card.per_token", { size: size(card.memory.kv_bytes_per_token) })],
    ["needed", size(card.memory.needed_bytes)],
    ["fits", tr(`card.fits_here.${card.memory.fits}`)],
  ];
  return h("dl", { class: "facts" }, rows.map(([key, value]) => [h("dt", {}, tr(`card.fact.${key}`)), h("dd", {}, value)]));
}

function sizes(card) {
  const largest = Math.max(...Object.values(card.file_bytes));
  return h("section", {}, h("h2", {}, tr("card.sizes")),
    h("capot-bars", { rows: Object.entries(card.file_bytes).map(([precision, bytes]) => ({ label: precision, value: bytes / largest, text: size(bytes), marked: precision === card.dtype })) }),
    h("p", { class: "quiet" }, tr("card.sizes_said")));
}

/** The model from the text (below) to the next token (above); each area is a number of parameters. */
function architecture(card) {
  const [width, total] = [680, Math.max(1, card.parameters.total)];
  const parts = card.structure.filter((part) => part.parameters > total / 2000);
  const scale = 430 / total;
  let y = 8;
  const rows = [...parts].reverse().map((part) => {
    const height = Math.max(20, part.parameters * scale);
    const row = h("g:svg", {}, cells(part, width, y, height));
    y += height + 4;
    return row;
  });
  return h("svg:svg", { class: "drawing architecture", viewBox: `0 0 ${width} ${y + 26}`, role: "img", "aria-label": tr("card.drawn") }, rows,
    h("text:svg", { x: width / 2, y: y + 14, "text-anchor": "middle" }, tr("card.reading_up")));
}

function cells(part, width, y, height) {
  const inner = ["attention", "mlp"].filter((name) => part[name]).map((name) => [name, part[name]]);
  const list = inner.length ? inner : [[part.part in TONES ? part.part : "other", part.parameters]];
  const sum = list.reduce((total, [, count]) => total + count, 0);
  let x = 0;
  return list.map(([name, count]) => {
    const w = (width - 4 * (list.length - 1)) * (count / sum);
    const label = `${part.layer === null ? "" : `${part.layer + 1} · `}${tr(`card.block.${name}`)}`;
    const cell = [
      h("rect:svg", { class: `cell c${TONES[name] ?? 5}`, x, y, width: w, height, rx: 4 }, h("title:svg", {}, `${label}: ${number(count)}`)),
      w > 90 ? h("text:svg", { class: "name", x: x + 10, y: y + Math.min(height / 2 + 5, 22) }, `${label}   ${number(count)}`) : null,
    ];
    x += w + 4;
    return cell;
  });
}

function known(card) {
  if (!card.known?.length) return null;
  return h("section", { class: "frame" }, h("h2", {}, tr("card.known")), table({
    columns: [tr("card.model"), tr("card.parameters"), "bfloat16", "int8", "int4", tr("card.fact.context"), tr("card.fact.cache")],
    rows: card.known.map((one) => [one.name, tr("card.billions", { n: number(one.parameters / 1e9, 1) }), size(one.file_bytes.bfloat16), size(one.file_bytes.int8), size(one.file_bytes.int4), number(one.context_length), size(one.kv_bytes_per_token)]),
  }));
}
