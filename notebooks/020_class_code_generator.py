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
# # 020 Class code generator: codes from the database, without duplicates or gaps
#
# `next_class_code(client, type, subject)` shall issue codes such as `11-REALLL-RLN-0043`: the next number of that prefix, once, whoever asks at the same moment. Eight small steps bring a live `classes` table there. Codes that exist stay as they are.
#
# **Locks and time.** One step takes SHARE ROW EXCLUSIVE on `classes` (writers), for 1 to 2 ms, and never waits in the lock queue. The index is built concurrently: about 10 s per 10 million rows, and as long as the oldest open writer. Reads and writes go on throughout.
#
# **Before the window.** 010_class_code, or any valid unique constraint `class_code_unique`. Afterwards grant EXECUTE on the generator to those who create classes, and turn them over to it one by one: the change's README says how, and what was corrected in the specification.

# %% [markdown]
# ## Operation note
#
# For the operator: write ticket, window, who is on call and anything unusual here, and save. It stays with this notebook; the reasons that you give at the gates go into the record.

# %% [markdown]
# ## Parameters
#
# Safe defaults. The target and all secrets come from the environment (`PGRUNBOOK_TARGET`, a service file, `.pgpass`), never from a cell. Without a target this is a rehearsal.

# %% tags=["parameters"]
change = "020_class_code_generator"
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
# What stands in the way? Each check is a query whose rows are the problem. You should see **GO**. Among the checks: is the unique constraint there, does anything of these names exist in another shape, does a default, a trigger or a function give codes already, and has anybody used numbers that would drag a counter along.
#
# If it says NO-GO: there is no remedy that a machine should decide on here. The tables show the rows; repair them by hand, and run this cell again. While it says NO-GO no gate of a step opens.

# %%
runbook.preflight()

# %% [markdown]
# ## Rehearse
#
# Every file runs on a clone of this schema, forwards and backwards, on the embedded server; your database is only read. The locks that each file really takes stand beside those that its header declares. You should see `every lock as declared` and `the way back restores the catalog`. If not, do not go on: the change does something that its author did not know.

# %%
await runbook.rehearse()

# %% [markdown]
# ## Before: what searches cost
#
# The searches that the application runs, 25 times each. You should see their medians in milliseconds, and how PostgreSQL finds the rows; the picture is drawn again after the change.

# %%
runbook.time_before()

# %% [markdown]
# ## Step 001: the counters
#
# One row for each prefix: client, type and subject with their dashes, and the highest number that was issued.
#
# *Corrected:* the specification asked for the highest code each time, `ORDER BY class_code DESC LIMIT 1 FOR UPDATE`. The second session waits for that row, gets the same row again, and issues the same code. The race laboratory (`800_race_laboratory`) shows it, step by step.
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
# ## Step 002: the prefix
#
# A function that joins client, type and subject, and refuses parts that would make codes ambiguous.
#
# *Corrected:* the specification let a missing part pass (`11--`), a dash inside a part, and `LIKE` read `_` and `%` of a subject as patterns.
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
# ## Step 003: the guard's function
#
# It does nothing until step 004 puts it on the table.
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
# ## Step 004: the guard
#
# From here on a code never changes once it is there, and a code that somebody makes up himself lifts its counter. The statement waits for every open writer, without making anybody wait, so that no code slips in before the counters are filled.
#
# *Corrected:* the specification had nothing against writers that bypass the generator.
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
# ## Step 005: the counters are filled
#
# Reads the table once while reads and writes go on, and sets each counter to the highest number in use.
#
# *Corrected:* the specification took what stands behind the last dash, so `12-REALLL-RLN-2025-06-25-02-14` was number 14; and in text order `9999` comes after `10000`, which issues `10000` for ever.
#
# The file as it will be sent:

# %%
runbook.sql("005")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("005")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("005")

# %% [markdown]
# ## Step 006: the generator
#
# `next_class_code(client, type, subject)`: call it inside the INSERT. The counter stays locked until that transaction ends; a rollback gives the number back.
#
# The file as it will be sent:

# %%
runbook.sql("006")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("006")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("006")

# %% [markdown]
# ## Step 007: blocks of codes
#
# `next_class_codes(client, type, subject, 100)` reserves a hundred numbers in one update, for imports and for 1,000 users and more.
#
# *Corrected:* the specification kept blocks in Redis. A second store can forget what it gave out.
#
# The file as it will be sent:

# %%
runbook.sql("007")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("007")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("007")

# %% [markdown]
# ## Step 008: the index for searches by prefix
#
# Built concurrently, outside a transaction. It waits for open writers, and blocks none.
#
# *Corrected:* the specification's plain CREATE INDEX blocks every writer while it reads the table. And the index is for searches: the generator needs none.
#
# The file as it will be sent:

# %%
runbook.sql("008")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("008")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("008")

# %% [markdown]
# ## Verify
#
# Each step's promise, asked again. You should see `all promises hold`. A broken promise shows the rows that break it: roll back to the step before it, or ask the change's author, before you close the window.

# %%
runbook.verify()

# %% [markdown]
# Counters against codes, side by side; any SELECT can be asked like this, read-only. In the sample data you should see the counters of five prefixes with the highest numbers.

# %%
runbook.read("SELECT prefix, last_number FROM class_code_counters ORDER BY last_number DESC, prefix LIMIT 5")

# %% [markdown]
# ## What it cost
#
# The same searches before and after. You should see `every expectation holds`. If one is missed, the change stands and is correct, but searches cost more than promised: look at the plan in the picture.

# %%
runbook.time_after()

# %% [markdown]
# Who waited for whom while the steps ran, sampled ten times a second from `pg_locks`. You should see `nobody stalled`: nobody waited for us longer than the budget.

