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
# # 000 Start here
#
# pgrunbook changes live PostgreSQL databases one careful step at a time. Each change is a notebook that you run from top to bottom in a maintenance window: it audits first, shows what stands in the way, applies each step behind a gate, never makes live traffic wait, can be stopped, resumed and undone, and leaves one HTML record.
#
# | notebook | change |
# |---|---|
# | [010_class_code](010_class_code.ipynb) | unique class codes and a sequence to number them |
# | [020_class_code_generator](020_class_code_generator.ipynb) | class codes from the database, one counter for each prefix |
# | [030_message_sequence](030_message_sequence.ipynb) | message numbers from the database, repeated ones taken apart |
# | [040_core_data_model](040_core_data_model.ipynb) | a planner's nine tables: tenants apart, weeks locked, an audit log that nobody rewrites |
# | [050_job_scheduler](050_job_scheduler.ipynb) | jobs that come back on time, are started once, and survive their worker |
# | [800_race_laboratory](800_race_laboratory.ipynb) | no change: every interleaving of two sessions, tried one by one |
# | [900_records](900_records.ipynb) | no change: what ran, what its record holds, and whether two runs were the same |

# %% [markdown]
# ## What is here
#
# Every change in `sql/changes`, read and checked as a whole. You should see one row a change. An error here names the file and line to mend; nothing was run.

# %%
from pgrunbook import start

start.changes_here()

# %% [markdown]
# ## Where would it run?
#
# The target comes from `PGRUNBOOK_TARGET` (a connection string, or `service=NAME`). Without it every notebook is a rehearsal on the embedded server, with sample data, and nothing of yours is touched. It is read when JupyterLab starts: to change it, stop JupyterLab, set it, start again.

# %%
start.where()

# %% [markdown]
# ## What state is each change in?
#
# Read from the ledger (schema `pgrunbook`) of that target; nothing is written. You should see one row a change. Where the ledger does not exist yet, nothing was ever applied here.

# %%
start.state()

# %% [markdown]
# ## How a notebook works
#
# - **Run All is safe.** Each step checks its gate, its audit and the step before it in the library. In a live notebook it waits at each gate, and a NO-GO ends it with one sentence: that step changes nothing.
# - **Nothing happened?** Where Run All ended early, a red box above says why and what to do next.
# - **Stop works.** The stop button and Cancel end in a clean state. Run the same cell again to resume.
# - **The ledger is the record, the notebook is a view of it.** Close the tab, lose the connection, restart the kernel: the next run knows the truth. If the buttons of a gate are gone after a reload, press stop and then Run All: steps that are done are not asked again.
