"""Settings as JSON and back, the same for every kind of job."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

from kencore.errors import SpecError
from kencore.system.plain_json import parse_json

if TYPE_CHECKING:
    from dataclasses import Field


class JsonSettings:
    """A frozen dataclass of settings that goes to JSON and back without loss."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    remedy: ClassVar[str] = "Fill it in."  # where a field without a default is missing

    def to_json(self) -> str:
        """Sorted, so that equal settings are equal text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`.

        Raises:
            SpecError: not JSON, not an object, or a field that is not a setting.
        """
        try:
            data = parse_json(text)
        except ValueError as error:
            raise SpecError(
                "settings",
                got=f"text that is not JSON ({error})",
                wanted="a JSON object",
                remedy="Pass what to_json() returned.",
            ) from None
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Settings from plain values, as a form or a JSON file gives them. Raises as `from_json`,
        and for a field without a default that is missing.
        """
        if not isinstance(data, dict):
            raise SpecError(
                "settings", got=type(data).__name__, wanted="a JSON object", remedy="Pass what to_json() returned."
            )
        known = {field.name: field.default is MISSING for field in fields(cls)}
        unknown = sorted(set(data) - known.keys())
        missing = sorted(name for name, needed in known.items() if needed and name not in data)
        if unknown or missing:
            raise SpecError(
                "settings",
                got=f"unknown {', '.join(unknown)}" if unknown else f"no {', no '.join(missing)}",
                wanted=f"fields among {', '.join(sorted(known))}",
                remedy="Check the spelling." if unknown else cls.remedy,
            )
        return cls(**data)
