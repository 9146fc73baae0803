// eslint's recommended rules for the lab's scripts; `make check` brings eslint and runs it (tools/javascript.py).

import { createRequire } from "node:module";

const require = createRequire(new URL("../../.venv/javascript/package.json", import.meta.url));
const js = require("@eslint/js");
const globals = require("globals");

const unused = { argsIgnorePattern: "^_+$", varsIgnorePattern: "^_+$", destructuredArrayIgnorePattern: "^_+$" };

export default [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: { globals: { ...globals.browser, Plotly: "readonly" } },
    rules: {
      "no-unused-vars": ["error", unused],
      // What is longer stands in long.txt, which may only shrink.
      "max-lines-per-function": ["error", { max: 40, skipComments: true }],
      "max-len": ["error", { code: 120 }],
    },
  },
];
