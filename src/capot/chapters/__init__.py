"""One folder a question about language models: its verb, its result with its view, its words."""
