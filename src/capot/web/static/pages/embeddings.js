// Which vector stands for a word; what one vector cannot say; what the layers above add.

import { tr } from "../lib/words.js";
import { tabs } from "../parts/tabs.js";
import { words } from "./embeddings/words.js";
import { context } from "./embeddings/context.js";
import { lens } from "./embeddings/lens.js";

/**
 * @param {HTMLElement} main
 * @param {Lab.Context} context
 * @returns {Promise<Lab.Page | void>}
 */
export default async function page(main, { model }) {
  const views = { words, context, lens };
  /** @type {ReturnType<typeof words | typeof context | typeof lens> | null} */
  let current = null;
  main.append(
    tabs({
      names: /** @type {(keyof typeof views)[]} */ (Object.keys(views)),
      label: tr("embeddings.views"),
      title: (view) => tr(`embeddings.tab.${view}`),
      open: (view, place) => {
        current?.stop();
        current = views[view](model?.model ?? "boxed");
        place.replaceChildren(current.box);
        current.start();
      },
    }),
  );
  return { leave: () => current?.stop() };
}
