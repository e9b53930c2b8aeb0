"""Why a message about alerts did not arrive."""

from __future__ import annotations


class DeliveryError(Exception):
    """A message was not taken; `str()` says what the receiver or the SMTP server said, without any secret."""

    reason = "delivery_failed"
