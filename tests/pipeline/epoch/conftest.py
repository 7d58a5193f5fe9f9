"""Tests of ranks begin without those of a launcher."""

import pytest

VARIABLES = ("RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


@pytest.fixture
def no_launcher(monkeypatch):
    """Remove the variables in which launchers tell a process its rank."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
