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
# # 010 Class code: unique codes, and a sequence to number them
#
# The database shall refuse a second class with the same `class_code`, and hand out numbers for new codes that no two sessions can get. Six small steps bring a live `classes` table there.
#
# **Locks and time.** Two steps take ACCESS EXCLUSIVE on `classes`, for 1 to 2 ms each, and never wait in the lock queue. The index is built concurrently: about 10 s per 10 million rows, and as long as the oldest open writer. Reads and writes go on throughout.
#
# **Before the window.** Every writer must store NULL, not `''`, for a class without a code. The change's README lists what was corrected in the specification and why.

# %% [markdown]
# ## Operation note
#
# For the operator: write ticket, window, who is on call and anything unusual here, and save. It stays with this notebook; the reasons that you give at the gates go into the record.

# %% [markdown]
# ## Parameters
#
# Safe defaults. The target and all secrets come from the environment (`PGRUNBOOK_TARGET`, a service file, `.pgpass`), never from a cell. Without a target this is a rehearsal.

# %% tags=["parameters"]
change = "010_class_code"
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
# What stands in the way? Each check is a query whose rows are the problem, and the tables below show them. In a rehearsal you should see **NO-GO**: duplicates and blanks were planted. In a live window you want **GO**. If it says NO-GO there: two of the checks have a remedy below; what the others find has to be repaired by hand first.
#
# *Corrected:* the specification counted blank codes as duplicates and told you to stop; blanks have a check of their own here, and NULLs are only counted.

# %%
runbook.preflight()

# %% [markdown]
# ## Remedy
#
# A remedy repairs what a check found, in batches, and keeps every old value in quarantine (`pgrunbook.quarantine`). Where its check found nothing, its gate is not asked, and these cells say `nothing to repair`.
#
# ### Duplicates
#
# The specification stops here for a business decision. This remedy makes the mildest one: the oldest class keeps its code, each later one gets `CODE-DUP-id`. The preview is tried and taken back, and it proves that undo gives every row back. If that is not what the business wants, repair the rows by hand.

# %%
runbook.preview("10_duplicate_codes")

# %% [markdown]
# Its gate. You should see `open`. In a live window type `APPLY` and press GO; NO-GO ends Run All here, and no row is changed.

# %%
await runbook.gate("10_duplicate_codes")

# %% [markdown]
# You should see how many rows were repaired. Stop it at any time: whole batches stay repaired, and running the cell again does the rest.

# %%
await runbook.remedy("10_duplicate_codes")

# %% [markdown]
# ### Blanks
#
# `''` and blanks become NULL.
#
# *Corrected:* the specification let `''` repeat through a partial index, and a partial index cannot become a constraint (42809).

# %%
runbook.preview("20_blank_codes")

# %% [markdown]
# Its gate. You should see `open`. In a live window type `APPLY` and press GO; NO-GO ends Run All here, and no row is changed.

# %%
await runbook.gate("20_blank_codes")

# %% [markdown]
# You should see how many rows were repaired.

# %%
await runbook.remedy("20_blank_codes")

# %% [markdown]
# ### Audit again
#
# Now you should see **GO**. While it says NO-GO no gate of a step opens, whatever cell you run: repair what the tables show, and run this cell again.

# %%
runbook.preflight()

# %% [markdown]
# ## Rehearse
#
# Every file runs on a clone of this schema, forwards and backwards, on the embedded server; your database is only read. The locks that each file really takes stand beside those that its header declares. You should see `every lock as declared` and `the way back restores the catalog`. If not, do not go on: the change does something that its author did not know.

# %%
await runbook.rehearse()

# %% [markdown]
# ## Before: what lookups cost
#
# The query that the application runs most, 25 times. You should see its median and range in milliseconds, and how PostgreSQL finds the row; the picture is drawn again after the change.

# %%
runbook.time_before()

