"""What a prompt of N tokens costs in memory and time: computed, simulated, measured.

>>> import capot
>>> answer = capot.open("scripted").memory("1,64")
>>> [row.computed.kv_cache for row in answer.rows] == [row.measured.kv_cache for row in answer.rows]
True
"""
