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
# # 800 The race laboratory
#
# What happens when two sessions do the same at the same moment? Each race below is a short file of `sql/races`: a few sessions and their steps. The laboratory plays **every** order in which the steps can come, on real sessions, and says how each ends. Nothing here is luck: a step counts as waiting when the server says so, and the same race ends the same way each time.
#
# Nothing here ever touches a target. Each race runs in a scratch database of the embedded server that is dropped afterwards.

# %% [markdown]
# ## Open
#
# The first time takes a second or two. You should see one line that says where the races run.

# %%
from pgrunbook.laboratory import Laboratory

laboratory = Laboratory.open()
laboratory

# %% [markdown]
# ## Two terminals
#
# The usual recipe for sequential codes: read the highest code with `FOR UPDATE`, add one, insert, commit. It was expected that the second session, once it may go on, sees 0043 and takes 0044. You should see `duplicates 1`: the second session waits, gets **0042 again**, and inserts 0043 too. Only where one session was done before the other began is there no duplicate. An order *cannot happen* where a session would have its next turn while it still waits.

# %%
laboratory.race("10_two_terminals")

# %% [markdown]
# ## No code yet
#
# The first code of a prefix: there is no row to lock, so nobody waits, and 18 of 20 orders end with a duplicate.

# %%
laboratory.race("15_first_code")

# %% [markdown]
# ## Stricter isolation
#
# SERIALIZABLE finds every duplicate and refuses one of the two sessions with 40001. Safe, where the application then repeats its whole transaction. REPEATABLE READ (`25_repeatable_read`) refuses nobody and duplicates all the same.

# %%
laboratory.race("30_serializable")

# %% [markdown]
# ## A lock that comes too late
#
# An advisory lock before the read is safe under READ COMMITTED (`35_advisory_lock`). Under REPEATABLE READ the statement that waits for the lock has already taken the snapshot: you should see duplicates, lock or no lock.

# %%
laboratory.race("40_advisory_lock_too_late")

# %% [markdown]
# ## The counter row
#
# What [020_class_code_generator](020_class_code_generator.ipynb) ships, in a copy of its own sample with all of its steps applied. The second session waits until the first has committed, and goes on from there. You should see one outcome: no duplicate, no gap, no error.

# %%
laboratory.race("55_counter_row")

# %% [markdown]
# A code that somebody made up, against the generator. Either the made-up code comes first and the generator goes on above it, or it is refused as a duplicate (23505). The generator gets its two codes in every order, and nobody runs into a deadlock.

# %%
laboratory.race("70_made_up_code")

# %% [markdown]
# ## A queue
#
# `SKIP LOCKED` finds a free job; the claim is a second statement, after the lock has gone. You should see jobs done twice. In one statement (`80_claim_in_one_statement`) that never happens.

# %%
laboratory.race("75_claim_in_two_statements")

# %% [markdown]
# ## All races
#
# Every file of `sql/races`, those of your own too, held against what it promises. You should see that every race ends as its file expects; a broken promise is named. `pgrunbook races` prints the same in a terminal, `pgrunbook races NAME` one race in full.

# %%
laboratory.overview()

# %% [markdown]
# ## Throughput
#
# Safe is not enough, it has to be fast. 1, 4, 16 and 64 writers create classes with each method, on one hot prefix and on 64 prefixes. You should see who duplicates and who leaves gaps; the picture has codes per second and waiting times. The figures are this machine's, the ranking is not. Half a minute.

# %%
from pgrunbook.workloads import contest

contest.large()

# %% [markdown]
# ## A race of your own
#
# Put a file into `sql/races` (or the folder that `PGRUNBOOK_RACES` names), called like `90_my_race.spec`. Tests, command line and this notebook find it there. The grammar is that of PostgreSQL's own isolation tests:
#
# ```
# # One line that says what the race shows
# # A line or two for the reader.
# # on: 020_class_code_generator
# # expect: duplicates 0
# # expect: 40001 > 0 in some permutation
#
# setup { CREATE TABLE ... }
# teardown { SELECT count(*) - count(DISTINCT code) AS duplicates FROM ...; DROP TABLE ...; }
#
# session s1
# setup { BEGIN; }
# step s1_reads { SELECT ...; }
# step s1_commits { COMMIT; }
#
# session s2
# ...
# ```
#
# - `on` is optional: the race then runs in that change's sample with all of its steps applied. Without it the database is empty.
# - The SELECTs of the teardowns are the outcome; `expect` names one of their columns, or `waits`, `errors` or an SQLSTATE. It holds for every permutation unless it says `in some permutation`.
# - Without a `permutation` line every order is played that keeps each session's own. Two sessions that wait for the same row go on in no fixed order once it was updated: let one wait at a time.
# - `pgrunbook races --save tests/expected` keeps how each race ends, to be compared from then on.
