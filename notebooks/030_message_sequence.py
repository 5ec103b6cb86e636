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
# # 030 Message sequence: numbers that no two messages share
#
# Two senders who read the same highest number send two messages with one number: their order is left to chance, and unread counts are wrong. From now on the database numbers messages, the numbers that are there are repaired, and unique indexes keep them so. Everybody goes on sending all the while.
#
# **Locks and time.** One step takes SHARE ROW EXCLUSIVE on `messages` and one ACCESS EXCLUSIVE, for 1 to 2 ms each, and never wait in the lock queue. The rest lets reads and writes go on. The repair of a million messages that all have to move takes ten minutes and more, in small batches, half of the time at rest.
#
# **Before the window.** Nothing: senders of the old kind are numbered, too. The change's README lists what was corrected in the specification and why.

# %% [markdown]
# ## Operation note
#
# For the operator: write ticket, window, who is on call and anything unusual here, and save. It stays with this notebook; the reasons that you give at the gates go into the record.

# %% [markdown]
# ## Parameters
#
# Safe defaults. The target and all secrets come from the environment (`PGRUNBOOK_TARGET`, a service file, `.pgpass`), never from a cell. Without a target this is a rehearsal.

# %% tags=["parameters"]
change = "030_message_sequence"
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
# What stands in the way? In a rehearsal you should see **NO-GO** for the steps from 004 on: repeated numbers in channels and in conversations, and messages without a home, were planted. They do not stop steps 001 to 003: the guard has to be there before the repair begins, or senders would go on repeating numbers behind it. If anything else says NO-GO, repair it by hand first.
#
# *Corrected:* the specification asked for duplicates in channels only; its second index then failed.

# %%
runbook.preflight()

# %% [markdown]
# Which messages have one number? The largest groups, the columns that tell their messages apart, and the number that each would get. You should see the totals first. `pgrunbook duplicates 030_message_sequence --table messages --key 'channel_id, sequence' --where 'channel_id IS NOT NULL' --export` writes all of them to a file.

# %%
as_the_remedy = {"strategy": "resequence-gaps", "order": "created_at"}
runbook.duplicates("messages", "channel_id, sequence", where="channel_id IS NOT NULL", **as_the_remedy)

# %% [markdown]
# ## Rehearse
#
# Every file runs on a clone of this schema, forwards and backwards, on the embedded server; your database is only read. You should see `every lock as declared` and `the way back restores the catalog`. If not, do not go on: the change does something that its author did not know.

# %%
await runbook.rehearse()

# %% [markdown]
# ## Before: what reading costs
#
# The latest page of a channel and the unread count of a conversation, 25 times each. You should see their medians, and the old indexes at work.

# %%
runbook.time_before()

# %% [markdown]
# ## Step 001: the counters
#
# Two small tables: what the guard has counted in each home (a channel or a conversation), and the number that each count starts from.
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
# ## Step 002: the guard
#
# A trigger counts every new message from here on; the sender's own number stays until the starts are known. It waits for no reading: the table may be as large as it likes.
#
# *Corrected:* the specification let senders fail with 23505 and counted on a retry that nobody builds.
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
# ## Step 003: the starts
#
# One snapshot sees all messages and all counts, and finds the number that each home will end on once it is repaired. From the commit on new messages are numbered after that, so the repair below never meets them.
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
# ## Remedy
#
# A remedy repairs what a check found, in batches, and keeps every old value in quarantine (`pgrunbook.quarantine`). Where its check found nothing, its gate is not asked, and these cells say `nothing to repair`.
#
# ### Repeated numbers in channels
#
# Messages keep their order (number, then time, then id) and their gaps; read cursors move with them, so nobody has more or fewer unread messages than before. The preview is tried and taken back, and it proves that undo gives every row back.
#
# *Corrected:* the specification's `sequence + 1` moves one message onto the number of the next, and forgets the cursors.

# %%
runbook.preview("10_duplicate_channel_sequences")

# %% [markdown]
# Its gate. You should see `open`. In a live window type `APPLY` and press GO; NO-GO ends Run All here, and no row is changed.

# %%
await runbook.gate("10_duplicate_channel_sequences")

# %% [markdown]
# You should see how many rows were repaired. Stop it at any time: whole batches stay repaired, order is right at every moment, and running the cell again does the rest.
#
# Until step 004 `await runbook.gate("undo 10_duplicate_channel_sequences")` and `await runbook.undo("10_duplicate_channel_sequences")` in cells of their own take it back, to the byte; rows that somebody changed since are left alone and listed. They are no cells of this notebook, because Run All would run them. From step 004 on the index refuses the old numbers.

# %%
await runbook.remedy("10_duplicate_channel_sequences")

# %% [markdown]
# ### Repeated numbers in conversations
#
# The same, for conversations.

# %%
runbook.preview("20_duplicate_conversation_sequences")

# %% [markdown]
# Its gate. You should see `open`. In a live window type `APPLY` and press GO; NO-GO ends Run All here, and no row is changed.

# %%
await runbook.gate("20_duplicate_conversation_sequences")

