"""The lab in the browser: ``create_app(model)`` is an ASGI application, ``serve`` runs it."""
