#!/usr/bin/env bash
# jaxtyping 0.3.11 with beartype 0.23.1: in a package that pytest's --jaxtyping-packages checks, calling a function that defines another
# one in two threads leaves the process's warnings changed; a warning raised afterwards never reaches the recorder that waits for it.
#
# Expected: functions are decorated when their module is imported, and a recorder of warnings that is entered before two threads begin
# and left after they end records what is raised in between.
# Seen: a function inside a function is decorated anew at each call, and decorating enters warnings.catch_warnings, which is not safe in
# threads. After two threads have overlapped in it, the recorder gets nothing. Without the option it records the warning each time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet jaxtyping==0.3.11 beartype==0.23.1 numpy==2.4.6 pytest==9.0.2

cd "$folder"
mkdir package
cat > package/__init__.py <<'PY'
def total(numbers: list[int]) -> int:
    def doubled(number: int) -> int:
        return 2 * number

    return sum(doubled(number) for number in numbers)
PY
cat > test_warning.py <<'PY'
import threading
import warnings

import pytest

from package import total


def work():
    for _ in range(200):
        assert total([1, 2, 3]) == 12


@pytest.mark.parametrize("again", range(20))
def test_a_warning_after_two_threads_is_recorded(again):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        warnings.warn("after the threads")
    assert len(caught) == 1
PY
tests() {
    venv/bin/python -m pytest -q -p no:cacheprovider --import-mode=importlib -o pythonpath=. "$@" 2>&1 | tail -1
}
without=$(tests || true)
with=$(tests --jaxtyping-packages=package,beartype.beartype || true)
echo "without jaxtyping's checks: $without"
echo "with jaxtyping's checks: $with"
[[ $without == "20 passed"* && $with == *" failed"* ]]