# %% [markdown]
# You should see how many rows were repaired.

# %%
await runbook.remedy("20_duplicate_conversation_sequences")

# %% [markdown]
# ### Messages without a home
#
# No list shows them. This remedy takes them out of the table and keeps them whole in quarantine; replies to them stay, as replies to none. If the business knows where they belong, answer NO-GO and give them a home by hand.

# %%
runbook.preview("40_messages_without_a_home")

# %% [markdown]
# Its gate. You should see `open`. In a live window type `APPLY` and press GO; NO-GO ends Run All here, and no row is changed.

# %%
await runbook.gate("40_messages_without_a_home")

# %% [markdown]
# You should see how many rows were repaired: messages taken out, and replies released.

# %%
await runbook.remedy("40_messages_without_a_home")

# %% [markdown]
# ### Audit again
#
# Now you should see **GO**. While it says NO-GO for a step, its gate does not open, whatever cell you run: repair what the tables show, and run this cell again.

# %%
runbook.preflight()

# %% [markdown]
# ## Step 004: the unique index of channels
#
# Built concurrently, outside a transaction, on the messages of channels alone. It waits for open writers, and blocks none.
#
# *Corrected:* a plain build blocks every writer (55P03 where one will not wait); and SQL does have partial unique indexes, 43 % smaller here.
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
# ## Step 005: the unique index of conversations
#
# The same, for conversations.
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
# ## Step 006: one home for every message
#
# From here on a message in no home, or in two, is refused (23514); rows that are there are not read yet.
#
# *Corrected:* NULLs are distinct in a unique index, so `(NULL, NULL, 1)` escaped both.
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
# ## Step 007: prove it for old rows
#
# Reads the table once while reads and writes go on.
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
# ## Step 008: the old index of channels
#
# The unique index has the same columns: with both, every message would be written twice.
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
# ## Step 009: the old index of conversations
#
# The same, for conversations.
#
# The file as it will be sent:

# %%
runbook.sql("009")

# %% [markdown]
# The gate. You should see `open`. In a live window a panel says what would run: type `APPLY` and press GO. NO-GO ends Run All here, and this step changes nothing.

# %%
await runbook.gate("009")

# %% [markdown]
# Apply. You should see `done, nobody stalled`. While somebody is in the way, the panel says who; nobody waits behind us, and Cancel ends it cleanly. A failure says what was left behind (nothing, as a rule) and what to do; then run this cell again.

# %%
await runbook.apply("009")

# %% [markdown]
# ## Verify
#
# Each step's promise, asked again; 003 reads all messages and looks for a number that the counters have not passed. You should see `all promises hold`. A broken promise shows the rows that break it: roll back to the step before it, or ask the change's author, before you close the window.
#
# *Corrected:* the specification looked for the word unique in `\d`, which shows an invalid index too, and called every result a success.

# %%
runbook.verify()

# %% [markdown]
# Any SELECT can be asked beside it, read-only. You should see no channel or conversation with a repeated number.

# %%
runbook.read(
    "SELECT count(*) - count(DISTINCT (channel_id, conversation_id, sequence)) AS repeated_numbers FROM messages"
)

# %% [markdown]
# ## What it cost
#
# The same queries before and after. You should see `every expectation holds`. If one is missed, the change stands and is correct, but reading costs more than promised: look at the plan in the picture.

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
# What is larger or smaller now. You should see the indexes of `messages` smaller at the end: two partial indexes instead of two full ones.

# %%
runbook.sizes()

# %% [markdown]
# ## Roll back
#
# Only if you must. In a live window this gate asks too: NO-GO keeps the change and goes on to the record; `ROLL BACK` and GO undo the steps after 005. The old indexes come back, the constraint goes, numbers stay unique. To go back further, answer NO-GO, name another step in this cell and the next (`gate("rollback")` and `roll_back()` undo everything), and run both again: a GO counts for as far as it says, no more and no less. Repaired numbers stay repaired.
#
# A rehearsal goes back and then forward again, to show that both ways work.

# %%
await runbook.gate("rollback to 005")

# %% [markdown]
# You should see 009, 008, 007 and 006 rolled back, or that the change stays.

# %%
await runbook.roll_back(to="005")

# %% [markdown]
# A rehearsal applies 006 to 009 again. A live database stays as you left it: to apply again what you rolled back, go to that step's gate; its GO was taken back.

# %%
await runbook.forward_again()

# %% [markdown]
# The board of the run. You should see every step `done`, or what you rolled back as `rolled back`, and what to run next. It can be shown at any time: after a restart of the kernel run the cells down to Bind, then `runbook.status()` in a new cell; it tells what became of each step and which cell goes on.

# %%
runbook.status()

# %% [markdown]
# ## Record
#
# One HTML file: what was found, decided, done and proved, with the hash chain of the ledger. It needs no network and no notebook to be read. If Run All ended early, run this cell all the same: the record says how far it went. `pgrunbook record 030_message_sequence` writes it again from the ledger.

# %%
runbook.record()
