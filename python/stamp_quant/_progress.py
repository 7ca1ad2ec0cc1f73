"""Progress bars of tqdm for the work of the library."""

from . import _native


def show_progress(on=True):
    """Shows progress with tqdm (on, where it is installed), or as the command line does (off)."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        on = False
    if not on:
        _native._set_progress(None)
        return
    bars = {}

    def report(work, label, unit, done, total, last):
        bar = bars.get(work)
        if bar is None:
            bar = bars[work] = tqdm(desc=label, total=total, unit=" " + unit, leave=False, delay=2)
        bar.update(done - bar.n)
        if last:
            bars.pop(work).close()

    _native._set_progress(report)
