"""The one thread that computes: a fair queue, batches, prefix reuse, cancellation.

Two kinds of work alternate on the engine thread, so that a long prompt never
freezes those who are already being answered:

* decode: every text under way gets its next token, all in one pass over the weights;
* prefill: one chunk of one waiting prompt, the owners in turn.

A text that ends leaves its key/value cache behind, for its owner alone: the next
prompt that begins alike takes it over and computes only what differs.

    thread           the loop of these two: start here
    job              what is to be computed, and the ticket that its owner holds
    calls            the wait for one pass, or for a function that runs on the engine thread
    interface        what a chapter may ask of all this
    admission        which jobs start: those whose cache fits beside the others'
    fair_queue       several owners in turn
    prefill_budget   how much of a prompt is read while others wait for a token
    prefix_cache     caches kept between two jobs
    variants         one text in many variants, several in a pass
    ctrl_c           the first Ctrl-C ends the work, the second the program
"""

from capot.engines.scheduler.ctrl_c import cancel_on_ctrl_c
from capot.engines.scheduler.interface import SchedulerLike
from capot.engines.scheduler.job import Drawing, Job, PassResult, Ticket, WrittenJob
from capot.engines.scheduler.prefill_budget import MAX_BATCH
from capot.engines.scheduler.thread import CACHE_BUDGET, ENGINE_LOCK, Scheduler

__all__ = [
    "CACHE_BUDGET",
    "ENGINE_LOCK",
    "MAX_BATCH",
    "Drawing",
    "Job",
    "PassResult",
    "Scheduler",
    "SchedulerLike",
    "Ticket",
    "WrittenJob",
    "cancel_on_ctrl_c",
]
