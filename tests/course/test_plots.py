import subprocess
import sys

import pytest

from course.plots import plot_curves, thinned

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_same_curves_give_the_same_png(tmp_path):
    curves = {"training": ([1, 2, 3], [3.0, 2.0, 1.5]), "held-out": ([3], [1.6])}
    for name in ("a.png", "b.png"):
        plot_curves(tmp_path / name, curves, "step", "loss", "a run", horizontal={"gzip": 2.5})
    a, b = (tmp_path / "a.png").read_bytes(), (tmp_path / "b.png").read_bytes()
    assert a.startswith(PNG)
    assert a == b
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("log", [True, False])
def test_nothing_to_draw_and_odd_numbers_still_draw(tmp_path, log):
    assert plot_curves(tmp_path / "empty.png", {}, "x", "y").exists()
    curves = {"odd": ([1, 2, 3, 4], [1.0, float("nan"), float("inf"), 2.0])}
    path = plot_curves(tmp_path / "odd.png", curves, "x", "y", log_x=log, points=True)
    assert path.read_bytes().startswith(PNG)


@pytest.mark.parametrize("count", [1, 9, 32, 90])
def test_any_number_of_curves_leaves_room_for_the_plot(tmp_path, count):
    curves = {f"feed-forward=swiglu,seed={i}": ([0, 1, 2], [i, i / 2, 1]) for i in range(count)}
    plot_curves(tmp_path / "many.png", curves, "step", "loss")  # matplotlib warns if there is none


def test_thinned_keeps_few_points_as_they_are_and_averages_many():
    assert thinned(([1, 2], [5.0, 6.0])) == ([1, 2], [5.0, 6.0])
    assert thinned(([], [])) == ([], [])
    x, y = thinned((list(range(1000)), [float(i % 2) for i in range(1000)]), most=100)
    assert len(x) == 100
    assert x[0] == 4.5
    assert set(y) == {0.5}


def test_importing_the_module_imports_no_matplotlib():
    code = "import sys, course.plots; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
