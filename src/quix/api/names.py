"""Names and passwords in bodies, as the description tells them; `quix.server.accounts` checks them, and says what is
wrong in words that a person can use."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

ShortName = Annotated[str, Meta(extra_json_schema={"pattern": r"^(?!\.\.?$)[A-Za-z0-9._-]{1,64}$"})]
"""Of a user or a personal token."""

Password = Annotated[str, Meta(extra_json_schema={"minLength": 8, "maxLength": 1024})]
