"""The prepared run that the tests of planning have."""

from tests.wrapper.planning.conftest import run as run
