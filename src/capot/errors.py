"""Every error a user can meet, as a code with parameters.

A code is stable and never translated; its words live in both catalogues under
``error.<code>.what`` (what happened, what was expected), ``error.<code>.hint`` (a line to
paste, where there is one) and ``error.<code>.python`` (the same where Python says it
otherwise than a terminal; empty where it has nothing to paste). A verb may have its own ``what``, under
``<verb>.refused.<code>``. Anything raised that is not a
:class:`CapotError` is our bug and shows its traceback.

    CapotError                    exit  http
    ├── InputError                   2   422   a value the user gave is wrong
    │   ├── ArgumentTypeError        2   422   a value is of another kind than was expected
    │   └── ContextError             2   422   more tokens than the model was trained on
    ├── NotFoundError                2   404   no such model, file, tokenizer
    ├── ModelError                   2   422   a model's files are damaged or incomplete
    │   └── UnsupportedError         2   422   sound files, but not for this engine
    ├── CapabilityError              2   409   this engine cannot give what was asked
    ├── MissingExtraError            2   501   an optional package is not installed
    ├── AccessError                  2   403   a licence, a token or a code is missing
    ├── NetworkError                 2   502   a hub or a server did not answer as expected
    ├── ResourceError                2   507   memory or disk is too small
    ├── BusyError                    2   429   too much is asked of this server at once
    └── InterruptedByUser          130   499   Ctrl-C, a stop button, a closed tab
"""

from __future__ import annotations

import contextlib
import contextvars
import errno
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from capot import i18n

Audience = Literal["python", "command"]
_audience: contextvars.ContextVar[Audience] = contextvars.ContextVar("capot_face", default="python")
# How the call that failed is written by each audience: what a hint proposes is what was asked, not another verb.
_call: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("capot_call", default=None)
_DEFAULT_CALL = ("model.next", "capot next")


@contextlib.contextmanager
def hints_for(face: Audience) -> Iterator[None]:
    """Give hints for Python or for the command line inside the block."""
    mark = _audience.set(face)
    try:
        yield
    finally:
        _audience.reset(mark)


@contextlib.contextmanager
def named_call(python: str, command: str) -> Iterator[None]:
    """Let the hints of errors that are made in the block propose this call. The outermost block names it."""
    mark = _call.set(_call.get() or (python, command))
    try:
        yield
    finally:
        _call.reset(mark)


@contextlib.contextmanager
def use_language(lang: str | None) -> Iterator[None]:
    """Use ``lang`` inside the block, and for the errors that leave it. None changes nothing."""
    if lang is None:
        yield
        return
    try:
        with i18n.use_language(lang):
            yield
    except CapotError as error:
        error.lang = error.lang or lang
        raise


class CapotError(Exception):
    """An error with a stable ``code`` and the ``params`` that fill its words.

    ``lang`` is the language of the model that raised it; None is the one in use when it is told.
    """

    exit_status = 2
    http_status = 400
    lang: str | None = None

    def __init__(self, code: str, **params: Any) -> None:
        self.code = code
        self.params = params
        self.call = _call.get() or _DEFAULT_CALL  # kept: the error is often told after the call has ended
        super().__init__(code)

    def message(self, lang: str | None = None, *, face: Audience | None = None) -> str:
        """Return the error's message, with its hint for ``face`` on a line of its own."""
        # The language of the model that raised it comes before that of the program: its user reads it.
        lang = lang or self.lang
        # A verb that takes no prompt does not speak of one.
        own = f"{_verb(self.call[1])}.refused.{self.code}"
        words = i18n.tr(own if i18n.find(own, lang) else f"error.{self.code}.what", lang, **self.params)
        hint = self._hint(lang, face or _audience.get())
        return f"{words}\n{hint}" if hint else words

    def _hint(self, lang: str | None, face: Audience) -> str:
        found = i18n.find(f"error.{self.code}.python", lang) if face == "python" else None
        if found is None:
            found = i18n.find(f"error.{self.code}.hint", lang)
        unknown = [
            name for name in ("line", "typed", "encoding") if f"{{{name}}}" in str(found) and name not in self.params
        ]
        if not isinstance(found, str) or unknown:
            return ""  # the call is not known everywhere that a code is raised
        python, command = self.call
        params = {"call": python, "command": command, "others": _others(command, lang, face)}
        return i18n.fill(found, lang, params | self.params)

    def to_dict(self, lang: str | None = None, *, face: Audience | None = None) -> dict[str, Any]:
        """Return the body shared by ``--json`` and the web: ``{ok, error: {code, message}}``."""
        return {"ok": False, "error": {"code": self.code, "message": self.message(lang, face=face)}}

    def public(self) -> CapotError:
        """Return the error for anybody but this machine's owner: without paths, or text that may hold one."""
        return self.with_params({name: redact(value) for name, value in self.params.items()})

    def with_params(self, params: Mapping[str, Any]) -> CapotError:
        """Return the same error of the same call with other parameters."""
        # A new error: the first one may be on its way to the owner's log, paths and all.
        found = type(self)(self.code, **params)
        found.call = self.call
        return found

    def __str__(self) -> str:
        return self.message()

    def __reduce__(self) -> tuple[Any, ...]:
        # Python rebuilds an exception from ``args``, the code alone: a worker process would lose the parameters.
        return (_rebuild, (type(self), self.code, self.params, self.lang, self.call))


def _others(command: str, lang: str | None, face: Audience) -> str:
    """Return what a call cannot be without beside a prompt, as its verb's words have it."""
    found = i18n.find(f"{_verb(command)}.others.{face}", lang)
    return found if isinstance(found, str) else ""


