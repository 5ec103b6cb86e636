# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # {{change}}: one line that says what is different afterwards
#
# Who needs this, and what the database promises once it is applied.
#
# **Locks and time.** Which steps take which lock on which live table, for how long.

# %% [markdown]
# ## Operation note
#
# For the operator: write ticket, window, who is on call and anything unusual here, and save. It stays with this notebook; the reasons that you give at the gates go into the record.

# %% [markdown]
# ## Parameters
#
# Safe defaults. The target and all secrets come from the environment, never from a cell.

# %% tags=["parameters"]
change = "{{change}}"
stall_budget_ms = 100  # nobody waits longer than this because of us
approvals = 1  # people who have to approve each step
window_ends = None  # "04:00" or "2026-11-22 04:00": no step begins that would not be done by then

# %% [markdown]
# ## Bind
#
# Where are we, and as whom? You should see the change, the target, and `(rehearsal)` or `(LIVE)`. If the place is not the one you meant, stop here: nothing was touched.

# %%
from pgrunbook import Runbook

runbook = Runbook.open(change, stall_budget_ms=stall_budget_ms, approvals=approvals, window_ends=window_ends)
runbook

# %% [markdown]
# ## Preflight
#
# What stands in the way? In a rehearsal you should see **NO-GO**: the obstacles were planted. In a live window you want **GO**.

# %%
runbook.preflight()

# %% [markdown]
# ## Remedy
#
# Each remedy is previewed, approved and run; old values go to quarantine. Where its check found nothing, its gate is not asked, and these cells say `nothing to repair`.

# %%
runbook.preview("10_missing_labels")

# %% [markdown]
# Its gate. You should see `open`. In a live window type `APPLY` and press GO; NO-GO ends Run All here, and no row is changed.

# %%
await runbook.gate("10_missing_labels")

# %% [markdown]
# You should see how many rows were repaired.

# %%
await runbook.remedy("10_missing_labels")

# %% [markdown]
# Audit again. Now you should see **GO**. While it says NO-GO no gate of a step opens.

# %%
runbook.preflight()

# %% [markdown]
# ## Rehearse
#
# Every file on a clone of this schema. You should see `every lock as declared` and `the way back restores the catalog`.

# %%
await runbook.rehearse()

# %% [markdown]
# ## Before: what queries cost
#
# You should see the median and the range of each query.

# %%
runbook.time_before()

# %% [markdown]
# ## Step 001: refuse missing labels
#
# What it does, in one sentence.
#
# The file as it will be sent:

# %%
runbook.sql("001")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("001")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("001")

# %% [markdown]
# ## Step 002: prove it for old rows
#
# What it does, in one sentence.
#
# The file as it will be sent:

# %%
runbook.sql("002")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("002")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("002")

# %% [markdown]
# ## Step 003: the index
#
# What it does, in one sentence.
#
# The file as it will be sent:

# %%
runbook.sql("003")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("003")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("003")

# %% [markdown]
# ## Verify
#
# You should see `all promises hold`.

# %%
runbook.verify()

# %% [markdown]
# ## What it cost
#
# You should see `every expectation holds`.

# %%
runbook.time_after()

# %% [markdown]
# You should see that nobody waited for us longer than the budget.

# %%
runbook.lock_waits()

# %% [markdown]
# How the index builds went, phase by phase. You should see each phase, or that the build was over before anybody could look; a phase that waited names the session it waited for.

# %%
runbook.index_builds()

# %% [markdown]
# What is larger now. You should see the table as it was, and its indexes with one more or one fewer.

# %%
runbook.sizes()

# %% [markdown]
# ## Roll back
#
# Only if you must. In a live window this gate asks too: NO-GO keeps the change and goes on to the record; `ROLL BACK` and GO undo every step. A rehearsal goes all the way back, and forward again.

# %%
await runbook.gate("rollback")

# %% [markdown]
# You should see every step undone, or that the change stays.

# %%
await runbook.roll_back()

# %% [markdown]
# A rehearsal applies every step again. A live database stays as you left it.

# %%
await runbook.forward_again()

# %% [markdown]
# The board of the run. You should see every step `done`, or what you rolled back as `rolled back`, and what to run next. It can be shown at any time: after a restart of the kernel run the cells down to Bind, then `runbook.status()` in a new cell; it tells what became of each step and which cell goes on.

# %%
runbook.status()

# %% [markdown]
# ## Record
#
# One HTML file: what was found, decided, done and proved.

# %%
runbook.record()
