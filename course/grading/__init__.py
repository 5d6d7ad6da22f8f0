"""Grading: the same tests for the references and for a student's stubs, and messages that teach.

A graded test looks like this, in `tests/<assignment>/test_<problem>.py`:

    @pytest.mark.problem("rope", points=2, needs=["linear"])
    def test_far_positions(adapters):
        received = adapters.run_rope(...)
        check.close(received, expected, what="rope at position 4093", hint="angles in float32",
                    rtol=0, atol=1e-6)

It must be deterministic and must not import the reference. Points of a parametrized test are shared
by its cases. `seconds=` gives it a time limit of its own.

    plugin          hooks of pytest, loaded by `-p course.grading.plugin`
    selection       what `pytest assignment1_basics` stands for
    graded          marks: problems, points, order
    implementation  the adapters under test: reference, student's, either with some replaced
    guard/          what the handout forbids, while a student's code runs; `rules` are its data
    check, show     comparisons, and values as a message shows them
    failure         from an exception to one line, a hint and details
    scores, report  points, who is to blame, the blocks and the table; `gradescope` writes JSON
    catalogue       classic mistakes, and right answers by other roads
    naming          which mistake a failure is
    session, suite  a run of pytest, and a second one inside it for the tests of the tests
    timelimit       endless loops
    shapes          jaxtyping's checks for the references
"""
