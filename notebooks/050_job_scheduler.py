# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 050 Job scheduler: jobs that come back on time, are started once, and survive their worker
#
# Four tables and seven functions: jobs with priorities and schedules, their executions, one row of configuration with a kill switch and a cap, and the recipes that may not come back yet. Any number of workers poll one queue; none of their jobs is started twice, no more run at a time than the cap says, 20:00 stays 20:00 when the clocks change, and what a dead worker had is given back.
#
# **Locks and time.** Everything is new; a few milliseconds a step. Only 005a touches a table that is there, `users`, for two foreign keys of empty tables: writers of `users` wait some milliseconds, readers do not.
#
# **Before the window.** `users` with an integer key and the function `update_updated_at_column()` have to be there. The scheduler is made switched off; step 013 counts what was made and switches it on. The change's README lists what was decided where the specification leaves it open, and what was corrected.

# %% [markdown]
# ## Operation note
#
# For the operator: write ticket, window, who is on call and anything unusual here, and save. It stays with this notebook; the reasons that you give at the gates go into the record.

# %% [markdown]
# ## Parameters
#
# Safe defaults. The target and all secrets come from the environment (`PGRUNBOOK_TARGET`, a service file, `.pgpass`), never from a cell. Without a target this is a rehearsal.

# %% tags=["parameters"]
change = "050_job_scheduler"
stall_budget_ms = 100  # nobody waits longer than this because of us
approvals = 1  # people who have to approve each step
window_ends = None  # "04:00" or "2026-11-22 04:00": no step begins that would not be done by then

# %% [markdown]
# ## Bind
#
# Where are we, and as whom? You should see the change, the target, and `(rehearsal)` or `(LIVE)`; for a live target also server, role and cluster. If the place is not the one you meant, stop here: nothing was touched.

# %%
from pgrunbook import Runbook

runbook = Runbook.open(change, stall_budget_ms=stall_budget_ms, approvals=approvals, window_ends=window_ends)
runbook

# %% [markdown]
# ## Preflight
#
# What stands in the way? You should see **GO**: the server is 15 or newer, the schema may be written, `users` and the function are what this change builds on, and nothing else has its names. A check that found rows shows them, and what to do.

# %%
runbook.preflight()

# %% [markdown]
# ## Checklist
#
# What nobody can read from a catalog: backup, dependencies, staging, maintenance mode. In a live window tick each item and put your name to it; while one is open no gate of a step opens. A rehearsal ticks them itself and says so. You should see all of them ticked.

# %%
await runbook.checklist("before")

# %% [markdown]
# ## Rehearse
#
# Every file runs on a clone of this schema, forwards and backwards, on the embedded server; your database is only read. You should see `every lock as declared` and `the way back restores the catalog`. If not, do not go on: the change does something that its author did not know.

# %%
await runbook.rehearse()

# %% [markdown]
# ## Steps 001 and 002: the configuration and the calendar
#
# One row for all jobs: the kill switch, off for now, the cap, the zone, the lease and the retry policy. And the function that says when a job is due next.
#
# *Corrected:* `CHECK (id = 1)` alone lets the same row in again and again: the primary key makes it one. A next time without a zone depends on who asks.
#
# The files as they will be sent:

# %%
runbook.sql("001", "002")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("001", "002")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("001", "002")

# %% [markdown]
# ## Steps 003 to 005a: jobs, executions, recipes
#
# A job that runs has one of the slots 1 to `max_concurrent_jobs`; a unique index over the slots makes the cap exact, whoever starts it. Starting a job changes no indexed column, so that its row stays on its page.
#
# *Corrected:* an index on the recent 30 days cannot be made (42P17), and would be wrong the day after; ours serves any cooldown.
#
# The files as they will be sent:

# %%
runbook.sql("003", "004", "005", "005a")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("003", "004", "005", "005a")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("003", "004", "005", "005a")

# %% [markdown]
# ## Steps 006 to 009: the life of a job
#
# How an execution ends, well or badly, how a job is started, and which one is next. A recurring job gets its next regular time when it ends; one that failed is tried again after 60, 120 and 240 s.
#
# *Corrected:* a job that is `completed` for ever does not come back; three attempts never wait 240 s; and two statements run jobs twice, as you will see below.
#
# The files as they will be sent:

# %%
runbook.sql("006", "007", "008", "009")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("006", "007", "008", "009")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("006", "007", "008", "009")

# %% [markdown]
# ## Steps 010 to 012: recipes, and a call to workers
#
# Recipes that were used lately, and a trigger that wakes the workers when there is something to do, so that a retry after 60 s does not wait for the poll after it.
#
# *Corrected:* with parameters named as the columns `user_id = user_id` holds for every row, and shows every user's recipes.
#
# The files as they will be sent:

# %%
runbook.sql("010", "011", "012")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("010", "011", "012")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("010", "011", "012")

# %% [markdown]
# ## Step 013: count, and switch on
#
# Tables, indexes and functions are counted: 4, 13, 7. One too few is an error, and not a NOTICE; then the scheduler is switched on.
#
# The file as it will be sent:

# %%
runbook.sql("013")

# %% [markdown]
# What has to be looked at before jobs start by themselves. You should see it ticked.

# %%
await runbook.checklist("before 013")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("013")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("013")

# %% [markdown]
# ## Verify
#
# Each step's promise, asked again: columns, constraints, indexes, functions to the byte, triggers, the one row of configuration. You should see `all promises hold`. A broken promise shows what differs: roll back, or ask the change's author, before you close the window.

