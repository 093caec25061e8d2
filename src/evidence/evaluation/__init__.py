"""Did it work here: interrupted series, differences in differences, synthetic controls.

Every method returns a `Result` with its checks already run; a check that is not passed changes the
words of the result and lowers its design tier.
"""
