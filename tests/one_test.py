"""One test of many things that all keep one rule, and that names each that breaks it.

A rule of a line is checked in microseconds; a test of its own for each thing takes a
thousand times as long to collect, to run and to report.
"""


def one_test_of(items, name=str):
    """Decorate a test of one item, which becomes a test of all of them."""

    def decorate(test):
        def of_all():
            broken = []
            for item in items:
                try:
                    test(item)
                except AssertionError as error:
                    broken.append(f"{name(item)}: {error}")
            assert not broken, "\n".join(broken)

        of_all.__name__, of_all.__doc__ = test.__name__, test.__doc__
        return of_all

    return decorate