# %%
runbook.verify()

# %% [markdown]
# The tables, and the foreign keys between them, drawn from the catalog as it is now. You should see four tables of this change beside `users`.

# %%
runbook.diagram()

# %% [markdown]
# ## No job runs twice
#
# The specification's claim is two statements: ask for the next job, then start it. `FOR UPDATE SKIP LOCKED` is to keep workers apart, but its lock ends with the statement that took it. Eight pollers and 200 jobs, once with the specification's functions and once with ours, on the embedded server, in a database that is dropped again.
#
# You should see jobs that ran twice as specified, and 0 with ours: in two statements the one who comes too late gets NULL, and in one statement nobody does. Anything else: do not let workers in, and keep the record for the change's author.

# %%
from pgrunbook.workloads.job_desk import JobDesk

desk = JobDesk.of(runbook)
desk.twice()

# %% [markdown]
# Sixteen pollers at one moment, five times over. You should see more than the cap as specified, where nothing in the logic knows of it, also when each poller counts first; and 5 in every round with ours.

# %%
desk.cap()

# %% [markdown]
# ## Schedules keep their time of day
#
# When is a job due next, around the Sundays on which the clocks change? The functions of this target are asked; nothing is written. You should see 16 of 18 schedules at their time of day. The other two ask for 02:15 on a day that leaves it out, and come later that night: an hour in New York, half an hour on Lord Howe. A time that the clocks repeat counts once.

# %%
desk.calendar()

# %% [markdown]
# ## A worker
#
# The application's side, in Python: `pgrunbook.workloads.job_worker`. It claims in one statement, listens for calls, renews its leases and says how jobs ended. On a live target these cells start nothing and say so.
#
# You should see five jobs in the order of their priorities: one of each type, and one that another made due when it was done. The synchronisation fails, because one of its sources does not answer here, and is tried again after 60 s.

# %%
await desk.examples()

# %% [markdown]
# A worker in a process of its own is killed with a job at work, as by `kill -9`. You should see its attempt end as `worker lost`, once its lease of one second was over, and another worker do the job. Without leases it would run for ever, and hold its slot.

# %%
await desk.lost_worker()

# %% [markdown]
# The queue as it is now; it only reads, on any target, at any time. You should see no slot taken, seven jobs that wait for their times, one of them with an error. A job that is due for long: look whether workers are there and slots are free. A lease that is over: the next poll gives the job back.

# %%
desk.queue()

# %% [markdown]
# ## What it cost
#
# Who waited for whom while the steps ran, sampled ten times a second from `pg_locks`. You should see `nobody stalled`.

# %%
runbook.lock_waits()

# %% [markdown]
# What one question for the next job reads while 100 to 30,000 jobs are due, counted by the server itself, on the embedded one. You should see the index read once and the table never, however many wait; the times, ours and as specified, are in the picture.

# %%
desk.polling()

# %% [markdown]
# ## Roll back
#
# Only if you must: **rolling back drops the tables and every row in them**, backups excepted. The scheduler is switched off first, in a transaction of its own; running jobs get up to five seconds to end, and those that do not are named.
#
# A rehearsal leaves one job running, for the rollback to meet. You should see its name.

# %%
desk.leave_running()

# %% [markdown]
# Where rows are to be kept, the rollback copies the four tables under a tag, before it drops them. A rehearsal sets one. On a live target you should see the tag that the notebook was opened with (`PGOPTIONS='-c scheduler.backup_tag=before_050'`), or that nothing is copied: then open it again with one, or take a dump first.

# %%
desk.back_up_as("before_050")

# %% [markdown]
# The gate. In a live window it asks too: NO-GO keeps the change and goes on to the record; `ROLL BACK` and GO undo all steps. To stop all jobs and lose nothing, answer NO-GO and set `scheduler_config.enabled` to false.
#
# A rehearsal goes back to nothing and then forward again, to show that both ways work.

# %%
await runbook.gate("rollback")

# %% [markdown]
# You should see all steps rolled back, last first, or that the change stays. The wait for the job that nobody ends takes five seconds.

# %%
await runbook.roll_back()

# %% [markdown]
# What did the rollback say, and what did it keep? You should see the job that still ran, and four backups with their rows. On a live target its worker hears that its function is gone (42883): end it.

# %%
desk.rolled_back()

# %% [markdown]
# A rehearsal applies the steps again. A live database stays as you left it: to apply again what you rolled back, go to that step's gate; its GO was taken back.

# %%
await runbook.forward_again()

# %% [markdown]
# The board of the run. You should see every step `done`, or what you rolled back as `rolled back`, and what to run next. It can be shown at any time: after a restart of the kernel run the cells down to Bind, then `runbook.status()` in a new cell; it tells what became of each step and which cell goes on.

# %%
runbook.status()

# %% [markdown]
# ## After
#
# What is left for people: the scheduler is on, jobs of each type ran, nothing was late for a day. In a live window tick what is done now, and the rest later: `pgrunbook tick 050_job_scheduler monitoring="quiet"`. You should see the items ticked, or those that are open.

# %%
await runbook.checklist("after")

# %% [markdown]
# ## Record
#
# One HTML file: what was found, decided, done and proved, with the hash chain of the ledger. It needs no network and no notebook to be read. If Run All ended early, run this cell all the same: the record says how far it went. `pgrunbook record 050_job_scheduler` writes it again from the ledger.

# %%
runbook.record()
