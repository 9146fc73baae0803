// What is in this model? Its architecture drawn, areas as parameters; its sizes; the known models beside it.

import { fill, h } from "../lib/dom.js";
import { number, percent, size, tr } from "../lib/words.js";
import { callDrawn, get } from "../lib/api.js";
import { inPython, onCommandLine } from "../lib/code.js";
import { blocks, ofKind } from "../parts/blocks.js";
import { frame, table } from "../parts/frame.js";
import { fault, waiting } from "../parts/fault.js";
import { withTerms } from "../parts/terms.js";
import { architecture, blockName, blockOf } from "./card/architecture.js";

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page>}
 */
export default async function page(main, { model }) {
  const control = new AbortController();
  const place = h("div");
  main.append(place);
  return { drawn: look(), leave: () => control.abort() };

  async function look() {
    const note = waiting(fill(place), tr("card.waiting"), () => control.abort());
    try {
      const { engine } = model ?? await get("/api/model", { signal: control.signal }); // null while it is opened
      if (engine === "openai") {
        return fill(place, blocks(await served(control.signal)));
      }
      const { result, view } = await callDrawn("card", { known: true }, { signal: control.signal });
      draw(result, view);
    } catch (error) {
      if (error.name !== "AbortError") fill(place, fault(error, look));
    } finally {
      note.done();
    }
  }

  /**
   * @param {Api.Card} card
   * @param {Api.Block[]} view
   */
  function draw(card, view) {
    const name = model?.model ?? "boxed";
    const known = name === "boxed" ? { known: true } : {};
    const page = { verb: /** @type {const} */ ("card"), arguments: known };
    const ways = { python: inPython(name, "card", [], known), command: onCommandLine(name, "card", []), page };
    const [[facts], [bars], [sizes]] = [ofKind(view, "facts"), ofKind(view, "bars"), ofKind(view, "table")];
    const [fit, ...warnings] = ofKind(view, "text");
    const width = Math.min(620, main.clientWidth - 40);
    const picture = drawn(card, bars, { ...ways, json: card, width });
    const fits = fit ? h("p", { class: `fits ${card.memory.fits}` }, withTerms(fit.text)) : null;
    fill(place,
      h("div", { class: "anatomy" }, picture, h("div", {}, facts ? blocks([facts]) : null)),
      h("div", { class: "side-by-side" },
        weights(card, sizes), fits ? h("section", {}, h("h2", {}, tr("card.here")), fits) : null),
      blocks(warnings), beside(card, view));
  }
}

/**
 * What a server that has the model was seen to do.
 * @param {AbortSignal} signal
 */
async function served(signal) {
  const { view } = /** @type {{ view: Api.Block[] }} */ (await get("/api/served", { signal }));
  return view.filter((one) => one.block !== "heading");
}

/**
 * @param {Api.Card} card
 * @param {Api.Bars | undefined} bars
 * @param {Lab.Facts & { width: number }} how
 */
function drawn(card, bars, { width, ...shared }) {
  const total = card.parameters.total;
  const picture = frame(architecture(card, width), { name: "card", title: tr("card.drawn") });
  picture.update({
    ...shared,
    caption: bars?.caption ?? "",
    table: {
      columns: [tr("card.block_name"), tr("card.parameters"), tr("card.share")],
      rows: card.parameters.by_block.map(({ block, parameters }) =>
        [blockName(blockOf(block, card)), number(parameters), percent(parameters / total)]),
    },
  });
  return picture.box;
}

/**
 * @param {Api.Card} card
 * @param {Api.Table | undefined} block
 */
function weights(card, block) {
  const largest = Math.max(...Object.values(card.file_bytes));
  const rows = Object.entries(card.file_bytes).map(([precision, bytes]) =>
    ({ label: precision, value: bytes / largest, text: size(bytes), marked: precision === card.dtype }));
  return h("section", {}, h("h2", {}, block?.title ?? tr("card.sizes")), h("capot-bars", { rows }),
    h("p", { class: "quiet" }, withTerms(block?.caption ?? "")));
}

/**
 * The published shapes beside this one.
 * @param {Api.Card} card
 * @param {Api.Block[]} view
 */
function beside(card, view) {
  const block = ofKind(view, "table").findLast((one) => one.rows.length > 4);
  if (!card.known?.length || !block) return null;
  const title = ofKind(view, "heading").find((one) => one.level === 2);
  const picture = frame(table(block), { name: "known-models", title: title?.text ?? block.title });
  picture.update({ caption: block.caption, rows: block, json: card.known });
  return picture.box;
}
