"""Configurations on disk: a nested frozen dataclass as a YAML file, and back, with checked types.

The dataclass is the schema. A file may leave out any field that has a default; a field that does
not exist, or a value of the wrong type, is an error that names the field and what would be right.
"""

import dataclasses
import reprlib
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from course.errors import UserError
from course.files import atomic_write, existing_file

Config = TypeVar("Config")


def to_dict(config: Any) -> dict[str, Any]:
    """Turn a dataclass instance into plain dicts, lists, strings and numbers."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_dict(cls: type[Config], values: dict[str, Any], prefix: str = "") -> Config:
    """Build `cls` from what `to_dict` returned or a YAML file held."""
    if not isinstance(values, dict):
        what, shown = prefix.rstrip(".") or "the config", reprlib.repr(values)
        raise UserError(f"{what} is {shown}; it must be a mapping")
    hints = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    unknown = [f"{prefix}{name}" for name in values if name not in names]
    if unknown:
        raise UserError(f"unknown field {unknown[0]} in the config; there are: {', '.join(names)}")
    built = {name: _typed(value, hints[name], f"{prefix}{name}") for name, value in values.items()}
    missing = [
        f"{prefix}{field.name}"
        for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        if field.name not in built
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UserError(f"the config lacks the field {missing[0]}")
    return cls(**built)


def save(config: Any, path: Path | str) -> None:
    """Write a dataclass instance as YAML."""
    import yaml

    with atomic_write(path, "w") as file:
        yaml.safe_dump(to_dict(config), file, sort_keys=False)


def load(cls: type[Config], path: Path | str) -> Config:
    """Read a YAML file written by `save` or by hand."""
    import yaml

    path = existing_file(path, "config")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"config {str(path)!r} is not YAML: {reason}") from None
    try:
        return from_dict(cls, values)
    except UserError as error:
        raise UserError(f"config {str(path)!r}: {error}") from None


def differences(old: Any, new: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Return every field that differs, by its dotted name, with the old and the new value."""
    found: dict[str, tuple[Any, Any]] = {}
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if dataclasses.is_dataclass(before) and type(before) is type(after):
            found |= differences(before, after, f"{prefix}{field.name}.")
        elif before != after:
            found[f"{prefix}{field.name}"] = (before, after)
    return found


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _typed(value: Any, hint: Any, name: str) -> Any:
    """Convert a YAML value to the annotated type or raise a `UserError` that names the field."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _typed_union(value, arguments, name)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, f"{name}.")  # type: ignore[arg-type]
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [arguments[0]] * len(value) if arguments[-1] is ... else list(arguments)
        if len(kinds) == len(value):
            return tuple(_typed(v, k, name) for v, k in zip(value, kinds, strict=True))
    if hint in (str, bool) and isinstance(value, hint):
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:  # YAML 1.1 reads 3e-4, without a point, as a string
            return float(value)
        except ValueError:
            pass
    raise UserError(f"{name} is {value!r}; it must be {_described(hint)}")


def _typed_union(value: Any, kinds: tuple[Any, ...], name: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        try:
            return _typed(value, kind, name)
        except UserError:
            continue
    raise UserError(f"{name} is {value!r}; it must be {' or '.join(map(_described, kinds))}")


def _described(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    if hint is type(None):
        return "null"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a string",
            Path: "a path"}.get(hint, str(hint))  # fmt: skip
