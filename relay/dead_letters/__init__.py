"""The dead-letter topic: what its records mean.

Enters: records of the topic, as producers and consumers write them.
Leaves: dead letters with their original bytes, whether each is still open, and the records that close one.
A letter is closed by a mark, or by a later letter of the same record that names it: its successor. Both are behind it in its partition.
It knows no schema and no destination: the content of a letter is bytes here.
"""
