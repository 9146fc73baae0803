"""How the boxed model and its tokenizers are made; needs nothing of `capot` itself."""
