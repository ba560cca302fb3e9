"""Looking into a network: what its layers give, how many parameters they have and how much they compute."""

from .macs import count_macs
from .summary import Row, Summary, summary

__all__ = ["Row", "Summary", "count_macs", "summary"]
