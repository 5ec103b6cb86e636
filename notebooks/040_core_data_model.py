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
# # 040 Core data model: rules that hold, and tenants who cannot see each other
#
# Nine tables of a planner of twelve weeks: visions, cycles, goals, weekly plans, tasks, plan items, chat sessions, chat messages and an audit log. One professional and one personal goal a cycle; weeks 7 to 12 that can be locked, with every way around closed; an audit log that nobody rewrites; and row security that holds for the owner, too.
#
# **Locks and time.** Everything is new, so nobody is in the way: a few milliseconds a step. Other tables are not touched.
#
# **Before the window.** An administrator makes two roles, once for the whole server: `CREATE ROLE app_user NOLOGIN; CREATE ROLE lock_admin NOLOGIN;` and grants `app_user` to the role that the application connects as (on Supabase: `authenticated`). The change's README lists what was decided where the specification leaves it open, and what was corrected.

# %% [markdown]
# ## Operation note
#
# For the operator: write ticket, window, who is on call and anything unusual here, and save. It stays with this notebook; the reasons that you give at the gates go into the record.

# %% [markdown]
# ## Parameters
#
# Safe defaults. The target and all secrets come from the environment (`PGRUNBOOK_TARGET`, a service file, `.pgpass`), never from a cell. Without a target this is a rehearsal.

# %% tags=["parameters"]
change = "040_core_data_model"
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
# What stands in the way? You should see **GO**: the server is 15 or newer, the schema may be written, the two roles are there and bound by row security, and nothing else has the names of this change. A role that is missing is made by an administrator; the table says how.

# %%
runbook.preflight()

# %% [markdown]
# ## Rehearse
#
# Every file runs on a clone of this schema, forwards and backwards, on the embedded server; your database is only read. You should see `every lock as declared` and `the way back restores the catalog`: types, functions, policies and grants included. If not, do not go on: the change does something that its author did not know.

# %%
await runbook.rehearse()

# %% [markdown]
# ## Steps 001 to 006: the enumerations
#
# What a column can say is a type, so that nobody misspells it, and the front end gets the list from the catalog.
#
# The files as they will be sent:

# %%
runbook.sql("001", "002", "003", "004", "005", "006")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("001", "002", "003", "004", "005", "006")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("001", "002", "003", "004", "005", "006")

# %% [markdown]
# ## Steps 007 and 008: whose rows, and when
#
# `current_app_user()` says whose rows a session may see, from the claims of Supabase or PostgREST, or from `app.user_id`; no claim, a claim that was reset, or a broken one is nobody.
#
# *Corrected:* `auth.uid()` does not exist outside Supabase (3F000), and a setting that was once set locally is `''` afterwards, which is no uuid (22P02).
#
# The files as they will be sent:

# %%
runbook.sql("007", "008")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("007", "008")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("007", "008")

# %% [markdown]
# ## Steps 009 to 017: the nine tables
#
# One file a table, with its keys, checks, indexes, comments, and its policy before row security is enabled and forced: no table is open for a moment. Every foreign key carries the tenant.
#
# *Corrected:* foreign keys are checked beside row security, so that a plain one takes another tenant's id; and NULL passes a CHECK, so JSON columns are NOT NULL.
#
# The files as they will be sent:

# %%
runbook.sql("009", "010", "011", "012", "013", "014", "015", "016", "017")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("009", "010", "011", "012", "013", "014", "015", "016", "017")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("009", "010", "011", "012", "013", "014", "015", "016", "017")

# %% [markdown]
# ## Steps 018 to 021: the lock of weeks 7 to 12
#
# Where `cycle.lock_enforced` is set, nothing may change what weeks 7 to 12 ask for (SQLSTATE P7012). How often a task was done may be noted at any time. Only a member of `lock_admin` takes the lock back.
#
# *Corrected:* a trigger on UPDATE OF quota is passed by moving the item, deleting it, inserting another, renumbering the week or clearing the flag; and without a row lock a quota is written after the lock was committed.
#
# The files as they will be sent:

# %%
runbook.sql("018", "019", "020", "021")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("018", "019", "020", "021")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("018", "019", "020", "021")

