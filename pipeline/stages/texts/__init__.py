"""Stages that embed texts which are no captions of a set."""