def _verb(command: str) -> str:
    return command.rpartition(" ")[2]


def check_lang(lang: str | None) -> str | None:
    """Return ``lang`` if a catalogue has it, or None. Raises: InputError ``unknown_language``."""
    if spoken(lang) not in (None, *i18n.LANGUAGES):
        raise InputError("unknown_language", value=shorten(lang), known=", ".join(i18n.LANGUAGES))
    return lang


def spoken(lang: str | None) -> str | None:
    """Return ``lang`` as an answer takes it. Raises: InputError ``unknown_language`` where it is no text."""
    if lang is not None and not isinstance(lang, str):
        raise InputError("unknown_language", value=shorten(lang), known=", ".join(i18n.LANGUAGES))
    return lang


def _rebuild(
    kind: type[CapotError], code: str, params: dict[str, Any], lang: str | None, call: tuple[str, str]
) -> CapotError:
    error = kind(code, **params)
    error.lang = lang
    error.call = call
    return error


def shorten(value: Any, most: int = 80) -> Any:
    """Return a value as an error shows it: numbers as they are, other values cut to ``most`` characters.

    >>> shorten("x" * 100, 3), shorten(10**400) == 10**400
    ('xxx…', True)
    """
    # A number is written in the reader's language later, by ``i18n.fill``.
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # a class whose own words fail
        text = object.__repr__(value)
    return text if len(text) <= most else text[:most] + "…"


class LocalPath(str):
    """A path of this machine. ``public`` is the name that other people see in its place."""

    public: str


def local_path(path: object, public: str) -> LocalPath:
    """Return a path as an error holds it.

    >>> local_path("/home/ann lee/models/tiny", "tiny"), local_path("/home/ann lee/models/tiny", "tiny").public
    ('/home/ann lee/models/tiny', 'tiny')
    """
    found = LocalPath(path)
    found.public = public
    return found


def library_message(text: str) -> i18n.Reason:
    """Return another library's error message. It may name a file: ``redact`` removes such a message."""
    return i18n.Reason(text[:200])


def redact(value: Any) -> Any:
    """Return a parameter of an error without paths of this machine.

    >>> redact(local_path("/home/ann lee/tiny", "tiny")), redact("a/b")
    ('tiny', 'a/b')
    >>> why = redact(library_message("cannot open C:\\\\Élève\\\\a"))
    >>> i18n.fill("({why})", "en", {"why": why})
    '(the details are for the owner of that machine)'
    """
    if isinstance(value, LocalPath):
        return value.public
    if isinstance(value, i18n.Reason) and not value.key and any(mark in value for mark in "/\\"):
        return i18n.Reason(key="serve.kept")
    return value


def os_reason(error: BaseException) -> i18n.Reason:
    """Return why the system refused, as a reason that is written in the reader's language.

    >>> fill = i18n.fill
    >>> fill("({why})", "fr", {"why": os_reason(FileNotFoundError(2, "No such file or directory"))})
    '(fichier ou dossier introuvable)'
    """
    inner = getattr(error, "reason", None)  # urllib wraps what the socket said
    if isinstance(inner, BaseException):
        return os_reason(inner)
    name = _name_of(error)
    message = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return i18n.Reason(message[:200], key=f"system.{name}" if name else "")


def _name_of(error: BaseException) -> str:
    """Return the name of a system error, or "" if it is none."""
    import socket  # what it costs is for the one who fails
    import ssl

    if isinstance(error, ssl.SSLError):  # its numbers are OpenSSL's: 1 is not EPERM
        return ""
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror):
        names = ("EAI_NONAME", "EAI_NODATA", "EAI_AGAIN")
        return next((name for name in names if getattr(socket, name, None) == number), "")
    if number is None and isinstance(error, TimeoutError):
        return "ETIMEDOUT"
    # By name: numbers differ between systems, and the catalogues know names.
    return errno.errorcode.get(number or 0, "").removeprefix("WSA")  # as Windows calls those of sockets


class InputError(CapotError):
    http_status = 422


class ArgumentTypeError(InputError, TypeError):
    """A value of a wrong type. It is a TypeError too, so that code that catches those catches it."""


def wrong_kind(name: str, value: Any, *, expected: str) -> ArgumentTypeError:
    """Return the error of an argument of another kind; ``expected`` is one of the catalogue ``python``."""
    words = i18n.Reason(expected, key=f"python.kind.{expected}")
    return ArgumentTypeError("wrong_kind", name=name, value=shorten(value), kind=type(value).__name__, expected=words)


def check_text(name: str, value: Any) -> None:
    """Hold an argument to a text. Raises: ArgumentTypeError ``wrong_kind``; InputError ``not_unicode``."""
    if not isinstance(value, str):
        raise wrong_kind(name, value, expected="text")
    check_unicode(value)


def check_unicode(text: str, **where: str) -> None:
    """Refuse half of a surrogate pair, which no tokenizer reads and no answer holds. ``where`` names the setting.

    Raises: InputError ``not_unicode``.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        char = f"U+{ord(text[error.start]):04X}"
        raise InputError("not_unicode", place=error.start, char=char, **where) from None


class ContextError(InputError):
    pass


class NotFoundError(CapotError):
    http_status = 404


class ModelError(CapotError):
    http_status = 422


class UnsupportedError(ModelError):
    pass


class CapabilityError(CapotError):
    http_status = 409


class MissingExtraError(CapotError):
    http_status = 501


class AccessError(CapotError):
    http_status = 403


class NetworkError(CapotError):
    http_status = 502


class ResourceError(CapotError):
    http_status = 507


class BusyError(CapotError):
    http_status = 429


class InterruptedByUser(CapotError):
    exit_status = 130
    http_status = 499
