"""Text on its way to ids and back: tokenizers, templates, sampling."""
