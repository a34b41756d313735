"""The version, in a room of its own: whoever needs it does not import what `assembler` offers to programs."""

__version__ = "0.1.0"
