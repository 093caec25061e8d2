"""Variation between areas and over time: what is signal, what is noise, and how large it is.

`rates` turns counts into figures with intervals, `limits` judges them (funnel and control charts),
`areas` describes areas, `inequality` describes groups.
Every function takes a DataFrame and returns a `Result` or a DataFrame: no files, no plots.
"""
