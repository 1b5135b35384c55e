"""A primary can be cut off; where the tests run as root, and with the tools for it."""

import subprocess

import pytest

from tests.faults import cut_off, network


@pytest.mark.skipif(not network.is_possible(), reason='no network of our own here')
def test_a_primary_that_is_cut_off_is_followed_by_another() -> None:
    pytest_again = ['-m', 'pytest', '-n', '0', '-p', 'no:cacheprovider', cut_off.__file__]

    done = subprocess.run(network.inside(pytest_again), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert '1 passed' in done.stdout