# %%
runbook.lock_waits()

# %% [markdown]
# How the index build went, phase by phase. You should see each phase, or that the build was over before anybody could look; a phase that waited names the session it waited for.

# %%
runbook.index_builds()

# %% [markdown]
# What is larger now. You should see the table as it was, with one more index.

# %%
runbook.sizes()

# %% [markdown]
# ## Create a class
#
# The application's side, in Python: `pgrunbook.workloads.class_codes`. It cleans the form, refuses what is wrong before any SQL, and saves the class with one INSERT that holds the code. On a live target these cells create nothing and say so.
#
# You should see the number of a fresh code. A `class_code` in the form, HACK here, is dropped and logged.

# %%
from pgrunbook.workloads.class_code_desk import ClassCodeDesk

desk = ClassCodeDesk.of(runbook)
desk.create({"client_id": 77, "class_type": "SKILLS", "class_subject": "NL4", "class_code": "HACK"})

# %% [markdown]
# The form, for a rehearsal with a person in front of it: fill it in, press Create, and see the code in a field that nobody can edit. Done ends it, and so does a minute without a touch. Without a person you should see that it was not shown.

# %%
await desk.form()

# %% [markdown]
# What if the counter is held by somebody who does not come back? A second session holds it here for longer than the lock timeout. You should see one session waiting, its blocker named, and the class saved all the same, with a timestamp code, counted and logged.
#
# *Corrected:* after an error the transaction of the specification's fallback is aborted (25P02), two fallbacks in a minute had the same code (23505), and no fallback helps when the database itself is away. Here a savepoint comes first, a suffix makes the code unique, and other failures stay failures.

# %%
form = {"client_id": 77, "class_type": "SKILLS", "class_subject": "NL4"}
desk.held_counter(form)

# %% [markdown]
# What was created at this desk. You should see two classes and one fallback; times are in the record. An alert is logged when fallbacks pass 0.1 % of a thousand creations or more.

# %%
desk.metrics()

# %% [markdown]
# Which classes have a timestamp code from a fallback? They keep it: a code that was printed does not change.

# %%
desk.fallback_codes()

# %% [markdown]
# ## Four ways that do not work
#
# Each is run in a database of its own on the embedded server, and dropped again.
#
# **Numbers from the client.** Two browsers see the same last number; and a browser can send any number it likes. You should see what became of it.

# %%
desk.antipattern("client-side numbers")

# %% [markdown]
# **Timestamps or UUIDs only.** Unique at best, but nobody can tell the order, count them, or read them out. You should see two codes of one minute collide.

# %%
desk.antipattern("timestamp or UUID alone")

# %% [markdown]
# **Lock files.** A mutex in the application guards one folder on one machine. You should see a killed process leave its lock behind, and two folders give one number twice.

# %%
desk.antipattern("lock files")

# %% [markdown]
# **Save first, number afterwards.** Two statements where one does, and between them a class without a code. You should see a reader find it, and a crash leave it.

# %%
desk.antipattern("code after the save")

# %% [markdown]
# ## How many users
#
# Sixteen writers and one hot prefix, eight hundred codes a method, in a scratch database. You should see no duplicate and no gap from the generator. Figures of this machine are in the picture; `800_race_laboratory` runs 1 to 64 writers.

# %%
from pgrunbook.workloads import contest

contest.small(codes=800)

# %% [markdown]
# What is enough for how many users, corrected: see the column on the specification.
#
# *Corrected:* locks on the last row are not sufficient for anybody, two users duplicate; sharding by prefix is what counter rows are; blocks come from PostgreSQL.

# %%
desk.scaling()

# %% [markdown]
# ## Watching it
#
# Who waits for a lock in a statement with `class_code` now, and for whom. You should see nobody.
#
# *Corrected:* the specification listed waiting statements without saying who blocks them.

# %%
desk.waits()

# %% [markdown]
# Which statements with `class_code` cost most, where `pg_stat_statements` is installed. Where it is not, as on the embedded server, you should see that it is not available here, and how to get it.

# %%
desk.slow_statements()

# %% [markdown]
# ## Roll back
#
# Only if you must. In a live window this gate asks too: NO-GO keeps the change and goes on to the record; `ROLL BACK` and GO undo the steps after 005. The generator goes, the guard and the counters stay. To go back further, answer NO-GO, name another step in this cell and the next (`gate("rollback")` and `roll_back()` undo everything), and run both again: a GO counts for as far as it says, no more and no less. Codes that were issued stay; counters that are emptied forget the numbers of deleted classes.
#
# A rehearsal goes back and then forward again, to show that both ways work.

# %%
await runbook.gate("rollback to 005")

# %% [markdown]
# You should see 008, 007 and 006 rolled back, or that the change stays.

# %%
await runbook.roll_back(to="005")

# %% [markdown]
# A rehearsal applies them again. A live database stays as you left it: to apply again what you rolled back, go to that step's gate; its GO was taken back.

# %%
await runbook.forward_again()

# %% [markdown]
# The board of the run. You should see every step `done`, or what you rolled back as `rolled back`, and what to run next. It can be shown at any time: after a restart of the kernel run the cells down to Bind, then `runbook.status()` in a new cell; it tells what became of each step and which cell goes on.

# %%
runbook.status()

# %% [markdown]
# ## Record
#
# One HTML file: what was found, decided, done and proved, with the hash chain of the ledger. It needs no network and no notebook to be read. If Run All ended early, run this cell all the same: the record says how far it went. `pgrunbook record 020_class_code_generator` writes it again from the ledger.

# %%
runbook.record()
