"""The filter's numbers for aarch64, whose machine no test runs on, beside the kernel's own table."""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.isolation.syscalls import ARCHITECTURES

_TABLE = Path(__file__).with_name("generic_calls.txt")
_GROUPS = ("denied", "past_borders", "file_modes", "file_attributes")
_SCHEDULERS = ("sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr")
_UNIFIED_FROM = 424
"""From here on a call has the same number on all machines."""


@pytest.fixture(scope="module")
def generic() -> Mapping[str, int]:
    """Names and numbers of the generic table."""
    text = re.sub("(?m)^#.*", "", _TABLE.read_text())
    return {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", text)}


def numbers(machine: str) -> dict[str, int]:
    """All that the filter has for a machine, by the calls' names."""
    arch = ARCHITECTURES[machine]
    single = {
        field.name: getattr(arch, field.name)
        for field in fields(arch)
        if field.name not in (*_GROUPS, "audit", "schedulers")
    }
    found = dict(zip(_SCHEDULERS, arch.schedulers, strict=True)) | single
    for group in _GROUPS:
        found |= getattr(arch, group)
    return found


def test_every_number_for_aarch64_is_the_kernels(generic: Mapping[str, int]) -> None:
    """A wrong one would leave its call open and close another."""
    assert numbers("aarch64") == {name: generic.get(name) for name in numbers("aarch64")}


@pytest.mark.parametrize("group", _GROUPS)
def test_what_is_treated_on_one_machine_is_on_the_other(
    generic: Mapping[str, int], group: str
) -> None:
    """But for calls that aarch64 never had."""
    ours, theirs = (getattr(ARCHITECTURES[machine], group) for machine in ("aarch64", "x86_64"))
    assert set(ours) == set(theirs) & set(generic)


def test_newer_calls_have_one_number(generic: Mapping[str, int]) -> None:
    """So one table checks the newer half of x86_64 too."""
    newer = {name: n for name, n in numbers("x86_64").items() if n >= _UNIFIED_FROM}
    assert len(newer) > 20
    assert newer == {name: generic.get(name) for name in newer}