# %% [markdown]
# ## Step 001: the sequence
#
# Creates `class_code_seq`, owned by the column, and moves it past every existing number.
#
# *Corrected:* the specification started at 1001 whatever was there, so `XYZ1005` was issued again; and its query for the highest number overflowed on timestamp codes (22003).
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
# ## Step 001a: no more blanks
#
# From here on `''` is refused (23514); rows that are there are not read yet, so the lock lasts a millisecond or two.
#
# The file as it will be sent:

# %%
runbook.sql("001a")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("001a")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("001a")

# %% [markdown]
# ## Step 001b: prove it for old rows
#
# Reads the table once while reads and writes go on.
#
# The file as it will be sent:

# %%
runbook.sql("001b")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("001b")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("001b")

# %% [markdown]
# ## Step 002: the unique index
#
# Built concurrently, outside a transaction. It waits for open writers, and blocks none.
#
# *Corrected:* the specification dropped the old index first, which blocks everybody behind the oldest reader and leaves lookups without an index. Here the old index goes last.
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
# ## Step 003: the constraint
#
# The index becomes the constraint `class_code_unique`, and takes its name.
#
# *Corrected:* the specification expected the lock to last 2 to 5 seconds. It lasts 1 to 2 ms; what used to hurt was waiting for it in the queue.
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
# ## Step 004: the old index
#
# `idx_classes_class_code` is not needed any more.
#
# The file as it will be sent:

# %%
runbook.sql("004")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("004")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("004")

# %% [markdown]
# ## Verify
#
# Each step's promise, asked again. You should see `all promises hold`. A broken promise shows the rows that break it: roll back to the step before it, or ask the change's author, before you close the window.
#
# *Corrected:* the specification looked in `pg_indexes`, which lists an invalid index like any other and has no column `indisvalid` (42703).

# %%
runbook.verify()

# %% [markdown]
# Any SELECT can be asked beside it, read-only. In the sample data you should see two real classes whose codes only look like test data.
#
# *Corrected:* the specification tested with rows that it then deleted with `LIKE 'TEST%'`, which deletes these classes too, and reset the sequence to 1000, which issues existing numbers again. The verify files write nothing.

# %%
runbook.read("SELECT class_id, class_code FROM classes WHERE class_code LIKE 'TEST%' ORDER BY class_code")

# %% [markdown]
# ## What it cost
#
# The same query before and after. You should see `every expectation holds`. If one is missed, the change stands and is correct, but lookups cost more than promised: look at the plan in the picture.

# %%
runbook.time_after()

# %% [markdown]
# Who waited for whom while the steps ran, sampled ten times a second from `pg_locks`. You should see `nobody stalled`: nobody waited for us longer than the budget.

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
# Only if you must. In a live window this gate asks too: NO-GO keeps the change and goes on to the record; `ROLL BACK` and GO undo the steps after 002. The constraint goes, the unique index stays, and codes are never unprotected. To go back further, answer NO-GO, name another step in this cell and the next (`gate("rollback")` and `roll_back()` undo everything), and run both again: a GO counts for as far as it says, no more and no less.
#
# A rehearsal goes back and then forward again, to show that both ways work.

# %%
await runbook.gate("rollback to 002")

# %% [markdown]
# You should see 004 and both parts of 003 rolled back, or that the change stays.

# %%
await runbook.roll_back(to="002")

# %% [markdown]
# A rehearsal applies 003 and 004 again. A live database stays as you left it: to apply again what you rolled back, go to that step's gate; its GO was taken back.

# %%
await runbook.forward_again()

# %% [markdown]
# The board of the run. You should see every step `done`, or what you rolled back as `rolled back`, and what to run next. It can be shown at any time: after a restart of the kernel run the cells down to Bind, then `runbook.status()` in a new cell; it tells what became of each step and which cell goes on.

# %%
runbook.status()

# %% [markdown]
# ## Record
#
# One HTML file: what was found, decided, done and proved, with the hash chain of the ledger. It needs no network and no notebook to be read. If Run All ended early, run this cell all the same: the record says how far it went. `pgrunbook record 010_class_code` writes it again from the ledger.

# %%
runbook.record()
