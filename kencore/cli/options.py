"""Options of the command line from what is declared of settings: name, type, default and help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING
from typing import Annotated, Any

import typer

from kencore.cli.panels import group_of
from kencore.errors import SpecError
from kencore.settings.fields import Declared, in_order, settings_of
from kencore.settings.prune import PruneSpec

Asked = dict[str, Any]
"""Values of the options that were made of settings, by the settings' names."""

_TYPES: dict[str, type] = {
    "text": str,
    "choice": str,
    "switch": bool,
    "count": int,
    "number": float,
    "share": float,
    "several": str,
}


def options_of(spec: type, *first: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command with an option for each setting of ``spec`` before its own parameters.

    The command gets the values as its first argument, and `asked_of` makes settings of them.

    Args:
        first: settings that the help names before the others.
    """
    declared = settings_of(spec)
    names = in_order(spec, *first)

    def made(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        def run(**given: Any) -> None:
            command({name: given.pop(name) for name in names}, **given)

        parameters = [_parameter(name, declared[name]) for name in names]
        parameters += [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        run.__doc__, run.__name__ = command.__doc__, command.__name__
        return run

    return made


def option_of(name: str, spec: type = PruneSpec) -> Any:
    """The option of a setting for a command that has no settings of its own."""
    return _option(settings_of(spec)[name], group_of(name))


def asked_of(spec: type, asked: Asked) -> Asked:
    """Values of options as values of settings.

    Raises:
        SpecError: text that is no such value.
    """
    return {name: _value(name, asked[name], setting) for name, setting in settings_of(spec).items()}


def words_of(spec: Any) -> list[str]:
    """The words of a command line that ask for these settings, those left out that are as usual."""
    words = []
    for name, setting in settings_of(type(spec)).items():
        value = getattr(spec, name)
        if value == setting.default:
            continue
        long = (flag.partition("/")[0] for flag in setting.flags if flag.startswith("--"))
        flag = next(long, f"--{name.replace('_', '-')}")
        if setting.kind == "switch":
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif setting.kind == "several" and setting.commas:
            words += [flag, ",".join(map(str, value))]
        elif setting.kind == "several":
            words += [word for one in value for word in (flag, str(one))]
        else:
            words += [flag, str(setting.nothing if value is None else value)]
    return words


def _parameter(name: str, setting: Declared) -> inspect.Parameter:
    kind: Any = _TYPES[setting.kind]
    default = setting.default
    if setting.kind == "several":
        default = (",".join(map(str, default)) or None) if setting.commas else None
        kind = kind if setting.commas else list[str]
    if default is None:
        kind = kind | None
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[kind, _option(setting, group_of(name))],
    )


def _option(setting: Declared, group: str | None) -> Any:
    if setting.argument:
        return typer.Argument(help=setting.help)
    return typer.Option(*setting.flags, help=_help(setting), rich_help_panel=group)


def _help(setting: Declared) -> str:
    """The sentences, with the words that it may be and how several are given."""
    words = [setting.help]
    one = setting.each or setting
    if one.kind == "choice":
        words.append(f"{'Comma-separated, of' if setting.commas else 'One of'} {', '.join(one.choices)}.")
    elif setting.commas:
        words.append("Comma-separated, such as 0.9,0.5,0.25." if one.kind == "share" else "Comma-separated.")
    elif setting.kind == "several":
        words.append("May be repeated.")
    return " ".join(words)


def _value(name: str, given: Any, setting: Declared) -> Any:
    if setting.kind != "several":
        other = setting.optional and setting.default is not None
        return None if other and given == setting.nothing else given
    if setting.commas:
        return _listed(name, given, setting.each)
    return tuple(given) if given else setting.default


def _listed(name: str, text: str | None, each: Declared | None) -> tuple[Any, ...]:
    assert each is not None
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    try:
        return tuple(_TYPES[each.kind](word) for word in words)
    except ValueError:
        share = each.kind == "share"
        raise SpecError(
            name,
            got=repr(text),
            wanted=f"{'numbers' if share else 'whole numbers'}, separated by commas",
            remedy="Write them like 0.9,0.5." if share else "Write them like 0,1,2.",
        ) from None
