"""Runs: parameter contract, run ids, execution by Papermill, recorded results, comparison."""

from evidence.runs.pages import Page as Page
