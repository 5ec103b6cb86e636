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
# # 900 Records
#
# What ran here, and was it the same twice? Every run leaves its events in the ledger of its target and a record in the records folder: a page for people, `record.json` beside it for machines. This notebook lists runs, shows what one holds, holds two of the same change against each other (the rehearsal against the live run, yesterday's against today's), and checks every hash.
#
# Nothing here writes to a target. Where none is named it makes two rehearsals of its own, on the embedded server.

# %% [markdown]
# ## Open
#
# Whose records? You should see the target with `LIVE`, or that these are rehearsals.

# %%
from pgrunbook.reviewing import Records

records = Records.open()
records

# %% [markdown]
# ## Two rehearsals
#
# Only where no target is named, and then some 15 seconds: one change is applied and rolled back, and applied once more while a reader keeps its table open. Each step waits for the reader, and nobody waits behind it. With a target this cell does nothing and says so.

# %%
records.rehearse("010_class_code")

# %% [markdown]
# ## Which runs
#
# The last one first. You should see how each ended; where you sit at the keyboard, also who ran it, when, how long it took, and whether its record lies here and is signed. `records.runs("010_class_code")` lists one change; `pgrunbook records` prints the same in a terminal.

# %%
records.runs()

# %% [markdown]
# ## One run
#
# What the record of the last run holds besides its events, by section. Where nothing ran yet, this cell says so, and there is nothing below to look at. Another run: `records.facts("20261122T...")` with the name of a run, or with the path of a `record.json` or `record.html` that somebody sent you. `pgrunbook records --schema` prints the JSON Schema of these facts.

# %%
records.facts()

# %% [markdown]
# ## Two runs
#
# What differs between the last two runs of the same change. You should see one line a part: other ends, other scripts (somebody edited a file in between), other locks than in the rehearsal, checks that found other rows, other plans, other versions. Two of your choice: `records.differences(FIRST, SECOND)`, each a run or a file. Of the two rehearsals the first was rolled back, so that every step ended otherwise, and only that one had a gate for the rollback; all else is alike.

# %%
records.differences()

# %% [markdown]
# How long did each step take, and how long did anybody stall because of it? You should see the steps of both runs in one picture. In the second rehearsal steps took longer where they waited for the reader; the stalls are as short as before.

# %%
records.costs()

# %% [markdown]
# ## Are they true?
#
# Every hash of the ledger is computed again, and every event's hash once more from the facts of its run alone, as somebody without the database would. You should see that the chain is unbroken. For a file that left the house: `pgrunbook verify record.html`.

# %%
records.check()
