"""Variation between areas and over time: what is signal, what is noise, and how large it is.

`rates` and `standardise` turn counts into figures with intervals; `limits` judges them (funnel and
control charts), `spc` and `runcharts` follow them over time, `comparison` sets them against a
benchmark; `areas`, `multilevel` and `spatial` describe areas, `inequality` and `gradients` groups.
Every function takes a DataFrame and returns a `Result` or a DataFrame: no files, no plots.
"""
