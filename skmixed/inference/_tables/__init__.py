"""The tables of inference: frames that know what they are."""