# %% [markdown]
# ## Steps 022 to 026: what nobody may, and the audit log
#
# TRUNCATE knows no row and is refused; the audit log takes no UPDATE, DELETE or TRUNCATE from anybody, its owner included (P7013); and every write to the other eight tables is in it, before and after.
#
# The files as they will be sent:

# %%
runbook.sql("022", "023", "024", "025", "026")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("022", "023", "024", "025", "026")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("022", "023", "024", "025", "026")

# %% [markdown]
# ## Step 027: let the application in
#
# Last of all. Until here nobody but the owner reaches the tables.
#
# The files as they will be sent:

# %%
runbook.sql("027")

# %% [markdown]
# Their gates, one after the other. You should see each `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and its step changes nothing.

# %%
await runbook.gate("027")

# %% [markdown]
# Apply them in order. You should see each `done, nobody stalled`. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again: what is done is not done twice.

# %%
await runbook.apply("027")

# %% [markdown]
# ## Verify
#
# Each step's promise, asked again: columns, constraints, indexes, comments, policies, functions to the byte, triggers, grants. You should see `all promises hold`. A broken promise shows what differs: roll back, or ask the change's author, before you close the window.

# %%
runbook.verify()

# %% [markdown]
# The tables, and the foreign keys between them, drawn from the catalog as it is now. You should see nine tables.

# %%
runbook.diagram()

# %% [markdown]
# ## Two users
#
# Sample data for Ada, whose cycle is locked, and Ben, whose is not; it may be loaded any number of times. On a live target these cells write nothing and say so. You should see rows in all nine tables: those of `audit_log` came from the triggers.

# %%
from pgrunbook.workloads.planner import Planner

planner = Planner.of(runbook)
planner.load()

# %% [markdown]
# How many rows does each see? The application's role, acting for Ada, for Ben, for nobody (a claim that was reset), and with a claim that is no user. You should see that each sees his own rows, and that nobody sees any. A superuser sees all: asked as one, this would prove nothing.

# %%
planner.tenants()

# %% [markdown]
# Ways around the lock, tried as Ada and taken back. You should see that a quota of week 6 and progress of week 7 pass, and that everything else is refused: P7012 by the lock, 42501 where the application has no privilege.

# %%
planner.lock()

# %% [markdown]
# What the audit log holds of it, by table and action. You should see all eight tables, and nothing of what was refused or taken back.

# %%
runbook.read(
    "SELECT table_name, action, count(*) AS entries FROM audit_log GROUP BY 1, 2 ORDER BY table_name, action"
)

# %% [markdown]
# ## What it cost
#
# Who waited for whom while the steps ran, sampled ten times a second from `pg_locks`. You should see `nobody stalled`: everything is new.

# %%
runbook.lock_waits()

# %% [markdown]
# What row security costs: one tenant's 50 rows of 100,000, with the tenant written into the query, with row security, without its index, and with a policy that reads the claims for each row. You should see the index used and the claims read once; the times are in the picture. The rows are taken back.

# %%
planner.cost()

# %% [markdown]
# ## Roll back
#
# Only if you must: **rolling back drops the tables and every row in them.** Take a dump first, as a superuser or a role with BYPASSRLS (row security holds the owner, and pg_dump says so). In a live window this gate asks too: NO-GO keeps the change and goes on to the record; `ROLL BACK` and GO undo all steps. To shut the application out and lose no row, answer NO-GO, write `gate("rollback to 026")` into this cell and `roll_back(to="026")` into the next, and run both again: only 027 is undone then.
#
# A rehearsal goes back to nothing and then forward again, to show that both ways work.

# %%
await runbook.gate("rollback")

# %% [markdown]
# You should see all steps rolled back, last first, or that the change stays.

# %%
await runbook.roll_back()

# %% [markdown]
# What is left of the nine tables? After a rollback you should see 0, and 9 where the change stays.

# %%
runbook.read(
    "SELECT count(*) AS tables_left FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname IN"
    " ('vision', 'cycle', 'goal', 'weekly_plan', 'task', 'plan_item', 'audit_log', 'chat_session', 'chat_message')"
)

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
# One HTML file: what was found, decided, done and proved, with the hash chain of the ledger. It needs no network and no notebook to be read. If Run All ended early, run this cell all the same: the record says how far it went. `pgrunbook record 040_core_data_model` writes it again from the ledger.

# %%
runbook.record()
